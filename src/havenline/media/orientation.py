"""What a file's orientation mark (EXIF 2.3, tag 274) says, and pixels turned as it says.

Only the mark is read: nothing else of a file's metadata is looked at here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.media.jpeg_segments import segments

_TAG = 0x0112
_SHORT = 3
_MOST_TAGS = 512


def jpeg_mark(content: bytes) -> int:
    """The mark of a JPEG, 1 where it has none or one that makes no sense; reads the segments before the picture."""
    for name, start, end in segments(content):
        if name == 0xE1 and content[start : start + 6] == b"Exif\0\0":
            return exif_mark(content[start + 6 : end])
    return 1


def png_mark(content: bytes) -> int:
    """The mark in a PNG's eXIf chunk, 1 where it has none."""
    at = 8
    while at + 8 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] == b"eXIf":
            return exif_mark(content[at + 8 : at + 8 + size])
        at += 12 + size
    return 1


def exif_mark(block: bytes) -> int:
    """The mark in a TIFF block as EXIF writes it, 1 where there is none or one outside 1..8."""
    order: Any = {b"II*\0": "little", b"MM\0*": "big"}.get(block[:4])
    if order is None:
        return 1
    at = int.from_bytes(block[4:8], order)
    count = min(int.from_bytes(block[at : at + 2], order), _MOST_TAGS)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        if int.from_bytes(block[entry : entry + 2], order) == _TAG:
            kind = int.from_bytes(block[entry + 2 : entry + 4], order)
            return known(int.from_bytes(block[entry + 8 : entry + 10], order) if kind == _SHORT else 1)
    return 1


def known(mark: object) -> int:
    """`mark` where it is one of 1..8, else 1."""
    return mark if isinstance(mark, int) and 1 <= mark <= 8 else 1


def upright(pixels: NDArray[np.uint8], mark: int) -> NDArray[np.uint8]:
    """A view of (h, w, …) pixels in stored order, turned as the mark says; raises KeyError for a mark outside 1..8."""
    return {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: pixels.swapaxes(0, 1)[:, ::-1],
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: pixels.swapaxes(0, 1)[::-1],
    }[mark]


def stored(pixels: NDArray[np.uint8], mark: int) -> NDArray[np.uint8]:
    """A view of pixels that were turned as the mark says, in stored order again; KeyError as `upright`."""
    return upright(pixels, {6: 8, 8: 6}.get(mark, mark))


FLIPPED_AND_TRANSPOSED = {
    1: (False, False, False),
    2: (False, True, False),
    3: (True, True, False),
    4: (True, False, False),
    5: (False, False, True),
    6: (True, False, True),
    7: (True, True, True),
    8: (False, True, True),
}
"""Each mark as three steps: turn the order of the rows round, that of the columns, then swap rows and columns."""

_BAND_ROWS = 64


def flip(pixels: NDArray[np.uint8], *, rows: bool, columns: bool) -> None:
    """Turn the order of the rows, of the columns, or of both round, in place; costs a few rows of memory."""
    height = len(pixels)
    if columns:
        for top in range(0, height, _BAND_ROWS):
            band = pixels[top : top + _BAND_ROWS]
            band[:] = band[:, ::-1].copy()
    if rows:
        for top in range(0, height // 2, _BAND_ROWS):
            end = min(top + _BAND_ROWS, height // 2)
            upper = pixels[top:end].copy()
            pixels[top:end] = pixels[height - end : height - top][::-1]
            pixels[height - end : height - top] = upper[::-1]
