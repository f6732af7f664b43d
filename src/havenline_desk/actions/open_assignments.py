"""Open the assignments that stack revisions need, and keep the order in which they are handed out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db.models import Max

from havenline.judgement import TriageFacts, waits_as_if_since

from ..models import Assignment, Investigation, MemberPlace, Plan, Stack, StackMember, StackRevision, Step
from ..waiting import reports_of, urgency_of


def open_assignments(revisions: Iterable[StackRevision], *, at: dt.datetime) -> None:
    """One for a single plan, two for a double one; none where the shown file's content is not kept here."""
    viewable = StackMember.objects.filter(
        revision__in=list(revisions), place=MemberPlace.SHOWN, file__stored__isnull=False, file__stored__tombstone=None
    ).order_by("pk")
    opened = [
        Assignment(revision_id=revision, step=step, opened_at=at)
        for revision, plan in viewable.values_list("revision_id", "revision__stack__investigation__plan")
        for step in ((Step.FIRST, Step.SECOND) if plan == Plan.DOUBLE else (Step.FIRST,))
    ]
    put_in_order(opened)
    Assignment.objects.bulk_create(opened, ignore_conflicts=True)


def revision_of_one(stack: Stack, file_id: int, *, why: str, at: dt.datetime) -> StackRevision:
    """A further revision of the stack, frozen, with this file alone, for people who have not assessed it."""
    number = 1 + (stack.revisions.aggregate(last=Max("number"))["last"] or 0)
    revision = StackRevision.objects.create(stack=stack, number=number, opened_at=at, frozen_at=at)
    StackMember.objects.create(revision=revision, file_id=file_id, place=MemberPlace.SHOWN, why=why, distance=0)
    return revision


def put_in_order(assignments: Iterable[Assignment]) -> None:
    """Set the investigation and, by the pure rule, the place in the queue of assignments that are not saved yet."""
    wanted = list(assignments)
    revisions = {assignment.revision_id for assignment in wanted}
    of = dict(StackRevision.objects.filter(pk__in=revisions).values_list("pk", "stack__investigation"))
    urgencies = {one.pk: urgency_of(one) for one in Investigation.objects.filter(pk__in=set(of.values()))}
    reports = reports_of(revisions)
    for assignment in wanted:
        assignment.investigation_id = of[assignment.revision_id]
        assignment.waits_as_if_since = waits_as_if_since(
            TriageFacts(
                opened_at=assignment.opened_at,
                reports=reports[assignment.revision_id],
                urgency=urgencies[of[assignment.revision_id]],
                disputed=assignment.step == Step.THIRD,
            )
        )
