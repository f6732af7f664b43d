"""No hidden cell can be worked out from everything that is published, and little more is hidden than must be."""

from __future__ import annotations

import os
import random
from statistics import mean

import pytest
from tests.core.figures.table_sets import Attacker, against_the_optimum, published, random_set

from havenline.figures import FiguresError
from havenline.figures.disclosure import CANDIDATES, LinkedCells, hidden_cells, rounded

SEED = int(os.environ.get("HAVENLINE_SEED", "20260901"))
SETS = 200 if os.environ.get("HAVENLINE_SOAK") else 12
MOST_CELLS = 200 if os.environ.get("HAVENLINE_SOAK") else 70

CROSS = {
    (): 100,
    ("a",): 97,
    ("b",): 3,
    ("x",): 50,
    ("y",): 50,
    ("a", "x"): 49,
    ("a", "y"): 48,
    ("b", "x"): 1,
    ("b", "y"): 2,
}
CROSS_SUMS = [
    ((), (("a",), ("b",))),
    ((), (("x",), ("y",))),
    (("a",), (("a", "x"), ("a", "y"))),
    (("b",), (("b", "x"), ("b", "y"))),
    (("x",), (("a", "x"), ("b", "x"))),
    (("y",), (("a", "y"), ("b", "y"))),
]


@pytest.mark.timeout(7200)
def test_an_attacker_recovers_nothing_and_most_cells_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """Random linked tables, half of them with last period's report of the same population: whole-number programmes
    over everything that is published leave each hidden cell three values or more; 95 % of what the optimum keeps is
    kept.
    """
    drawn = random.Random(SEED)
    shares, attacked, proved = [], 0, 0
    for number in range(SETS):
        made = random_set(drawn, MOST_CELLS)
        linked, hidden = published(made)
        attacker, unseen = Attacker(linked, hidden), frozenset(linked.never_shown)
        for name in attacker.unknown:
            count = linked.counts[name]
            if count and (name not in unseen or count < 10):
                attacked += 1
                assert attacker.narrows_to(name) >= CANDIDATES, f"seed {SEED}, set {number}: {name} is told"
        shown = [count for name, count in linked.counts.items() if name not in hidden and name not in linked.fixed]
        assert all(count == 0 or count >= 10 for count in shown)
        kept = against_the_optimum(linked, hidden)
        shares.append(kept.shown / kept.at_most if kept.at_most else 1.0)
        proved += kept.proved
    with capsys.disabled():
        print(
            f"\nseed {SEED}: {SETS} sets, {attacked} hidden cells attacked, none narrowed to fewer than {CANDIDATES}; "
            f"{100 * mean(shares):.2f} % of what the optimum keeps, least {100 * min(shares):.1f} %, "
            f"optimum proved for {proved}"
        )
    assert attacked > SETS
    assert mean(shares) >= 0.95


def test_a_small_cell_takes_others_with_it_over_both_margins() -> None:
    hidden = hidden_cells(LinkedCells(CROSS, CROSS_SUMS))
    assert {("b",), ("b", "x"), ("b", "y")} <= hidden
    assert () not in hidden
    attacker = Attacker(LinkedCells(CROSS, CROSS_SUMS), hidden)
    assert {attacker.narrows_to(name) for name in hidden} == {3}


def test_hiding_small_cells_alone_would_tell_them() -> None:
    """The attacker of these tests does work out what is not protected."""
    small = frozenset(name for name, count in CROSS.items() if count < 10)
    assert Attacker(LinkedCells(CROSS, CROSS_SUMS), small).narrows_to(("b",)) == 1


def test_what_came_between_two_reports_is_not_told_by_their_difference() -> None:
    then = {("then", "all"): 40, ("then", "a"): 20, ("then", "b"): 20}
    now = {("now", "all"): 60, ("now", "a"): 23, ("now", "b"): 37}
    between = {("between", name[1]): now[("now", name[1])] - count for name, count in then.items()}
    sums = [((when, "all"), ((when, "a"), (when, "b"))) for when in ("then", "now", "between")]
    sums += [(("now", name), (("then", name), ("between", name))) for name in ("all", "a", "b")]
    linked = LinkedCells({**then, **now, **between}, sums, fixed=list(then), never_shown=list(between))
    hidden = hidden_cells(linked) - frozenset(between)
    assert hidden == {("now", "a"), ("now", "b")}
    assert hidden_cells(LinkedCells(now, sums[1:2])) == frozenset()


def test_a_cell_in_which_few_people_stand_is_hidden_whatever_it_counts() -> None:
    counts = {(): 900, ("1",): 400, ("2",): 500}
    sums = [((), (("1",), ("2",)))]
    assert hidden_cells(LinkedCells(counts, sums)) == frozenset()
    assert hidden_cells(LinkedCells(counts, sums, small=[("1",)])) == {("1",), ("2",)}


def test_nothing_is_published_of_cells_that_do_not_add_up() -> None:
    with pytest.raises(FiguresError, match="do not add up"):
        hidden_cells(LinkedCells(CROSS | {(): 99}, CROSS_SUMS))


def test_the_same_cells_are_hidden_in_whatever_order_they_come() -> None:
    turned = dict(reversed(CROSS.items()))
    assert hidden_cells(LinkedCells(turned, CROSS_SUMS)) == hidden_cells(LinkedCells(CROSS, CROSS_SUMS))


@pytest.mark.parametrize(
    ("count", "base", "expected"), [(12, 5, 10), (13, 5, 15), (0, 5, 0), (17, 1, 17), (15, 10, 20)]
)
def test_rounding_goes_to_the_nearest_multiple(count: int, base: int, expected: int) -> None:
    assert rounded(count, base) == expected
