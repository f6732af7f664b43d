"""JPEG XL by libjxl (extra `jxl`), its size read from the header before anything is decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

CONTAINER = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_LENGTHS = (9, 13, 18, 30)


def size(content: bytes) -> tuple[int, int]:
    """(width, height) as the codestream's header states them (ISO/IEC 18181-1, SizeHeader). ValueError where none."""
    stream = _codestream(content)
    if stream[:2] != b"\xff\x0a":
        raise ValueError("no codestream")
    bits = _Bits(int.from_bytes(stream[2:18], "little"))
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.take(_LENGTHS[bits.take(2)]) + 1
    ratio = bits.take(3)
    if ratio:
        over, under = _RATIOS[ratio]
        return height * over // under, height
    return (8 * (bits.take(5) + 1) if small else bits.take(_LENGTHS[bits.take(2)]) + 1), height


def decode(content: bytes) -> list[Pixels]:
    """The frames of the picture, each (h, w, 3) uint8: deeper values scaled, alpha over white, turned as the file says.

    Raises ImportError without the extra, and what the decoder raises for damage.
    """
    import imagecodecs

    found: Any = imagecodecs.jpegxl_decode(content, numthreads=1)
    width, height = size(content)
    if found.shape[0] not in (width, height) and found.ndim == 4:
        return [_to_rgb(frame) for frame in found]
    return [_to_rgb(found)]


def _to_rgb(found: Any) -> Pixels:
    planes = found[:, :, None] if found.ndim == 2 else found
    if planes.ndim != 3 or planes.shape[2] not in (1, 2, 3, 4):
        raise ValueError("not a form of picture that is known")
    out = np.empty((*planes.shape[:2], 3), dtype=np.uint8)
    step = max(1, (1 << 20) // planes.shape[1])
    for top in range(0, planes.shape[0], step):
        band = _shallow(planes[top : top + step])
        if band.shape[2] in (2, 4):
            alpha = band[:, :, -1:].astype(np.uint16)
            band = ((band[:, :, :-1] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        out[top : top + step] = band
    return out


def _shallow(values: Any) -> Any:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    return np.rint(np.clip(np.nan_to_num(values.astype(np.float32), nan=0.0), 0, 1) * 255).astype(np.uint8)


def _codestream(content: bytes) -> bytes:
    """The beginning of the codestream: the file itself, or the first box that carries some of it."""
    if not content.startswith(CONTAINER):
        return content[:32]
    at = 0
    while at + 8 <= len(content):
        length, name, head = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(content[at + 8 : at + 16], "big"), 16
        if name in (b"jxlc", b"jxlp"):
            start = at + head + (4 if name == b"jxlp" else 0)
            return content[start : start + 32]
        if length < head:
            break
        at += length
    raise ValueError("no codestream in the container")


class _Bits:
    """Bits from the least significant on."""

    def __init__(self, value: int) -> None:
        self._value = value

    def take(self, count: int) -> int:
        taken = self._value & ((1 << count) - 1)
        self._value >>= count
        return taken
