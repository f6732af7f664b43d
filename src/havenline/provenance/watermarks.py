"""Invisible marks in pixels that some programs put in by themselves: `dwtDct`, and of its marks the public ones alone.

The method is that of ShieldMnt/invisible-watermark 0.2.0 (`maxDct.py`), the marks are those that CompVis, Stability AI
(stable-diffusion, generative-models) and Black Forest Labs (flux) publish. Written anew, for that package brings
PyTorch along, and OpenCV with its face detectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from havenline.media import kinds
from havenline.provenance.pixel_marks import MOST_PIXELS
from havenline.vocabulary import Refused

if TYPE_CHECKING:
    from numpy.typing import NDArray

READER = "watermarks/1"
_SCALE = 36.0
_BLOCK = 4
LEAST_PIXELS = 256 * 256
"""Pictures with fewer pixels are not looked at: whoever marks them by that method refuses them too."""
_READ = frozenset((kinds.JPEG, kinds.PNG, kinds.WEBP))


@dataclass(frozen=True, slots=True)
class Watermark:
    """One of the public marks that was found: `agree` of `bits` bits say so. `family`: whose programs set it."""

    name: str
    family: str
    agree: int
    bits: int


_MARKS = (
    ("Stable Diffusion 1", "stable-diffusion", format(int.from_bytes(b"StableDiffusionV1", "big"), "0136b"), 116),
    ("Stable Diffusion 2", "stable-diffusion", format(int.from_bytes(b"SDV2", "big"), "032b"), 30),
    ("Stable Diffusion XL", "stable-diffusion", format(0xB3EC907BB19E, "048b"), 42),
    # The two zeros that it begins with are lost where its program turns the number into bits.
    ("FLUX", "flux", format(0x2AFE879CF52E, "b"), 40),
)
"""Name, family, bits, and how many must agree: 85 of 100, and so many that pure noise has any of the four marks once in
three million pictures. Blocks of real pictures are no noise: 400 drawn ones came to 90, 24, 33 and 34 bits at most."""


def watermark(content: bytes, kind: str | None) -> Watermark | None:
    """The public mark of which most bits stand in the pixels of a JPEG, PNG or WebP, or None, which means nothing.

    Needs some 12 bytes of memory for each of at most 16 million pixels. None too where the picture cannot be decoded.
    Not found: what was cut, turned or made larger or smaller since, and marks with words of one's own. Not checked:
    who put it in; anybody can.
    """
    from havenline.media.decode import Limits, decode_picture

    picture = decode_picture(content, limits=Limits(max_pixels=MOST_PIXELS)) if kind in _READ else None
    if picture is None or isinstance(picture, Refused):
        return None
    if picture.width * picture.height < LEAST_PIXELS or min(picture.width, picture.height) < 4 * _BLOCK:
        return None
    votes = _votes(_blocks(picture.rgb))
    for name, family, bits, least in _MARKS:
        agree = _agreeing(votes, bits)
        if agree >= least:
            return Watermark(name, family, agree, len(bits))
    return None


def _blocks(rgb: NDArray[Any]) -> NDArray[Any]:
    """(blocks, 16) float32: 4 × 4 averages, each of 2 × 2 pixels, of how much bluer than grey they are."""
    import numpy as np

    height, width = (side // 4 * 4 for side in rgb.shape[:2])
    # A step of the Haar transform gives half of the sum of four; U is 0.492 (B - Y) + 128, and Y is of all three.
    four = sum(rgb[down:height:2, right:width:2].astype(np.uint16) for down in (0, 1) for right in (0, 1))
    blue = np.float32(256) + np.float32(0.246) * (four @ np.array([-0.299, -0.587, 0.886], np.float32))
    rows, columns = (side // _BLOCK for side in blue.shape)
    cut = blue[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    blocks: NDArray[Any] = cut.swapaxes(1, 2).reshape(rows * columns, _BLOCK * _BLOCK)
    return blocks


def _votes(blocks: NDArray[Any]) -> NDArray[Any]:
    """What each block says of its bit: whether the largest of its values but the first lies in an upper half step."""
    import numpy as np

    largest = np.abs(blocks[:, 1:]).max(axis=1)
    upper: NDArray[Any] = (largest % _SCALE) > _SCALE / 2
    return upper


def _agreeing(votes: NDArray[Any], bits: str) -> int:
    """Of how many bits most blocks say what the mark says, the blocks taken in turn."""
    import numpy as np

    turn = np.arange(len(votes)) % len(bits)
    share = np.bincount(turn, votes, len(bits)) / np.maximum(np.bincount(turn, minlength=len(bits)), 1)
    # JPEG moves all shares the same way, so each is held against their mean, where the package takes one half.
    said = share > share.mean()
    return int((said == np.array([each == "1" for each in bits])).sum())
