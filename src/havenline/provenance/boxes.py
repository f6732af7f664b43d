"""The parts in boxes: MPEG-4 and QuickTime, HEIF and AVIF with their items, JPEG XL. No pixel is decoded.

Boxes by ISO/IEC 14496-12, items by its 8.11 and ISO/IEC 23008-12 annex A, JPEG XL by ISO/IEC 18181-2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from havenline.provenance.part import MOST_STEPS, PART_BYTES, Part, inflated

_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_MOST_ITEMS = 4096
_MOST_EXTENTS = 1024
_XMP_TYPE = b"application/rdf+xml"
_PACKINGS = {b"": 0, b"deflate": 15, b"gzip": 31}


def iso_parts(content: bytes) -> Iterator[Part]:
    """The `uuid` boxes, and the items of the `meta` box that are EXIF or XMP.

    Not read: items in other files, or packed otherwise than by zlib or gzip, metadata of tracks, a `meta` box of more
    than 8 MiB.
    """
    metas = []
    for name, start, end in _boxes(content, 0, len(content)):
        if name == b"uuid":
            uuid = content[start : start + 16]
            if uuid == _C2PA_BOX:
                yield Part("c2pa", "uuid box", b"")
            elif uuid == _XMP_BOX:
                yield _sized("xmp", "uuid box, XMP", content, [(start + 16, end)])
        elif name == b"meta" and end - start <= PART_BYTES:
            metas.append((start + 4, end))
    for start, end in metas:
        yield from _items(content, start, end)


def jxl_parts(content: bytes) -> Iterator[Part]:
    """The boxes `Exif`, `xml ` and `jumb` of a JPEG XL file, and those packed as `brob` where a library is at hand.

    A bare codestream has none.
    """
    if content[:2] == b"\xff\x0a":
        return
    for name, start, end in _boxes(content, 0, len(content)):
        if name == b"brob":
            inner, place = content[start : start + 4], "JPEG XL brob box"
            if inner in (b"Exif", b"xml ", b"jumb"):
                yield _unpacked(inner, place, content[start + 4 : min(end, start + 4 + PART_BYTES)])
        elif name in (b"Exif", b"xml ", b"jumb"):
            yield _jxl_part(name, f"JPEG XL {name.decode().strip()} box", content, start, end)


def _jxl_part(name: bytes, place: str, content: bytes, start: int, end: int) -> Part:
    if name == b"jumb":
        return Part("c2pa", place, b"")
    if name == b"xml ":
        return _sized("xmp", f"{place}, XMP", content, [(start, end)])
    return _exif(_sized("exif", place, content, [(start, end)]))


def _unpacked(name: bytes, place: str, packed: bytes) -> Part:
    try:
        from imagecodecs import BrotliError, brotli_decode
    except ImportError:
        return Part("unread", place, b"it is packed, and the extra jxl is missing")
    try:
        body = bytes(brotli_decode(packed, out=PART_BYTES))
    except (BrotliError, ValueError, MemoryError):
        return Part("unread", place, b"it is packed wrongly, or unpacks to more than 8 MiB")
    return _jxl_part(name, place, body, 0, len(body))


def _boxes(content: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, first byte of the body, end) of each box between two places; ends quietly at damage."""
    for _ in range(MOST_STEPS):
        if at + 8 > stop:
            return
        size, head = int.from_bytes(content[at : at + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(content[at + 8 : at + 16], "big"), 16
        size = stop - at if size == 0 else size
        if size < head:
            return
        yield content[at + 4 : at + 8], at + head, min(at + size, stop)
        at += size


def _items(content: bytes, start: int, end: int) -> Iterator[Part]:
    kinds: dict[int, bytes | None] = {}
    places: dict[int, list[tuple[int, int]]] = {}
    found = {name: (first, last) for name, first, last in _boxes(content, start, end)}
    if b"iinf" in found:
        kinds = _kinds_of_items(content, *found[b"iinf"])
    if kinds and b"iloc" in found:
        inside = found.get(b"idat", (0, 0))
        places = _places_of_items(content[slice(*found[b"iloc"])], kinds, inside)
    for item, extents in places.items():
        packing = kinds[item]
        if packing is None:
            yield _exif(_sized("exif", "item of the meta box, EXIF", content, extents))
        else:
            yield _xmp(_sized("xmp", "item of the meta box, XMP", content, extents), packing)


def _kinds_of_items(content: bytes, start: int, end: int) -> dict[int, bytes | None]:
    """Which items are EXIF (None) or XMP (how packed), by `infe` boxes of version 2 or 3 (ISO/IEC 14496-12, 8.11.6)."""
    found: dict[int, bytes | None] = {}
    for number, (name, at, last) in enumerate(_boxes(content, start + (6 if content[start] == 0 else 8), end)):
        if number >= _MOST_ITEMS:
            break
        version = content[at] if at < last else 0
        if name != b"infe" or version not in (2, 3):
            continue
        width = 2 if version == 2 else 4
        item, kind = int.from_bytes(content[at + 4 : at + 4 + width], "big"), at + 6 + width
        if content[kind : kind + 4] == b"Exif":
            found[item] = None
        elif content[kind : kind + 4] == b"mime":
            _, content_type, encoding, *_ = [*content[kind + 4 : min(last, kind + 1024)].split(b"\0"), b"", b"", b""]
            if content_type == _XMP_TYPE and encoding in _PACKINGS:
                found[item] = encoding
    return found


def _places_of_items(box: bytes, wanted: Collection[int], inside: tuple[int, int]) -> dict[int, list[tuple[int, int]]]:
    """(first byte, end) of the extents of each wanted item by an `iloc` box (ISO/IEC 14496-12, 8.11.3).

    `inside`: where the body of `idat` lies, from which construction method 1 counts.
    """
    at, version = 6, box[0] if box else 0

    def number(width: int) -> int:
        nonlocal at
        at += width
        return int.from_bytes(box[at - width : at], "big")

    if version > 2 or len(box) < 8:
        return {}
    offset_width, length_width, base_width, index_width = box[4] >> 4, box[4] & 15, box[5] >> 4, box[5] & 15
    found: dict[int, list[tuple[int, int]]] = {}
    for _ in range(min(number(4 if version == 2 else 2), _MOST_ITEMS)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        elsewhere, base = number(2), number(base_width)
        extents: list[tuple[int, int]] = []
        for _ in range(number(2)):
            if at >= len(box) or len(extents) >= _MOST_EXTENTS:
                return found
            at += index_width if version else 0
            first = base + number(offset_width) + (inside[0] if method == 1 else 0)
            extents.append((first, first + number(length_width)))
        if item in wanted and not elsewhere and (method == 0 or (method == 1 and inside[1])):
            found[item] = extents
    return found


def _sized(form: str, place: str, content: bytes, extents: list[tuple[int, int]]) -> Part:
    size = sum(min(end, len(content)) - start for start, end in extents if start < len(content))
    if size > PART_BYTES:
        return Part("unread", place, b"it is larger than 8 MiB")
    return Part(form, place, b"".join(content[start:end] for start, end in extents))


def _xmp(part: Part, packing: bytes) -> Part:
    """An XMP item as it was before it was packed; packings are named as those of HTTP (RFC 9110, 8.4.1)."""
    if part.form != "xmp" or not packing:
        return part
    body = inflated(part.raw, wbits=_PACKINGS[packing])
    if body is None:
        return Part("unread", part.location, b"it is packed wrongly, or unpacks to more than 8 MiB")
    return part._replace(raw=body)


def _exif(part: Part) -> Part:
    """The TIFF structure of an EXIF item: four bytes say how far behind them it begins."""
    return part._replace(raw=part.raw[4 + int.from_bytes(part.raw[:4], "big") :]) if part.form == "exif" else part
