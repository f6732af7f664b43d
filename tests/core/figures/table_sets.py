"""Random sets of linked tables, an attacker who sees only what is published, and the optimum; for the tests alone."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import lil_matrix

from havenline.figures.disclosure import LinkedCells, hidden_cells

Name = tuple[str, ...]
Sums = list[tuple[Name, tuple[Name, ...]]]


@dataclass(frozen=True)
class TableSet:
    """Tables of one population that share margins; `before` the same a period earlier, contained in it."""

    counts: dict[Name, int]
    sums: Sums
    before: dict[Name, int] | None


def random_set(random_numbers: random.Random, most: int = 200) -> TableSet:
    """One to three tables of two or three dimensions, some values of which are grouped; skewed counts, many small."""
    while True:
        made = _random_set(random_numbers)
        cells = len(made.counts) * (2 if made.before else 1)
        if 12 <= cells <= most:
            return made


def _random_set(drawn: random.Random) -> TableSet:
    dimensions = {
        name: _dimension(name, drawn.randint(2, 6), grouped=drawn.random() < 0.3)
        for name in "abcd"[: drawn.randint(2, 4)]
    }
    tables = [("a", "b")] if len(dimensions) == 2 else [("a", "b"), ("a", "c")][: drawn.randint(1, 2)]
    if len(dimensions) > 2 and drawn.random() < 0.3:
        tables = [("a", "b", "c")]
    if len(dimensions) == 4:
        tables.append(("b", "d"))
    people = _people(drawn, dimensions, drawn.choice([40, 200, 1000, 4000]))
    earlier = [one for one in people if drawn.random() < 0.6]
    linked = drawn.random() < 0.5
    counts, sums = _tabulated(dimensions, tables, people)
    before = _tabulated(dimensions, tables, earlier)[0] if linked else None
    return TableSet(counts, sums, before)


def _dimension(name: str, size: int, *, grouped: bool) -> dict[str, tuple[str, ...]]:
    """Code to the codes under it; the total has the code `name` + "*"."""
    leaves = tuple(f"{name}{number}" for number in range(size))
    tree: dict[str, tuple[str, ...]] = dict.fromkeys(leaves, ())
    if grouped and size > 3:
        group = f"{name}g"
        return {f"{name}*": (group, *leaves[2:]), group: leaves[:2], **tree}
    return {f"{name}*": leaves, **tree}


def _people(drawn: random.Random, dimensions: Mapping[str, dict[str, tuple[str, ...]]], count: int) -> list[Name]:
    weights = {}
    for name, tree in dimensions.items():
        leaves = [code for code, under in tree.items() if not under]
        weights[name] = (leaves, [drawn.paretovariate(0.8) for _ in leaves])
    return [tuple(drawn.choices(leaves, shares)[0] for leaves, shares in weights.values()) for _ in range(count)]


def _tabulated(
    dimensions: Mapping[str, dict[str, tuple[str, ...]]], tables: Sequence[tuple[str, ...]], people: Sequence[Name]
) -> tuple[dict[Name, int], Sums]:
    order = list(dimensions)
    above = {name: _above(tree) for name, tree in dimensions.items()}
    counts: dict[Name, int] = {}
    sums: dict[tuple[Name, tuple[Name, ...]], None] = {}

    def named(at: Mapping[str, str]) -> Name:
        return tuple(at[name] for name in order if name in at and not at[name].endswith("*"))

    for table in tables:
        spans = [list(dimensions[name]) for name in table]
        for codes in product(*spans):
            at = dict(zip(table, codes, strict=True))
            counts.setdefault(named(at), 0)
            for name, code in at.items():
                if dimensions[name][code]:
                    parts = tuple(named({**at, name: part}) for part in dimensions[name][code])
                    sums[named(at), parts] = None
    seen: set[Name] = set()
    for table in tables:
        fresh = {
            named(dict(zip(table, codes, strict=True))) for codes in product(*(dimensions[name] for name in table))
        }
        for one in people:
            for codes in product(*(above[name][one[order.index(name)]] for name in table)):
                key = named(dict(zip(table, codes, strict=True)))
                if key not in seen:
                    counts[key] += 1
        seen |= fresh
    return counts, list(sums)


def _above(tree: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for leaf in (code for code, under in tree.items() if not under):
        found[leaf] = [leaf]
        while True:
            parent = next((code for code, under in tree.items() if found[leaf][-1] in under), None)
            if parent is None:
                break
            found[leaf].append(parent)
    return found


def published(made: TableSet) -> tuple[LinkedCells[Name], frozenset[Name]]:
    """The linked cells of the set, with the report of the earlier period where there is one, and what is hidden."""
    if made.before is None:
        linked = LinkedCells(made.counts, made.sums)
        return linked, hidden_cells(linked)
    earlier = LinkedCells(made.before, made.sums)
    gone = hidden_cells(earlier)
    then = {("then", *name): count for name, count in made.before.items()}
    between = {("between", *name): made.counts[name] - count for name, count in made.before.items()}
    now = {("now", *name): count for name, count in made.counts.items()}
    sums = [
        ((period, *whole), tuple((period, *part) for part in parts))
        for period in ("then", "between", "now")
        for whole, parts in made.sums
    ]
    sums += [(("now", *name), (("then", *name), ("between", *name))) for name in made.before]
    both = LinkedCells(
        {**then, **between, **now},
        sums,
        fixed=[("then", *name) for name in made.before if name not in gone],
        hidden_before=[("then", *name) for name in gone],
        never_shown=list(between),
    )
    return both, hidden_cells(both)


class Attacker:
    """Knows every published count, every sum, that a zero is shown, and that what is hidden is at least one."""

    def __init__(self, linked: LinkedCells[Name], hidden: frozenset[Name]) -> None:
        self.unknown = sorted(hidden)
        place = {name: number for number, name in enumerate(self.unknown)}
        known = {name: count for name, count in linked.counts.items() if name not in hidden}
        rows, totals = [], []
        for whole, parts in linked.sums:
            row: dict[int, int] = {}
            total = 0
            for name, sign in [(whole, 1), *((part, -1) for part in parts)]:
                if name in place:
                    row[place[name]] = row.get(place[name], 0) + sign
                else:
                    total -= sign * known[name]
            if row:
                rows.append(row)
                totals.append(total)
        self.matrix = lil_matrix((max(len(rows), 1), len(self.unknown)))
        for number, row in enumerate(rows):
            for column, value in row.items():
                self.matrix[number, column] = value
        self.totals = np.array(totals or [0.0], dtype=float)
        self.least = np.array([0.0 if name in set(linked.never_shown) else 1.0 for name in self.unknown])
        self.matrix = self.matrix.tocsr()

    def bound(self, name: Name, sign: int, low: float | None = None, high: float | None = None) -> int | None:
        """The least (sign 1) or greatest (sign -1) value of a cell that fits; None where nothing does."""
        at = self.unknown.index(name)
        lows, highs = self.least.copy(), np.full(len(self.unknown), np.inf)
        highs[at] = 1e7
        lows[at] = max(lows[at], low if low is not None else lows[at])
        highs[at] = high if high is not None else highs[at]
        goal = np.zeros(len(self.unknown))
        goal[at] = sign
        found = milp(
            goal,
            integrality=np.ones(len(goal)),
            bounds=Bounds(lows, highs),
            constraints=LinearConstraint(self.matrix, self.totals, self.totals),
        )
        return None if found.x is None else round(found.x[at])

    def narrows_to(self, name: Name) -> int:
        """How many values of a cell fit, counted up to three."""
        low, high = self.bound(name, 1), self.bound(name, -1)
        assert low is not None
        assert high is not None
        if high - low < 2:
            return high - low + 1
        return 2 + (self.bound(name, 1, low + 1, high - 1) is not None)


@dataclass(frozen=True)
class Kept:
    """Of the cells that could be hidden: how many are shown, and how many the optimum shows at most."""

    shown: int
    at_most: int
    proved: bool


def against_the_optimum(linked: LinkedCells[Name], hidden: frozenset[Name], *, seconds: float = 20.0) -> Kept:
    """How much is kept beside what could be kept at most where every small cell keeps three values.

    By cuts: a choice of cells to hide is attacked by linear programmes, and what tells a small cell too narrowly
    becomes a condition of the next choice (Fischetti and Salazar, 2001). Cells hidden only to protect others need no
    protection here, and values need not be whole, so that the optimum of the real task keeps no more than this.
    """
    attack = _Cuts(linked)
    until = time.monotonic() + seconds
    proved = False
    while time.monotonic() < until:
        chosen = attack.choose()
        if not attack.learn(chosen):
            proved = True
            break
    could = set(attack.could_hide)
    return Kept(sum(name not in hidden for name in could), len(could) - round(attack.least_hidden), proved)


class _Cuts:
    WIDTH = 2.0

    def __init__(self, linked: LinkedCells[Name]) -> None:
        self.names = sorted(linked.counts)
        place = {name: number for number, name in enumerate(self.names)}
        gone = set(linked.fixed) | set(linked.hidden_before) | set(linked.never_shown)
        self.could_hide = [name for name in self.names if name not in gone and linked.counts[name] > 0]
        self.open = np.array([place[name] for name in self.could_hide], dtype=int)
        self.always = [place[name] for name in [*linked.hidden_before, *linked.never_shown]]
        counts = np.array([linked.counts[name] for name in self.names], dtype=float)
        unseen = np.array([name in set(linked.never_shown) for name in self.names])
        self.room = counts - np.where(unseen, 0, 1)
        self.small = [
            number
            for number, name in enumerate(self.names)
            if 0 < counts[number] < 10 and name not in set(linked.fixed)
        ]
        self.must = np.isin(self.open, self.small)
        matrix = lil_matrix((len(linked.sums), len(self.names)))
        for row, (whole, parts) in enumerate(linked.sums):
            matrix[row, place[whole]] = -1
            for part in parts:
                matrix[row, place[part]] = 1
        self.matrix = matrix.tocsr()
        self.cuts: list[np.ndarray] = []
        self.needs: list[float] = []
        self.least_hidden = float(self.must.sum())

    def choose(self) -> np.ndarray:
        """The fewest cells that every condition so far allows."""
        if not len(self.open):
            return np.zeros(0, dtype=bool)
        conditions = [LinearConstraint(np.array(self.cuts), np.array(self.needs), np.inf)] if self.cuts else []
        found = milp(
            np.ones(len(self.open)),
            integrality=np.ones(len(self.open)),
            bounds=Bounds(self.must.astype(float), np.ones(len(self.open))),
            constraints=conditions,
            options={"time_limit": 20.0},
        )
        assert found.x is not None
        self.least_hidden = max(self.least_hidden, np.ceil(found.mip_dual_bound - 1e-6))
        return found.x > 0.5

    def learn(self, chosen: np.ndarray) -> bool:
        """Whether any small cell is told too narrowly by this choice; its condition is kept."""
        hidden = np.zeros(len(self.names), dtype=bool)
        hidden[self.open[chosen]] = True
        hidden[self.always] = True
        learned = False
        for cell in self.small:
            up, weights_up = self._pushed(cell, -1.0, hidden)
            if up >= self.WIDTH - 1e-6:
                continue
            down, weights_down = self._pushed(cell, 1.0, hidden)
            if up + down < self.WIDTH - 1e-6:
                weights = np.minimum(weights_up + weights_down, self.WIDTH)
                self.cuts.append(weights[self.open])
                self.needs.append(self.WIDTH - weights[self.always].sum())
                learned = True
        return learned

    def _pushed(self, cell: int, sign: float, hidden: np.ndarray) -> tuple[float, np.ndarray]:
        """How far a cell can move one way, and by how much each cell's being hidden lets it."""
        goal = np.zeros(len(self.names))
        goal[cell] = sign
        low, high = np.where(hidden, -self.room, 0.0), np.where(hidden, 1e5, 0.0)
        found = linprog(
            goal, A_eq=self.matrix, b_eq=np.zeros(self.matrix.shape[0]), bounds=np.column_stack([low, high])
        )
        assert found.status == 0
        price = goal - self.matrix.T @ found.eqlin.marginals
        price[np.abs(price) < 1e-9] = 0
        return abs(found.x[cell]), np.where(price < 0, self.WIDTH, price * np.maximum(self.room, 0))
