"""Texts in the lowest bits of pixels, as NovelAI and an extension of A1111 write them ("stealth PNG info").

Down the columns, from the left: 15 letters of signature, 32 bits that count the bits of the text, the text, plain or as
gzip; one bit a pixel in alpha, or three in red, green and blue (NovelAI/novelai-image-metadata and
ashen-sensored/sd_webui_stealth_pnginfo). The first column alone shows whether there is a signature, so only marked
pictures are decoded.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any

from havenline.media import kinds
from havenline.provenance.part import MOST_STEPS, PART_BYTES, Part, inflated

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNATURES = {b"stealth_pnginfo": (4, False), b"stealth_pngcomp": (4, True), b"stealth_rgbinfo": (3, False)}
_SIGNATURES[b"stealth_rgbcomp"] = (3, True)
_LETTERS = 15
_HEAD = _LETTERS + 4
_ROWS = 8 * _LETTERS
"""Pixels of the first column that a signature in alpha takes; pictures of fewer rows are not looked at."""
MOST_PIXELS = 16_000_000
"""Larger pictures are not decoded to look for marks."""
_MOST_TEXTS = 64


def pixel_parts(content: bytes, kind: str | None, *, webp: bool = False) -> Iterator[Part]:
    """The texts in the lowest bits of a PNG of 8 bits a channel and, with `webp`, of a WebP; none of another kind.

    Not read: interlaced PNG, pictures of fewer than 120 rows or of more than 16 million pixels, other marks in pixels.
    Needs the memory of the decoded picture where a signature is there; every WebP is decoded to look for one.
    """
    form, pixels = "PNG" if kind == kinds.PNG else "WebP", None
    if kind == kinds.PNG:
        signature = _signature(content)
    else:
        pixels = _decoded(content, "WEBP") if webp and kind == kinds.WEBP else None
        signature = None if pixels is None else _signed(pixels[:_ROWS, 0].tolist())
    if signature is None:
        return
    channels, packed = _SIGNATURES[signature]
    place = f"{form} pixels, lowest bits of {'alpha' if channels == 4 else 'red, green and blue'}"
    pixels = _decoded(content, "PNG") if pixels is None else pixels
    if pixels is None:
        yield Part("unread", place, b"there is a signature, and the picture cannot be opened")
        return
    text = _text(pixels, channels)
    text = inflated(text, wbits=31) if packed and text is not None else text
    if text is None:
        yield Part("unread", place, b"there is a signature, and no whole text of up to 8 MiB behind it")
        return
    yield from _parts(text, place)


def _parts(text: bytes, place: str) -> Iterator[Part]:
    try:
        tree: Any = json.loads(text)
    except (ValueError, RecursionError):
        tree = None
    if not isinstance(tree, dict) or not isinstance(tree.get("Comment"), str):
        yield Part("text", place, text, "parameters")
        return
    for name, each in list(tree.items())[:_MOST_TEXTS]:  # as NovelAI writes them beside each other
        if isinstance(each, str):
            yield Part("text", place, each.encode("utf-8", "surrogatepass"), name)


def _signature(content: bytes) -> bytes | None:
    """The signature, by the first pixel of 120 rows: every filter there needs only the one above (ISO/IEC 15948, 9)."""
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    depth, colours, interlaced = content[24:25], content[25:26], content[28:29]
    channels = {b"\6": 4, b"\2": 3}.get(colours)
    if depth != b"\x08" or channels is None or interlaced != b"\0" or height < _ROWS:
        return None
    if not 0 < width * height <= MOST_PIXELS:
        return None
    stride, rows = 1 + width * channels, _ROWS if channels == 4 else _ROWS // 3
    return _signed(_first_column(_scanlines(content, rows * stride), stride, channels))


def _signed(column: list[list[int]]) -> bytes | None:
    """The signature by the values of the first column's pixels, of three or four channels."""
    if column and len(column[0]) == 4:
        signature = _letters([pixel[3] for pixel in column])
        if signature in _SIGNATURES:
            return signature
    signature = _letters([value for pixel in column[: _ROWS // 3] for value in pixel[:3]])
    return signature if signature in _SIGNATURES else None


def _scanlines(content: bytes, size: int) -> bytes:
    """The first `size` bytes of the filtered rows, or fewer where the file is damaged."""
    stream, rows, at = zlib.decompressobj(), b"", 8
    for _ in range(MOST_STEPS):
        length, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if len(name) < 4 or len(rows) >= size:
            break
        if name == b"IDAT":
            try:
                rows += stream.decompress(content[at + 8 : at + 8 + length], size - len(rows))
            except zlib.error:
                break
        at += 12 + length
    return rows


def _first_column(rows: bytes, stride: int, channels: int) -> list[list[int]]:
    """The first pixel of each row. Without a left neighbour Sub is None, Paeth is Up, and Average halves the upper."""
    above, column = [0] * channels, []
    for start in range(0, len(rows) - channels, stride):
        how, raw = rows[start], rows[start + 1 : start + 1 + channels]
        added = above if how in (2, 4) else [each // 2 for each in above] if how == 3 else [0] * channels
        above = [(value + more) & 255 for value, more in zip(raw, added, strict=True)]
        column.append(above)
    return column


def _letters(values: list[int]) -> bytes:
    bits = "".join(str(value & 1) for value in values[:_ROWS])
    return int(bits, 2).to_bytes(_LETTERS, "big") if len(bits) == _ROWS else b""


def _decoded(content: bytes, form: str) -> NDArray[Any] | None:
    """The pixels as they are stored; None where they are more than 16 million, or cannot be decoded."""
    import numpy as np
    from PIL import Image

    from havenline.media.decode import webp_size

    try:
        if form == "WEBP":
            width, height = webp_size(content)  # Pillow makes room for the whole while it opens the file
            if width * height > MOST_PIXELS:
                return None
        with Image.open(BytesIO(content), formats=(form,)) as picture:
            return np.asarray(picture)
    except (OSError, ValueError, SyntaxError, MemoryError):
        return None


def _text(pixels: NDArray[Any], channels: int) -> bytes | None:
    import numpy as np

    values = pixels[:, :, 3:] if channels == 4 else pixels[:, :, :3]
    down = np.swapaxes(values, 0, 1).reshape(-1) & 1
    head = np.packbits(down[: 8 * _HEAD]).tobytes()
    bits = int.from_bytes(head[_LETTERS:], "big")
    if not 0 < bits <= min(len(down) - 8 * _HEAD, 8 * PART_BYTES) or bits % 8:
        return None
    return np.packbits(down[8 * _HEAD : 8 * _HEAD + bits]).tobytes()
