"""The plain truth that `pdq_fast_kernel` is tested against: PDQ's filter and sampling as two dense matrices.

Source: the filter is linear, so it is known by what it does to single pixels. Slow, and in double precision.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from havenline.fingerprints.pdq_twin import SIDE

F64 = NDArray[np.float64]


def box_matrix(length: int) -> F64:
    """(length, length): what one running mean makes of a side, row i the weights of its i-th output."""
    window = (length + 127) // 128
    half = (window + 2) // 2
    at, output = np.arange(length)[None, :], np.arange(length)[:, None]
    covered = (at >= output + half - window) & (at <= output + half - 1)
    return np.asarray(covered / covered.sum(axis=1, keepdims=True), dtype=np.float64)


def sampling_matrix(length: int, block: int = 1) -> F64:
    """(64, ceil(length / block)): two running means and the 64 centres; with `block`, of blocks of pixels.

    The weight of a block is the sum of its pixels' weights, as if it stood where they stood.
    """
    box = box_matrix(length)
    centres = [int((k + 0.5) * length / SIDE) for k in range(SIDE)]
    weights = box[centres] @ box
    blocks = -(-length // block)
    padded = np.zeros((SIDE, blocks * block))
    padded[:, :length] = weights
    return np.asarray(padded.reshape(SIDE, blocks, block).sum(axis=2), dtype=np.float64)


def reduced_by_map(pixels: NDArray[np.uint8], height: int, width: int, block: int = 1) -> F64:
    """The 64 x 64 picture of a height x width one from its (h, w) or (h, w, 3) `block`-th, in double precision."""
    shades = pixels.astype(np.float64)
    brightness = shades @ np.array([0.299, 0.587, 0.114]) if pixels.ndim == 3 else shades
    return np.asarray(sampling_matrix(height, block) @ brightness @ sampling_matrix(width, block).T)
