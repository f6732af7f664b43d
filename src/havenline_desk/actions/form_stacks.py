"""Group the selected files of an investigation into stacks, and settle byte-identical copies without a new view."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from django.db import connection, transaction

from havenline.matching import stacks as planning

from .. import audit
from ..models import (
    AuditAct,
    File,
    Investigation,
    MemberPlace,
    Outcome,
    SettledBy,
    Stack,
    StackMember,
    StackRevision,
)
from .copy_outcome import copy_outcome
from .derive_outcomes import derive_outcomes
from .keep_feedback import propose_feedback
from .open_assignments import open_assignments

_LOCK_SPACE = 0x4853


@transaction.atomic
def form_stacks(
    investigation: Investigation, *, at: dt.datetime, between: Callable[[int, int], None] = lambda done, of: None
) -> int:
    """Place every selected file that has no place yet; returns how many stacks were formed.

    `between` is called, inside the transaction, with how far it is; what it raises leaves nothing of this behind.

    A file near an earlier stack joins its open revision, or opens the next one when that is frozen. All or nothing:
    the work is serialised by investigation, and a killed run leaves no stack behind.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_SPACE, investigation.pk])
    waiting = {file.sha256: file for file in _without_place(investigation)}
    orders = _natural_keys(investigation)
    copies = [copy for file in waiting.values() if (copy := _settled_as_copy(investigation, file, at=at))]
    for copy in copies:
        del waiting[copy.file.sha256]
    stacks = {stack.representative.sha256: stack for stack in _stacks(investigation)}
    plans = planning.form_stacks(
        [_stack_file(file, order=orders[file.pk]) for file in waiting.values()],
        [_stack_file(stack.representative, order=f"{stack.pk:012}") for stack in stacks.values()],
        between=between,
    )
    arriving = {
        plan.representative: members
        for plan in plans
        if (members := [member for member in plan.members if member.sha256 in waiting])
    }
    formed = Stack.objects.bulk_create(
        Stack(investigation=investigation, representative=waiting[sha256], formed_at=at)
        for sha256 in arriving
        if sha256 not in stacks
    )
    stacks |= {stack.representative.sha256: stack for stack in formed}
    _join({stacks[sha256]: members for sha256, members in arriving.items()}, waiting, at=at)
    for copy in copies:
        audit.append(AuditAct.OUTCOME_COPIED, at=at, actor=None, about=copy, investigation=investigation, record=copy)
    if copies:
        derive_outcomes(investigation, at=at, outcomes=copies)
        propose_feedback({copy.file_id for copy in copies}, at=at)
    if arriving:
        audit.append(AuditAct.STACKS_FORMED, at=at, actor=None, investigation=investigation)
    return len(formed)


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
    hashed = file.perceptual_hash
    return planning.StackFile(
        sha256=file.sha256,
        pdq=hashed.pdq if hashed else None,
        quality=hashed.quality if hashed else None,
        order=order,
    )


def _settled_as_copy(investigation: Investigation, file: File, *, at: dt.datetime) -> Outcome | None:
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
    return None if original is None else copy_outcome(original, file, investigation, at=at)


def _join(
    arriving: Mapping[Stack, Sequence[planning.StackMember]], waiting: Mapping[str, File], *, at: dt.datetime
) -> None:
    """Put arrivals into each stack's open revision, or into a new one whose shown file is the first arrival."""
    revisions = _open_revisions(list(arriving), at=at)
    shown_there = set(
        StackMember.objects.filter(revision__in=revisions.values(), place=MemberPlace.SHOWN).values_list(
            "revision_id", flat=True
        )
    )
    StackMember.objects.bulk_create(
        StackMember(
            revision=revisions[stack],
            file=waiting[member.sha256],
            place=MemberPlace.NEAR if position or revisions[stack].pk in shown_there else MemberPlace.SHOWN,
            why=member.why.value,
            distance=member.distance,
            pipeline=member.pipeline or "",
        )
        for stack, members in arriving.items()
        for position, member in enumerate(members)
    )
    open_assignments(revisions.values(), at=at)


def _open_revisions(stacks: Sequence[Stack], *, at: dt.datetime) -> dict[Stack, StackRevision]:
    """The revision of each stack that still takes members; a frozen one is followed by the next."""
    latest = {row.stack_id: row for row in StackRevision.objects.filter(stack__in=stacks).order_by("number")}
    revisions = {stack: latest[stack.pk] for stack in stacks if stack.pk in latest and not latest[stack.pk].frozen_at}
    fresh = [
        StackRevision(stack=stack, number=latest[stack.pk].number + 1 if stack.pk in latest else 1, opened_at=at)
        for stack in stacks
        if stack not in revisions
    ]
    return revisions | {revision.stack: revision for revision in StackRevision.objects.bulk_create(fresh)}
