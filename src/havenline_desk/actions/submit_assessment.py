"""Record one person's assessment, and settle the stack when the review plan has what it needs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from havenline.frameworks import Framework
from havenline.vocabulary import HavenlineError

from .. import audit, law
from ..models import (
    Assessment,
    Assignment,
    AuditAct,
    MemberAnswer,
    MemberPlace,
    Person,
    Reveal,
    StackMember,
    StackRevision,
    Step,
)
from .settle_stack import settle_stack


class SubmissionRefused(HavenlineError):
    """Nothing was recorded. `problems` says by question (or `members`, `view`) what is missing."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = dict(problems)


@dataclass(frozen=True, slots=True)
class Checked:
    """A submission that may be recorded: whose lease is locked, and nothing is missing."""

    assignment: Assignment
    framework: Framework
    near: tuple[StackMember, ...]
    decided_at: int
    active_seconds: Decimal


@transaction.atomic
def submit_assessment(
    assignment_id: int,
    *,
    person: Person,
    facts: Mapping[str, str],
    same: Mapping[int, bool],
    active_seconds: Decimal,
    at: dt.datetime,
) -> Assessment:
    """Append the assessment; `same` answers, by member id, whether each near member is the same picture.

    Active seconds are what the page counted, never more than have passed since the lease began.
    Raises SubmissionRefused when a question is open, a member was not looked at, or nothing was viewed at all.
    """
    checked = checked_submission(
        assignment_id, person=person, facts=facts, same=same, active_seconds=active_seconds, at=at
    )
    assignment = checked.assignment
    revision = assignment.revision
    assessment = Assessment.objects.create(
        revision=revision,
        person=person,
        step=assignment.step,
        framework=checked.framework.id,
        framework_version=checked.framework.version,
        facts=dict(facts),
        ladder_step=checked.decided_at,
        active_seconds=checked.active_seconds,
        started_at=assignment.leased_at or at,
        submitted_at=at,
    )
    MemberAnswer.objects.bulk_create(
        MemberAnswer(assessment=assessment, member=member, same=same[member.pk]) for member in checked.near
    )
    assignment.done_at = at
    assignment.save(update_fields=("done_at",))
    StackRevision.objects.select_for_update().get(pk=revision.pk)  # before the log's lock, which is taken last
    _log(assessment, at=at)
    settle_stack(revision, at=at)
    return assessment


def checked_submission(
    assignment_id: int,
    *,
    person: Person,
    facts: Mapping[str, str],
    same: Mapping[int, bool],
    active_seconds: Decimal,
    at: dt.datetime,
) -> Checked:
    """Lock the assignment that `person` holds and check the answers, inside the caller's transaction.

    Raises SubmissionRefused with everything that is missing.
    """
    assignment = (
        Assignment.objects.select_for_update(of=("self",))
        .select_related("revision__stack__investigation")
        .filter(pk=assignment_id, person=person, done_at=None)
        .exclude(step=Step.QUALITY)
        .first()
    )
    if assignment is None or assignment.leased_at is None:
        raise SubmissionRefused({"assignment": "this assignment is no longer yours; nothing was recorded. Press Start"})
    investigation = assignment.revision.stack.investigation
    framework = law.sheet(investigation, at=assignment.leased_at)
    members = list(assignment.revision.members.order_by("pk"))
    shown = next(member for member in members if member.place == MemberPlace.SHOWN)
    near = [member for member in members if member.place == MemberPlace.NEAR and assignment.step != Step.THIRD]
    deepest = _deepest_views(assignment, person)
    decided_at = deepest.get(shown.file_id, 0)
    problems = dict(framework.check(facts)) | _member_problems(near, same, deepest, decided_at)
    if decided_at == 0:
        problems["view"] = "nothing of this picture was viewed yet; press the full stop key for the first step"
    if problems:
        raise SubmissionRefused(problems)
    elapsed = Decimal(str((at - assignment.leased_at).total_seconds()))
    return Checked(assignment, framework, tuple(near), decided_at, max(Decimal(0), min(active_seconds, elapsed)))


def _log(assessment: Assessment, *, at: dt.datetime) -> None:
    audit.append(
        AuditAct.ASSESSMENT_SUBMITTED,
        at=at,
        actor=assessment.person,
        about=assessment,
        investigation=assessment.revision.stack.investigation,
        purpose=f"{assessment.step}_assessment",
        record=assessment,
    )


def _deepest_views(assignment: Assignment, person: Person) -> dict[int, int]:
    used = Reveal.objects.filter(assignment=assignment, person=person, used_at__isnull=False)
    deepest: dict[int, int] = {}
    for file_id, step in used.values_list("file_id", "ladder_step"):
        deepest[file_id] = max(step, deepest.get(file_id, 0))
    return deepest


def _member_problems(
    near: list[StackMember], same: Mapping[int, bool], deepest: Mapping[int, int], decided_at: int
) -> dict[str, str]:
    open_ = sum(member.pk not in same for member in near)
    if open_:
        return {"members": f"{open_} near {'picture needs' if open_ == 1 else 'pictures need'} an own look and a key"}
    unseen = sum(deepest.get(member.file_id, 0) < decided_at for member in near)
    if unseen:
        those = "picture was" if unseen == 1 else "pictures were"
        return {"members": f"{unseen} near {those} not looked at as closely as the picture that was judged"}
    return {}
