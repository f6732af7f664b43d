"""The funnel from small records: each figure by its rule, and records that contradict each other refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from havenline.figures import (
    ASSESSMENTS,
    OUTCOMES,
    SELECTIONS,
    FiguresError,
    Funnel,
    Labels,
    Records,
    funnel,
    percent,
)
from havenline.figures.funnel import one_decimal
from havenline.frameworks import load

SHAPES = load("demo.shapes", "1")
LABELS = Labels.under(SHAPES, investigation="drawn-1", dataset="drawn pictures", review_plan="double")
Outcome = tuple[str, str, str | None]
REALISTIC, PLAIN = "textured_triangle", "plain_triangle"


def records(
    *,
    posted: int = 10,
    selected: Sequence[str] = "abcdef",
    outcomes: Sequence[Outcome] = (),
    looks: Sequence[tuple[str, float]] = (),
    viewed: bool = True,
    settled_by: str = "agreement",
) -> Records:
    """Records from short forms: an outcome is (item, status, class), a look is (person, seconds)."""
    return Records(
        posted=posted,
        selections=pa.Table.from_pylist([{"item": item} for item in selected], schema=SELECTIONS),
        assessments=pa.Table.from_pylist(
            [
                {"revision": f"r{place}", "person": person, "step": "first", "active_seconds": seconds}
                for place, (person, seconds) in enumerate(looks)
            ],
            schema=ASSESSMENTS,
        ),
        outcomes=pa.Table.from_pylist(
            [
                {
                    "item": item,
                    "status": status,
                    "class_id": class_id,
                    "settled_by": settled_by,
                    "viewed_by_person": viewed,
                }
                for item, status, class_id in outcomes
            ],
            schema=OUTCOMES,
        ),
        labels=LABELS,
    )


FIVE = [(person, 12.0) for person in "vwxyz"]


def test_every_posting_is_in_exactly_one_place() -> None:
    figures = funnel(
        records(
            outcomes=[
                ("a", "criminal", REALISTIC),
                ("b", "criminal", PLAIN),
                ("c", "not_criminal", None),
                ("d", "undetermined", None),
            ]
        )
    )
    assert (figures.posted, figures.not_selected, figures.selected) == (10, 4, 6)
    assert (figures.waiting, figures.assessed) == (2, 4)
    assert (figures.confirmed, figures.not_criminal, figures.undetermined) == (2, 1, 1)
    assert [(one.class_id, one.count) for one in figures.by_class] == [(REALISTIC, 1), (PLAIN, 1)]
    assert (figures.realistic, figures.prohibited) == (1, 1)


def test_undetermined_is_never_counted_as_not_criminal() -> None:
    figures = funnel(records(outcomes=[("a", "undetermined", None), ("b", "undetermined", None)]))
    assert (figures.assessed, figures.confirmed, figures.not_criminal, figures.undetermined) == (2, 0, 0, 2)


def test_nothing_assessed_gives_counts_without_shares_or_times() -> None:
    figures = funnel(records())
    assert (figures.assessed, figures.waiting, figures.confirmed, figures.analysts) == (0, 6, 0, 0)
    assert percent(figures.confirmed, figures.assessed) is None
    assert (figures.hours, figures.seconds_per_item) == (None, None)
    assert figures.settled_by == {}


def test_nothing_posted_is_a_funnel_of_zeros() -> None:
    figures = funnel(records(posted=0, selected=()))
    assert (figures.posted, figures.not_selected, figures.selected) == (0, 0, 0)


@pytest.mark.parametrize("people", range(5))
def test_working_time_of_fewer_than_five_people_is_withheld(people: int) -> None:
    looks = [(f"p{number % max(people, 1)}", 60.0) for number in range(50 if people else 0)]
    figures = funnel(records(outcomes=[("a", "not_criminal", None)], looks=looks))
    assert figures.analysts == people
    assert (figures.hours, figures.seconds_per_item) == (None, None)
    assert figures.withheld == "working time is withheld: fewer than 5 people assessed"


def test_hours_count_every_assessment_also_of_items_not_yet_settled() -> None:
    figures = funnel(records(outcomes=[("a", "not_criminal", None)], looks=[*FIVE, ("v", 3600.0), ("w", 0.0)]))
    assert figures.hours == Decimal("1.0")
    assert figures.seconds_per_item == Decimal("3660.0")
    assert figures.withheld is None


def test_seconds_per_item_need_an_item() -> None:
    figures = funnel(records(looks=FIVE))
    assert (figures.hours, figures.seconds_per_item) == (Decimal("0.0"), None)


def test_items_settled_without_a_view_are_counted() -> None:
    outcomes = [("a", "not_criminal", None), ("b", "criminal", PLAIN)]
    assert funnel(records(outcomes=outcomes)).settled_without_view == 0
    figures = funnel(records(outcomes=outcomes, viewed=False, settled_by="exact_copy"))
    assert (figures.settled_without_view, figures.settled_by) == (2, {"exact_copy": 2})


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"posted": 5}, "6 items are selected but only 5 posted"),
        ({"posted": -1, "selected": ()}, "number posted is negative"),
        ({"selected": "aba"}, "an item is selected more than once"),
        ({"outcomes": [("a", "not_criminal", None)] * 2}, "an item is settled more than once"),
        ({"outcomes": [("z", "not_criminal", None)]}, "1 items have an outcome but were never selected"),
        ({"outcomes": [("a", "guilty", None)]}, "unknown status “guilty”"),
        ({"outcomes": [("a", "criminal", None)]}, "criminal without a class"),
        ({"outcomes": [("a", "undetermined", PLAIN)]}, "a class without being criminal"),
        ({"outcomes": [("a", "criminal", "hexagon")]}, "class “hexagon”, for which no law is named"),
        ({"looks": [*FIVE, ("v", -1.0)]}, "negative or not a number"),
        ({"looks": [*FIVE, ("v", float("nan"))]}, "negative or not a number"),
        ({"looks": [("v", float("inf"))]}, "negative or not a number"),
    ],
)
def test_records_that_contradict_each_other_are_refused(broken: dict[str, object], message: str) -> None:
    with pytest.raises(FiguresError, match=message) as caught:
        funnel(records(**broken))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"thing": ["a"]}), "the table of selections has no column item"),
        (pa.table({"item": pa.array(["a", None])}), "the table of selections breaks its schema"),
        (pa.table({"item": pa.array([["a"]])}), "the table of selections breaks its schema"),
    ],
)
def test_tables_that_break_their_schema_are_refused(table: pa.Table, message: str) -> None:
    good = records()
    with pytest.raises(FiguresError, match=message):
        Records(3, table, good.assessments, good.outcomes, LABELS)


def test_other_encodings_of_text_and_extra_columns_do_no_harm() -> None:
    good = records(outcomes=[("a", "not_criminal", None)])
    selections = pa.table({"item": pa.array(list("abc")).dictionary_encode(), "reason": [1, 2, 3]})
    figures = funnel(Records(3, selections, good.assessments, good.outcomes, LABELS))
    assert (figures.selected, figures.assessed) == (3, 1)


def test_a_period_must_not_end_before_it_starts() -> None:
    with pytest.raises(FiguresError, match="ends before it starts"):
        Labels.under(
            SHAPES,
            investigation="x",
            dataset="x",
            review_plan="single",
            period_start=date(2024, 2, 1),
            period_end=date(2024, 1, 31),
        )


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (2_562, 2_978, "86.0"),
        (416, 2_978, "14.0"),
        (2_978, 11_108, "26.8"),
        (11_108, 20_254, "54.8"),
        (1, 2_000, "0.1"),  # 0.05 goes up
        (1, 2_001, "0.0"),
        (1_999, 2_000, "100.0"),  # 99.95 goes up
        (0, 7, "0.0"),
        (7, 7, "100.0"),
        (3_000_000_000_000_000_000_001, 6_000_000_000_000_000_000_000, "50.0"),
    ],
)
def test_shares_are_rounded_half_up_to_one_decimal(part: int, whole: int, shown: str) -> None:
    assert str(percent(part, whole)) == shown


@given(st.fractions(min_value=0, max_value=10**6))
def test_rounding_is_never_off_by_more_than_half_a_tenth(value: Fraction) -> None:
    rounded = Fraction(one_decimal(value))
    assert -Fraction(1, 20) <= value - rounded < Fraction(1, 20)
    assert one_decimal(rounded) == one_decimal(value)


STATUSES = [("criminal", REALISTIC), ("criminal", PLAIN), ("not_criminal", None), ("undetermined", None)]


@given(
    drawn=st.lists(st.sampled_from([None, *STATUSES]), max_size=40),
    extra=st.integers(0, 20),
    seconds=st.lists(st.floats(0, 1e5), min_size=5, max_size=30),
    order=st.randoms(use_true_random=False),
)
def test_the_parts_add_up_and_the_order_of_rows_changes_nothing(
    drawn: list[tuple[str, str | None] | None], extra: int, seconds: list[float], order: object
) -> None:
    items = [f"i{place}" for place in range(len(drawn))]
    outcomes = [(item, *answer) for item, answer in zip(items, drawn, strict=True) if answer is not None]
    looks = [(f"p{place % 7}", value) for place, value in enumerate(seconds)]

    def computed() -> Funnel:
        return funnel(records(posted=len(items) + extra, selected=tuple(items), outcomes=tuple(outcomes), looks=looks))

    figures = computed()
    assert figures.posted == figures.not_selected + figures.waiting + figures.assessed
    assert figures.assessed == figures.confirmed + figures.not_criminal + figures.undetermined
    assert figures.confirmed == sum(one.count for one in figures.by_class)
    assert sum(figures.settled_by.values()) == figures.assessed
    for rows in (items, outcomes, looks):
        order.shuffle(rows)  # type: ignore[attr-defined]
    assert computed() == figures
