"""Compiled loops of the exact radius search; `search_twin.py` says the same in plain NumPy.

All codes are C-contiguous uint64 arrays of shape (n, 4): the 256 bits of a PDQ hash in four words. The
order of the bits does not matter, since a Hamming distance does not see it, but both sides must agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

Array = np.ndarray[Any, Any]

_as_intrinsic: Callable[[Callable[..., Any]], Callable[[Any], Any]] = intrinsic

_BLOCK = 1024
"""Codes per block: 32 KiB, so that a block stays in the first cache while all queries pass over it."""
_GROUP = 64
"""Codes of which only the nearest is looked at first."""


@_as_intrinsic
def _popcount(_context: Any, word: Any) -> Any:
    """LLVM's `ctpop` on one uint64: a single instruction where the processor has it."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), emit


@numba.njit(cache=True, nogil=True)
def scan(
    queries: Array,
    codes: Array,
    radius: int,
    found_query: Array,
    found_entry: Array,
    found_distance: Array,
) -> Any:
    """Write every (query, entry, distance) with distance <= radius; return how many there are.

    `found_*` are int64, int64 and int16 buffers of one length. Findings beyond that length are counted
    and not written, so a caller whose buffers were too small calls again with larger ones.
    """
    halves = np.empty((2, _BLOCK), np.uint64)
    found: Any = np.int64(0)
    for start in range(0, codes.shape[0], _BLOCK):
        stop = min(start + _BLOCK, codes.shape[0])
        _halve(codes, start, stop, halves)
        for query in range(queries.shape[0]):
            found = _compare(
                queries,
                query,
                codes,
                start,
                start,
                stop,
                halves,
                radius,
                found_query,
                found_entry,
                found_distance,
                found,
            )
    return found


@numba.njit(cache=True, nogil=True)
def scan_pairs(
    codes: Array,
    first: int,
    last: int,
    radius: int,
    found_left: Array,
    found_right: Array,
    found_distance: Array,
) -> Any:
    """As `scan`, for the pairs left < right of one set with first <= left < last."""
    halves = np.empty((2, _BLOCK), np.uint64)
    found: Any = np.int64(0)
    for start in range(first, codes.shape[0], _BLOCK):
        stop = min(start + _BLOCK, codes.shape[0])
        _halve(codes, start, stop, halves)
        for left in range(first, min(last, stop)):
            found = _compare(
                codes, left, codes, start, max(start, left + 1), stop, halves, radius,
                found_left, found_right, found_distance, found,
            )  # fmt: skip
    return found


@numba.njit(cache=True, nogil=True)
def _halve(codes: Array, start: Any, stop: Any, halves: Array) -> None:
    """The first two words of a block of codes, each word by itself, so that several codes fill a register."""
    for entry in range(stop - start):
        halves[0, entry] = codes[start + entry, 0]
        halves[1, entry] = codes[start + entry, 1]


@numba.njit(cache=True, nogil=True)
def _compare(
    queries: Array, query: Any, codes: Array, start: Any, first: Any, stop: Any, halves: Array, radius: Any,
    found_query: Array, found_entry: Array, found_distance: Array, found: Any,
) -> Any:  # fmt: skip
    """Compare one query with codes[first:stop] of the block that begins at `start`.

    Unrelated codes differ in some 64 of the first 128 bits: most groups end there.
    """
    limit = np.uint64(radius)
    q0, q1, q2, q3 = queries[query, 0], queries[query, 1], queries[query, 2], queries[query, 3]
    for group in range(first, stop, _GROUP):
        end = min(group + _GROUP, stop)
        # Stretches of their own, counted from 0: only then does the compiler fill registers with them.
        low, high = halves[0, group - start : end - start], halves[1, group - start : end - start]
        nearest = np.uint64(256)
        for at in range(low.shape[0]):
            nearest = min(nearest, _popcount(q0 ^ low[at]) + _popcount(q1 ^ high[at]))
        if nearest > limit:
            continue
        for entry in range(group, end):
            distance = _popcount(q0 ^ codes[entry, 0]) + _popcount(q1 ^ codes[entry, 1])
            distance += _popcount(q2 ^ codes[entry, 2]) + _popcount(q3 ^ codes[entry, 3])
            if distance <= limit:
                if found < found_query.shape[0]:
                    found_query[found] = query
                    found_entry[found] = entry
                    found_distance[found] = distance
                found += 1
    return found
