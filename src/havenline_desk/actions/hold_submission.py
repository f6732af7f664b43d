"""Submit with some seconds to take it back: held, then recorded when they are over or the next item is opened.

What is held is in the database, so nothing is lost when the browser or the desk ends: the sealer, which looks each
minute, or the next person who presses Start has it recorded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet

from .. import audit
from ..models import Assessment, AuditAct, Person, Submission
from ..waiting import TAKEN_BACK_WITHIN
from .submit_assessment import SubmissionRefused, checked_submission, submit_assessment

_AT_ONCE = 20
"""How many of other people's held submissions one press of Start records at the most."""


@transaction.atomic
def hold_submission(
    assignment_id: int,
    *,
    person: Person,
    facts: Mapping[str, str],
    same: Mapping[int, bool],
    active_seconds: Decimal,
    at: dt.datetime,
) -> Submission:
    """Check the answers and hold them. Submitting again while one is held gives the one that is held.

    Raises SubmissionRefused as `submit_assessment` does.
    """
    checked = checked_submission(
        assignment_id, person=person, facts=facts, same=same, active_seconds=active_seconds, at=at
    )
    submission, fresh = Submission.objects.get_or_create(
        assignment=checked.assignment,
        taken_back_at=None,
        recorded_at=None,
        defaults={
            "person": person,
            "facts": dict(facts),
            "same": {str(member): answer for member, answer in same.items()},
            "active_seconds": checked.active_seconds,
            "submitted_at": at,
        },
    )
    if fresh:
        submission.assignment = checked.assignment  # with all that the log names
        _log(AuditAct.SUBMISSION_HELD, submission, at=at)
    return submission


@transaction.atomic
def take_back(*, person: Person, at: dt.datetime) -> Submission | None:
    """Take back what `person` has just submitted; None when nothing is held any more or the seconds are over."""
    held = _held().filter(person=person, submitted_at__gt=at - TAKEN_BACK_WITHIN).first()
    if held is None:
        return None
    held.taken_back_at = at
    held.save(update_fields=("taken_back_at",))
    _log(AuditAct.SUBMISSION_TAKEN_BACK, held, at=at)
    return held


def record_held(*, person: Person, at: dt.datetime) -> Assessment | None:
    """Record at once what `person` holds, since they go on; None when they hold nothing."""
    for submission in Submission.objects.filter(person=person, taken_back_at=None, recorded_at=None):
        return _record(submission.pk, at=at)
    return None


def record_due(*, at: dt.datetime) -> int:
    """Record what anybody held longer than it can be taken back, some at a time; how many were recorded."""
    due = Submission.objects.filter(taken_back_at=None, recorded_at=None, submitted_at__lte=at - TAKEN_BACK_WITHIN)
    numbers = list(due.order_by("submitted_at").values_list("pk", flat=True)[:_AT_ONCE])
    return sum(_record(number, at=at) is not None for number in numbers)


@transaction.atomic
def _record(number: int, *, at: dt.datetime) -> Assessment | None:
    """Record one; whoever else is at it is left to it. Answers that no longer hold go back to their author."""
    held = _held().filter(pk=number).first()
    if held is None:
        return None
    try:
        with transaction.atomic():
            assessment = submit_assessment(
                held.assignment_id,
                person=held.person,
                facts=held.facts,
                same={int(member): answer for member, answer in held.same.items()},
                active_seconds=held.active_seconds,
                at=at,
            )
    except SubmissionRefused:
        held.taken_back_at = at
        held.save(update_fields=("taken_back_at",))
        _log(AuditAct.SUBMISSION_TAKEN_BACK, held, at=at)
        return None
    held.recorded_at = at
    held.save(update_fields=("recorded_at",))
    return assessment


def _held() -> QuerySet[Submission]:
    named = ("person", "assignment__revision__stack__investigation")
    rows = Submission.objects.select_for_update(skip_locked=True, of=("self",)).select_related(*named)
    return rows.filter(taken_back_at=None, recorded_at=None)


def _log(act: AuditAct, submission: Submission, *, at: dt.datetime) -> None:
    assignment = submission.assignment
    audit.append(
        act,
        at=at,
        actor=submission.person,
        about=submission,
        investigation=assignment.revision.stack.investigation,
        purpose=f"{assignment.step}_assessment",
        record=submission if act == AuditAct.SUBMISSION_HELD else None,
    )
