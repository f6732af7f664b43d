"""The compiled self-join of the index: each bucket against itself and its neighbours; the scan is its plain twin.

Arrays and vector code are those of `table_kernel.py`; a change there needs this file's stored kernels removed.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from havenline.matching.table_kernel import (
    AHEAD,
    KEYS,
    LANES,
    ROUND,
    close_partners,
    columns,
    fetch,
    met_before,
    placed,
    popcount,
    roomy,
)

Array = np.ndarray[Any, Any]

_LEFT = 1024
"""Postings compared with one vector before a round may end."""


@numba.njit(cache=True, nogil=True)
def join_tables(place: Array, table: Any, first: int, last: int) -> Any:
    """The pairs of distinct codes that `table` leads to by first <= key < last: ((left, right, distances), damaged).

    The smaller position stands first. A pair is found from the smaller of its two keys, or, where both have one
    key, from the earlier posting; and only in the first table that leads to it. `place`: as in `placed`.
    """
    codes, directory, partners, postings, bounds, reaches, probes, flips, weights = placed(place)
    n, radius = np.int64(place[0]), np.int64(place[1])
    # Always room enough: a buffer that grew within the loops would be counted by atomic operations there, which take
    # longer than the comparisons.
    candidates = np.empty(ROUND + _LEFT * LANES, np.uint64)
    gathered = np.int64(0)
    rows = np.empty((256, 3), np.int64)
    found = np.int64(0)
    sound = True
    for key in range(first, last):
        start, end = np.int64(directory[table * KEYS + key]), np.int64(directory[table * KEYS + key + 1])
        if start > end or end > n:
            sound = False
            continue
        if key + 2 < last:
            _fetch_neighbours(key + 2, table, directory, partners, probes, flips, n)
        for probe in range(probes[table] if start < end else 0):
            other = key ^ np.int64(flips[probe])
            if other < key:
                continue
            run, stop = np.int64(directory[table * KEYS + other]), np.int64(directory[table * KEYS + other + 1])
            if run > stop or stop > n:
                sound = False
                continue
            most = np.uint16(bounds[table >> 1] - weights[probe])
            for left in range(start, end, _LEFT):
                for posting in range(run, stop, LANES):
                    gathered = _gather_pairs(
                        partners, table * n, left, min(left + _LEFT, end), posting, stop, most, probe == 0,
                        candidates, gathered,
                    )  # fmt: skip
                    if gathered > ROUND:
                        rows = roomy(rows, found, gathered)
                        found, whole = _verify_pairs(
                            candidates, gathered, table, codes, postings, bounds, reaches, radius, rows, found
                        )
                        sound &= whole
                        gathered = np.int64(0)
    rows = roomy(rows, found, gathered)
    found, whole = _verify_pairs(candidates, gathered, table, codes, postings, bounds, reaches, radius, rows, found)
    return columns(rows, found), not (sound and whole)


@numba.njit(cache=True, nogil=True)
def _fetch_neighbours(
    key: Any, table: Any, directory: Array, partners: Array, probes: Array, flips: Array, n: Any
) -> None:
    """Fetch the first lines of the runs that `key` is compared with."""
    for probe in range(probes[table]):
        other = key ^ np.int64(flips[probe])
        if other >= key:
            run = table * n + np.int64(directory[table * KEYS + other])
            fetch(partners, run)
            fetch(partners, run + LANES)


@numba.njit(cache=True, nogil=True)
def _gather_pairs(
    partners: Array, base: Any, first: Any, end: Any, run: Any, stop: Any, most: Any, own: Any, candidates: Array,
    gathered: Any,
) -> Any:  # fmt: skip
    """Append left << 32 | right for the places first <= left < end and run <= right < run + 32 of near partners.

    `stop` bounds the run on the right. Where that is their `own` bucket, only those with left < right.
    """
    inside = np.uint64(0xFFFFFFFF)
    if stop - run < LANES:
        inside = (np.uint64(1) << np.uint64(stop - run)) - np.uint64(1)
    for left in range(first, end):
        close = np.uint64(close_partners(partners, base + run, partners[base + left], most)) & inside
        if close == np.uint64(0):
            continue
        if own:
            before = np.uint64(max(0, min(left + 1 - run, LANES)))
            close = close >> before << before
        while close != np.uint64(0):
            lane = popcount((close - np.uint64(1)) & ~close)
            close &= close - np.uint64(1)
            candidates[gathered] = np.uint64(left) << np.uint64(32) | (np.uint64(run) + lane)
            gathered += 1
    return gathered


@numba.njit(cache=True, nogil=True)
def _verify_pairs(
    candidates: Array, gathered: Any, table: Any, codes: Array, postings: Array, bounds: Array, reaches: Array,
    radius: Any, rows: Array, found: Any,
) -> Any:  # fmt: skip
    """As `_verify`, for pairs of places in one table."""
    n = codes.shape[0] // 4
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    limit = np.uint64(radius)
    base = np.int64(table) * n
    sound = True
    for at in range(-2 * AHEAD, gathered):
        if at + 2 * AHEAD < gathered:
            fetch(postings, base + np.int64(candidates[at + 2 * AHEAD] & low))
        if 0 <= at + AHEAD < gathered:
            pair = candidates[at + AHEAD]
            left, right = postings[base + np.int64(pair >> half)], postings[base + np.int64(pair & low)]
            if left >= n or right >= n:
                sound = False
                left = right = np.uint32(0)
            candidates[at + AHEAD] = np.uint64(left) << half | np.uint64(right)
            fetch(codes, 4 * np.int64(left))
            fetch(codes, 4 * np.int64(right))
        if at < 0:
            continue
        one, two = np.int64(candidates[at] >> half), np.int64(candidates[at] & low)
        x0, x1 = codes[4 * one] ^ codes[4 * two], codes[4 * one + 1] ^ codes[4 * two + 1]
        distance = popcount(x0) + popcount(x1)
        if distance > limit:
            continue
        x2, x3 = codes[4 * one + 2] ^ codes[4 * two + 2], codes[4 * one + 3] ^ codes[4 * two + 3]
        distance += popcount(x2) + popcount(x3)
        if distance <= limit and not met_before(table, x0, x1, x2, x3, bounds, reaches):
            rows[found, 0], rows[found, 1], rows[found, 2] = min(one, two), max(one, two), np.int64(distance)
            found += 1
    return found, sound
