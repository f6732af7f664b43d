"""Exact search of 256-bit codes within a Hamming radius: no false negative, duplicates kept apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from havenline.matching import search_twin
from havenline.matching.search_twin import Found, joined
from havenline.vocabulary import NEAR_DISTANCE

LARGEST_RADIUS = 64
CODE_BYTES = 32

_SMALL = 1 << 21
"""Up to this many pairs NumPy answers before the compiled scan would be loaded."""
_QUERIES_PER_TASK = 1024
_CODES_PER_TASK = 1 << 18
_ROWS_PER_TASK = 4096
_FIRST_ROOM = 1 << 12

_Scan = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int16]], int]


class HammingIndex:
    """All codes of a set, searched exactly.

    Source of the method: a scan over every pair with the processor's population count, blocked for its
    caches.
    """

    __slots__ = ("_codes",)

    def __init__(self, words: NDArray[np.uint64]) -> None:
        """`words`: (n, 4) uint64, C-contiguous and not changed afterwards. Use `build`."""
        self._codes = words

    @classmethod
    def build(cls, codes: NDArray[np.uint8], *, threads: int = 1) -> HammingIndex:
        """Take in a copy of `codes`, uint8 of shape (n, 32), n >= 0; entry positions are its rows.

        Raises ValueError for another shape or type. Not checked: whether the codes are PDQ hashes of any
        quality.
        """
        _check_threads(threads)
        return cls(_as_words(codes).copy())

    def __len__(self) -> int:
        """How many entries, duplicates counted."""
        return len(self._codes)

    def search(self, queries: NDArray[np.uint8], *, radius: int = NEAR_DISTANCE, threads: int = 1) -> Found:
        """Every entry within `radius` bits of each query.

        `queries`: uint8 (m, 32). Returns (query_positions int64, entry_positions int64, distances int16),
        three one-dimensional arrays of one length, in any order. Raises ValueError for another shape or
        type, or a radius outside 0..64.
        """
        _check_radius(radius)
        _check_threads(threads)
        words = _as_words(queries)
        if len(words) * len(self._codes) <= _SMALL:
            return search_twin.scan(words, self._codes, radius)
        return _together(self._search_tasks(words, radius), threads)

    def pairs(self, *, radius: int = NEAR_DISTANCE, threads: int = 1) -> Found:
        """Every pair of entries i < j within `radius` bits of each other, as (i, j, distances), in any order.

        Raises ValueError for a radius outside 0..64.
        """
        _check_radius(radius)
        _check_threads(threads)
        if len(self._codes) ** 2 <= _SMALL:
            return search_twin.scan_pairs(self._codes, radius)
        return _together(self._pair_tasks(radius), threads)

    def _search_tasks(self, queries: NDArray[np.uint64], radius: int) -> Iterator[Callable[[], Found]]:
        for query in range(0, len(queries), _QUERIES_PER_TASK):
            for entry in range(0, len(self._codes), _CODES_PER_TASK):
                yield _search_task(
                    queries[query : query + _QUERIES_PER_TASK],
                    self._codes[entry : entry + _CODES_PER_TASK],
                    offsets=(query, entry),
                    radius=radius,
                )

    def _pair_tasks(self, radius: int) -> Iterator[Callable[[], Found]]:
        for first in range(0, len(self._codes), _ROWS_PER_TASK):
            yield _pair_task(self._codes, first, min(first + _ROWS_PER_TASK, len(self._codes)), radius)


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


def _with_room(scan: _Scan, room: int) -> Found:
    """Run a kernel, again with buffers of the right size when the first ones were too small."""
    while True:
        found = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int16)
        count = scan(*found)
        if count <= room:
            return found[0][:count].copy(), found[1][:count].copy(), found[2][:count].copy()
        room = count


def _together(tasks: Iterator[Callable[[], Found]], threads: int) -> Found:
    if threads == 1:
        return joined([task() for task in tasks])
    with ThreadPoolExecutor(threads) as pool:
        return joined(list(pool.map(lambda task: task(), tasks)))


def _as_words(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != CODE_BYTES:
        raise ValueError(f"codes are uint8 of shape (n, {CODE_BYTES}), not {codes.dtype} {codes.shape}")
    return np.ascontiguousarray(codes).view(np.uint64).reshape(len(codes), CODE_BYTES // 8)


def _check_radius(radius: int) -> None:
    if not 0 <= radius <= LARGEST_RADIUS:
        raise ValueError(f"a radius lies in 0..{LARGEST_RADIUS}, not {radius}")


def _check_threads(threads: int) -> None:
    if threads < 1:
        raise ValueError(f"threads are 1 or more, not {threads}")
