"""PDQ's filter and sampling as one sparse linear map: about one multiplication a byte, and no float picture.

Two rounds of running means and the choice of 64 rows and 64 columns are linear, so the 64 x 64 picture is
`down @ brightness @ along.T`, where each row of `down` (64 x height) and of `along` (64 x width) covers about a
32nd of the side. Raw bytes are summed down the columns first, brightness is taken of the 64 sums alone, and the
64 columns last. The weights are whole numbers (the divisors come at the end) but at the lower and right edge,
so the sums of bytes are exact in float32; the plain twin is `pdq_map`.

The result is nearer to the filter's true value than the reference is, whose running sums drift by rounding.
So it may order two almost equal frequencies otherwise than the reference: `fast_hash` says where it cannot be
sure, and the caller then asks the bit-exact kernel. Memory: about 20 bytes a column. The pixels are (h, w, 3)
or (h, w, 1) uint8, C-contiguous and writable; compiled at the first call for exactly these.

How sure: what differs is rounding, nearly all of it the reference's: its running sums add a brightness in one
binade and take it away in another. In pictures with grain such errors are random and average out; in drawings
that repeat themselves they add up, most in the lowest frequencies of either direction. So there are two sets
of bounds. Beyond the wide ones the fast kernel is sure, whatever the picture; within the narrow ones it never
is; between them only where sampled rows show grain.

A worst-case bound by the number of roundings would be hundreds of times larger and send every picture to the
slow kernel. These are ten times and more the greatest error that was measured, frequency by frequency, over
23,000 drawn pictures of 20 to 6,000 pixels a side: noise, enlarged noise, JPEG of it, shapes, ramps, sines,
chessboards, stripes at all angles, repeated tiles, barcodes. Measured, as shares of the bounds: at most 0.10 of
the narrow ones in pictures with grain, at most 0.10 of the wide ones in any picture that they let pass. The
error does not grow with the picture's size, since the sums cover more pixels but are divided by as many.
`tests/core/fingerprints/test_pdq_fast.py` measures it anew, and on more pictures in `./dev soak`.

The bounds stand in this file because a change to another one would not make numba compile its stored kernels
anew.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from havenline.fingerprints.pdq_twin import SIDE

_LOWER = np.minimum(np.arange(16)[:, None], np.arange(16)[None, :])  # 0: lowest in one direction


def _flat(bounds: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.ascontiguousarray(bounds.reshape(256), dtype=np.float32)


NARROW = _flat(0.04 / (1 + _LOWER))
"""By frequency, for pictures with grain."""
WIDE = _flat(np.where(_LOWER == 0, 0.75, 0.15 / np.maximum(_LOWER, 1)))
"""By frequency, for any picture."""
RELATIVE = np.float32(1e-5)
"""Added to both, times the frequency's own size: the rounding of the transform."""
NARROW_STEP, WIDE_STEP = np.float32(1e-2), np.float32(5e-2)
"""The same for a step between neighbours of the 64 x 64 picture, in per cents of full brightness."""

GRAIN_ROWS, GRAIN_RUN, GRAIN_PERIODS, GRAIN_VALUES = 16, 24, 64, 24
"""Grain: in 16 rows, no 24 samples that come again within 64 or more, and at least 24 different values each."""

_RED, _GREEN, _BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)
_ROWS = 8  # rows of bytes that one pass adds up
_WHOLE = 32  # eight rows of bytes, 32 times each, are less than 65,536
_LOOSE = {"contract", "reassoc", "nsz"}  # fused and reordered sums: this kernel owes no rounding to anybody


@njit(cache=True, nogil=True, error_model="numpy")
def reach(length, block):  # type: ignore[no-untyped-def]
    """Which samples of a side of `length` each of the 64 kept ones is the weighted mean of.

    Starts (64,), counts (64,), weights (64, most) float32, and what the weighted sums are divided by. Samples
    are pixels, or with `block` s > 1 blocks of s pixels, each with the sum of its pixels' weights.
    """
    window = (length + 127) // 128
    half = (window + 2) // 2
    starts, counts = np.empty(SIDE, np.int64), np.empty(SIDE, np.int64)
    weights = np.zeros((SIDE, (2 * window + 1) // block + 2 + _ROWS), np.float32)
    steps = np.empty(2 * window + 2, np.float64)
    for k in range(SIDE):
        centre = int(((k + 0.5) * length) / SIDE)
        first, last = max(0, centre + half - window), min(length - 1, centre + half - 1)
        low, high = max(0, first + half - window), min(length - 1, last + half - 1)
        steps[:] = 0.0
        for j in range(first, last + 1):
            begin, end = max(0, j + half - window), min(length - 1, j + half - 1)
            share = (window * window) / ((last - first + 1) * (end - begin + 1))
            steps[begin - low] += share
            steps[end - low + 1] -= share
        starts[k], counts[k] = low // block, high // block - low // block + 1
        weight = 0.0
        for y in range(low, high + 1):
            weight += steps[y - low]
            weights[k, y // block - starts[k]] += np.float32(weight)
    return starts, counts, weights, float(window * window)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_LOOSE)
def _sum_rows(flat, stride, last, start, count, weights, sums):  # type: ignore[no-untyped-def]
    """sums[x] = the weighted sum of column x over rows start .. start + count - 1 of bytes; weights end in zeros."""
    for x in range(stride):
        sums[x] = np.float32(0)
    for i in range(0, count, _ROWS):
        w0, w1, w2, w3 = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        w4, w5, w6, w7 = weights[i + 4], weights[i + 5], weights[i + 6], weights[i + 7]
        at = start + i
        r0 = flat[min(at, last) * stride :][:stride]
        r1 = flat[min(at + 1, last) * stride :][:stride]
        r2 = flat[min(at + 2, last) * stride :][:stride]
        r3 = flat[min(at + 3, last) * stride :][:stride]
        if i + 4 >= count:
            for x in range(stride):
                upper = w0 * np.float32(r0[x]) + w1 * np.float32(r1[x])
                sums[x] += upper + (w2 * np.float32(r2[x]) + w3 * np.float32(r3[x]))
            continue
        r4 = flat[min(at + 4, last) * stride :][:stride]
        r5 = flat[min(at + 5, last) * stride :][:stride]
        r6 = flat[min(at + 6, last) * stride :][:stride]
        r7 = flat[min(at + 7, last) * stride :][:stride]
        for x in range(stride):
            upper = w0 * np.float32(r0[x]) + w1 * np.float32(r1[x]) + w2 * np.float32(r2[x]) + w3 * np.float32(r3[x])
            lower = w4 * np.float32(r4[x]) + w5 * np.float32(r5[x]) + w6 * np.float32(r6[x]) + w7 * np.float32(r7[x])
            sums[x] += upper + lower


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_rows_exactly(flat, stride, last, start, count, weights, sums):  # type: ignore[no-untyped-def]
    """As `_sum_rows` for whole weights of at most `_WHOLE`: eight rows fit into 16 bits, which hold twice as many."""
    for i in range(0, count, _ROWS):
        w0, w1, w2, w3 = weights[i], weights[i + 1], weights[i + 2], weights[i + 3]
        w4, w5, w6, w7 = weights[i + 4], weights[i + 5], weights[i + 6], weights[i + 7]
        at = start + i
        r0 = flat[min(at, last) * stride :][:stride]
        r1 = flat[min(at + 1, last) * stride :][:stride]
        r2 = flat[min(at + 2, last) * stride :][:stride]
        r3 = flat[min(at + 3, last) * stride :][:stride]
        r4 = flat[min(at + 4, last) * stride :][:stride]
        r5 = flat[min(at + 5, last) * stride :][:stride]
        r6 = flat[min(at + 6, last) * stride :][:stride]
        r7 = flat[min(at + 7, last) * stride :][:stride]
        if i == 0:
            for x in range(stride):
                some = w0 * r0[x] + w1 * r1[x] + w2 * r2[x] + w3 * r3[x]
                some += w4 * r4[x] + w5 * r5[x] + w6 * r6[x] + w7 * r7[x]
                sums[x] = np.float32(np.uint16(some))
        else:
            for x in range(stride):
                some = w0 * r0[x] + w1 * r1[x] + w2 * r2[x] + w3 * r3[x]
                some += w4 * r4[x] + w5 * r5[x] + w6 * r6[x] + w7 * r7[x]
                sums[x] += np.float32(np.uint16(some))


@njit(cache=True, nogil=True, error_model="numpy")
def _whole(weights):  # type: ignore[no-untyped-def]
    """The weights as numbers of 16 bits, and whether that is what they are."""
    made = np.empty(weights.shape[0], np.uint16)
    same = True
    for i in range(weights.shape[0]):
        made[i] = np.uint16(min(weights[i], np.float32(_WHOLE)))
        same &= np.float32(made[i]) == weights[i]
    return made, same


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_LOOSE)
def fast_reduced(pixels, height, width, block):  # type: ignore[no-untyped-def]
    """The 64 x 64 float32 picture of a height x width one, of which `pixels` holds every `block`-th row and column."""
    rows, stored, channels = pixels.shape
    flat = pixels.reshape(-1)
    stride = stored * channels
    starts, counts, weights, whole = reach(height, block)
    lefts, widths, across, part = reach(width, block)
    scale = np.float32(1.0 / (whole * part))
    sums, line = np.empty(stride, np.float32), np.empty(stored, np.float32)
    small = np.empty((SIDE, SIDE), np.float32)
    for k in range(SIDE):
        shares, same = _whole(weights[k])
        if same:
            _sum_rows_exactly(flat, stride, rows - 1, starts[k], counts[k], shares, sums)
        else:
            _sum_rows(flat, stride, rows - 1, starts[k], counts[k], weights[k], sums)
        if channels == 1:
            line[:] = sums
        else:
            for x in range(stored):
                line[x] = _RED * sums[3 * x] + _GREEN * sums[3 * x + 1] + _BLUE * sums[3 * x + 2]
        for j in range(SIDE):
            some, widthwise = line[lefts[j] : lefts[j] + widths[j]], across[j]
            total = np.float32(0)
            for x in range(some.shape[0]):
                total += widthwise[x] * some[x]
            small[k, j] = total * scale
    return small


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_LOOSE)
def fast_transform(small, matrix):  # type: ignore[no-untyped-def]
    """The 16 x 16 low frequencies of the 64 x 64 picture, flat."""
    out = np.zeros(256, np.float32)
    tall = np.empty(SIDE, np.float32)
    for i in range(16):
        tall[:] = np.float32(0)
        for k in range(0, SIDE, 4):
            a, b, c, d = matrix[i, k], matrix[i, k + 1], matrix[i, k + 2], matrix[i, k + 3]
            for j in range(SIDE):
                tall[j] += (a * small[k, j] + b * small[k + 1, j]) + (c * small[k + 2, j] + d * small[k + 3, j])
        for j in range(16):
            total = np.float32(0)
            for k in range(SIDE):
                total += tall[k] * matrix[j, k]
            out[16 * i + j] = total
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _middle(waves):  # type: ignore[no-untyped-def]
    """The 128th and the 129th of the 256 values in ascending order: bisection over their bit patterns."""
    keys = waves.view(np.int32).copy()
    for i in range(256):
        keys[i] ^= (keys[i] >> np.int32(31)) & np.int32(0x7FFFFFFF)  # now they stand in the order of the floats
    low, high = np.int64(-(2**31)), np.int64(2**31 - 1)
    while low < high:
        guess = (low + high) >> 1
        bound, upto = np.int32(guess), np.int32(0)
        for i in range(256):
            upto += np.int32(keys[i] <= bound)
        if upto >= 128:
            high = guess
        else:
            low = guess + 1
    lower = upper = np.float32(np.inf)
    upto = np.int32(0)
    for i in range(256):
        if keys[i] <= low:
            upto += np.int32(1)
        else:
            upper = min(upper, waves[i])
        if keys[i] == low:
            lower = waves[i]
    return lower, lower if upto > 128 else upper


@njit(cache=True, nogil=True, error_model="numpy")
def _apart(waves, middle, bounds):  # type: ignore[no-untyped-def]
    """Whether every frequency lies farther from `middle` than its error may be."""
    near = 0
    for i in range(256):
        near += abs(waves[i] - middle) <= bounds[i] + RELATIVE * abs(waves[i])
    return near == 0


@njit(cache=True, nogil=True, error_model="numpy")
def _quality_range(small, near):  # type: ignore[no-untyped-def]
    """The quality, and the least and greatest it could be if each step were off by `near` per cents."""
    total = less = more = 0
    to_percents = np.float32(100.0 / 255.0)
    for axis in range(2):
        for i in range(SIDE - 1 + axis):
            for j in range(SIDE - axis):
                step = abs(small[i, j] - small[i + 1 - axis, j + axis]) * to_percents
                total += int(step)
                less += int(max(step - near, np.float32(0)))
                more += int(step + near)
    return min(total // 90, 100), min(less // 90, 100), min(more // 90, 100)


@njit(cache=True, nogil=True, error_model="numpy")
def has_grain(pixels):  # type: ignore[no-untyped-def]
    """Whether sampled rows are as uneven as a camera's: many values, few equal neighbours, no repetition.

    Neighbours are the next one in the row and those below it, straight and aslant. False for rows too short
    to look for repetition.
    """
    rows, stored, green = pixels.shape[0], pixels.shape[1], pixels.shape[2] // 2
    middle = stored // 2
    periods = min(256, stored - middle - GRAIN_RUN)
    if rows < 2 * GRAIN_ROWS or periods < GRAIN_PERIODS:
        return False
    seen = np.zeros(256, np.uint8)
    for k in range(GRAIN_ROWS):
        y = (2 * k + 1) * rows // (2 * GRAIN_ROWS)
        row, below = pixels[y], pixels[y + 1]
        seen[:] = 0
        along = down = left = right = 0
        for x in range(1, stored - 1):
            value = row[x, green]
            seen[value] = 1
            along += value == row[x + 1, green]
            down += value == below[x, green]
            left += value == below[x - 1, green]
            right += value == below[x + 1, green]
        if 2 * max(along, down, left, right) > stored or seen.sum() < GRAIN_VALUES:
            return False
        for period in range(1, periods):
            same = 0
            while same < GRAIN_RUN and row[middle + same, green] == row[middle + period + same, green]:
                same += 1
            if same == GRAIN_RUN:
                return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def nearest(pixels, side):  # type: ignore[no-untyped-def]
    """(side, side, channels): row y is row floor(y * height / side) of `pixels`, columns alike."""
    height, width, channels = pixels.shape
    flat = pixels.reshape(-1)
    out = np.empty((side, side, channels), np.uint8)
    packed = out.reshape(-1)
    lefts = np.empty(side, np.uint64)  # unsigned: no test for indices that count from the end
    for x in range(side):
        lefts[x] = x * width // side * channels
    one, two, at = np.uint64(1), np.uint64(2), np.uint64(0)
    for y in range(side):
        row = np.uint64(y * height // side * width * channels)
        for x in range(side):
            left = row + lefts[np.uint64(x)]
            packed[at] = flat[left]
            if channels == 3:
                packed[at + one], packed[at + two] = flat[left + one], flat[left + two]
            at += np.uint64(channels)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def fast_hash(pixels, height, width, block, matrix):  # type: ignore[no-untyped-def]
    """(32 bytes of the hash, quality, whether the bit-exact kernel is sure to agree) of the picture.

    Arguments as in `fast_reduced`; the bytes stand as Meta's tools print them, the 256th bit first.
    """
    small = fast_reduced(pixels, height, width, block)
    waves = fast_transform(small, matrix)
    lower, upper = _middle(waves)
    packed = np.zeros(32, np.uint8)
    for i in range(256):
        if waves[i] > lower:
            packed[31 - i // 8] |= np.uint8(1 << (i % 8))
    middle = np.float32(0.5) * (lower + upper)
    quality, least, most = _quality_range(small, WIDE_STEP)
    sure = upper > lower and least == most and _apart(waves, middle, WIDE)
    if not sure and upper > lower and _apart(waves, middle, NARROW):
        _, least, most = _quality_range(small, NARROW_STEP)
        sure = least == most and has_grain(pixels)
    return packed, quality, sure
