"""PDQ, Meta's perceptual hash of 256 bits, of decoded pixels, by each of Meta's own two pipelines.

`pdq-full/1` hashes the full-size picture, as Meta's Python packages do; `pdq-512/1` first shrinks a picture
beyond 512 pixels, as Meta's C++ tools do. The two differ by a third of the match radius on large pictures, so
a hash never travels without its pipeline's name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from havenline.fingerprints.pdq_kernel import pdq_bits, pdq_waves
from havenline.fingerprints.pdq_twin import SMALLEST

PDQ_512 = "pdq-512/1"
"""Shrunk to 512 x 512 by nearest neighbour where a side is longer, then PDQ: Meta's C++ tools."""

REDUCED_SIDE = 512
DIHEDRAL = ("as stored", "rotate 90", "rotate 180", "rotate 270", "flip x", "flip y", "flip plus", "flip minus")
"""The order of the eight hashes of `dihedral`, by the names of Meta's library."""

Pixels = NDArray[np.uint8]


def hash_picture(pixels: Pixels) -> tuple[str, int]:
    """The PDQ hash of the full-size picture (`vocabulary.PDQ_FULL`) and its quality 0..100.

    `pixels` is (h, w, 3) uint8 in RGB, or (h, w) uint8 in grey, which counts as a picture of three equal
    channels. The hash is 64 lower-case hex digits, as Meta's tools print it. A picture with a side under five
    pixels has the all-zero hash of quality 0, as in the reference. Equal in hash and quality to `pdq_twin`,
    and so to Meta's C++ reference when that is given the same full-size pixels. Raises ValueError for another
    shape or type. Not checked: whether the quality is good enough to compare; `Fingerprint.comparable` says
    so.
    """
    bits, quality = pdq_bits(_three_channels(pixels))
    return _hex(bits), quality


def hash_512_first(pixels: Pixels) -> tuple[str, int]:
    """The PDQ hash of the picture as Meta's C++ tools see it (`PDQ_512`), and its quality 0..100.

    `pixels` as in `hash_picture`, always of full size. Where a side is longer than 512 pixels, both become
    512 by nearest neighbour: column x of the small picture is column floor(x * width / 512) of the large one,
    rows alike (CImg's default resize, as pdqio.cpp of ThreatExchange calls it). Others hash as by
    `hash_picture`. Raises ValueError for another shape or type. Not checked: that the decoder agrees with the
    one Meta's tools were built with.
    """
    rgb = _three_channels(pixels)
    height, width = rgb.shape[:2]
    if max(height, width) <= REDUCED_SIDE:
        return hash_picture(rgb)
    steps = np.arange(REDUCED_SIDE)
    rows, columns = steps * height // REDUCED_SIDE, steps * width // REDUCED_SIDE
    return hash_picture(np.ascontiguousarray(rgb[rows[:, None], columns[None, :]]))


def dihedral(pixels: Pixels) -> tuple[tuple[str, ...], int]:
    """The PDQ hashes of a picture in its eight dihedral positions, in the order of `DIHEDRAL`, and its quality.

    One transform serves all eight: turning a picture turns or negates its frequencies (pdqhashing.cpp of
    ThreatExchange). `pixels` as in `hash_picture`, whose hash stands first. As in Meta's library, the other
    seven are not those of a picture that was turned and then hashed to the last bit: sampling is not quite
    symmetrical. Raises ValueError for another shape or type.
    """
    rgb = _three_channels(pixels)
    if min(rgb.shape[:2]) < SMALLEST:
        return ("0" * 64,) * len(DIHEDRAL), 0
    waves, quality = pdq_waves(rgb)
    odd = np.where(np.arange(16) % 2 == 1, np.float32(1), np.float32(-1))
    down, along = odd[:, None] * waves, odd[None, :] * waves
    both = odd[:, None] * along
    turned = (waves, along.T, both, down.T, down, along, waves.T, both.T)
    return tuple(_hex(_bits(each)) for each in turned), quality


def pdq(rgb: Pixels) -> tuple[str, int]:
    """`hash_picture`, for colour alone."""
    if rgb.ndim != 3:
        raise ValueError("PDQ works on a (height, width, 3) array of unsigned bytes")
    return hash_picture(rgb)


def _three_channels(pixels: Pixels) -> Pixels:
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise ValueError("PDQ works on a (height, width, 3) or (height, width) array of unsigned bytes")
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def _bits(waves: NDArray[np.float32]) -> NDArray[np.bool_]:
    values = waves.reshape(256)
    return np.asarray(values > np.sort(values)[127], dtype=np.bool_)


def _hex(bits: NDArray[np.bool_]) -> str:
    # The last bit is printed first: the reference writes its words from the highest down.
    return np.packbits(bits[::-1]).tobytes().hex()
