"""No group of agreement that is too small follows from those that are shown, whatever is subtracted from what."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from havenline_desk.queries.agreement_groups import Family, Group, Unit, left_out, too_small

A, B, C = ((Family.WEEK, f"2026-W{week}") for week in (10, 11, 12))
OLDER = (Family.BEFORE, "2025-W01")
MAPS, NO_POOL = ((Family.POOL, name) for name in ("maps", ""))


def units(*sizes: tuple[int, tuple[Group, ...]], people: int = 4) -> list[Unit]:
    return [
        Unit(frozenset({number % people, (number + 1) % people}), frozenset(groups))
        for size, groups in sizes
        for number in range(size)
    ]


def test_the_only_small_week_takes_the_smallest_other_with_it() -> None:
    assert left_out(units((40, (A,)), (30, (B,)), (5, (C,)))) == {B, C}
    assert left_out(units((40, (A,)), (30, (B,)))) == set()


def test_two_small_weeks_are_enough_for_each_other_only_when_they_are_enough_together() -> None:
    assert left_out(units((40, (A,)), (12, (B,)), (12, (C,)))) == {B, C}
    assert left_out(units((40, (A,)), (6, (B,)), (7, (C,)))) == {A, B, C}


def test_weeks_that_are_too_old_to_be_shown_are_a_rest_too() -> None:
    assert left_out(units((40, (A,)), (30, (B,)), (5, (OLDER,)))) == {OLDER, B}
    assert left_out(units((40, (A,)), (30, (B,)), (25, (OLDER,)))) == {OLDER}


def test_a_pool_that_is_nearly_all_of_a_week_is_not_shown_beside_it() -> None:
    crossing = units((40, (A, NO_POOL)), (30, (B, MAPS)), (2, (B, NO_POOL)))
    assert left_out(crossing), "30 of maps, 32 of the week: two stacks between them"
    assert left_out(units((40, (A, NO_POOL)), (30, (B, MAPS)))) == set()


def test_a_pair_of_people_is_too_few_however_much_they_did() -> None:
    assert left_out(units((60, (A,))) + units((60, (B,)), people=2)) == {A, B}


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.sampled_from([A, B, C, OLDER]), st.sampled_from([MAPS, NO_POOL])),
        st.integers(1, 45),
        min_size=1,
    )
)
def test_nothing_small_is_a_sum_or_difference_of_what_is_shown(sizes: dict[tuple[Group, Group], int]) -> None:
    every = units(*((size, groups) for groups, size in sizes.items()))
    hidden = left_out(every)
    atoms = sorted(sizes)
    shown = {group for groups in atoms for group in groups if group not in hidden and group[0] is not Family.BEFORE}
    for group in shown:
        assert not too_small([unit for unit in every if group in unit.groups])
    known = [[1.0] * len(atoms)] * (not too_small(every))
    known += [[float(group in groups) for groups in atoms] for group in sorted(shown)]
    for family in (Family.WEEK, Family.POOL):
        rest = [unit for unit in every if not any(group in shown and group[0] is family for group in unit.groups)]
        assert not rest or len(rest) == len(every) or not too_small(rest)
    for place, groups in enumerate(atoms):
        if known and too_small([unit for unit in every if unit.groups == frozenset(groups)]):
            this = [float(number == place) for number in range(len(atoms))]
            rank = np.linalg.matrix_rank(np.array(known))
            assert np.linalg.matrix_rank(np.array([*known, this])) > rank, "a small crossing can be worked out"
