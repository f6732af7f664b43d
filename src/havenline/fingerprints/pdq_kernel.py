"""PDQ for numba: the same float32 operations in the same order as `pdq_twin`, arranged to stay in the cache.

A picture is worked on in bands of `LANES` rows. Within a band the running means along the rows go side by
side, one lane a row (the band lies turned, so that its lanes are a machine register's lanes); the means down
the columns take one row at a time and keep only the last `window` rows. Of the second round only 64 columns
are ever asked for, so the full-size float picture never exists: memory is about (LANES * 5 + window) * width
* 4 bytes.

No fast-math: every rounding must fall as in the reference. Arrays: rgb (h, w, 3) uint8 C-contiguous, all
others float32 C-contiguous; compiled at the first call for exactly these.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from havenline.fingerprints.pdq_twin import SIDE, SMALLEST, dct_matrix

LANES = 32
_DCT = dct_matrix()


@njit(cache=True, nogil=True, error_model="numpy")
def _brightness(rgb, top, rows, band):  # type: ignore[no-untyped-def]
    """Rows top..top+rows of rgb as brightness into band (LANES, w)."""
    red, green, blue = np.float32(0.299), np.float32(0.587), np.float32(0.114)
    for lane in range(rows):
        for x in range(rgb.shape[1]):
            r = np.float32(rgb[top + lane, x, 0])
            g = np.float32(rgb[top + lane, x, 1])
            b = np.float32(rgb[top + lane, x, 2])
            band[lane, x] = (red * r + green * g) + blue * b


@njit(cache=True, nogil=True, error_model="numpy")
def _turn(band, turned):  # type: ignore[no-untyped-def]
    """turned[x, lane] = band[lane, x], in squares that fit the nearest cache."""
    width = band.shape[1]
    for left in range(0, width, LANES):
        right = min(left + LANES, width)
        for lane in range(LANES):
            for x in range(left, right):
                turned[x, lane] = band[lane, x]


@njit(cache=True, nogil=True, error_model="numpy")
def _turn_into_ring(turned, ring, top, rows):  # type: ignore[no-untyped-def]
    """ring[(top + lane) % len(ring), x] = turned[x, lane]: the band's rows become rows again."""
    width = turned.shape[0]
    for left in range(0, width, LANES):
        right = min(left + LANES, width)
        for lane in range(rows):
            row = ring[(top + lane) % ring.shape[0]]
            for x in range(left, right):
                row[x] = turned[x, lane]


@njit(cache=True, nogil=True, error_model="numpy")
def _means(turned, total, out, window):  # type: ignore[no-untyped-def]
    """Running means of every lane along axis 0 of turned (n, lanes) into out (n, lanes)."""
    length, lanes = turned.shape
    half = (window + 2) // 2
    total[:] = np.float32(0)
    for at in range(length + half - 1):
        if at < length:
            for lane in range(lanes):
                total[lane] += turned[at, lane]
        if at >= window:
            for lane in range(lanes):
                total[lane] -= turned[at - window, lane]
        if at >= half - 1:
            size = np.float32(min(at + 1, window, length + window - 1 - at))
            for lane in range(lanes):
                out[at - half + 1, lane] = total[lane] / size


@njit(cache=True, nogil=True, error_model="numpy")
def _means_at(turned, total, out, window, wanted):  # type: ignore[no-untyped-def]
    """As `_means`, but only the 64 rows `wanted` (ascending, may repeat) go to out (64, lanes)."""
    length, lanes = turned.shape
    half = (window + 2) // 2
    total[:] = np.float32(0)
    k = 0
    for at in range(length + half - 1):
        if at < length:
            for lane in range(lanes):
                total[lane] += turned[at, lane]
        if at >= window:
            for lane in range(lanes):
                total[lane] -= turned[at - window, lane]
        while k < SIDE and wanted[k] == at - half + 1:
            size = np.float32(min(at + 1, window, length + window - 1 - at))
            for lane in range(lanes):
                out[k, lane] = total[lane] / size
            k += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _centres(length):  # type: ignore[no-untyped-def]
    """The 64 rows or columns that are kept of `length`."""
    out = np.empty(SIDE, np.int64)
    for k in range(SIDE):
        out[k] = int(((k + 0.5) * length) / SIDE)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _second_round(band, rows, first, columns, along, turned, total, picked, narrow):  # type: ignore[no-untyped-def]
    """Row means of `rows` rows that are through the first round, at the 64 columns, to narrow[first:]."""
    _turn(band, turned)
    _means_at(turned, total, picked, along, columns)
    for lane in range(rows):
        for k in range(SIDE):
            narrow[first + lane, k] = picked[k, lane]


@njit(cache=True, nogil=True, error_model="numpy")
def reduced_kernel(rgb):  # type: ignore[no-untyped-def]
    """(h, w, 3) uint8 to the 64 x 64 float32 picture, equal to the twin's `reduced(luma(rgb))`."""
    height, width = rgb.shape[0], rgb.shape[1]
    small = np.empty((SIDE, SIDE), np.float32)
    if height == SIDE and width == SIDE:
        _brightness(rgb, 0, SIDE, small)
        return small
    along, down = (width + 127) // 128, (height + 127) // 128
    half = (down + 2) // 2
    columns, rows_kept = _centres(width), _centres(height)
    band = np.zeros((LANES, width), np.float32)
    turned = np.empty((width, LANES), np.float32)
    means = np.empty((width, LANES), np.float32)
    ring = np.empty((LANES + down, width), np.float32)
    total = np.empty(LANES, np.float32)
    picked = np.empty((SIDE, LANES), np.float32)
    sums = np.zeros(width, np.float32)
    done = np.zeros((LANES, width), np.float32)
    narrow = np.empty((height, SIDE), np.float32)
    waiting, written = 0, 0
    for at in range(height + half - 1):
        if at < height:
            if at % LANES == 0:
                rows = min(LANES, height - at)
                _brightness(rgb, at, rows, band)
                _turn(band, turned)
                _means(turned, total, means, along)
                _turn_into_ring(means, ring, at, rows)
            fresh = ring[at % ring.shape[0]]
            for x in range(width):
                sums[x] += fresh[x]
        if at >= down:
            stale = ring[(at - down) % ring.shape[0]]
            for x in range(width):
                sums[x] -= stale[x]
        if at >= half - 1:
            size = np.float32(min(at + 1, down, height + down - 1 - at))
            row = done[waiting]
            for x in range(width):
                row[x] = sums[x] / size
            waiting += 1
            if waiting == LANES or at == height + half - 2:
                _second_round(done, waiting, written, columns, along, turned, total, picked, narrow)
                written += waiting
                waiting = 0
    _means_at(narrow, np.empty(SIDE, np.float32), small, down, rows_kept)
    return small


@njit(cache=True, nogil=True, error_model="numpy")
def _quality(small):  # type: ignore[no-untyped-def]
    """0..100 from the 64 x 64 picture."""
    gradients = 0
    hundred, full = np.float32(100), np.float32(255)
    for i in range(SIDE):
        for j in range(SIDE):
            if i < SIDE - 1:
                gradients += abs(int(((small[i, j] - small[i + 1, j]) * hundred) / full))
            if j < SIDE - 1:
                gradients += abs(int(((small[i, j] - small[i, j + 1]) * hundred) / full))
    return min(gradients // 90, 100)


@njit(cache=True, nogil=True, error_model="numpy")
def _transform(small, matrix):  # type: ignore[no-untyped-def]
    """The 16 x 16 low frequencies of the 64 x 64 picture, each summed over k = 0..63 in order."""
    tall = np.zeros((16, SIDE), np.float32)
    for i in range(16):
        for k in range(SIDE):
            for j in range(SIDE):
                tall[i, j] += matrix[i, k] * small[k, j]
    across = matrix.T.copy()
    out = np.zeros((16, 16), np.float32)
    for i in range(16):
        for k in range(SIDE):
            for j in range(16):
                out[i, j] += tall[i, k] * across[k, j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _pdq(rgb, matrix):  # type: ignore[no-untyped-def]
    small = reduced_kernel(rgb)
    waves = _transform(small, matrix).reshape(256)
    median = np.sort(waves)[127]
    return waves > median, _quality(small)


def pdq_bits(rgb: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]) -> tuple[np.ndarray, int]:
    """(h, w, 3) uint8 to (256 bits in the reference's order, quality 0..100), equal to `pdq_twin`."""
    if min(rgb.shape[:2]) < SMALLEST:
        return np.zeros(256, dtype=np.bool_), 0
    # One compiled form only: views and read-only arrays are copied into it.
    bits, quality = _pdq(np.require(rgb, np.uint8, ["C", "W"]), _DCT)
    return bits, int(quality)
