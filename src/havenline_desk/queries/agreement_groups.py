"""Which groups of agreement are left out beside those that are too small, so that subtracting tells no small one.

Whoever sees the whole and all weeks but one knows the last one too; whoever sees a pool and the week that it is nearly
all of knows the few stacks between them. So groups are left out as cells of published figures are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from havenline.figures.disclosure import LinkedCells, hidden_cells
from havenline.judgement import FEWEST_PEOPLE, FEWEST_UNITS


class Family(StrEnum):
    """Groups that are shown beside each other. `before`: the weeks that are older than any that is shown."""

    POOL = "pool"
    WEEK = "week"
    BEFORE = "before"


Group = tuple[Family, str]


@dataclass(frozen=True, slots=True)
class Unit:
    """One stack that two people answered, and the groups that it stands in."""

    people: frozenset[int]
    groups: frozenset[Group]


def too_small(units: Collection[Unit]) -> bool:
    """Whether a figure of these would be one of few stacks, or of a pair of people."""
    return len(units) < FEWEST_UNITS or len(frozenset[int]().union(*(unit.people for unit in units))) < FEWEST_PEOPLE


def left_out(units: Collection[Unit]) -> frozenset[Group]:
    """The groups not to show beside the figure of all `units`, the small ones among them; everything if it is small.

    What is left between the whole and the shown groups of a family is nothing, or large enough itself. Not protected
    against: who knows stacks from elsewhere, and who subtracts today's page from one kept from an earlier day.
    """
    members = defaultdict[Group, list[Unit]](list)
    for unit in units:
        for group in unit.groups:
            members[group].append(unit)
    if too_small(units):
        return frozenset(members)
    hidden = {group for group, own in members.items() if group[0] is Family.BEFORE or too_small(own)}
    while True:
        more = _beside(members, hidden, units) or _tied(members, hidden, units)
        if not more:
            return frozenset(hidden)
        hidden |= more


def _beside(members: Mapping[Group, list[Unit]], hidden: Collection[Group], units: Collection[Unit]) -> set[Group]:
    """The smallest group of a family whose rest would be a small one."""
    for family in (Family.POOL, Family.WEEK):
        shown = [group for group in members if group[0] is family and group not in hidden]
        rest = [unit for unit in units if unit.groups.isdisjoint(shown)]
        if shown and rest and too_small(rest):
            return {min(shown, key=lambda group: (len(members[group]), group))}
    return set()


def _tied(members: Mapping[Group, list[Unit]], hidden: Collection[Group], units: Collection[Unit]) -> set[Group]:
    """What must be hidden as well because pools and weeks overlap: cells of linked tables, each crossing an atom."""
    atoms = Counter[tuple[object, ...]]((*sorted(unit.groups), "crossing") for unit in units)
    whole = ("all",)
    counts: dict[tuple[object, ...], int] = {whole: len(units), **atoms}
    tabled = [group for group in members if group[0] is not Family.BEFORE]
    counts |= {group: len(members[group]) for group in tabled}
    sums: list[tuple[tuple[object, ...], tuple[tuple[object, ...], ...]]] = [(whole, tuple(atoms))]
    sums += [(group, tuple(atom for atom in atoms if group in atom)) for group in tabled]
    told = hidden_cells(
        LinkedCells(counts, sums, fixed={whole}, never_shown=set(atoms), small=set(hidden) & set(tabled)),
        threshold=FEWEST_UNITS,
    )
    return {group for group in tabled if group in told and group not in hidden}
