"""Retention: what is due, what waits, and that the shipped classes are whole."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from havenline.judgement import JudgementError, RetentionFacts, Standing, retention_classes, standing
from havenline.judgement.retention import due_at, too_many

DAY = dt.timedelta(days=1)
AT = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
CLASSES = retention_classes()
DECIDED = RetentionFacts(CLASSES["decided"], AT)


def test_every_shipped_class_cites_its_law_and_keeps_within_its_bounds() -> None:
    assert {"cleared", "decided", "us-2258a", "gb-osa-66"} <= CLASSES.keys()
    assert CLASSES["cleared"].keep == min(each.keep for each in CLASSES.values())
    for each in CLASSES.values():
        assert each.citation
    with pytest.raises(JudgementError, match="outside"):
        replace(CLASSES["us-2258a"], keep=30)
    with pytest.raises(JudgementError, match="cites no law"):
        replace(CLASSES["cleared"], citation="")


@pytest.mark.parametrize(
    ("facts", "days", "expected"),
    [
        (RetentionFacts(CLASSES["decided"], None), 9_999, Standing.WAITS),
        (DECIDED, 29.9, Standing.KEPT),
        (DECIDED, 30, Standing.DUE),
        (DECIDED, -5, Standing.KEPT),
        (replace(DECIDED, held=True), 9_999, Standing.HELD),
        (replace(DECIDED, referred=True), 9_999, Standing.WAITS),
        (replace(DECIDED, referred=True, receipt_at=AT + 10 * DAY), 39, Standing.KEPT),
        (replace(DECIDED, referred=True, receipt_at=AT + 10 * DAY), 40, Standing.DUE),
        (replace(DECIDED, disputable_until=AT + 90 * DAY), 89, Standing.KEPT),
        (replace(DECIDED, disputable_until=AT + 90 * DAY), 90, Standing.DUE),
        (replace(DECIDED, disputable_until=AT + DAY), 30, Standing.DUE),
        (RetentionFacts(CLASSES["us-2258a"], AT), 9_999, Standing.WAITS),
        (RetentionFacts(CLASSES["us-2258a"], AT, receipt_at=AT + DAY), 365, Standing.KEPT),
        (RetentionFacts(CLASSES["us-2258a"], AT, receipt_at=AT + DAY), 366, Standing.DUE),
    ],
)
def test_where_an_object_stands(facts: RetentionFacts, days: float, expected: Standing) -> None:
    assert standing(facts, at=AT + days * DAY) is expected


def test_a_hold_does_not_move_the_day_it_is_due() -> None:
    assert due_at(replace(DECIDED, held=True)) == due_at(DECIDED) == AT + 30 * DAY


@pytest.mark.parametrize(
    ("due", "kept", "expected"), [(10, 10, False), (11, 20, True), (20, 1_000, False), (21, 1_000, True), (0, 0, False)]
)
def test_a_run_that_would_take_too_much_is_told_apart(due: int, kept: int, expected: bool) -> None:
    assert too_many([str(number) for number in range(due)], kept=kept) is expected
