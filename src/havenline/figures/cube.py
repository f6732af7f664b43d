"""The published cube: every cell of every table with the small ones hidden, and what makes the tables of it.

A publication is a pure function of its cube and, where it compares, of the cube before it: whoever has the two can make
every other file again (`havenline.figures.publication`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from havenline.figures.catalogue import statistics_of
from havenline.figures.counting import Counted, count
from havenline.figures.definitions import Key, Scope, Statistics, key_of
from havenline.figures.disclosure import THRESHOLD, LinkedCells, hidden_cells, rounded
from havenline.figures.funnel import PEOPLE_FLOOR, one_decimal
from havenline.figures.records import FiguresError
from havenline.figures.snapshot import FiguresSnapshot, SnapshotHead, head_from_json, head_to_json
from havenline.figures.tables import Cells

FORMAT = "havenline-publication-cube"
FORM = 1
_Linked = tuple[str | tuple[str, str], ...]
"""A cell of one of two reports, or what came between them: which, then the coordinates."""
_DAYS = re.compile(r"(\d{4}-\d{2}-\d{2}) to (\d{4}-\d{2}-\d{2})\Z")


@dataclass(frozen=True, slots=True)
class Imprint:
    """What a publication is called: its public number, its title, and who publishes it."""

    reference: str
    title: str
    publisher: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cube:
    """One publication as cells. `head` names the publication in place of the investigation, and no declared total.

    `people`, `hours` and `seconds_per_item` are None where fewer than five people assessed. `rounding`: counts are
    multiples of it; 1 where they are exact. `commitment`: of the snapshot, see `FiguresSnapshot.commitment`.
    """

    imprint: Imprint
    head: SnapshotHead
    countries: tuple[str, ...]
    channels: tuple[str, ...]
    times: tuple[str, ...]
    cells: Cells
    people: int | None
    hours: Decimal | None
    seconds_per_item: Decimal | None
    threshold: int
    rounding: int
    commitment: str

    def statistics(self) -> Statistics:
        """The definitions and dimensions of its tables."""
        return statistics_of(self.head, countries=self.countries, channels=self.channels, times=self.times)

    @property
    def hidden(self) -> int:
        """How many cells are hidden."""
        return sum(count is None for cells in self.cells.values() for count in cells.values())


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier publication: as it was published, and counted again where its period overlaps with the new one."""

    cube: Cube
    exact: Counted | None


def earlier_of(cube: Cube, snapshot: FiguresSnapshot | None, head: SnapshotHead) -> Earlier:
    """Return an earlier publication as the next one needs it; `snapshot` is the one that it was counted from.

    Raises FiguresError where the periods overlap and the snapshot is missing or another one: what came between the two
    reports would otherwise be told by their difference.
    """
    if not overlap(cube.head.period, head.period):
        return Earlier(cube, None)
    if snapshot is None:
        raise FiguresError(
            "the period overlaps with that of the earlier publication; name the snapshot of that one too, so that "
            "what came between them cannot be worked out"
        )
    if snapshot.commitment() != cube.commitment:
        raise FiguresError("this is not the snapshot from which the earlier publication was counted")
    return Earlier(cube, count(snapshot, countries=cube.countries))


def overlap(period: str, other: str) -> bool:
    """Whether two periods, "YYYY-MM-DD to YYYY-MM-DD", share a day; true where either is not stated so."""
    one, two = _DAYS.match(period), _DAYS.match(other)
    return one is None or two is None or not (one[2] < two[1] or two[2] < one[1])


def cube_of(
    counted: Counted,
    imprint: Imprint,
    *,
    commitment: str,
    earlier: Earlier | None = None,
    threshold: int = THRESHOLD,
    rounding: int = 1,
) -> Cube:
    """Hide what must be hidden and return what may be published.

    Raises FiguresError for a threshold below 3 or a rounding below 1, and where an earlier publication tells a small
    cell whatever is hidden now. Not checked: earlier publications that are not given.
    """
    if threshold < 3 or rounding < 1:
        raise FiguresError("the smallest count that may be published is at least 3, and the rounding at least 1")
    cells: dict[Scope, dict[Key, int | None]] = {}
    for scope, exact in counted.cells.items():
        hidden = _hidden(counted, scope, earlier, threshold)
        cells[scope] = {key: None if key in hidden else rounded(held, rounding) for key, held in exact.items()}
    enough = counted.work.people >= PEOPLE_FLOOR
    assessed = cells[Scope.ITEMS][key_of({"step": "assessed"})]
    seconds = Fraction(counted.work.active_ms, 1000)
    return Cube(
        imprint=imprint,
        head=replace(counted.head, investigation=imprint.reference, posted=None, people=0),
        countries=counted.countries,
        channels=counted.channels,
        times=counted.times,
        cells=cells,
        people=counted.work.people if enough else None,
        hours=one_decimal(seconds / 3600) if enough else None,
        seconds_per_item=one_decimal(seconds / assessed) if enough and assessed else None,
        threshold=threshold,
        rounding=rounding,
        commitment=commitment,
    )


def _hidden(counted: Counted, scope: Scope, earlier: Earlier | None, threshold: int) -> frozenset[Key]:
    cells, sums = counted.cells[scope], counted.statistics.sums(scope)
    few = [key for key in cells if key in counted.few]
    if earlier is None or earlier.exact is None or scope not in earlier.exact.cells:
        return hidden_cells(LinkedCells(cells, sums, small=few), threshold=threshold)
    before, published = earlier.exact, earlier.cube.cells[scope]
    known = before.statistics.dimensions[scope].keys()
    # What was not there yet counted nothing then, unless nobody published a table of it.
    linked = [key for key in cells if all(name in known for name, _ in key)]
    every_key = sorted({*linked, *before.cells[scope]})
    then: dict[_Linked, int] = {("then", *key): before.cells[scope].get(key, 0) for key in every_key}
    between: dict[_Linked, int] = {("between", *key): cells[key] - then[("then", *key)] for key in linked}
    now: dict[_Linked, int] = {("now", *key): held for key, held in cells.items()}
    every: list[tuple[_Linked, tuple[_Linked, ...]]] = [
        (("now", *whole), tuple(("now", *part) for part in parts)) for whole, parts in sums
    ]
    for whole, parts in {*sums, *before.statistics.sums(scope)}:
        for when, known_cells in (("then", then), ("between", between)):
            named: tuple[_Linked, tuple[_Linked, ...]] = ((when, *whole), tuple((when, *part) for part in parts))
            if named[0] in known_cells and all(part in known_cells for part in named[1]):
                every.append(named)
    every = sorted(set(every), key=repr) + [(("now", *key), (("then", *key), ("between", *key))) for key in linked]
    gone = [("then", *key) for key in every_key if published.get(key, 0) is None]
    hidden = hidden_cells(
        LinkedCells(
            {**then, **between, **now},
            every,
            fixed=then.keys() - set(gone),
            hidden_before=gone,
            never_shown=list(between),
            small=[("now", *key) for key in few],
        ),
        threshold=threshold,
    )
    return frozenset(key for key in cells if ("now", *key) in hidden)


def cube_to_json(cube: Cube) -> bytes:
    """Return a cube as its file; the same cube gives the same bytes. Cells stand in the order of their definitions."""
    imprint, head = cube.imprint, head_to_json(cube.head)
    told = {
        "format": FORMAT,
        "form": FORM,
        "reference": imprint.reference,
        "title": imprint.title,
        "publisher": imprint.publisher,
        "head": {name: value for name, value in head.items() if name not in {"form", "posted", "people"}},
        "countries": list(cube.countries),
        "channels": list(cube.channels),
        "times": list(cube.times),
        "people": cube.people,
        "hours": None if cube.hours is None else str(cube.hours),
        "seconds_per_item": None if cube.seconds_per_item is None else str(cube.seconds_per_item),
        "threshold": cube.threshold,
        "rounding": cube.rounding,
        "commitment": cube.commitment,
        "cells": {
            scope.value: [{"at": dict(key), "count": held} for key, held in cells.items()]
            for scope, cells in cube.cells.items()
        },
    }
    return (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode()


def cube_from_json(text: bytes) -> Cube:
    """Return the cube of a file. Raises FiguresError where it is none, or lacks a cell that its tables need."""
    try:
        told = json.loads(text)
        cube = _heard(told)
        statistics = cube.statistics()
        for definition in statistics.definitions:
            for by in definition.crosses():
                for key in statistics.cells(definition, by):
                    cube.cells[definition.scope][key]
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as fault:
        raise FiguresError(f"this is no cube that can be read: {type(fault).__name__} {fault}") from None
    return cube


def _heard(told: Mapping[str, Any]) -> Cube:
    if told["format"] != FORMAT or told["form"] != FORM:
        raise ValueError(f"this version reads {FORMAT} of form {FORM}")

    def decimal(name: str) -> Decimal | None:
        return None if told[name] is None else Decimal(told[name])

    return Cube(
        imprint=Imprint(*(told[name] for name in ("reference", "title", "publisher"))),
        head=head_from_json({**told["head"], "form": 1, "posted": None, "people": 0}),
        countries=tuple(told["countries"]),
        channels=tuple(told["channels"]),
        times=tuple(told["times"]),
        cells={
            Scope(scope): {key_of(one["at"]): one["count"] for one in cells} for scope, cells in told["cells"].items()
        },
        people=told["people"],
        hours=decimal("hours"),
        seconds_per_item=decimal("seconds_per_item"),
        threshold=told["threshold"],
        rounding=told["rounding"],
        commitment=told["commitment"],
    )
