"""Calibration is scored by compared answers; samples are by strata, repeatable, and leave out no stratum."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from havenline.frameworks import load
from havenline.judgement import Score, quality_rules, score, stratified

SHAPES = load("demo.shapes")
TRUTH = {
    "picture_kind": "drawn",
    "shapes": "one",
    "largest_shape": "circle",
    "largest_colour": "red",
    "photographic": "no",
    "altered": "no",
}


def test_the_rules_are_data_that_can_be_met() -> None:
    rules = quality_rules()
    assert 0 < rules.pass_mark <= 1
    assert min(rules.pictures, rules.valid_days, rules.most_sampled_a_day, rules.recent_days) > 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, Score(5, 5)),
        ({"altered": "yes"}, Score(5, 5)),  # not compared, so neither right nor wrong
        ({"largest_colour": "blue"}, Score(5, 4)),
        ({"largest_colour": "cannot_determine"}, Score(5, 4)),
        ({"shapes": "none", "largest_shape": "", "largest_colour": ""}, Score(5, 2)),
    ],
)
def test_compared_answers_are_counted_and_no_others(change: dict[str, str], expected: Score) -> None:
    answers = {key: value for key, value in (TRUTH | change).items() if value}
    assert score(SHAPES, [(TRUTH, answers)]) == expected


def test_the_pass_mark_is_reached_exactly_or_not() -> None:
    assert Score(50, 45).passes(Decimal("0.9"))
    assert not Score(50, 44).passes(Decimal("0.9"))
    assert not Score(0, 0).passes(Decimal("0"))


@given(
    sizes=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 40), min_size=1),
    wanted=st.integers(0, 80),
    seed=st.integers(0, 2**40),
)
def test_a_sample_has_the_size_wanted_and_every_stratum_that_it_has_room_for(
    sizes: dict[str, int], wanted: int, seed: int
) -> None:
    strata = {f"{stratum}{number}": stratum for stratum, size in sizes.items() for number in range(size)}
    drawn = stratified(strata, wanted=wanted, seed=seed)
    assert len(drawn) == len(set(drawn)) == min(wanted, len(strata))
    found = Counter(strata[name] for name in drawn)
    assert all(found[stratum] <= size for stratum, size in sizes.items())
    assert len(found) == min(wanted, len(sizes))
    backwards = dict(reversed(strata.items()))
    assert stratified(backwards, wanted=wanted, seed=seed) == drawn


def test_a_sample_is_the_same_on_every_machine_and_another_for_another_seed() -> None:
    strata = {f"outcome-{number}": "rare" if number % 10 == 0 else "usual" for number in range(100)}
    assert stratified(strata, wanted=4, seed=1) == stratified(strata, wanted=4, seed=1)
    assert stratified(strata, wanted=4, seed=1) != stratified(strata, wanted=4, seed=2)
    assert Counter(strata[name] for name in stratified(strata, wanted=20, seed=1)) == {"rare": 3, "usual": 17}
    with pytest.raises(ValueError, match="negative"):
        stratified(strata, wanted=-1, seed=1)
