"""Group the selected files of an investigation into stacks, and settle byte-identical copies without a new view."""

from __future__ import annotations

import datetime as dt

from django.db import connection, transaction

from havenline.matching import stacks as planning

from ..models import (
    File,
    Investigation,
    MemberPlace,
    Outcome,
    SettledBy,
    Stack,
    StackMember,
    StackRevision,
)
from .open_assignments import open_assignments

_LOCK_SPACE = 0x4853


@transaction.atomic
def form_stacks(investigation: Investigation, *, at: dt.datetime) -> int:
    """Place every selected file that has no place yet; returns how many stacks were formed.

    A file near an earlier stack joins its open revision, or opens the next one when that is frozen. All or nothing:
    the work is serialised by investigation, and a killed run leaves no stack behind.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_SPACE, investigation.pk])
    waiting = {file.sha256: file for file in _without_place(investigation)}
    orders = _natural_keys(investigation)
    for file in list(waiting.values()):
        if _settled_as_copy(investigation, file, at=at):
            del waiting[file.sha256]
    stacks = {stack.representative.sha256: stack for stack in _stacks(investigation)}
    plans = planning.form_stacks(
        [_stack_file(file, order=orders[file.pk]) for file in waiting.values()],
        [_stack_file(stack.representative, order=f"{stack.pk:012}") for stack in stacks.values()],
    )
    formed = 0
    for plan in plans:
        arrivals = [member for member in plan.members if member.sha256 in waiting]
        if not arrivals:
            continue
        if not plan.existing:
            stacks[plan.representative] = Stack.objects.create(
                investigation=investigation, representative=waiting[plan.representative], formed_at=at
            )
            formed += 1
        _join(stacks[plan.representative], arrivals, waiting, at=at)
    return formed


def _without_place(investigation: Investigation) -> list[File]:
    return list(
        File.objects.filter(items__investigation=investigation, items__selection__isnull=False)
        .exclude(memberships__revision__stack__investigation=investigation)
        .exclude(outcomes__investigation=investigation)
        .prefetch_related("perceptual_hashes")
        .distinct()
    )


def _natural_keys(investigation: Investigation) -> dict[int, str]:
    """The earliest of each file's postings by collection and path: what decides who represents a stack."""
    keys: dict[int, str] = {}
    postings = investigation.items.filter(selection__isnull=False, file__isnull=False)
    for file_id, collection, path in postings.values_list("file_id", "collection", "path"):
        key = f"{collection}\0{path}"
        keys[file_id] = min(key, keys.get(file_id, key))
    return keys


def _stacks(investigation: Investigation) -> list[Stack]:
    rows = Stack.objects.filter(investigation=investigation).select_related("representative")
    return list(rows.prefetch_related("representative__perceptual_hashes").order_by("pk"))


def _stack_file(file: File, *, order: str) -> planning.StackFile:
    hashed = next(iter(file.perceptual_hashes.all()), None)
    return planning.StackFile(
        sha256=file.sha256,
        pdq=hashed.pdq if hashed else None,
        quality=hashed.quality if hashed else None,
        order=order,
    )


def _settled_as_copy(investigation: Investigation, file: File, *, at: dt.datetime) -> bool:
    """Take over the answer for the same bytes that this house has assessed twice under this version, if any."""
    original = (
        Outcome.objects.filter(
            file=file,
            framework=investigation.framework,
            framework_version=investigation.framework_version,
            settled_by__in=(SettledBy.AGREEMENT, SettledBy.ADJUDICATION),
            correction=None,
        )
        .order_by("settled_at", "pk")
        .first()
    )
    if original is None:
        return False
    Outcome.objects.create(
        investigation=investigation,
        file=file,
        copy_of=original,
        framework=original.framework,
        framework_version=original.framework_version,
        facts=original.facts,
        status=original.status,
        class_id=original.class_id,
        severity=original.severity,
        rule_path=original.rule_path,
        settled_by=SettledBy.COPY,
        viewed_by_person=False,
        settled_at=at,
    )
    return True


def _join(stack: Stack, arrivals: list[planning.StackMember], waiting: dict[str, File], *, at: dt.datetime) -> None:
    """Put arrivals into the open revision, or into a new one whose shown file is the first arrival."""
    revision = stack.revisions.order_by("-number").first()
    if revision is None or revision.frozen_at is not None:
        number = 1 if revision is None else revision.number + 1
        revision = StackRevision.objects.create(stack=stack, number=number, opened_at=at)
    shown_is_there = revision.members.filter(place=MemberPlace.SHOWN).exists()
    for position, member in enumerate(arrivals):
        shown = position == 0 and not shown_is_there
        StackMember.objects.create(
            revision=revision,
            file=waiting[member.sha256],
            place=MemberPlace.SHOWN if shown else MemberPlace.NEAR,
            why=member.why.value,
            distance=member.distance,
            pipeline=member.pipeline or "",
        )
    open_assignments(revision, at=at)
