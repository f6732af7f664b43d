"""The plain truth of the index's tables: what `build_kernel.py` and `search_kernel.py` must equal.

Everything here is NumPy and plain Python, one step after the other, from the definitions in `build_kernel.py`
and `pigeonhole.py`. Small sets are arranged here, since loading compiled code would take longer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from havenline.matching.pigeonhole import CHUNK_BITS, CHUNKS, Plan
from havenline.matching.search_twin import Found


def arranged(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`words` (n, 4) with their bits by diagonals: chunk c holds bit (c - r) % 16 of each row r, as its bit r."""
    bits = np.unpackbits(words.view(np.uint8).reshape(-1, 32), axis=1, bitorder="little")
    packed = np.packbits(bits.take(_DIAGONALS, axis=1), axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view(np.uint64)


def restored(arranged: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The inverse of `arranged`."""
    bits = np.unpackbits(arranged.view(np.uint8).reshape(-1, 32), axis=1, bitorder="little")
    packed = np.packbits(bits.take(np.argsort(_DIAGONALS), axis=1), axis=1, bitorder="little")
    return np.ascontiguousarray(packed).view(np.uint64)


_DIAGONALS = np.array(
    [CHUNK_BITS * row + (chunk - row) % CHUNK_BITS for chunk in range(CHUNKS) for row in range(CHUNK_BITS)]
)


def earliest(codes: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """For each of `codes` (n, 4) the first position of an equal one."""
    if not len(codes):
        return np.empty(0, np.uint32)
    whole = codes.view(np.dtype((np.void, 32))).ravel()
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    return first[which].astype(np.uint32)


def table(codes: NDArray[np.uint64], which: int) -> tuple[NDArray[np.uint32], NDArray[np.uint16], NDArray[np.uint32]]:
    """Directory (65537,), partners (n,) and postings (n,) of one table over arranged `codes` (n, 4)."""
    chunks = codes.view(np.uint16).reshape(-1, CHUNKS)
    postings = np.argsort(chunks[:, which], kind="stable")
    directory = np.searchsorted(chunks[postings, which], np.arange((1 << CHUNK_BITS) + 1))
    return directory.astype(np.uint32), chunks[postings, which ^ 1], postings.astype(np.uint32)


def search(queries: NDArray[np.uint64], codes: NDArray[np.uint64], plan: Plan, radius: int) -> Found:
    """What the tables of `plan` lead to, verified: (queries, codes, distances), each pair of positions once."""
    tables = [table(codes, which) for which in range(CHUNKS)]
    found: dict[tuple[int, int], int] = {}
    for row, query in enumerate(queries):
        keys = query.view(np.uint16)
        for which, (directory, partners, postings) in enumerate(tables):
            for flip, weight in zip(plan.flips[: plan.probes[which]], plan.weights, strict=False):
                key = int(keys[which] ^ flip)
                run = slice(int(directory[key]), int(directory[key + 1]))
                apart = np.bitwise_count(partners[run] ^ keys[which ^ 1])
                for code in postings[run][apart <= plan.bounds[which // 2] - weight].tolist():
                    distance = int(np.bitwise_count(query ^ codes[code]).sum())
                    if distance <= radius:
                        found[row, code] = distance
    places = np.array(list(found), np.int64).reshape(-1, 2)
    return places[:, 0], places[:, 1], np.array(list(found.values()), np.int16)
