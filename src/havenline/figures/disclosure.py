"""Which cells of tables that are published together must be hidden, so that no small one can be worked out.

A cell of 1 to `threshold` − 1 is small and hidden. As a reader knows every sum between the cells, others are hidden
with it until each hidden cell has at least `CANDIDATES` whole numbers that fit everything that is published. All hidden
cells look alike: nothing says which of them are small.

Method: complementary cell suppression by cuts, after M. Fischetti and J. J. Salazar, "Solving the cell suppression
problem on tabular data with linear constraints", Management Science 47, 2001; then, for each hidden cell that whole
numbers still tell too narrowly, the cheapest further cells, of which those that turn out not to be needed are shown
again. The result is safe by the last audit, which is exact; it is near the optimum and not the optimum itself. HiGHS
solves every programme.

Not protected against: who knows cells from elsewhere; who reasons about why this set was hidden and not another; counts
of other scopes (reports against items), which are tied by inequalities alone.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from havenline.figures.records import FiguresError

THRESHOLD = 10
"""The smallest count that is published, other than none (practice 21)."""
CANDIDATES = 3
"""Every hidden cell keeps at least so many values that fit what is published."""
_REACHES = (2.0, 8.0, 1e6)
"""How far cells may move when a way to protect one is sought; small reaches make small programmes."""
_ROUNDS = 40
_NOTHING = 1e-7
_FAR = 1e6
_PREFER_PARTS = 0.002
"""What a sum costs more than its parts for each level that it stands above: too little to hide one cell more."""

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class LinkedCells(Generic[Name]):
    """Cells of tables that are published together, and every sum between them that a reader knows.

    `fixed` were published earlier and can no longer be hidden. `hidden_before` were hidden then and stay so.
    `never_shown` stand in no table but follow from others, such as what came between two reports; where one of them
    counts less than nothing, as records were corrected, a reader knows of none that it is more. `small` are hidden
    whatever they count.
    """

    counts: Mapping[Name, int]
    sums: Sequence[tuple[Name, tuple[Name, ...]]]
    fixed: Collection[Name] = frozenset()
    hidden_before: Collection[Name] = frozenset()
    never_shown: Collection[Name] = frozenset()
    small: Collection[Name] = frozenset()


def hidden_cells(linked: LinkedCells[Name], *, threshold: int = THRESHOLD) -> frozenset[Name]:
    """Return the cells to hide, those of `hidden_before` and `never_shown` among them.

    Deterministic: depends on counts and sums alone. Raises FiguresError where sums do not add up, and where what was
    published earlier tells a small cell whatever is hidden now.
    """
    return _Protection(linked, threshold).hidden()


def rounded(count: int, base: int) -> int:
    """Return `count` rounded to the nearest multiple of `base`, halves up; `base` 1 leaves it as it is."""
    return (count + base // 2) // base * base


class _Protection(Generic[Name]):
    def __init__(self, linked: LinkedCells[Name], threshold: int) -> None:
        self._names = sorted(linked.counts, key=repr)
        place = {name: number for number, name in enumerate(self._names)}
        self._counts = np.array([linked.counts[name] for name in self._names], dtype=np.int64)
        self._unseen = self._marked(linked.never_shown)
        if (self._counts[~self._unseen] < 0).any():
            raise FiguresError("a cell counts less than nothing")
        self._sums = _matrix(linked.sums, place)
        if (self._sums @ self._counts).any():
            raise FiguresError("the cells do not add up, so nothing of them is published")
        lowest = -int(_FAR) if (self._counts < 0).any() else 0
        self._least = np.where(self._unseen, lowest, 1)
        self._room = np.maximum(self._counts - self._least, 0)
        self._open = ~self._marked([*linked.fixed, *linked.hidden_before, *linked.never_shown]) & (self._counts > 0)
        tiny: NDArray[np.bool_] = (self._counts != 0) & (np.abs(self._counts) < threshold)
        self._must = (tiny | self._marked(linked.small)) & (self._counts > 0) & ~self._marked(linked.fixed)
        self._first = self._must | self._marked([*linked.hidden_before, *linked.never_shown])
        # A large count that was never shown may be known; so may nothing at all.
        self._guarded_unseen = self._unseen & tiny
        levels = np.array([len(name) if isinstance(name, tuple) else 0 for name in self._names], dtype=float)
        self._cost = 1 + _PREFER_PARTS * (levels.max(initial=0) - levels)

    def _marked(self, names: Iterable[Name]) -> NDArray[np.bool_]:
        wanted = set(names)
        return np.array([name in wanted for name in self._names], dtype=bool)

    def hidden(self) -> frozenset[Name]:
        chosen = self._by_cuts()
        planned = chosen.copy()
        while True:
            narrow = [cell for cell in self._too_narrow(chosen) if self._is_guarded(cell)]
            if not narrow:
                break
            for cell in narrow[: max(1, len(narrow) // 4)]:
                chosen |= self._way_out(cell, chosen)
        kept = self._shown_again(chosen, planned)
        return frozenset(name for name, out in zip(self._names, kept, strict=True) if out)

    def _by_cuts(self) -> NDArray[np.bool_]:
        """The fewest cells under which every hidden one can move by two, were values not whole numbers.

        A choice is attacked by linear programmes; their duals say which further cells would have let a cell move, and
        become a condition of the next choice. Stops after so many rounds; what is missing then, the caller adds.
        """
        from scipy.optimize import Bounds, LinearConstraint, milp

        places = np.flatnonzero(self._open)
        conditions: list[NDArray[np.float64]] = []
        needs: list[float] = []
        chosen = self._first.copy()
        for _ in range(_ROUNDS):
            found = [cut for cell in np.flatnonzero(chosen) if (cut := self._cut(int(cell), chosen)) is not None]
            if not found or not len(places):
                break
            for weights, need in found:
                conditions.append(weights[places])
                needs.append(need)
            answer = milp(
                self._cost[places],
                integrality=np.ones(len(places)),
                bounds=Bounds(self._must[places].astype(float), np.ones(len(places))),
                constraints=LinearConstraint(np.array(conditions), np.array(needs), np.inf),
                options={"node_limit": 5000},
            )
            if answer.x is None:
                break
            chosen = self._first.copy()
            chosen[places[answer.x > 0.5]] = True
        return chosen

    def _cut(self, cell: int, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float] | None:
        """Weights of all cells and the weight that must be hidden with `cell`; None where it can move by enough."""
        if not self._is_guarded(cell):
            return None
        wanted = float(CANDIDATES - 1)
        up, first = self._pushed(cell, -1.0, chosen)
        if up >= wanted - _NOTHING:
            return None
        down, second = self._pushed(cell, 1.0, chosen)
        if up + down >= wanted - _NOTHING:
            return None
        weights = np.minimum(first + second, wanted)
        need = wanted - weights[self._first & ~self._open].sum()
        if self._must[cell] or not self._open[cell]:
            return weights, need
        # A cell that is hidden only for others needs this only for as long as it is hidden.
        weights[cell] = -wanted
        return weights, need - wanted

    def _pushed(self, cell: int, sign: float, chosen: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
        """How far a hidden cell can move (−1: up, 1: down), and how much each cell that is hidden would add to that."""
        from scipy.optimize import linprog

        cells = np.flatnonzero(chosen)
        room = self._room.astype(float)
        goal = np.zeros(len(self._counts))
        goal[cell] = sign
        found = linprog(
            goal[cells],
            A_eq=self._sums[:, cells],
            b_eq=np.zeros(self._sums.shape[0]),
            bounds=np.column_stack([-room[cells], np.full(len(cells), _FAR)]),
            method="highs",
        )
        if found.x is None:
            raise FiguresError("HiGHS gave up on a linear programme of disclosure control; nothing is published")
        price = goal - self._sums.T @ found.eqlin.marginals
        price[np.abs(price) < _NOTHING] = 0
        return float(abs(found.x @ goal[cells])), np.where(price < 0, float(CANDIDATES - 1), price * room)

    def _is_guarded(self, cell: int) -> bool:
        return not self._unseen[cell] or bool(self._guarded_unseen[cell])

    def _too_narrow(self, chosen: NDArray[np.bool_]) -> list[int]:
        found = candidates(self._counts, self._sums, chosen, least=self._least)
        return [int(cell) for cell in np.flatnonzero(chosen & (self._counts != 0)) if found[cell] < CANDIDATES]

    def _way_out(self, cell: int, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The cheapest further cells that let `cell` be two more, or two less, than it is."""
        wanted = CANDIDATES - 1
        for reach in _REACHES:
            ways = [
                way
                for move in (wanted, -wanted)
                if self._counts[cell] + move >= self._least[cell]
                if (way := self._moved(cell, move, chosen, reach)) is not None
            ]
            if ways:
                return min(ways, key=lambda way: way[0])[1]
        raise FiguresError("what was published earlier tells a small cell, whatever is hidden now")

    def _moved(
        self, cell: int, move: int, chosen: NDArray[np.bool_], reach: float
    ) -> tuple[float, NDArray[np.bool_]] | None:
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import csr_matrix, hstack, identity, vstack

        # Variables: how far each cell moves, then for each that could still be hidden whether it is.
        free = self._open & ~chosen
        may_move = chosen | free
        count, choices = len(self._counts), int(free.sum())
        low = np.where(may_move, -np.minimum(self._room, reach), 0.0)
        high = np.where(may_move & ((self._counts > 0) | self._unseen), reach, 0.0)
        low[cell] = high[cell] = move
        pick = csr_matrix(identity(count, format="csr")[np.flatnonzero(free)])
        none = csr_matrix((self._sums.shape[0], choices))
        per_choice = csr_matrix(identity(choices))
        limits = vstack([hstack([pick, -reach * per_choice]), hstack([-pick, -reach * per_choice])])
        found = milp(
            np.concatenate([np.zeros(count), self._cost[free]]),
            integrality=np.concatenate([np.zeros(count), np.ones(choices)]),
            bounds=Bounds(np.concatenate([low, np.zeros(choices)]), np.concatenate([high, np.ones(choices)])),
            constraints=[
                LinearConstraint(hstack([self._sums, none]), 0, 0),
                LinearConstraint(limits, -np.inf, 0),
            ],
            options={"mip_rel_gap": 0.0},
        )
        if found.x is None:
            return None
        taken = np.zeros(count, dtype=bool)
        taken[np.flatnonzero(free)[found.x[count:] > 0.5]] = True
        return float(self._cost[taken].sum()), taken

    def _shown_again(self, chosen: NDArray[np.bool_], planned: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Show each further cell again that is not needed, the largest first; nothing where the plan sufficed."""
        kept = chosen.copy()
        if (chosen == planned).all():
            return kept
        order = sorted(np.flatnonzero(chosen & ~self._first), key=lambda cell: (-self._counts[cell], cell))
        for cell in order:
            kept[cell] = False
            narrow = [other for other in self._too_narrow(kept) if self._is_guarded(other)]
            if narrow:
                kept[cell] = True
        return kept


def candidates(
    counts: NDArray[np.int64], sums: Any, hidden: NDArray[np.bool_], *, least: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return for each hidden cell how many values fit what is published, counted up to `CANDIDATES`; 1 for the others.

    `sums`: a sparse matrix, a row per sum that comes to 0. `least`: what a reader knows each cell to be at least.
    Exact: each answer is a whole-number solution, or the proof of HiGHS that there is none.
    """
    found = np.ones(len(counts), dtype=np.int64)
    for cells, rows in _components(sums, hidden):
        part = sums[rows][:, cells]
        rest = sums[rows] @ np.where(hidden, 0, counts)
        _Reader(part, -rest, counts[cells], least[cells]).count_into(found, cells)
    return found


class _Reader:
    """What a reader can work out about hidden cells that hang together; `truth` is one solution that is known."""

    def __init__(self, sums: Any, totals: Any, truth: NDArray[np.int64], least: NDArray[np.int64]) -> None:
        self._sums, self._totals, self._least = sums, totals, least
        self._seen: list[set[int]] = [{int(one)} for one in truth]

    def count_into(self, found: NDArray[np.int64], cells: NDArray[np.int64]) -> None:
        for place in range(len(self._seen)):
            if len(self._seen[place]) < CANDIDATES:
                self._look(place)
            found[cells[place]] = min(len(self._seen[place]), CANDIDATES)

    def _look(self, place: int) -> None:
        highest = self._extreme(place, -1)
        if len(self._seen[place]) >= CANDIDATES:
            return
        lowest = self._extreme(place, 1)
        if len(self._seen[place]) >= CANDIDATES or lowest is None or highest is None or highest - lowest < 2:
            return
        # Two ends and perhaps nothing between them: sums of three dimensions can leave gaps.
        for value in range(lowest + 1, min(highest, lowest + 1 + 64)):
            if len(self._seen[place]) >= CANDIDATES:
                return
            self._extreme(place, 1, at=value)

    def _extreme(self, place: int, sign: int, *, at: int | None = None) -> int | None:
        from scipy.optimize import Bounds, LinearConstraint, milp

        low, high = self._least.astype(float), np.full(len(self._least), np.inf)
        # Far enough to be sure, and bounded, so that HiGHS never meets an unbounded ray.
        high[place] = max(self._seen[place]) + 1_000_000
        if at is not None:
            low[place] = high[place] = at
        goal = np.zeros(len(low))
        goal[place] = sign
        found = milp(
            goal,
            integrality=np.ones(len(low)),
            bounds=Bounds(low, high),
            constraints=LinearConstraint(self._sums, self._totals, self._totals),
        )
        if found.x is None:
            return None
        whole = np.rint(found.x).astype(np.int64)
        for seen, value in zip(self._seen, whole, strict=True):
            seen.add(int(value))
        return int(whole[place])


def _components(sums: Any, hidden: NDArray[np.bool_]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Hidden cells that hang together by sums, each with the rows of those sums."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    cells = np.flatnonzero(hidden)
    touched = csr_matrix(abs(sums[:, cells]))
    number, labels = connected_components(touched.T @ touched, directed=False)
    rows_of = touched.tocoo()
    found = []
    for label in range(number):
        members = np.flatnonzero(labels == label)
        rows = np.unique(rows_of.row[np.isin(rows_of.col, members)])
        found.append((cells[members], rows))
    return found


def _matrix(sums: Sequence[tuple[Name, tuple[Name, ...]]], place: Mapping[Name, int]) -> Any:
    from scipy.sparse import csr_matrix

    rows, columns, values = [], [], []
    for row, (whole, parts) in enumerate(sums):
        for name, value in [(whole, -1), *((part, 1) for part in parts)]:
            rows.append(row)
            columns.append(place[name])
            values.append(value)
    return csr_matrix((values, (rows, columns)), shape=(len(sums), len(place)), dtype=np.int64)
