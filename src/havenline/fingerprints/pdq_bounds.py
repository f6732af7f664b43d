"""How far the fast PDQ kernel and the reference may lie apart, and so when the bit-exact one must decide.

What differs is rounding, nearly all of it the reference's: its running sums add a brightness in one binade and
take it away in another. In pictures with grain such errors are random and average out; in drawings that repeat
themselves they add up, most in the lowest frequencies of either direction. So there are two sets of bounds.
Beyond the wide ones the fast kernel is sure, whatever the picture; within the narrow ones it never is; between
them only where sampled rows show grain.

A worst-case bound by the number of roundings would be hundreds of times larger and send every picture to the
slow kernel. These are ten times and more the greatest error that was measured, frequency by frequency, over
23,000 drawn pictures of 20 to 6,000 pixels a side: noise, enlarged noise, JPEG of it, shapes, ramps, sines,
chessboards, stripes at all angles, repeated tiles, barcodes. Measured, as shares of the bounds: at most 0.08 of
the narrow ones in pictures with grain, at most 0.10 of the wide ones in any picture that they let pass. The
error does not grow with the picture's size, since the sums cover more pixels but are divided by as many.
`tests/core/fingerprints/test_pdq_fast.py` measures it anew, and `./dev soak` on 10,000 pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LOWER = np.minimum(np.arange(16)[:, None], np.arange(16)[None, :])  # 0: lowest in one direction


def _flat(bounds: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.ascontiguousarray(bounds.reshape(256), dtype=np.float32)


NARROW = _flat(0.03 / (1 + _LOWER))
"""By frequency, for pictures with grain."""
WIDE = _flat(np.where(_LOWER == 0, 0.75, 0.15 / np.maximum(_LOWER, 1)))
"""By frequency, for any picture."""
RELATIVE = np.float32(1e-5)
"""Added to both, times the frequency's own size: the rounding of the transform."""
NARROW_STEP, WIDE_STEP = np.float32(5e-3), np.float32(5e-2)
"""The same for a step between neighbours of the 64 x 64 picture, in per cents of full brightness."""

GRAIN_ROWS, GRAIN_RUN, GRAIN_PERIODS, GRAIN_VALUES = 16, 24, 64, 24
"""Grain: in 16 rows, no 24 samples that come again within 64 or more, and at least 24 different values each."""
