"""The plain truth of the radius search: what `search_kernel.py` must equal, and what small searches use.

Loading compiled code costs more than comparing a few thousand codes in NumPy, so small searches never
leave here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CELLS = 1 << 18
"""Pairs compared at once: bounds the memory of one step to a few MiB."""

Found = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int16]]
"""Query (or left) positions, entry (or right) positions and distances, of one length."""


def scan(queries: NDArray[np.uint64], codes: NDArray[np.uint64], radius: int) -> Found:
    """All pairs of `queries` (m, 4) and `codes` (n, 4) at distance <= radius."""
    step = max(1, _CELLS // max(1, len(codes)))
    parts: list[Found] = []
    for start in range(0, len(queries), step):
        differing = queries[start : start + step, None, :] ^ codes[None, :, :]
        distances = np.bitwise_count(differing).sum(axis=2, dtype=np.int16)
        rows, columns = np.nonzero(distances <= radius)
        parts.append((rows + start, columns, distances[rows, columns]))
    return joined(parts)


def scan_pairs(codes: NDArray[np.uint64], radius: int) -> Found:
    """All pairs left < right of `codes` (n, 4) at distance <= radius."""
    left, right, distances = scan(codes, codes, radius)
    ahead = left < right
    return left[ahead], right[ahead], distances[ahead]


def joined(parts: list[Found]) -> Found:
    """The findings of several scans as one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int16)
    return (
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
    )
