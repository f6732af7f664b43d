"""One part of a file that can hold marks of origin, and how much of all parts is read."""

from __future__ import annotations

import zlib
from typing import NamedTuple

PART_BYTES = 8 << 20
ALL_BYTES = 16 << 20
MOST_PARTS = 4096
MOST_STEPS = 1 << 18
MOST_BLOCKS = 1 << 20
"""Chunks, boxes or blocks that are stepped over in one file: an odd file is not walked for minutes."""


def inflated(packed: bytes, *, wbits: int = 15, most: int = PART_BYTES) -> bytes | None:
    """What zlib-packed bytes unpack to, or None where they are broken or unpack to more than `most` bytes."""
    stream = zlib.decompressobj(wbits)
    try:
        text = stream.decompress(packed, most + 1)
    except zlib.error:
        return None
    return text if stream.eof and len(text) <= most else None


class Part(NamedTuple):
    """One part: `form` is text, exif, tiff, xmp, c2pa or unread; `field` a text's name; `raw` bytes, or why not.

    Of `c2pa` only a JPEG's manifests are at hand as `raw`; elsewhere the library finds them by itself.
    """

    form: str
    location: str
    raw: bytes
    field: str = ""
