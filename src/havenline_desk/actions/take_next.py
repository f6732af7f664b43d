"""Hand the next assignment to a person. The system chooses; nobody picks an item."""

from __future__ import annotations

import datetime as dt

from django.db import IntegrityError, transaction

from .. import audit, gates
from ..models import Assignment, AuditAct, Person, SetAside, StackRevision, Step
from ..pace import refuse_in_a_pause
from ..waiting import set_aside_for, waiting_for
from .hold_submission import record_due, record_held

LEASE = dt.timedelta(minutes=30)


def take_next(person: Person, *, at: dt.datetime) -> Assignment | None:
    """Lease the most urgent assignment this person may do, or return the one already held; None when idle.

    What the lead has set aside for them comes before the most urgent.
    What the person has submitted and not taken back is recorded first, and what others left held is too.

    Nobody gets two steps of one stack revision, and one assignment is never held by two people: the row is locked
    while it is claimed and an expired lease is taken over by whoever asks next.
    Raises Denied without a role for assessment or a certificate in date, PauseDue where a pause is due and nothing is
    held: what they have stays theirs.
    """
    record_held(person=person, at=at)
    record_due(at=at)
    steps = _steps(person, at=at)
    if not gates.certified(person, at=at):
        raise gates.Denied(f"{person.name} has no certificate in date: training and calibration come first")
    try:
        with transaction.atomic():
            assignment = _own(person)
            if assignment is None:
                refuse_in_a_pause(person, at=at)
                assignment = _most_urgent(person, steps, at=at)
            if assignment is None:
                return None
            lease(assignment, person=person, at=at)
            return assignment
    except IntegrityError:
        # Two windows of one person asked at once; the other one has claimed, so hand out the same.
        return _own(person, lock=False)


def lease(assignment: Assignment, *, person: Person, at: dt.datetime) -> None:
    """Give a locked assignment to `person`, or renew what they have; part of the caller's transaction."""
    fresh = assignment.person_id != person.pk
    if fresh:
        assignment.leased_at = at
    assignment.person = person
    assignment.expires_at = at + LEASE
    assignment.save(update_fields=("person", "leased_at", "expires_at"))
    StackRevision.objects.filter(pk=assignment.revision_id, frozen_at=None).update(frozen_at=at)
    if fresh:
        SetAside.objects.filter(assignment=assignment, ended_at=None).update(ended_at=at)
        audit.append(
            AuditAct.ASSIGNMENT_TAKEN,
            at=at,
            actor=person,
            about=assignment,
            investigation=assignment.revision.stack.investigation,
            purpose=f"{assignment.step}_assessment",
        )


def _steps(person: Person, *, at: dt.datetime) -> list[Step]:
    steps: list[Step] = []
    acts = gates.acts_of(person, at=at)
    if gates.Act.TAKE_ASSESSMENT in acts:
        steps += [Step.FIRST, Step.SECOND]
    if gates.Act.TAKE_DISPUTE in acts:
        steps.append(Step.THIRD)
    if not steps:
        gates.require(person, gates.Act.TAKE_ASSESSMENT, at=at)
    return steps


def _own(person: Person, *, lock: bool = True) -> Assignment | None:
    rows = Assignment.objects.select_for_update() if lock else Assignment.objects
    return rows.filter(person=person, done_at=None).first()


def _most_urgent(person: Person, steps: list[Step], *, at: dt.datetime) -> Assignment | None:
    waiting = waiting_for(person, steps, at=at).select_related("revision__stack__investigation")
    waiting = waiting.select_for_update(skip_locked=True, of=("self",))
    mine = set_aside_for(person, at=at)
    return (waiting.filter(pk__in=mine).first() if mine else None) or waiting.first()
