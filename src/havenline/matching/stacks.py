"""Near-duplicate stacks: a representative and the files within distance 31 of it. No chains.

Only byte-identical copies share an answer: a near member gets its own look, and carries the record of why
it is in its stack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from havenline.matching.hamming import HammingIndex, codes_from_hex
from havenline.vocabulary import NEAR_DISTANCE, PDQ_FULL, QUALITY_FLOOR

_AT_ONCE = 4096
"""Files placed in one step: bounds the pairs held in memory when all of them are alike."""


class Why(StrEnum):
    """Why a file is in its stack."""

    REPRESENTATIVE = "representative"
    NEAR = "near"


@dataclass(frozen=True, slots=True)
class StackFile:
    """A file to be placed. `pdq` is 64 hex digits or None.

    `order` is the natural key that decides who comes first. Files of one `order` are taken by their SHA-256.
    """

    sha256: str
    pdq: str | None
    quality: int | None
    order: str

    @property
    def comparable(self) -> bool:
        """Whether the file may be compared by distance at all."""
        return self.pdq is not None and self.quality is not None and self.quality >= QUALITY_FLOOR


@dataclass(frozen=True, slots=True)
class StackMember:
    """A file in its stack, and why: `distance` to the representative and `pipeline` are set when near."""

    sha256: str
    why: Why
    distance: int | None = None
    pipeline: str | None = None


@dataclass(frozen=True, slots=True)
class StackPlan:
    """A stack to be: its representative is always the first member; `existing` when that was one before."""

    representative: str
    members: tuple[StackMember, ...]
    existing: bool = False


@dataclass(slots=True)
class _Nearest:
    """For each ordered file its nearest representative so far: a position in that order, or -1."""

    representative: NDArray[np.int64]
    distance: NDArray[np.int16]

    def offer(self, files: NDArray[np.int64], representatives: NDArray[np.int64], distances: NDArray[np.int16]) -> None:
        """Let each of `files` join the one beside it where that is strictly nearer: ties stay with the earlier one."""
        order = np.lexsort((representatives, distances, files))
        files, representatives, distances = files[order], representatives[order], distances[order]
        best = np.ones(len(files), np.bool_)
        best[1:] = files[1:] != files[:-1]
        nearer = best & (distances < self.distance[files])
        self.representative[files[nearer]] = representatives[nearer]
        self.distance[files[nearer]] = distances[nearer]


def form_stacks(
    files: Sequence[StackFile],
    existing: Sequence[StackFile] = (),
    *,
    pipeline: str = PDQ_FULL,
    between: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[StackPlan, ...]:
    """Place every file in exactly one stack, whatever the sequence order of the arguments.

    1. Representatives in `existing` stay representatives and precede all files; both sides are taken in their
       `order`.
    2. A file is compared with the representatives that precede it: all existing ones, and those found among
    the files before it. Within distance 31 it joins the nearest, of several equally near ones the earliest.
    3. Otherwise it becomes a representative. So do files without a hash or of a quality under 50, which are
    never compared, and attract no others.

    `between` is called now and then with how many hashes are done, and of how many; what it raises ends the work.
    Returns the stacks of `existing` first, then the new ones, each in the order of representatives. Raises
    ValueError when a SHA-256 occurs twice. Not checked: that existing representatives lie apart from each
    other, and that all hashes come from `pipeline`, whose name each near member records.
    """
    ordered = sorted(existing, key=_natural) + sorted(files, key=_natural)
    if len({file.sha256 for file in ordered}) != len(ordered):
        raise ValueError("a file can be placed only once: a SHA-256 occurs twice")
    nearest = _nearest_representatives(ordered, already=len(existing), between=between)
    members: dict[int, list[StackMember]] = {}
    for position, file in enumerate(ordered):
        representative = int(nearest.representative[position])
        if representative < 0:
            members[position] = [StackMember(file.sha256, Why.REPRESENTATIVE)]
        else:
            distance = int(nearest.distance[position])
            members[representative].append(StackMember(file.sha256, Why.NEAR, distance, pipeline))
    return tuple(
        StackPlan(ordered[position].sha256, tuple(stack), existing=position < len(existing))
        for position, stack in members.items()
    )


def _natural(file: StackFile) -> tuple[str, str]:
    return file.order, file.sha256


def _nearest_representatives(
    ordered: Sequence[StackFile], *, already: int, between: Callable[[int, int], None]
) -> _Nearest:
    comparable = np.array([place for place, file in enumerate(ordered) if file.comparable], dtype=np.int64)
    codes = codes_from_hex([ordered[place].pdq or "" for place in comparable])
    nearest = _Nearest(
        np.full(len(ordered), -1, dtype=np.int64), np.full(len(ordered), NEAR_DISTANCE + 1, dtype=np.int16)
    )
    index = HammingIndex.build(codes)
    first = int(np.searchsorted(comparable, already))

    def attract(rows: NDArray[np.int64]) -> None:
        """Offer the representatives at `rows` to all files behind them that are not representatives themselves."""
        which, found, distances = index.search(codes[rows])
        behind = (found > rows[which]) & (found >= first)
        nearest.offer(comparable[found[behind]], comparable[rows[which[behind]]], distances[behind])

    for start in range(0, first, _AT_ONCE):
        between(start, len(codes))
        attract(np.arange(start, min(start + _AT_ONCE, first)))
    for start in range(first, len(codes), _AT_ONCE):
        between(start, len(codes))
        stop = min(start + _AT_ONCE, len(codes))
        attract(_representatives(codes[start:stop], nearest.representative[comparable[start:stop]] >= 0) + start)
    return nearest


def _representatives(codes: NDArray[np.uint8], joined: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Which of `codes` become representatives, in order: those that have not `joined`, nor are near an earlier one."""
    left, right, _ = HammingIndex.build(codes).pairs()
    by_left = np.argsort(left, kind="stable")
    right = right[by_left]
    bounds = np.searchsorted(left[by_left], np.arange(len(codes) + 1))
    taken, chosen = joined.copy(), []
    for row in range(len(codes)):
        if not taken[row]:
            chosen.append(row)
            taken[right[bounds[row] : bounds[row + 1]]] = True
    return np.array(chosen, np.int64)
