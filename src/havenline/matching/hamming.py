"""Exact search of 256-bit codes within a Hamming radius: no false negative, duplicates kept apart."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from havenline.matching import search_twin
from havenline.matching.index_file import DAMAGED, read_index, write_index
from havenline.matching.mapped_file import Flaw, MappedFileRefused
from havenline.matching.pigeonhole import CHUNKS, LARGEST_TABLED, plan
from havenline.matching.search_twin import Found, joined
from havenline.matching.tables import KEYS, Tables, arrange, build_tables, loaded, restore
from havenline.vocabulary import LARGEST_RADIUS, NEAR_DISTANCE

CODE_BYTES = 32

_SMALL = 1 << 21
"""Up to this many pairs NumPy answers before the compiled loops would be loaded."""
_TABLED_FROM = 1 << 13
"""From this many codes there are tables: below, a scan is faster at every radius that is asked for."""
_CODES_PER_KEY = 32
"""With fewer codes than this for each key that a radius asks for, the scan is faster."""
_CROWD = 8
"""A query whose runs hold more than one in so many of all codes is answered by the scan."""
_QUERIES_PER_TASK = 1024
_CODES_PER_TASK = 1 << 18
_ROWS_PER_TASK = 4096
_LOOKED_UP_PER_TASK = 1 << 16
_KEYS_PER_TASK = 1 << 14
_FIRST_ROOM = 1 << 12

_ONE_QUERY = (1, CODE_BYTES)
_ONE_CODE = struct.Struct("<4q")
_ONE_ROOM = 64

_One = Callable[..., int]
_Scan = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int16]], int]


class HammingIndex:
    """All codes of a set, searched exactly. Immutable; safe to use from several threads.

    Source of the method: multi-index hashing over sixteen chunks of sixteen bits with the partner chunk beside
    each posting (`pigeonhole.py`); a scan over every pair where that is faster.
    """

    __slots__ = ("_places", "_tables")

    def __init__(self, tables: Tables) -> None:
        """Use `build` or `open`."""
        self._tables = tables
        self._places: dict[int, tuple[_One, NDArray[np.uint64]]] = {}

    @classmethod
    def build(cls, codes: NDArray[np.uint8], *, threads: int = 1) -> HammingIndex:
        """Take in a copy of `codes`, uint8 of shape (n, 32), 0 <= n < 2**32; entry positions are its rows.

        Raises ValueError for another shape or type. Not checked: whether the codes are PDQ hashes of any
        quality.
        """
        _check_threads(threads)
        words = _as_words(codes)
        return cls(build_tables(words, tabled=len(words) >= _TABLED_FROM, threads=threads))

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = False) -> HammingIndex:
        """Map the index file at `path`, shared with every process that maps it; it must not be changed meanwhile.

        Raises `MappedFileRefused` with the reason for a file that is not a whole index file, and OSError when it
        cannot be read. The head and the size are always checked; the sections when `verify` is true or the file
        is small. Not checked otherwise: bits that turned in a section after it was written. A search that meets
        an impossible value raises `MappedFileRefused` too.
        """
        return cls(read_index(Path(path), verify=verify))

    def save(self, path: str | Path) -> None:
        """Write the index file `path` (docs/formats/hamming-index.md), whole or not at all, in place of an earlier one.

        Readable by its owner alone. Raises OSError when it cannot be written.
        """
        write_index(Path(path), self._tables)

    def __len__(self) -> int:
        """How many entries, duplicates counted."""
        return self._tables.entry_count

    @property
    def tables(self) -> Tables:
        """What the index consists of, for those who keep it with other arrays."""
        return self._tables

    @property
    def code_count(self) -> int:
        """How many distinct codes."""
        return len(self._tables.codes)

    def search(self, queries: NDArray[np.uint8], *, radius: int = NEAR_DISTANCE, threads: int = 1) -> Found:
        """Every entry within `radius` bits of each query.

        `queries`: uint8 (m, 32). Returns (query_positions int64, entry_positions int64, distances int16),
        three one-dimensional arrays of one length, in any order. Raises ValueError for another shape or
        type, or a radius outside 0..64.
        """
        found = self.search_codes(queries, radius=radius, threads=threads)
        if not self._tables.repeats:
            return found
        rows, codes, distances = found
        places, entries = self._tables.entries(codes)
        return rows[places], entries, distances[places]

    def search_codes(self, queries: NDArray[np.uint8], *, radius: int = NEAR_DISTANCE, threads: int = 1) -> Found:
        """As `search`, with one row for each distinct code, however many entries have it.

        Returns (query_positions, code_positions, distances); `entries_of` gives the entries of a code.
        """
        if radius not in self._places:
            _check_radius(radius)
            if self._by_tables(radius):
                self._placed(radius)
        if radius in self._places:
            return self._look_up(queries, radius, threads)
        _check_threads(threads)
        words = _as_words(queries)
        arranged = arrange(words)
        if len(words) * self.code_count <= _SMALL and not loaded("search_kernel"):
            return search_twin.scan(arranged, self._tables.codes, radius)
        return joined(_together(self._search_tasks(arranged, radius), threads))

    def entries_of(self, code: int) -> NDArray[np.int64]:
        """The positions of all entries that have the code at position `code`, ascending. Raises IndexError."""
        if not 0 <= code < self.code_count:
            raise IndexError(f"codes lie in 0..{self.code_count - 1}, not {code}")
        return np.sort(self._tables.entries(np.array([code]))[1])

    def entries_of_all(self, codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The entries of each of `codes`, which are not checked: (places in `codes`, entry positions), in any order."""
        return self._tables.entries(codes)

    def count_of_all(self, codes: NDArray[np.int64], *, most: int) -> int:
        """How many entries `entries_of_all` would give, counted no further than some number above `most`."""
        return self._tables.count(codes, most=most)

    def codes_of(self, entries: NDArray[np.integer] | range, *, threads: int = 1) -> NDArray[np.uint8]:
        """The codes of the entries at these positions as `build` was given them: uint8 of shape (m, 32).

        `range(len(index))` gives all; in stretches where that many would not fit into memory. Where entries repeat a
        code, each call sorts the repeats once, so ask for many entries at a time. Raises IndexError for a position
        outside 0..len - 1, ValueError when `entries` are not one-dimensional integers.
        """
        _check_threads(threads)
        chosen = np.arange(entries.start, entries.stop, entries.step) if isinstance(entries, range) else entries
        if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
            raise ValueError(f"entries are integers in one dimension, not {chosen.dtype} {chosen.shape}")
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < len(self)):
            raise IndexError(f"entries lie in 0..{len(self) - 1}")
        codes = self._tables.codes_of(np.require(chosen, np.int64, ["C", "A", "W"]))
        if len(codes) and not (codes.min() >= 0 and codes.max() < self.code_count):
            raise MappedFileRefused(Flaw.SECTION, DAMAGED)
        return restore(self._tables.codes, codes, threads=threads).view(np.uint8)

    def pairs(self, *, radius: int = NEAR_DISTANCE, threads: int = 1) -> Found:
        """Every pair of entries i < j within `radius` bits of each other, as (i, j, distances), in any order.

        Raises ValueError for a radius outside 0..64.
        """
        _check_radius(radius)
        _check_threads(threads)
        codes = self._tables.codes
        if self._by_tables(radius) and self._join_is_light(radius):
            left, right, distances = joined(_together(self._join_tasks(radius), threads))
        elif len(codes) ** 2 <= _SMALL:
            left, right, distances = search_twin.scan_pairs(codes, radius)
        else:
            left, right, distances = joined(_together(self._pair_tasks(radius), threads))
        if not self._tables.repeats:
            return left, right, distances
        places, left = self._tables.entries(left)
        more, right = self._tables.entries(right[places])
        left, distances = left[more], distances[places][more]
        alike = self._tables.repeated_pairs()
        whole = np.minimum(left, right), np.maximum(left, right), distances
        return joined([whole, (*alike, np.zeros(len(alike[0]), np.int16))])

    def _by_tables(self, radius: int) -> bool:
        if not self._tables.tabled or radius > LARGEST_TABLED:
            return False
        return self.code_count >= _CODES_PER_KEY * plan(radius).keys

    def _join_is_light(self, radius: int) -> bool:
        """Whether the buckets are even enough: all comparisons together against those of the scan."""
        chosen, keys = plan(radius), np.arange(KEYS)
        load = 0
        for probes, directory in zip(chosen.probes.tolist(), self._tables.directory, strict=True):
            sizes = np.diff(directory.astype(np.int64))
            squares = int(sizes @ sizes)
            if probes * squares > self.code_count**2 // (CHUNKS * _CROWD):
                squares = sum(int(sizes @ sizes[keys ^ int(flip)]) for flip in chosen.flips[:probes]) // max(1, probes)
            load += probes * squares
        return load <= self.code_count**2 // _CROWD

    def _placed(self, radius: int) -> NDArray[np.uint64]:
        """As `Tables.place`; made once for each radius."""
        if radius not in self._places:
            from havenline.matching.table_kernel import search_one

            place = self._tables.place(plan(radius), radius, self.code_count // _CROWD)
            self._places[radius] = search_one, place
        return self._places[radius][1]

    def _look_up(self, asked: NDArray[np.uint8], radius: int, threads: int) -> Found:
        _check_threads(threads)
        if asked.shape == _ONE_QUERY and asked.dtype == np.uint8:
            # An upload asks for one: what surrounds the search would otherwise take longer than it does.
            search_one, place = self._places[radius]
            codes, distances = np.empty(_ONE_ROOM, np.int64), np.empty(_ONE_ROOM, np.int16)
            count = search_one(place, *_ONE_CODE.unpack(asked.tobytes()), codes, distances)
            if count >= 0:
                return np.zeros(count, np.int64), codes[:count], distances[:count]
        queries = _as_words(asked)
        step = max(1, min(_LOOKED_UP_PER_TASK, -(-len(queries) // threads)))
        if len(queries) <= step:
            return self._looked_up(queries, radius)

        def task(first: int) -> Callable[[], Found]:
            def run() -> Found:
                rows, codes, distances = self._looked_up(queries[first : first + step], radius)
                return rows + first, codes, distances

            return run

        return joined(_together((task(first) for first in range(0, len(queries), step)), threads))

    def _looked_up(self, queries: NDArray[np.uint64], radius: int) -> Found:
        from havenline.matching.table_kernel import search_tables

        rows, codes, distances, crowded, damaged = search_tables(self._placed(radius), queries)
        if damaged:
            raise MappedFileRefused(Flaw.SECTION, DAMAGED)
        if len(crowded):
            words = arrange(queries[crowded])
            more = joined([task() for task in self._search_tasks(words, radius)])
            return joined([(rows, codes, distances), (crowded[more[0]], more[1], more[2])])
        return rows, codes, distances

    def _join_tasks(self, radius: int) -> Iterator[Callable[[], Found]]:
        place = self._placed(radius)
        for table in np.flatnonzero(plan(radius).probes).tolist():
            for first in range(0, KEYS, _KEYS_PER_TASK):
                yield _join_task(place, table, first)

    def _search_tasks(self, queries: NDArray[np.uint64], radius: int) -> Iterator[Callable[[], Found]]:
        codes = self._tables.codes
        for query in range(0, len(queries), _QUERIES_PER_TASK):
            for entry in range(0, len(codes), _CODES_PER_TASK):
                yield _search_task(
                    queries[query : query + _QUERIES_PER_TASK],
                    codes[entry : entry + _CODES_PER_TASK],
                    offsets=(query, entry),
                    radius=radius,
                )

    def _pair_tasks(self, radius: int) -> Iterator[Callable[[], Found]]:
        codes = self._tables.codes
        for first in range(0, len(codes), _ROWS_PER_TASK):
            yield _pair_task(codes, first, min(first + _ROWS_PER_TASK, len(codes)), radius)


def codes_from_hex(values: list[str]) -> NDArray[np.uint8]:
    """PDQ hex values (64 lower-case digits each, not checked here) as uint8 of shape (n, 32)."""
    return np.frombuffer(bytes.fromhex("".join(values)), dtype=np.uint8).reshape(len(values), CODE_BYTES)


def _search_task(
    queries: NDArray[np.uint64], codes: NDArray[np.uint64], *, offsets: tuple[int, int], radius: int
) -> Callable[[], Found]:
    def run() -> Found:
        from havenline.matching import search_kernel

        left, right, distances = _with_room(
            lambda *found: search_kernel.scan(queries, codes, radius, *found), _FIRST_ROOM
        )
        return left + offsets[0], right + offsets[1], distances

    return run


def _pair_task(codes: NDArray[np.uint64], first: int, last: int, radius: int) -> Callable[[], Found]:
    def run() -> Found:
        from havenline.matching import search_kernel

        return _with_room(lambda *found: search_kernel.scan_pairs(codes, first, last, radius, *found), _FIRST_ROOM)

    return run


def _join_task(place: NDArray[np.uint64], table: int, first: int) -> Callable[[], Found]:
    def run() -> Found:
        from havenline.matching.join_kernel import join_tables

        found: Found
        found, damaged = join_tables(place, table, first, min(first + _KEYS_PER_TASK, KEYS))
        if damaged:
            raise MappedFileRefused(Flaw.SECTION, DAMAGED)
        return found

    return run


def _with_room(scan: _Scan, room: int) -> Found:
    """Run a kernel, again with buffers of the right size when the first ones were too small."""
    while True:
        found = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int16)
        count = scan(*found)
        if count <= room:
            return found[0][:count].copy(), found[1][:count].copy(), found[2][:count].copy()
        room = count


def _together(tasks: Iterator[Callable[[], Found]], threads: int) -> list[Found]:
    if threads == 1:
        return [task() for task in tasks]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda task: task(), tasks))


def _as_words(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != CODE_BYTES:
        raise ValueError(f"codes are uint8 of shape (n, {CODE_BYTES}), not {codes.dtype} {codes.shape}")
    words = np.ascontiguousarray(codes).view(np.uint64)
    # One kind of array alone, so that the loops are compiled once: aligned, and not read-only.
    return words if words.flags.behaved else words.copy()


def _check_radius(radius: int) -> None:
    if not 0 <= radius <= LARGEST_RADIUS:
        raise ValueError(f"a radius lies in 0..{LARGEST_RADIUS}, not {radius}")


def _check_threads(threads: int) -> None:
    if threads < 1:
        raise ValueError(f"threads are 1 or more, not {threads}")
