"""The plain truth that `pdq_kernel` is tested against: PDQ in NumPy, one float32 operation at a time.

Source: Meta, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm" (2019), and the order
of operations of Meta's C++ reference (ThreatExchange, pdq/cpp). Rows or columns are worked on side by side,
but for every single pixel the additions, subtractions and divisions happen in the reference's order, so the
result is equal to it to the last bit. Slow: about fifty times the kernel's time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SIDE = 64
"""PDQ looks at a picture reduced to 64 x 64."""
SMALLEST = 5
"""Pictures with a side below this have the all-zero hash of quality 0."""

F32 = NDArray[np.float32]


def dct_matrix() -> F32:
    """The 16 x 64 cosine rows 1..16; the scale is rounded to float32 first, as the reference does."""
    scale = float(np.float32(math.sqrt(2.0 / SIDE)))
    step = math.pi / 2.0 / SIDE
    rows = [[scale * math.cos(step * (i + 1) * (2 * j + 1)) for j in range(SIDE)] for i in range(16)]
    return np.array(rows, dtype=np.float32)


def luma(rgb: NDArray[np.uint8]) -> F32:
    """(h, w, 3) uint8 to (h, w) float32 brightness, each product and sum rounded to float32."""
    red, green, blue = (rgb[:, :, k].astype(np.float32) for k in range(3))
    first = np.float32(0.299) * red + np.float32(0.587) * green
    return np.asarray(first + np.float32(0.114) * blue, dtype=np.float32)


def box_down(source: F32, window: int) -> F32:
    """Running mean down axis 0 of a (n, m) float32 array; the window shrinks at both ends."""
    length = source.shape[0]
    half = (window + 2) // 2
    out = np.empty_like(source)
    total = np.zeros(source.shape[1], dtype=np.float32)
    size = 0
    for at in range(length + half - 1):
        if at < length:
            total = total + source[at]
            size += 1
        if at >= window:
            total = total - source[at - window]
            size -= 1
        if at >= half - 1:
            out[at - half + 1] = total / np.float32(size)
    return out


def reduced(brightness: F32) -> F32:
    """(h, w) to the 64 x 64 float32 picture: two rounds of row and column means, then every (k+1/2)th."""
    height, width = brightness.shape
    if (height, width) == (SIDE, SIDE):
        return brightness
    for _ in range(2):
        brightness = np.ascontiguousarray(box_down(np.ascontiguousarray(brightness.T), (width + 127) // 128).T)
        brightness = box_down(brightness, (height + 127) // 128)
    rows = [int((k + 0.5) * height / SIDE) for k in range(SIDE)]
    columns = [int((k + 0.5) * width / SIDE) for k in range(SIDE)]
    return np.ascontiguousarray(brightness[np.ix_(rows, columns)])


def quality_of(small: F32) -> int:
    """0..100 from the 64 x 64 picture: the sum of steps between neighbours, each cut to whole per cents."""
    total = 0
    for axis in (0, 1):
        step = -np.diff(small, axis=axis) * np.float32(100) / np.float32(255)
        total += int(np.abs(np.trunc(step)).astype(np.int64).sum())
    return min(total // 90, 100)


def transform(small: F32) -> F32:
    """The 16 x 16 low frequencies of the 64 x 64 picture, summed in the order k = 0..63."""
    matrix = dct_matrix()
    tall = np.zeros((16, SIDE), dtype=np.float32)
    for k in range(SIDE):
        tall = tall + matrix[:, k, None] * small[None, k, :]
    out = np.zeros((16, 16), dtype=np.float32)
    for k in range(SIDE):
        out = out + tall[:, k, None] * matrix[None, :, k]
    return out


def pdq_twin(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], int]:
    """(h, w, 3) uint8 to (256 bits in the reference's order, quality 0..100)."""
    if min(rgb.shape[:2]) < SMALLEST:
        return np.zeros(256, dtype=np.bool_), 0
    small = reduced(luma(rgb))
    waves = transform(small).reshape(256)
    return waves > np.sort(waves)[127], quality_of(small)
