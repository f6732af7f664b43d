"""Compiled loops that make the tables of the index; `index_twin.py` says the same in plain NumPy.

Codes are C-contiguous uint64 (n, 4) in little-endian order. `arrange` puts the bits of a code so that chunk c,
the c-th uint16, is a diagonal of the 16 x 16 sign matrix: row r is turned by r places, then the matrix is
transposed. A contiguous chunk would be one row of it, whose bits go together; every diagonal has one bit of each
row and each column. The same is done to queries, and a Hamming distance does not see it.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, Any]

TABLES = 16
KEYS = 65536
_HIGH = 256
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], dtype=np.uint64)

# Rows of sixteen bits, four to a word: which bits move when row r is turned left by r, place by place of r.
_TURN_HIGH = np.array(
    [
        [[0xFFFF * ((4 * word + row) >> place & 1) << 16 * row for row in range(4)] for word in range(4)]
        for place in range(4)
    ],
    dtype=np.uint64,
).sum(axis=2, dtype=np.uint64)
_TURN_LOW = np.array([int("".join([f"{(1 << (1 << place)) - 1:04x}"] * 4), 16) for place in range(4)], np.uint64)
_ONE_APART = np.uint64(0x0000AAAA0000AAAA)
_TWO_APART = np.uint64(0x00000000CCCCCCCC)
_FOUR_APART = np.uint64(0xF0F0F0F0F0F0F0F0)
_EIGHT_APART = np.uint64(0xFF00FF00FF00FF00)


@numba.njit(cache=True, nogil=True)
def arrange(codes: Array, first: int, last: int, arranged: Array) -> None:
    """arranged[i] = the bits of codes[i] by diagonals, for first <= i < last."""
    for i in range(first, last):
        w0, w1, w2, w3 = codes[i, 0], codes[i, 1], codes[i, 2], codes[i, 3]
        for place in range(4):
            left = np.uint64(1 << place)
            right = np.uint64(16 - (1 << place))
            low = _TURN_LOW[place]
            m0, m1, m2, m3 = _TURN_HIGH[place]
            w0 = (w0 & ~m0) | (m0 & (((w0 & ~(low << right)) << left) | ((w0 >> right) & low)))
            w1 = (w1 & ~m1) | (m1 & (((w1 & ~(low << right)) << left) | ((w1 >> right) & low)))
            w2 = (w2 & ~m2) | (m2 & (((w2 & ~(low << right)) << left) | ((w2 >> right) & low)))
            w3 = (w3 & ~m3) | (m3 & (((w3 & ~(low << right)) << left) | ((w3 >> right) & low)))
        w0, w1, w2, w3 = _across(w0, w1, w2, w3)
        arranged[i, 0], arranged[i, 1], arranged[i, 2], arranged[i, 3] = _near(w0), _near(w1), _near(w2), _near(w3)


@numba.njit(cache=True, nogil=True)
def restore(codes: Array, chosen: Array, first: int, last: int, restored: Array) -> None:
    """restored[i] = codes[chosen[i]], arranged, with its bits as they were given, for first <= i < last.

    `codes` uint64 (4 d,), laid flat; `chosen` int64 (m,), each 0 <= chosen[i] < d; `restored` uint64 (m, 4).
    The steps of `arrange` backwards: transposing is its own inverse, a row turned left is turned right.
    """
    for i in range(first, last):
        at = 4 * chosen[i]
        w0, w1, w2, w3 = _near(codes[at]), _near(codes[at + 1]), _near(codes[at + 2]), _near(codes[at + 3])
        w0, w1, w2, w3 = _across(w0, w1, w2, w3)
        for place in range(4):
            by = np.uint64(1 << place)
            rest = np.uint64(16 - (1 << place))
            low = _TURN_LOW[place]
            m0, m1, m2, m3 = _TURN_HIGH[place]
            w0 = (w0 & ~m0) | (m0 & (((w0 & ~low) >> by) | ((w0 & low) << rest)))
            w1 = (w1 & ~m1) | (m1 & (((w1 & ~low) >> by) | ((w1 & low) << rest)))
            w2 = (w2 & ~m2) | (m2 & (((w2 & ~low) >> by) | ((w2 & low) << rest)))
            w3 = (w3 & ~m3) | (m3 & (((w3 & ~low) >> by) | ((w3 & low) << rest)))
        restored[i, 0], restored[i, 1], restored[i, 2], restored[i, 3] = w0, w1, w2, w3


@numba.njit(cache=True, nogil=True)
def _across(w0: Any, w1: Any, w2: Any, w3: Any) -> Any:
    """The first two steps of transposing: rows eight and four apart stand in two words."""
    x = (w0 ^ (w2 << np.uint64(8))) & _EIGHT_APART
    w0, w2 = w0 ^ x, w2 ^ (x >> np.uint64(8))
    x = (w1 ^ (w3 << np.uint64(8))) & _EIGHT_APART
    w1, w3 = w1 ^ x, w3 ^ (x >> np.uint64(8))
    x = (w0 ^ (w1 << np.uint64(4))) & _FOUR_APART
    w0, w1 = w0 ^ x, w1 ^ (x >> np.uint64(4))
    x = (w2 ^ (w3 << np.uint64(4))) & _FOUR_APART
    w2, w3 = w2 ^ x, w3 ^ (x >> np.uint64(4))
    return w0, w1, w2, w3


@numba.njit(cache=True, nogil=True)
def _near(word: Any) -> Any:
    """The last two steps of transposing: rows two apart and one apart stand in one word."""
    x = (word ^ (word >> np.uint64(30))) & _TWO_APART
    word = word ^ x ^ (x << np.uint64(30))
    x = (word ^ (word >> np.uint64(15))) & _ONE_APART
    return word ^ x ^ (x << np.uint64(15))


@numba.njit(cache=True, nogil=True)
def count_parts(codes: Array, first: int, last: int, shift: int, counts: Array) -> None:
    """counts[p] = how many of codes[first:last] have a mixed value of p after a shift right by `shift` bits."""
    by = np.uint64(shift)
    for i in range(first, last):
        counts[np.int64(_mixed(codes, i) >> by)] += 1


@numba.njit(cache=True, nogil=True)
def fill_parts(codes: Array, first: int, last: int, shift: int, places: Array, parted: Array) -> None:
    """Write codes[first:last] into their parts, each as 32 bits of its mixed value above its position.

    `places` int64: where the next one of each part goes; it is moved on. `parted` uint64 (n,).
    """
    by = np.uint64(shift)
    for i in range(first, last):
        mixed = _mixed(codes, i)
        part = np.int64(mixed >> by)
        parted[places[part]] = (mixed << np.uint64(32)) | np.uint64(i)
        places[part] += 1


@numba.njit(cache=True, nogil=True)
def mark_repeats(codes: Array, parted: Array, starts: Array, first: int, last: int, earliest: Array) -> int:
    """For the parts first <= p < last: earliest[i] = the first position of the code of i, where that is not i.

    `starts` int64 (parts + 1,) bounds the parts in `parted`, ascending by position within each. `earliest` uint32
    (n,) is left as it is for codes that come first. Returns how many were written.
    """
    largest = 0
    for part in range(first, last):
        largest = max(largest, starts[part + 1] - starts[part])
    room = 16
    while room < 2 * largest:
        room *= 2
    slots = np.empty(room, np.int64)
    found = 0
    for part in range(first, last):
        size = 16
        while size < 2 * (starts[part + 1] - starts[part]):
            size *= 2
        slots[:size] = -1
        for at in range(starts[part], starts[part + 1]):
            here = np.int64(parted[at] & np.uint64(0xFFFFFFFF))
            slot = np.int64(parted[at] >> np.uint64(32)) & (size - 1)
            while slots[slot] >= 0 and not _equal(codes, parted, slots[slot], at):
                slot = (slot + 1) & (size - 1)
            if slots[slot] < 0:
                slots[slot] = at
            else:
                earliest[here] = np.uint32(parted[slots[slot]] & np.uint64(0xFFFFFFFF))
                found += 1
    return found


@numba.njit(cache=True, nogil=True)
def fill_table(codes: Array, table: int, directory: Array, partners: Array, postings: Array, spare: Array) -> None:
    """Make one table: the postings of each key in ascending order, with the partner chunk of each beside it.

    `codes` uint16 (n, 16), arranged. Key k of table t has its postings at directory[t, k] up to
    directory[t, k + 1] of the t-th n of `postings` uint32 and `partners` uint16. `directory` uint32 (16, 65537).
    `spare` uint64 (n,). First by the high half of the key, so that the second step stays in the cache.
    """
    n = codes.shape[0]
    other = table ^ 1
    counts = np.zeros(KEYS, np.int64)
    for i in range(n):
        counts[codes[i, table]] += 1
    total: Any = 0
    for key in range(KEYS):
        directory[table, key] = total
        total += counts[key]
        counts[key] = total - counts[key]
    directory[table, KEYS] = total
    high = np.empty(_HIGH, np.int64)
    for byte in range(_HIGH):
        high[byte] = counts[byte * _HIGH]
    for i in range(n):
        key = codes[i, table]
        part: Any = np.int64(key) >> 8
        spare[high[part]] = (
            (np.uint64(key) << np.uint64(48)) | (np.uint64(codes[i, other]) << np.uint64(32)) | np.uint64(i)
        )
        high[part] += 1
    base = np.int64(table) * n
    for at in range(n):
        word = spare[at]
        place = np.int64(word >> np.uint64(48))
        partners[base + counts[place]] = np.uint16(word >> np.uint64(32))
        postings[base + counts[place]] = np.uint32(word)
        counts[place] += 1


@numba.njit(cache=True, nogil=True)
def _mixed(codes: Array, i: int) -> Any:
    """64 well mixed bits of a code: equal for equal codes."""
    mixed = np.uint64(0)
    for word in range(4):
        mixed = (mixed ^ codes[i, word]) * _MIX[word]
        mixed ^= mixed >> np.uint64(29)
    return mixed * _MIX[0]


@numba.njit(cache=True, nogil=True)
def _equal(codes: Array, parted: Array, left: Any, right: Any) -> Any:
    if parted[left] >> np.uint64(32) != parted[right] >> np.uint64(32):
        return False
    i = np.int64(parted[left] & np.uint64(0xFFFFFFFF))
    j = np.int64(parted[right] & np.uint64(0xFFFFFFFF))
    differing = np.uint64(0)
    for word in range(4):
        differing |= codes[i, word] ^ codes[j, word]
    return differing == np.uint64(0)
