"""Settlement as a table: who has submitted what, and what follows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havenline.frameworks import CANNOT_DETERMINE, load
from havenline.judgement import (
    Difference,
    JudgementError,
    ReviewPlan,
    SettledBy,
    Settlement,
    Step,
    SubmittedFacts,
    differences,
    settle,
)

SHAPES = load("demo.shapes", "1")
TRIANGLE = {
    "picture_kind": "drawn",
    "shapes": "one",
    "largest_shape": "triangle",
    "largest_colour": "red",
    "photographic": "no",
    "altered": "no",
}
CIRCLE = {**TRIANGLE, "largest_shape": "circle"}
ALTERED = {**TRIANGLE, "altered": "yes"}
EMPTY = {"picture_kind": "drawn", "shapes": "none", "photographic": "no", "altered": "no"}


def first(facts: dict[str, str], *, yes: str = "", no: str = "") -> SubmittedFacts:
    return SubmittedFacts(Step.FIRST, facts, frozenset(yes), frozenset(no))


def second(facts: dict[str, str], *, yes: str = "", no: str = "") -> SubmittedFacts:
    return SubmittedFacts(Step.SECOND, facts, frozenset(yes), frozenset(no))


def third(facts: dict[str, str], *, yes: str = "", no: str = "") -> SubmittedFacts:
    return SubmittedFacts(Step.THIRD, facts, frozenset(yes), frozenset(no))


def settled(plan: ReviewPlan, *assessments: SubmittedFacts) -> Settlement:
    return settle(plan=plan, framework=SHAPES, assessments=assessments)


@pytest.mark.parametrize(
    ("plan", "assessments", "next_step", "settled_by", "shape"),
    [
        (ReviewPlan.SINGLE, [], Step.FIRST, None, None),
        (ReviewPlan.SINGLE, [first(TRIANGLE)], None, SettledBy.SINGLE, "triangle"),
        (ReviewPlan.DOUBLE, [], Step.FIRST, None, None),
        (ReviewPlan.DOUBLE, [first(TRIANGLE)], Step.SECOND, None, None),
        (ReviewPlan.DOUBLE, [second(TRIANGLE)], Step.FIRST, None, None),
        (ReviewPlan.DOUBLE, [first(TRIANGLE), second(TRIANGLE)], None, SettledBy.AGREEMENT, "triangle"),
        (ReviewPlan.DOUBLE, [second(CIRCLE), first(CIRCLE)], None, SettledBy.AGREEMENT, "circle"),
        (ReviewPlan.DOUBLE, [first(TRIANGLE), second(CIRCLE)], Step.THIRD, None, None),
        (
            ReviewPlan.DOUBLE,
            [first(TRIANGLE), second(CIRCLE), third(CIRCLE)],
            None,
            SettledBy.ADJUDICATION,
            "circle",
        ),
        # The third person is not bound to side with either.
        (
            ReviewPlan.DOUBLE,
            [first(TRIANGLE), second(CIRCLE), third({**CIRCLE, "largest_shape": "square"})],
            None,
            SettledBy.ADJUDICATION,
            "square",
        ),
    ],
)
def test_what_follows(
    plan: ReviewPlan,
    assessments: list[SubmittedFacts],
    next_step: Step | None,
    settled_by: SettledBy | None,
    shape: str | None,
) -> None:
    outcome = settled(plan, *assessments)
    assert (outcome.next_step, outcome.settled_by) == (next_step, settled_by)
    assert (outcome.facts or {}).get("largest_shape") == shape
    assert (outcome.facts is None) == (next_step is not None)


@pytest.mark.parametrize(
    ("plan", "assessments", "message"),
    [
        (ReviewPlan.SINGLE, [first(TRIANGLE), second(TRIANGLE)], "a single review has no second"),
        (ReviewPlan.SINGLE, [third(TRIANGLE)], "a single review has no third"),
        (ReviewPlan.DOUBLE, [first(TRIANGLE), first(CIRCLE)], "first assessment was submitted twice"),
        (ReviewPlan.DOUBLE, [first(TRIANGLE), third(CIRCLE)], "before the first two"),
        (
            ReviewPlan.DOUBLE,
            [first(TRIANGLE), second(TRIANGLE), third(CIRCLE)],
            "although the first two agree",
        ),
    ],
)
def test_submissions_that_do_not_fit_the_plan_are_refused(
    plan: ReviewPlan, assessments: list[SubmittedFacts], message: str
) -> None:
    with pytest.raises(JudgementError, match=message):
        settled(plan, *assessments)


def test_a_single_look_settles_what_it_confirmed() -> None:
    outcome = settled(ReviewPlan.SINGLE, first(TRIANGLE, yes="ab", no="c"))
    assert (outcome.members, outcome.excluded) == (frozenset("ab"), frozenset("c"))


@pytest.mark.parametrize(
    ("one", "other", "members", "excluded"),
    [
        (("ab", ""), ("ab", ""), "ab", ""),
        (("ab", ""), ("a", "b"), "a", "b"),
        (("a", "b"), ("ab", ""), "a", "b"),
        (("a", "b"), ("b", "a"), "", "ab"),
        # Confirmed by one and left open by the other: neither settled nor a stack of its own yet.
        (("ab", ""), ("a", ""), "a", ""),
        (("", ""), ("", ""), "", ""),
    ],
)
def test_members_need_both_and_either_excludes(
    one: tuple[str, str], other: tuple[str, str], members: str, excluded: str
) -> None:
    outcome = settled(
        ReviewPlan.DOUBLE,
        first(TRIANGLE, yes=one[0], no=one[1]),
        second(TRIANGLE, yes=other[0], no=other[1]),
    )
    # Different answers about members alone are no dispute.
    assert outcome.settled_by is SettledBy.AGREEMENT
    assert (outcome.members, outcome.excluded) == (frozenset(members), frozenset(excluded))


def test_nothing_of_the_first_is_told_before_the_second_is_in() -> None:
    told = {settled(ReviewPlan.DOUBLE, first(facts, yes="a", no=no)) for facts, no in ((TRIANGLE, "b"), (CIRCLE, ""))}
    assert told == {Settlement(next_step=Step.SECOND)}


def test_exclusions_and_differences_are_told_once_both_are_in() -> None:
    outcome = settled(ReviewPlan.DOUBLE, first(TRIANGLE, yes="a", no="b"), second(CIRCLE, yes="ab"))
    assert outcome.excluded == frozenset("b")
    assert outcome.disputed == (Difference("largest_shape", "triangle", "circle"),)
    assert outcome.members == frozenset()


def test_the_third_may_exclude_but_cannot_confirm_for_the_others() -> None:
    outcome = settled(
        ReviewPlan.DOUBLE, first(TRIANGLE, yes="ab"), second(CIRCLE, yes="ab"), third(CIRCLE, yes="c", no="b")
    )
    assert (outcome.members, outcome.excluded) == (frozenset("a"), frozenset("b"))


def test_one_person_cannot_both_confirm_and_exclude() -> None:
    with pytest.raises(ValueError, match="not both"):
        first(TRIANGLE, yes="a", no="a")


def test_differences_come_in_the_order_of_the_form() -> None:
    assert differences(SHAPES, TRIANGLE, EMPTY) == (
        Difference("shapes", "one", "none"),
        Difference("largest_shape", "triangle", None),
        Difference("largest_colour", "red", None),
    )


def test_cannot_determine_differs_from_an_answer_and_agrees_with_itself() -> None:
    unsure = {**TRIANGLE, "photographic": CANNOT_DETERMINE}
    assert differences(SHAPES, TRIANGLE, unsure) == (Difference("photographic", "no", CANNOT_DETERMINE),)
    assert differences(SHAPES, unsure, dict(unsure)) == ()


def test_answers_to_questions_not_asked_make_no_difference() -> None:
    assert differences(SHAPES, EMPTY, {**EMPTY, "largest_shape": "circle"}) == ()


def test_a_question_that_is_not_compared_raises_no_dispute_and_a_raised_flag_stands() -> None:
    assert differences(SHAPES, TRIANGLE, ALTERED) == ()
    for one, other in ((TRIANGLE, ALTERED), (ALTERED, TRIANGLE)):
        outcome = settled(ReviewPlan.DOUBLE, first(one), second(other))
        assert outcome.facts == ALTERED
    unsure = {**TRIANGLE, "altered": CANNOT_DETERMINE}
    outcome = settled(ReviewPlan.DOUBLE, first(TRIANGLE), second(unsure))
    assert outcome.facts is not None
    assert outcome.facts["altered"] == CANNOT_DETERMINE


ANSWERS = st.fixed_dictionaries({question.id: st.sampled_from(question.codes) for question in SHAPES.questions})


@given(one=ANSWERS, other=ANSWERS, last=ANSWERS)
def test_settlement_does_not_depend_on_who_came_first(
    one: dict[str, str], other: dict[str, str], last: dict[str, str]
) -> None:
    dispute = bool(differences(SHAPES, one, other))
    assert dispute == bool(differences(SHAPES, other, one))
    submissions = [first(one, yes="ab"), second(other, yes="a", no="b")] + ([third(last)] if dispute else [])
    outcomes = [settled(ReviewPlan.DOUBLE, *order) for order in itertools.permutations(submissions)]
    assert all(outcome == outcomes[0] for outcome in outcomes)
    swapped = settled(ReviewPlan.DOUBLE, first(other, yes="a", no="b"), second(one, yes="ab"), *submissions[2:])
    assert (swapped.facts, swapped.members) == (outcomes[0].facts, outcomes[0].members)
    assert SHAPES.check(outcomes[0].facts or {}) == {}


def test_where_there_is_no_third_person_what_two_differ_in_is_left_open() -> None:
    both = [first(ALTERED, yes="m"), second(CIRCLE, yes="m")]
    settlement = settle(plan=ReviewPlan.DOUBLE, framework=SHAPES, assessments=both, third_person=False)
    assert (settlement.next_step, settlement.settled_by) == (None, SettledBy.DISAGREEMENT)
    assert [each.question for each in settlement.disputed] == ["largest_shape"]
    assert settlement.facts is not None
    assert settlement.facts["largest_shape"] == CANNOT_DETERMINE
    assert settlement.facts["largest_colour"] == "red"
    assert settlement.facts["altered"] == "yes", "a flag that either raised"
    assert settlement.members == {"m"}
    agreeing = [first(CIRCLE), second(CIRCLE)]
    alike = settle(plan=ReviewPlan.DOUBLE, framework=SHAPES, assessments=agreeing, third_person=False)
    assert alike.settled_by is SettledBy.AGREEMENT
    assert alike == settled(ReviewPlan.DOUBLE, *agreeing)
