"""Tables of declared statistics, made of cells that may be hidden; the same for an exact and for a published cube."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import product

from havenline.figures.definitions import Definition, Dimension, Key, Scope, Share, Statistics, key_of
from havenline.figures.funnel import percent

Cells = Mapping[Scope, Mapping[Key, int | None]]
"""By scope and coordinates: a count, or None where the cell is hidden."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One cell of a table: its code in each dimension, how deep it stands under its total, its count and shares.

    `count` is None where the cell is hidden; a share is None where it or its denominator is, where the row does not lie
    within the denominator, and where that is nothing.
    """

    codes: Mapping[str, str]
    labels: tuple[str, ...]
    depth: int
    count: int | None
    shares: tuple[Decimal | None, ...]


@dataclass(frozen=True, slots=True)
class FigureTable:
    """One definition as rows, sums before what they are the sums of."""

    definition: Definition
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One cell beside the same cell of an earlier period. `per_cent` is None where nothing can be divided by."""

    labels: tuple[str, ...]
    definition: Definition
    before: int
    now: int
    per_cent: Decimal | None


def tables_of(statistics: Statistics, cells: Cells) -> tuple[FigureTable, ...]:
    """Return every table, in the order of the definitions. Raises KeyError for a cube that lacks a cell."""
    return tuple(_table(statistics, one, cells[one.scope]) for one in statistics.definitions)


def changes_of(statistics: Statistics, now: Cells, before: Cells) -> tuple[Change, ...]:
    """Return the cells of compared definitions that both periods publish; it says nothing that they do not say.

    Not checked: that both counted alike; the caller compares frameworks and rules.
    """
    found = []
    for table in tables_of(statistics, now):
        if not table.definition.compared:
            continue
        for row in table.rows:
            earlier = before.get(table.definition.scope, {}).get(key_of({**table.definition.population, **row.codes}))
            if row.count is None or earlier is None or (row.count == 0 and earlier == 0):
                continue
            found.append(Change(row.labels, table.definition, earlier, row.count, change(earlier, row.count)))
    return tuple(found)


def change(before: int, now: int) -> Decimal | None:
    """Return the change in per cent, to one decimal, halves away from zero; None where `before` is 0."""
    if not before:
        return None
    size = percent(abs(now - before), before)
    return -size if size is not None and now < before else size


def _table(statistics: Statistics, definition: Definition, cells: Mapping[Key, int | None]) -> FigureTable:
    rows = []
    for by in definition.crosses():
        dimensions = [statistics.dimension(definition.scope, name) for name in by]
        roots = [definition.population.get(name, "") for name in by]
        spans = [one.below(root) for one, root in zip(dimensions, roots, strict=True)]
        for codes in product(*spans):
            at = dict(zip(by, codes, strict=True))
            own = {**definition.population, **at}
            count = cells[key_of(own)]
            rows.append(
                TableRow(
                    codes=at,
                    labels=tuple(one.nodes[code].label for one, code in zip(dimensions, codes, strict=True)),
                    depth=_depth(dimensions[0], roots[0], codes[0]),
                    count=count,
                    shares=tuple(_share(statistics, definition, own, count, cells, one) for one in definition.shares),
                )
            )
    return FigureTable(definition, tuple(rows))


def _depth(dimension: Dimension, root: str, code: str) -> int:
    """How many sums stand above `code` up to `root`."""
    return sum(1 for above in dimension.below(root) if above != code and code in dimension.below(above))


def _share(
    statistics: Statistics,
    definition: Definition,
    own: Mapping[str, str],
    count: int | None,
    cells: Mapping[Key, int | None],
    share: Share,
) -> Decimal | None:
    at = {name: code for name, code in share.at.items() if name in own or code}
    within = all(
        own.get(name, "") in statistics.dimension(definition.scope, name).below(code) for name, code in at.items()
    )
    whole_key = key_of({**own, **at})
    whole = cells.get(whole_key)
    if count is None or whole is None or not within or whole_key == key_of(own):
        return None
    return percent(count, whole)
