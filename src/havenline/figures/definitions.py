"""What each published statistic counts: unit, dataset, population, rule and exclusions, declared and not programmed.

A definition names cells: coordinates in the dimensions of one scope. Everything else, the counting, the hiding of small
cells, the tables, the method note, follows from it by general rules that know no definition by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product


class Unit(StrEnum):
    """What is counted."""

    REPORT = "report"
    ITEM = "item"
    STACK = "stack"
    PICTURE = "picture"
    VIDEO = "video"
    CHILD = "child"
    VIEW = "view"


class Dataset(StrEnum):
    """Which stream of records a table is counted from; every table and chart carries it."""

    REPORTS = "reports"
    ITEMS = "items"
    IMAGES = "images"
    VIDEOS = "videos"
    ASSESSMENTS = "assessments"
    WORK = "work"


class Scope(StrEnum):
    """Cells of one scope add up with each other; those of two scopes count different things."""

    ITEMS = "items"
    REPORTS = "reports"
    PAIRS = "pairs"
    VIEWS = "views"


class CountingRule(StrEnum):
    """How one unit comes to its place in a table. The first two are different statistics, never mixed (practice 9)."""

    PER_ITEM = "each item is counted once, by its own outcome"
    PER_REPORT = (
        "each report is counted once, by the youngest child and the most severe category among its items, "
        "in the order in which the framework names them"
    )
    PER_PAIR = "each stack that two people assessed blind is counted once, by whether their answers are the same"
    PER_VIEW = "each view that was used is counted once, by its step of the ladder"


Key = tuple[tuple[str, str], ...]
"""Coordinates of one cell: (dimension, code) pairs in the order of names. A dimension that is missing is summed."""


def key_of(coordinates: Mapping[str, str]) -> Key:
    """The cell at these coordinates; an empty code is the sum over its dimension."""
    return tuple(sorted((name, code) for name, code in coordinates.items() if code))


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a dimension, or a sum over several: `children` are then the codes that it is the sum of."""

    code: str
    label: str
    children: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dimension:
    """The values along one side of a table. The node with the empty code is the sum of all of them.

    `ranked`: they have no order of their own, so that a chart shows the largest first.
    """

    id: str
    title: str
    nodes: Mapping[str, Node]
    ranked: bool = False

    @classmethod
    def flat(
        cls, dimension_id: str, title: str, values: Mapping[str, str], *, total: str = "All", ranked: bool = False
    ) -> Dimension:
        """A dimension without sums other than the total; `values`: code to label, in order."""
        leaves = {code: Node(code, label) for code, label in values.items()}
        return cls(dimension_id, title, {"": Node("", total, tuple(leaves)), **leaves}, ranked)

    def below(self, root: str = "") -> tuple[str, ...]:
        """`root` and every code under it, parents before their children."""
        found = [root]
        for child in self.nodes[root].children:
            found += self.below(child)
        return tuple(found)

    def leaves(self, root: str = "") -> tuple[str, ...]:
        """The codes under `root` that are no sums; `root` itself where it is none."""
        return tuple(code for code in self.below(root) if not self.nodes[code].children)


@dataclass(frozen=True, slots=True)
class Share:
    """A denominator: the cell at the same coordinates with these in place of its own, and what it is called."""

    of: str
    at: Mapping[str, str]
    """An empty code takes the dimension out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One statistic. `by` spans its table; `each` sets the dimensions of `by` side by side instead of crossing them.

    `population` are coordinates that all its cells share. `compared`: set beside the same cells of an earlier period.
    """

    id: str
    title: str
    says: str
    unit: Unit
    dataset: Dataset
    scope: Scope
    rule: CountingRule
    by: tuple[str, ...]
    population: Mapping[str, str] = field(default_factory=dict)
    each: bool = False
    shares: tuple[Share, ...] = ()
    exclusions: tuple[str, ...] = ()
    compared: bool = False

    def crosses(self) -> tuple[tuple[str, ...], ...]:
        """The sets of dimensions that are crossed with each other."""
        return tuple((name,) for name in self.by) if self.each else (self.by,)


@dataclass(frozen=True, slots=True)
class Statistics:
    """The definitions of one publication and the dimensions that they name, by scope."""

    dimensions: Mapping[Scope, Mapping[str, Dimension]]
    definitions: tuple[Definition, ...]

    def dimension(self, scope: Scope, name: str) -> Dimension:
        """The dimension of that name. Raises KeyError where the scope has none."""
        return self.dimensions[scope][name]

    def cells(self, definition: Definition, by: tuple[str, ...]) -> Iterator[Key]:
        """Every cell of one cross of a definition, sums before what they are the sums of."""
        for codes in product(*(self._codes(definition, name) for name in by)):
            yield key_of({**definition.population, **dict(zip(by, codes, strict=True))})

    def _codes(self, definition: Definition, name: str) -> tuple[str, ...]:
        return self.dimension(definition.scope, name).below(definition.population.get(name, ""))

    def sums(self, scope: Scope) -> tuple[tuple[Key, tuple[Key, ...]], ...]:
        """Every sum that a reader of the tables of one scope knows: a cell, and the cells that add up to it."""
        found: dict[tuple[Key, tuple[Key, ...]], None] = {}
        for definition in self.definitions:
            if definition.scope is not scope:
                continue
            for by in definition.crosses():
                for codes in product(*(self._codes(definition, name) for name in by)):
                    at = {**definition.population, **dict(zip(by, codes, strict=True))}
                    for name, code in zip(by, codes, strict=True):
                        children = self.dimension(scope, name).nodes[code].children
                        if children:
                            parts = tuple(key_of({**at, name: child}) for child in children)
                            found[key_of(at), parts] = None
        return tuple(found)

    def scopes(self) -> tuple[Scope, ...]:
        """The scopes that any definition counts in."""
        return tuple(scope for scope in Scope if any(one.scope is scope for one in self.definitions))
