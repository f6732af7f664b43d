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

_as_intrinsic: Callable[[Callable[..., Any]], Callable[[Any], Any]] = intrinsic

_BLOCK = 1024
"""Codes per block: 32 KiB, so that a block stays in the first cache while all queries pass over it."""


@_as_intrinsic
def _popcount(_context: Any, word: Any) -> Any:
    """LLVM's `ctpop` on one uint64: a single instruction where the processor has it."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), emit


@numba.njit(cache=True, nogil=True)
def scan(
    queries: np.ndarray[Any, Any],
    codes: np.ndarray[Any, Any],
    radius: int,
    found_query: np.ndarray[Any, Any],
    found_entry: np.ndarray[Any, Any],
    found_distance: np.ndarray[Any, Any],
) -> int:
    """Write every (query, entry, distance) with distance <= radius; return how many there are.

    `found_*` are int64, int64 and int16 buffers of one length. Findings beyond that length are counted
    and not written, so a caller whose buffers were too small calls again with larger ones.
    """
    limit = np.uint64(radius)
    room = found_query.shape[0]
    found = 0
    for start in range(0, codes.shape[0], _BLOCK):
        stop = min(start + _BLOCK, codes.shape[0])
        for query in range(queries.shape[0]):
            q0, q1, q2, q3 = queries[query, 0], queries[query, 1], queries[query, 2], queries[query, 3]
            for entry in range(start, stop):
                # Unrelated codes differ in some 64 of the first 128 bits: most pairs end here.
                distance = _popcount(q0 ^ codes[entry, 0]) + _popcount(q1 ^ codes[entry, 1])
                if distance > limit:
                    continue
                distance += _popcount(q2 ^ codes[entry, 2]) + _popcount(q3 ^ codes[entry, 3])
                if distance <= limit:
                    if found < room:
                        found_query[found] = query
                        found_entry[found] = entry
                        found_distance[found] = distance
                    found += 1
    return found


@numba.njit(cache=True, nogil=True)
def scan_pairs(
    codes: np.ndarray[Any, Any],
    first: int,
    last: int,
    radius: int,
    found_left: np.ndarray[Any, Any],
    found_right: np.ndarray[Any, Any],
    found_distance: np.ndarray[Any, Any],
) -> int:
    """As `scan`, for the pairs left < right of one set with first <= left < last."""
    limit = np.uint64(radius)
    room = found_left.shape[0]
    found = 0
    for start in range(first, codes.shape[0], _BLOCK):
        stop = min(start + _BLOCK, codes.shape[0])
        for left in range(first, min(last, stop)):
            q0, q1, q2, q3 = codes[left, 0], codes[left, 1], codes[left, 2], codes[left, 3]
            for right in range(max(start, left + 1), stop):
                distance = _popcount(q0 ^ codes[right, 0]) + _popcount(q1 ^ codes[right, 1])
                if distance > limit:
                    continue
                distance += _popcount(q2 ^ codes[right, 2]) + _popcount(q3 ^ codes[right, 3])
                if distance <= limit:
                    if found < room:
                        found_left[found] = left
                        found_right[found] = right
                        found_distance[found] = distance
                    found += 1
    return found
