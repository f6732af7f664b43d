"""From two blind assessments to an outcome: agreement, dispute, near members, blindness of the record."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from havenline.frameworks import CANNOT_DETERMINE
from havenline.frameworks.model import DISAGREEMENT
from havenline_desk.actions.configure_framework import configure_framework
from havenline_desk.actions.declare_policy import declare_house
from havenline_desk.actions.submit_assessment import SubmissionRefused, submit_assessment
from havenline_desk.actions.take_next import take_next
from havenline_desk.gates import Act
from havenline_desk.models import (
    Assessment,
    Assignment,
    Derivation,
    House,
    Outcome,
    Plan,
    Quorum,
    Role,
    SettledBy,
    Stack,
    Step,
)
from havenline_desk.queries.quorums import role_lines, settled_lines
from havenline_desk.queries.status import status_of

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
CIRCLE = make.TRIANGLE | {"largest_shape": "circle"}


@pytest.mark.django_db
def test_agreement_closes_the_stack() -> None:
    people = make.world(at=AT)
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT + MINUTE)
    assert not Outcome.objects.exists(), "nothing is settled before both have submitted"
    make.assess(people["analyst-two"], make.TRIANGLE, at=AT + 3 * MINUTE)
    outcome = Outcome.objects.get()
    assert (outcome.settled_by, outcome.status, outcome.class_id, outcome.viewed_by_person) == (
        SettledBy.AGREEMENT,
        "criminal",
        "plain_triangle",
        True,
    )
    assert outcome.rule_path


@pytest.mark.django_db
def test_disagreement_goes_to_a_third_whose_answers_stand_and_nothing_is_overwritten() -> None:
    people = make.world(at=AT)
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT + MINUTE)
    make.assess(people["analyst-two"], CIRCLE, at=AT + 3 * MINUTE)
    assert not Outcome.objects.exists()
    dispute = take_next(people["adjudicator"], at=AT + 5 * MINUTE)
    assert dispute is not None
    assert dispute.step == Step.THIRD
    make.assess(people["adjudicator"], CIRCLE, at=AT + 5 * MINUTE)
    outcome = Outcome.objects.get()
    assert (outcome.settled_by, outcome.status) == (SettledBy.ADJUDICATION, "not_criminal")
    assert [row.facts["largest_shape"] for row in Assessment.objects.order_by("pk")] == ["triangle", "circle", "circle"]


@pytest.mark.django_db
def test_in_a_house_of_two_what_both_differ_in_is_undetermined_and_nobody_else_is_asked() -> None:
    people = make.world(at=AT, stacks=2, near=1)
    declare_house(House.TWO, at=AT)
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT + MINUTE)
    make.assess(people["analyst-two"], CIRCLE, at=AT + 3 * MINUTE)
    assert not Assignment.objects.filter(step=Step.THIRD).exists()
    assert take_next(people["adjudicator"], at=AT + 5 * MINUTE) is None
    outcomes = list(Outcome.objects.all())
    assert len(outcomes) == 2, "the picture and its near member"
    for outcome in outcomes:
        assert (outcome.settled_by, outcome.status) == (SettledBy.DISAGREEMENT, "undetermined")
        assert outcome.rule_path == [DISAGREEMENT]
        assert outcome.facts["largest_shape"] == CANNOT_DETERMINE
        quorum = Quorum.objects.get(record=outcome.audit_id)
        assert (quorum.people, quorum.house) == (2, House.TWO)
    what = {"house": House.SIX.value}
    make.agree(Act.CHANGE_HOUSE, what, first=people["lead"], second=people["auditor"], at=AT + 5 * MINUTE)
    assert configure_framework(make.investigation(), "demo.colours", None, by=people["lead"], at=AT + 6 * MINUTE) == 2
    assert {row.status for row in Derivation.objects.all()} == {"undetermined"}, "under other laws, and whenever"
    page = make.client_of(people["lead"]).get("/investigations/HL-1").content.decode()
    assert "Two blind assessments that differ, with nobody for a third" in page
    assert "2 people, in a house of two people (small-quorum)" in page
    line = status_of(make.investigation()).settled[0]
    assert (line.files, str(line.quorum)) == (2, "2 people, in a house of two people (small-quorum)")


@pytest.mark.django_db
def test_the_quorum_of_a_large_house_has_no_mark_and_a_copy_has_that_of_what_it_copies() -> None:
    people = make.world(at=AT)
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT + MINUTE)
    make.assess(people["analyst-two"], make.TRIANGLE, at=AT + 3 * MINUTE)
    original = Outcome.objects.get()
    other = make.make_investigation(people["lead"], at=AT, reference="HL-2").investigation
    Outcome.objects.create(
        investigation=other,
        file=original.file,
        framework=original.framework,
        framework_version=original.framework_version,
        facts=original.facts,
        status=original.status,
        rule_path=original.rule_path,
        settled_by=SettledBy.COPY,
        copy_of=original,
        viewed_by_person=False,
        settled_at=AT,
    )
    said = "2 people, in a house of six or more people"
    assert [str(line.quorum) for line in settled_lines(make.investigation())] == [said]
    assert [(line.settled_by, str(line.quorum)) for line in settled_lines(other)] == [(SettledBy.COPY, said)]
    assert role_lines(people["lead"]) == ((Role.LEAD, None),), "a demonstration's roles take one person"


@pytest.mark.django_db
def test_a_single_plan_needs_one_person() -> None:
    people = make.world(at=AT, plan=Plan.SINGLE)
    make.assess(people["analyst-one"], make.NO_SHAPES, at=AT + MINUTE)
    assert Outcome.objects.get().settled_by == SettledBy.SINGLE
    assert not Assignment.objects.filter(done_at=None).exists()


@pytest.mark.django_db
def test_near_members_confirmed_by_both_share_the_answer() -> None:
    people = make.world(at=AT, near=2)
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT + MINUTE)
    make.assess(people["analyst-two"], make.TRIANGLE, at=AT + 3 * MINUTE)
    assert Outcome.objects.count() == 3
    assert Stack.objects.count() == 1


@pytest.mark.django_db
def test_a_member_excluded_by_either_becomes_its_own_stack_only_after_both_have_submitted() -> None:
    people = make.world(at=AT, near=1)
    make.assess(people["analyst-one"], make.TRIANGLE, same=False, at=AT + MINUTE)
    assert Stack.objects.count() == 1, "the second person must not be able to tell"
    make.assess(people["analyst-two"], make.TRIANGLE, same=True, at=AT + 3 * MINUTE)
    child = Stack.objects.get(parent__isnull=False)
    assert Outcome.objects.count() == 1
    assert Assignment.objects.filter(revision__stack=child, done_at=None).count() == 2


@pytest.mark.django_db
def test_nothing_is_recorded_without_a_view_an_answer_or_a_look_at_each_near_picture() -> None:
    people = make.world(at=AT, near=1)
    assignment = take_next(people["analyst-one"], at=AT + MINUTE)
    assert assignment is not None
    shown, near = assignment.revision.members.order_by("pk")

    def refused(facts: dict[str, str], same: dict[int, bool]) -> set[str]:
        with pytest.raises(SubmissionRefused) as caught:
            submit_assessment(
                assignment.pk,
                person=people["analyst-one"],
                facts=facts,
                same=same,
                active_seconds=Decimal(9),
                at=AT + 2 * MINUTE,
            )
        return set(caught.value.problems)

    assert refused(make.TRIANGLE, {}) == {"members", "view"}
    make.look(assignment, people["analyst-one"], shown, step=3, at=AT + MINUTE)
    assert refused(make.TRIANGLE, {near.pk: True}) == {"members"}
    make.look(assignment, people["analyst-one"], near, step=2, at=AT + MINUTE)
    assert refused(make.TRIANGLE, {near.pk: True}) == {"members"}, "a closer look than the judged one was owed"
    make.look(assignment, people["analyst-one"], near, step=3, at=AT + MINUTE)
    assert refused({}, {near.pk: True}) >= {"picture_kind", "shapes", "photographic", "altered"}
    assert not Assessment.objects.exists()


@pytest.mark.django_db
def test_active_seconds_never_exceed_the_time_since_the_lease() -> None:
    people = make.world(at=AT, plan=Plan.SINGLE)
    make.assess(people["analyst-one"], make.NO_SHAPES, seconds=86_400, at=AT + MINUTE)
    assert Assessment.objects.get().active_seconds == Decimal(60)


@pytest.mark.django_db
def test_an_assignment_that_was_taken_over_cannot_be_submitted_by_its_former_holder() -> None:
    people = make.world(at=AT, plan=Plan.SINGLE)
    held = take_next(people["analyst-one"], at=AT)
    assert held is not None
    make.look(held, people["analyst-one"], held.revision.members.get(), step=2, at=AT)
    assert take_next(people["analyst-two"], at=AT + 31 * MINUTE) == held
    with pytest.raises(SubmissionRefused, match="no longer yours"):
        submit_assessment(
            held.pk,
            person=people["analyst-one"],
            facts=make.NO_SHAPES,
            same={},
            active_seconds=Decimal(5),
            at=AT + 32 * MINUTE,
        )
