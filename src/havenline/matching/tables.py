"""What an index consists of, and how it is made: codes stored once, their tables, and which entries repeat one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.matching import index_twin
from havenline.matching.pigeonhole import CHUNKS, Plan
from havenline.texts import stretches

KEYS = 65536
LANES = 32
"""Partners read at once: so many stand unused behind the last."""
_PART = 2048
"""Codes to a part when equal ones are sought: a part's slots stay in the second cache."""
_LINE = 64
_DENSE = 16
"""From one code asked for among so many on, the entries of all codes are sought."""
_FEW = 1 << 13
"""Up to this many codes NumPy is done before the compiled loops would be loaded."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The arrays of an index of n entries with d distinct codes, all read-only and C-contiguous.

    `codes` uint64 (d, 4), arranged by diagonals (`build_kernel.arrange`), in the order of their first entries.
    `directory` uint32 (16, 65537), `partners` uint16 (16 d + 32,), `postings` uint32 (16 d,): as
    `build_kernel.fill_table` says; all empty where there are no tables. Of the n - d entries that repeat an
    earlier code, in their order: `repeat_ranks` uint32, how many distinct codes stand before each. Of the same,
    by code: `repeat_codes` and `repeat_entries`, uint32, the code and the entry.
    """

    codes: NDArray[np.uint64]
    directory: NDArray[np.uint32]
    partners: NDArray[np.uint16]
    postings: NDArray[np.uint32]
    repeat_ranks: NDArray[np.uint32]
    repeat_codes: NDArray[np.uint32]
    repeat_entries: NDArray[np.uint32]

    def __post_init__(self) -> None:
        """Arrays of an index are read-only, mapped or not: the kernels are compiled for one kind alone."""
        for name in self.__slots__:
            getattr(self, name).setflags(write=False)

    def place(self, plan: Plan, radius: int, crowd: int) -> NDArray[np.uint64]:
        """Where the compiled look-ups find all that they need: uint64 (13,), good as long as these arrays are held.

        The number of codes, the radius, how many postings are a crowd; the addresses of `codes`, `directory`,
        `partners` and `postings`, and of the five arrays of `plan`; how many flips that has.
        """
        arrays = (self.codes, self.directory, self.partners, self.postings, *plan.arrays)
        addresses = [array.ctypes.data for array in arrays]
        return np.array([len(self.codes), radius, crowd, *addresses, len(plan.flips)], np.uint64)

    @property
    def entry_count(self) -> int:
        """How many entries, repeats counted."""
        return len(self.codes) + len(self.repeat_ranks)

    @property
    def repeats(self) -> int:
        """How many entries repeat an earlier code."""
        return len(self.repeat_ranks)

    @property
    def tabled(self) -> bool:
        """Whether there are tables beside the codes."""
        return len(self.directory) > 0

    def entries(self, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All entries of each of `codes`, positions: (places in `codes`, entry positions), in any order."""
        places = np.arange(len(codes))
        if not self.repeats:
            return places, codes
        # Ascending values are sought much faster: for many codes it pays to seek all of them, in order.
        dense = len(codes) * _DENSE >= len(self.codes)
        sought = np.arange(len(self.codes), dtype=np.uint32) if dense else codes.astype(np.uint32)
        before = np.searchsorted(self.repeat_ranks, sought, side="right")
        starts = np.searchsorted(self.repeat_codes, sought, side="left")
        more = np.searchsorted(self.repeat_codes, sought, side="right") - starts
        if dense:
            before, starts, more = before[codes], starts[codes], more[codes]
        again = self.repeat_entries[stretches(starts, more)].astype(np.int64)
        return np.concatenate([places, np.repeat(places, more)]), np.concatenate([codes + before, again])

    def count(self, codes: NDArray[np.int64], *, most: int) -> int:
        """How many `entries` gives for `codes`, or some number above `most`."""
        if not self.repeats or len(codes) > most:
            return len(codes)
        sought = codes.astype(np.uint32)
        ends = np.searchsorted(self.repeat_codes, sought, side="right")
        return len(codes) + int((ends - np.searchsorted(self.repeat_codes, sought)).sum())

    def codes_of(self, entries: NDArray[np.int64]) -> NDArray[np.int64]:
        """The position of the code of each entry: the inverse of `entries`."""
        if not self.repeats:
            return entries
        repeated = self._repeated()
        before = np.searchsorted(repeated, entries)
        again = np.flatnonzero(repeated[np.minimum(before, self.repeats - 1)] == entries)
        of = entries - before
        by_entry = np.argsort(self.repeat_entries)
        of[again] = self.repeat_codes[by_entry[before[again]]]
        return of

    def _repeated(self) -> NDArray[np.int64]:
        """The entries that repeat an earlier code, ascending."""
        return self.repeat_ranks + np.arange(self.repeats)

    def repeated_pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pairs i < j of entries that have one code."""
        repeated, counts = np.unique(self.repeat_codes, return_counts=True)
        places, entries = self.entries(repeated.astype(np.int64))
        entries = entries[np.lexsort((entries, places))]
        ends = np.cumsum(counts + 1)
        within = np.arange(len(entries)) - np.repeat(ends - counts - 1, counts + 1)
        later = np.repeat(np.arange(len(entries)), within)
        return entries[stretches(np.arange(len(entries)) - within, within)], entries[later]


def build_tables(words: NDArray[np.uint64], *, tabled: bool, threads: int) -> Tables:
    """`words` (n, 4) as an index keeps them, with tables or without. Raises ValueError when n >= 2**32."""
    if len(words) >= 1 << 32:
        raise ValueError("an index holds fewer than 4,294,967,296 entries: divide the set")
    arranged = arrange(words, threads=threads)
    few = len(words) <= _FEW
    earliest = index_twin.earliest(arranged) if few else _earliest(arranged, threads=threads)
    codes, ranks, repeat_codes, repeat_entries = _once(arranged, earliest)
    directory, partners, postings = _filled(codes, threads=threads) if tabled else _none()
    return Tables(codes, directory, partners, postings, ranks, repeat_codes, repeat_entries)


def arrange(words: NDArray[np.uint64], *, threads: int = 1) -> NDArray[np.uint64]:
    """`words` (n, 4) with their bits by diagonals."""
    if len(words) <= _FEW and not loaded("build_kernel"):
        return index_twin.arranged(words)
    from havenline.matching import build_kernel

    made = aligned(words.shape, np.uint64)

    def part(first: int, last: int) -> None:
        build_kernel.arrange(words, first, last, made)

    together(part, _cuts(len(words), threads), threads)
    return made


def restore(codes: NDArray[np.uint64], chosen: NDArray[np.int64], *, threads: int = 1) -> NDArray[np.uint64]:
    """Those of the arranged `codes` (d, 4) at the positions `chosen`, with their bits as they were given."""
    if len(chosen) <= _FEW:
        return index_twin.restored(codes[chosen])
    from havenline.matching import build_kernel

    made = np.empty((len(chosen), 4), np.uint64)

    def part(first: int, last: int) -> None:
        build_kernel.restore(codes.reshape(-1), chosen, first, last, made)

    together(part, _cuts(len(chosen), threads), threads)
    return made


def aligned(shape: tuple[int, ...], kind: type[Any]) -> NDArray[Any]:
    """An empty array that starts with a cache line, as the sections of a mapped file do."""
    wanted = int(np.prod(shape)) * np.dtype(kind).itemsize
    room = np.empty(wanted + _LINE, np.uint8)
    first = -room.ctypes.data % _LINE
    made: NDArray[Any] = room[first : first + wanted].view(kind).reshape(shape)
    return made


def loaded(kernel: str) -> bool:
    """Whether that module of compiled loops is there already, so that nothing would wait for it."""
    return f"havenline.matching.{kernel}" in sys.modules


def together(task: Callable[[int, int], None], cuts: Sequence[int], threads: int) -> None:
    """Run `task` on every stretch between two neighbouring `cuts`, on as many threads."""
    stretches = list(pairwise(cuts))
    if threads == 1 or len(stretches) == 1:
        for first, last in stretches:
            task(first, last)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(task, first, last) for first, last in stretches]:
            done.result()


def _cuts(count: int, parts: int) -> list[int]:
    return [count * part // parts for part in range(parts + 1)]


def _earliest(codes: NDArray[np.uint64], *, threads: int) -> NDArray[np.uint32]:
    """The first position of each code, by parts of equal mixed values."""
    from havenline.matching import build_kernel

    bits = min(16, max(1, (len(codes) // _PART).bit_length()))
    cuts = _cuts(len(codes), threads)
    counts = np.zeros((threads, 1 << bits), np.int64)

    def count(first: int, last: int) -> None:
        build_kernel.count_parts(codes, first, last, 64 - bits, counts[cuts.index(first)])

    together(count, cuts, threads)
    # Part after part, and within a part one thread's stretch after the other: positions ascend.
    ends = np.cumsum(counts.T.ravel()).reshape(1 << bits, threads)
    places = np.ascontiguousarray((ends - counts.T).T)
    starts = np.concatenate([places[0], [len(codes)]])
    parted = np.empty(len(codes), np.uint64)

    def fill(first: int, last: int) -> None:
        build_kernel.fill_parts(codes, first, last, 64 - bits, places[cuts.index(first)], parted)

    together(fill, cuts, threads)
    earliest = np.arange(len(codes), dtype=np.uint32)

    def mark(first: int, last: int) -> None:
        build_kernel.mark_repeats(codes, parted, starts, first, last, earliest)

    together(mark, _cuts(1 << bits, threads), threads)
    return earliest


def _once(
    codes: NDArray[np.uint64], earliest: NDArray[np.uint32]
) -> tuple[NDArray[np.uint64], NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
    """The distinct codes, and the three arrays of repeats that `Tables` describes."""
    first = earliest == np.arange(len(codes), dtype=np.uint32)
    repeats = np.flatnonzero(~first)
    if not len(repeats):
        none = np.empty(0, np.uint32)
        return codes, none, none, none
    origins = earliest[repeats].astype(np.int64)
    of = origins - np.searchsorted(repeats, origins)
    by_code = np.argsort(of, kind="stable")
    distinct = aligned((len(codes) - len(repeats), 4), np.uint64)
    np.compress(first, codes, axis=0, out=distinct)
    return (
        distinct,
        (repeats - np.arange(len(repeats))).astype(np.uint32),
        of[by_code].astype(np.uint32),
        repeats[by_code].astype(np.uint32),
    )


def _filled(
    codes: NDArray[np.uint64], *, threads: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint16], NDArray[np.uint32]]:
    from havenline.matching import build_kernel

    directory = aligned((CHUNKS, KEYS + 1), np.uint32)
    partners = aligned((CHUNKS * len(codes) + LANES,), np.uint16)
    partners[CHUNKS * len(codes) :] = 0
    postings = aligned((CHUNKS * len(codes),), np.uint32)
    chunks = codes.view(np.uint16)

    def fill(first: int, last: int) -> None:
        spare = np.empty(len(codes), np.uint64)
        for table in range(first, last):
            build_kernel.fill_table(chunks, table, directory, partners, postings, spare)

    together(fill, _cuts(CHUNKS, min(threads, CHUNKS)), threads)
    return directory, partners, postings


def _none() -> tuple[NDArray[np.uint32], NDArray[np.uint16], NDArray[np.uint32]]:
    return np.empty((0, KEYS + 1), np.uint32), np.empty(0, np.uint16), np.empty(0, np.uint32)
