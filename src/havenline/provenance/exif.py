"""The text fields of an EXIF block (EXIF 2.32, a TIFF structure), with every offset and count bounded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

READER = "exif/1"
_MOST_FIELDS = 512
_MOST_DIRECTORIES = 8
_LONGEST = 8 << 20
_MOST_BYTES = 16 << 20
_TEXTS = {
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x013B: "Artist",
    0x02BC: "XMP",
    0x8298: "Copyright",
    0x9286: "UserComment",
    0x9C9C: "XPComment",
    0x9C9E: "XPKeywords",
}
_EXIF_DIRECTORY = 0x8769
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_Order = Literal["little", "big"]


def exif_texts(block: bytes) -> Iterator[tuple[str, bytes]]:
    """(field, bytes) of the text fields of a TIFF structure; ends quietly at what makes no sense, or after 16 MiB.

    Not read: other fields, maker notes, thumbnails, BigTIFF.
    """
    if block[:6] == b"Exif\0\0":
        block = block[6:]
    orders: dict[bytes, _Order] = {b"II*\0": "little", b"MM\0*": "big"}
    order = orders.get(block[:4])
    if order is None:
        return
    room = _MOST_BYTES
    waiting, seen = [int.from_bytes(block[4:8], order)], set[int]()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        at = waiting.pop(0)
        if at in seen or at < 8 or at + 2 > len(block):
            continue
        seen.add(at)
        count = min(int.from_bytes(block[at : at + 2], order), _MOST_FIELDS)
        for entry in range(at + 2, min(at + 2 + 12 * count, len(block) - 11), 12):
            tag = int.from_bytes(block[entry : entry + 2], order)
            if tag == _EXIF_DIRECTORY:
                waiting.append(int.from_bytes(block[entry + 8 : entry + 12], order))
            elif tag in _TEXTS:
                for name, raw in _field(block, entry, tag, order):
                    room -= len(raw)
                    if room < 0:
                        return
                    yield name, raw
        following = at + 2 + 12 * count
        if following + 4 <= len(block):
            waiting.append(int.from_bytes(block[following : following + 4], order))


def _field(block: bytes, entry: int, tag: int, order: _Order) -> Iterator[tuple[str, bytes]]:
    size = _SIZES.get(int.from_bytes(block[entry + 2 : entry + 4], order), 0)
    size *= int.from_bytes(block[entry + 4 : entry + 8], order)
    start = entry + 8 if size <= 4 else int.from_bytes(block[entry + 8 : entry + 12], order)
    if 0 < size <= _LONGEST and start + size <= len(block):
        yield _TEXTS[tag], block[start : start + size]


def comment_text(field: str, raw: bytes) -> str:
    """The text of a field: UserComment by its 8 bytes of code (EXIF 2.32, 4.6.6), XP… in UTF-16, else UTF-8."""
    if field.startswith("XP"):
        return raw.decode("utf-16-le", "replace").rstrip("\0")
    if field == "UserComment" and len(raw) >= 8:
        code, raw = raw[:8], raw[8:]
        if code == b"UNICODE\0" or (code == bytes(8) and raw[:64].count(0) * 3 > len(raw[:64])):
            return _utf16(raw)
    return raw.decode("utf-8", "replace").strip("\0 ")


def _utf16(raw: bytes) -> str:
    """The order of bytes by the mark, else by which of the two is zero more often: programs differ here."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", "replace").rstrip("\0")
    head = raw[:4096]
    big = head[0::2].count(0) >= head[1::2].count(0)
    return raw.decode("utf-16-be" if big else "utf-16-le", "replace").rstrip("\0")
