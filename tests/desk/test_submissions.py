"""Taking back what was submitted: five seconds, nothing lost, recorded once, whoever comes first."""

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal

import pytest
from django.db import connections

from havenline_cli import sealer
from havenline_desk.actions.hold_submission import hold_submission, record_due, record_held, take_back
from havenline_desk.actions.submit_assessment import SubmissionRefused
from havenline_desk.actions.take_next import take_next
from havenline_desk.models import Assessment, Assignment, AuditAct, AuditEntry, Person, Submission
from havenline_desk.waiting import TAKEN_BACK_WITHIN

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


def held(person: Person, *, at: dt.datetime = AT) -> Submission:
    assignment = take_next(person, at=at)
    assert assignment is not None
    make.look(assignment, person, assignment.revision.members.get(), step=2, at=at)
    return hold_submission(
        assignment.pk, person=person, facts=make.TRIANGLE, same={}, active_seconds=Decimal(9), at=at + 9 * SECOND
    )


@pytest.mark.usefixtures("desk_role")
def test_it_can_be_taken_back_for_five_seconds_and_then_it_is_recorded_by_whoever_starts() -> None:
    people = make.world(at=AT, stacks=2)
    one, two = people["analyst-one"], people["analyst-two"]
    submission = held(one)
    end = submission.submitted_at + TAKEN_BACK_WITHIN
    assert record_due(at=end - SECOND) == 0
    assert take_back(person=two, at=end - SECOND) is None
    assert take_back(person=one, at=end - SECOND) == submission
    assert take_back(person=one, at=end - SECOND) is None
    again = hold_submission(
        submission.assignment_id,
        person=one,
        facts=make.NO_SHAPES,
        same={},
        active_seconds=Decimal(99),
        at=end,
    )
    assert take_back(person=one, at=again.submitted_at + TAKEN_BACK_WITHIN) is None, "too late"
    take_next(two, at=again.submitted_at + TAKEN_BACK_WITHIN)
    assessment = Assessment.objects.get()
    assert (assessment.facts, assessment.person) == (make.NO_SHAPES, one)
    assert assessment.active_seconds == 14, "never more than had passed since the lease began"
    acts = list(AuditEntry.objects.filter(act__contains="submi").order_by("seq").values_list("act", flat=True))
    assert acts == [
        AuditAct.SUBMISSION_HELD,
        AuditAct.SUBMISSION_TAKEN_BACK,
        AuditAct.SUBMISSION_HELD,
        AuditAct.ASSESSMENT_SUBMITTED,
    ]


@pytest.mark.usefixtures("desk_role")
def test_the_last_of_the_day_submits_and_leaves_and_the_sealer_records_it(monkeypatch: pytest.MonkeyPatch) -> None:
    people = make.world(at=AT)
    submission = held(people["analyst-one"])
    monkeypatch.setattr(sealer, "now", lambda: submission.submitted_at + TAKEN_BACK_WITHIN - SECOND)
    sealer.keep_house(2)
    assert not Assessment.objects.exists(), "it can still be taken back"
    monkeypatch.setattr(sealer, "now", lambda: submission.submitted_at + TAKEN_BACK_WITHIN)
    sealer.keep_house(3)
    assert Assessment.objects.get().person == people["analyst-one"]


@pytest.mark.django_db
def test_what_cannot_be_recorded_any_more_is_open_again() -> None:
    people = make.world(at=AT)
    submission = held(people["analyst-one"])
    Assignment.objects.filter(pk=submission.assignment_id).update(leased_at=None)
    assert record_held(person=people["analyst-one"], at=AT + 10 * SECOND) is None
    submission.refresh_from_db()
    assert submission.taken_back_at is not None
    assert not Assessment.objects.exists()


@pytest.mark.django_db
def test_a_submission_that_is_not_complete_is_not_held() -> None:
    people = make.world(at=AT)
    assignment = take_next(people["analyst-one"], at=AT)
    assert assignment is not None
    with pytest.raises(SubmissionRefused):
        hold_submission(
            assignment.pk, person=people["analyst-one"], facts={}, same={}, active_seconds=Decimal(1), at=AT
        )
    assert not Submission.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_recorded_once_however_many_are_at_it() -> None:
    people = make.world(at=AT)
    submission = held(people["analyst-one"])
    after = submission.submitted_at + 2 * TAKEN_BACK_WITHIN
    gate, recorded = threading.Barrier(12), []

    def record() -> None:
        gate.wait()
        recorded.append(record_due(at=after))
        connections.close_all()

    threads = [threading.Thread(target=record) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(recorded) == 1
    assert Assessment.objects.count() == 1
