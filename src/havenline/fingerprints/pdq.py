"""PDQ, Meta's perceptual hash of 256 bits, of decoded pixels, by each of Meta's own two pipelines.

`pdq-full/1` hashes the full-size picture, as Meta's Python packages do; `pdq-512/1` first shrinks a picture
beyond 512 pixels, as Meta's C++ tools do. The two differ by a third of the match radius on large pictures, so
a hash never travels without its pipeline's name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from havenline.fingerprints.pdq_fast_kernel import fast_hash, nearest
from havenline.fingerprints.pdq_kernel import pdq_bits, pdq_waves
from havenline.fingerprints.pdq_twin import SMALLEST, dct_matrix

REDUCED_SIDE = 512
DIHEDRAL = ("as stored", "rotate 90", "rotate 180", "rotate 270", "flip x", "flip y", "flip plus", "flip minus")
"""The order of the eight hashes of `dihedral`, by the names of Meta's library."""

Pixels = NDArray[np.uint8]
_DCT = dct_matrix()


def hash_picture(pixels: Pixels) -> tuple[str, int]:
    """The PDQ hash of the full-size picture (`vocabulary.PDQ_FULL`) and its quality 0..100.

    `pixels` is (h, w, 3) uint8 in RGB, or (h, w) uint8 in grey, which counts as a picture of three equal
    channels. The hash is 64 lower-case hex digits, as Meta's tools print it. A picture with a side under five
    pixels has the all-zero hash of quality 0, as in the reference. Equal in hash and quality to `pdq_twin`,
    and so to Meta's C++ reference when that is given the same full-size pixels. Raises ValueError for another
    shape or type. Not checked: whether the quality is good enough to compare; `Fingerprint.comparable` says
    so.
    """
    return _hash(_checked(pixels))


def screening_hash(grey: Pixels, *, height: int, width: int, block: int) -> tuple[str, int]:
    """An approximate PDQ hash and quality of a height x width picture from its grey picture shrunk by `block`.

    `grey` is (ceil(height / block), ceil(width / block)) uint8, each value the mean of a block of pixels. The
    full-size weights are summed over the blocks, so that the geometry is that of the full-size picture. Never
    asks the bit-exact kernel: the pixels themselves are approximate. Raises ValueError for another shape or
    type.
    """
    some = _checked(grey)
    if some.shape != (-(-height // block), -(-width // block), 1):
        raise ValueError("the grey picture must be the whole one, shrunk by the block")
    if min(height, width) < SMALLEST:
        return "0" * 64, 0
    packed, quality, _ = fast_hash(some, height, width, block, _DCT)
    return packed.tobytes().hex(), quality


def hash_512_first(pixels: Pixels) -> tuple[str, int]:
    """The PDQ hash of the picture as Meta's C++ tools see it (`vocabulary.PDQ_512`), and its quality 0..100.

    `pixels` as in `hash_picture`, always of full size. Where a side is longer than 512 pixels, both become
    512 by nearest neighbour: column x of the small picture is column floor(x * width / 512) of the large one,
    rows alike (CImg's default resize, as pdqio.cpp of ThreatExchange calls it). Others hash as by
    `hash_picture`. Raises ValueError for another shape or type. Not checked: that the decoder agrees with the
    one Meta's tools were built with.
    """
    some = _checked(pixels)
    return _hash(nearest(some, REDUCED_SIDE) if max(some.shape[:2]) > REDUCED_SIDE else some)


def dihedral(pixels: Pixels) -> tuple[tuple[str, ...], int]:
    """The PDQ hashes of a picture in its eight dihedral positions, in the order of `DIHEDRAL`, and its quality.

    One transform serves all eight: turning a picture turns or negates its frequencies (pdqhashing.cpp of
    ThreatExchange). `pixels` as in `hash_picture`, whose hash stands first. As in Meta's library, the other
    seven are not those of a picture that was turned and then hashed to the last bit: sampling is not quite
    symmetrical. Raises ValueError for another shape or type.
    """
    rgb = _checked(pixels)
    if min(rgb.shape[:2]) < SMALLEST:
        return ("0" * 64,) * len(DIHEDRAL), 0
    waves, quality = pdq_waves(rgb)
    odd = np.where(np.arange(16) % 2 == 1, np.float32(1), np.float32(-1))
    down, along = odd[:, None] * waves, odd[None, :] * waves
    both = odd[:, None] * along
    turned = (waves, along.T, both, down.T, down, along, waves.T, both.T)
    return tuple(_hex(_bits(each)) for each in turned), quality


def load_kernels() -> None:
    """Load every compiled loop of this module, or compile it the first time: for workers, before they are locked in.

    A picture of ties is hashed by both kernels, so none is left to be loaded at the first difficult picture.
    """
    hash_512_first(np.zeros((REDUCED_SIDE + 1, REDUCED_SIDE, 3), np.uint8))


def _checked(pixels: Pixels) -> Pixels:
    """As (h, w, 3) or (h, w, 1), in the one form that the kernels are compiled for; copied only if it must be."""
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise ValueError("PDQ works on a (height, width, 3) or (height, width) array of unsigned bytes")
    deep = pixels if pixels.ndim == 3 else pixels[:, :, None]
    return np.asarray(np.require(deep, np.uint8, ["C", "W"]))


def _hash(some: Pixels) -> tuple[str, int]:
    height, width, _ = some.shape
    if min(height, width) < SMALLEST:
        return "0" * 64, 0
    packed, quality, sure = fast_hash(some, height, width, 1, _DCT)
    if sure:
        return packed.tobytes().hex(), quality
    bits, quality = pdq_bits(some)
    return _hex(bits), quality


def _bits(waves: NDArray[np.float32]) -> NDArray[np.bool_]:
    values = waves.reshape(256)
    return np.asarray(values > np.sort(values)[127], dtype=np.bool_)


def _hex(bits: NDArray[np.bool_]) -> str:
    # The last bit is printed first: the reference writes its words from the highest down.
    return np.packbits(bits[::-1]).tobytes().hex()
