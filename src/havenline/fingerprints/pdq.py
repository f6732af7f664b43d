"""PDQ, Meta's perceptual hash of 256 bits, over the full-size picture (pipeline `vocabulary.PDQ_FULL`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from havenline.fingerprints.pdq_kernel import pdq_bits


def pdq(rgb: NDArray[np.uint8]) -> tuple[str, int]:
    """The PDQ hash of a picture as 64 lower-case hex digits (as Meta's tools print it), and its quality
    0..100.

    `rgb` is a (h, w, 3) uint8 array. A picture with a side under five pixels has the all-zero hash of quality
    0, as in the reference. Equal to Meta's C++ reference in every bit for the same pixels when that is given
    the full-size picture (its command line shrinks pictures beyond 512 pixels first). Raises ValueError for
    another shape or type. Not checked: whether the quality is good enough to compare;
    `Fingerprint.comparable` says so.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError("PDQ works on a (height, width, 3) array of unsigned bytes")
    bits, quality = pdq_bits(rgb)
    # The last bit is printed first: the reference writes its words from the highest down.
    return np.packbits(bits[::-1]).tobytes().hex(), quality
