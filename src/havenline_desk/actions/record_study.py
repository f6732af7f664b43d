"""Seed the records of a study, without any content, so that the general rules can count them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

from django.db import models, transaction

from havenline import frameworks
from havenline.figures.study import StudyPlan

from .. import audit
from ..models import (
    Assessment,
    Assignment,
    AuditAct,
    File,
    Import,
    InstallationKind,
    Investigation,
    Item,
    ItemKind,
    ItemState,
    MemberPlace,
    Outcome,
    Person,
    Plan,
    Role,
    SamplingRule,
    Selection,
    SettledBy,
    SourceKind,
    Stack,
    StackMember,
    StackRevision,
    Step,
)
from .create_investigation import create_investigation
from .declare_policy import declare_policy
from .enrol_person import enrol_person

CHUNK = 2000
Row = TypeVar("Row", bound=models.Model)


@transaction.atomic
def record_study(plan: StudyPlan, *, at: dt.datetime) -> Investigation:
    """Append what a single-review investigation would hold: postings, selections, stacks, assessments, outcomes.

    Each outcome is derived from its facts by the framework's rules. Not made: reveals, since nothing was shown.
    """
    declare_policy(InstallationKind.STUDY, at=at)
    lead = enrol_person("study-lead", password=None, roles=(Role.LEAD,), at=at)
    people = {name: enrol_person(name, password=None, roles=(Role.ANALYST,), at=at) for name in plan.analysts}
    investigation = create_investigation(
        plan.reference,
        source_kind=SourceKind.FORUM,
        period=(None, None),
        posted_total=len(plan.postings),
        sampling_rule=SamplingRule.BY_MANIFEST,
        authorised_by=lead,
        legal_basis="study of synthetic records; no content",
        expires_on=at.date(),
        framework=plan.framework,
        framework_version=plan.framework_version,
        plan=Plan(plan.review_plan),
        at=at,
    )
    files = _record_postings(investigation, plan, lead, at=at)
    _record_looks(investigation, plan, files, people, at=at)
    audit.append(AuditAct.STUDY_RECORDED, at=at, actor=None, about=investigation, investigation=investigation)
    return investigation


def _record_postings(investigation: Investigation, plan: StudyPlan, lead: Person, *, at: dt.datetime) -> list[File]:
    taken_in = Import.objects.create(
        investigation=investigation,
        collection="synthetic",
        imported_by=lead,
        approved_by=lead,
        started_at=at,
        finished_at=at,
    )
    files = _add(
        File(sha256=posting.sha256, sha1=posting.sha256[:40], md5=posting.sha256[:32], size=0)
        for posting in plan.postings
    )
    items = _add(
        Item(
            investigation=investigation,
            taken_in=taken_in,
            collection="synthetic",
            path=posting.path,
            file=file,
            kind=ItemKind.PICTURE,
            state=ItemState.HASH_ONLY,
            imported_at=at,
        )
        for posting, file in zip(plan.postings, files, strict=True)
    )
    _add(
        Selection(item=items[look.posting], rule=SamplingRule.BY_MANIFEST, viewed_by_person=False, selected_at=at)
        for look in plan.looks
    )
    return files


def _record_looks(
    investigation: Investigation,
    plan: StudyPlan,
    files: list[File],
    people: Mapping[str, Person],
    *,
    at: dt.datetime,
) -> None:
    # long: one plain list of rows for each of five tables
    framework = frameworks.load(plan.framework, plan.framework_version)
    stacks = _add(
        Stack(investigation=investigation, representative=files[look.posting], formed_at=at) for look in plan.looks
    )
    revisions = _add(StackRevision(stack=stack, number=1, opened_at=at, frozen_at=at) for stack in stacks)
    _add(
        StackMember(revision=revision, file=stack.representative, place=MemberPlace.SHOWN, why="representative")
        for stack, revision in zip(stacks, revisions, strict=True)
    )
    looks = list(zip(plan.looks, stacks, revisions, strict=True))
    _add(
        Assignment(
            revision=revision,
            investigation=investigation,
            step=Step.FIRST,
            opened_at=at,
            waits_as_if_since=at,
            person=people[look.analyst],
            leased_at=at,
            done_at=at,
        )
        for look, _, revision in looks
    )
    _add(
        Assessment(
            revision=revision,
            person=people[look.analyst],
            step=Step.FIRST,
            framework=framework.id,
            framework_version=framework.version,
            facts=dict(look.facts),
            ladder_step=0,
            active_seconds=Decimal(look.active_seconds),
            started_at=at,
            submitted_at=at,
        )
        for look, _, revision in looks
    )
    derived = [framework.derive(look.facts, approved=True) for look in plan.looks]
    _add(
        Outcome(
            investigation=investigation,
            file=stack.representative,
            revision=revision,
            framework=framework.id,
            framework_version=framework.version,
            facts=dict(look.facts),
            status=legality.status.value,
            class_id=legality.class_id or "",
            severity=legality.severity or "",
            rule_path=list(legality.rule_path),
            settled_by=SettledBy.SINGLE,
            viewed_by_person=True,
            settled_at=at,
        )
        for (look, stack, revision), legality in zip(looks, derived, strict=True)
    )


def _add(rows: Iterable[Row]) -> list[Row]:
    listed = list(rows)
    if listed:
        type(listed[0])._default_manager.bulk_create(listed, batch_size=CHUNK)
    return listed
