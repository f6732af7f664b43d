"""The parts of a picture file that can hold marks of origin, found by walking its container; no pixel is decoded.

PNG (ISO/IEC 15948), JPEG (ITU-T T.81, XMP part 3), WebP (RIFF), GIF 89a, TIFF; what is made of boxes in `boxes`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from havenline.media import kinds
from havenline.media.jpeg_segments import segments
from havenline.provenance.boxes import iso_parts, jxl_parts
from havenline.provenance.part import ALL_BYTES, MOST_BLOCKS, MOST_PARTS, MOST_STEPS, PART_BYTES, Part, inflated

_XMP_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_MORE = b"http://ns.adobe.com/xmp/extension/\0"
_XMP_PNG = b"XML:com.adobe.xmp"
_PROFILE = re.compile(r"Raw profile type (exif|APP1|xmp)\Z")


def parts_of(content: bytes, kind: str | None) -> Iterator[Part]:
    """The parts of a picture of that kind, at most 16 MiB of them in all and 8 MiB each; larger ones come as unread.

    Walks the whole file by lengths, so marks behind the pixels are found; ends quietly at damage.
    """
    walk = _WALKS.get(kind or "")
    if walk is None:
        return
    room = ALL_BYTES
    for count, part in enumerate(walk(content)):
        if count >= MOST_PARTS or (part.form in ("text", "exif", "xmp") and len(part.raw) > room):
            yield Part("unread", part.location, b"there is more text than is read")
            return
        room -= len(part.raw) if part.form in ("text", "exif", "xmp") else 0
        yield part


def _png(content: bytes) -> Iterator[Part]:
    at, view = 8, memoryview(content)
    for _ in range(MOST_STEPS):
        if at + 12 > len(content):
            return
        size, name = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        end = at + 8 + size
        if end + 4 > len(content):
            return
        if name in (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"caBX"):
            place = f"PNG {name.decode()} chunk"
            if size > PART_BYTES:
                larger = Part("unread", place, b"the chunk is larger than 8 MiB")
                yield Part("c2pa", place, b"") if name == b"caBX" else larger
            elif zlib.crc32(view[at + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
                yield Part("unread", place, b"its check sum is wrong")
            else:
                yield from _png_part(name, content[at + 8 : end], place)
        if name == b"IEND":
            return
        at = end + 4


def _png_part(name: bytes, body: bytes, place: str) -> Iterator[Part]:
    if name == b"eXIf":
        yield Part("exif", place, body)
    elif name == b"caBX":
        yield Part("c2pa", place, b"")
    else:
        keyword, _, rest = body.partition(b"\0")
        packed = name == b"zTXt"
        if name == b"zTXt":
            rest = rest[1:]
        elif name == b"iTXt":
            packed = rest[:1] == b"\1"
            rest = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
        text: bytes | None = rest
        if packed:
            text = inflated(rest)
        if text is None:
            yield Part("unread", place, b"it is packed wrongly, or unpacks to more than 8 MiB")
        elif keyword == _XMP_PNG:
            yield Part("xmp", f"{place}, XMP", text)
        elif _PROFILE.match(keyword.decode("latin-1")):
            yield _profile(keyword, text, place)
        else:
            # tEXt and zTXt are Latin-1 by the standard; most programs write UTF-8 all the same.
            yield Part("text", place, text, keyword.decode("latin-1"))


def _profile(keyword: bytes, text: bytes, place: str) -> Part:
    """A block in hexadecimal digits behind its name and length, as ImageMagick writes it (its coders/png.c)."""
    place = f"{place}, raw profile"
    try:
        size, _, digits = text.lstrip(b"\n").partition(b"\n")[2].lstrip().partition(b"\n")
        block = bytes.fromhex(digits.decode("ascii"))
        whole = len(block) == int(size[:20])
    except ValueError:
        whole = False
    if not whole:
        return Part("unread", place, b"its digits are damaged")
    if block.startswith(_XMP_JPEG) or keyword.endswith(b"xmp"):
        return Part("xmp", f"{place}, XMP", block.removeprefix(_XMP_JPEG))
    return Part("exif", f"{place}, EXIF", block)


def _jpeg(content: bytes) -> Iterator[Part]:
    more: dict[bytes, list[tuple[int, bytes]]] = {}
    c2pa = False
    for name, start, end in segments(content):
        if end > len(content) or end <= start:
            continue
        if name == 0xFE:
            yield Part("text", "JPEG comment", content[start:end], "comment")
        elif (
            name == 0xEB and not c2pa and content[start : start + 2] == b"JP" and b"jumb" in content[start : start + 20]
        ):
            c2pa = True
            yield Part("c2pa", "JPEG APP11 segment", _app11_store(content))
        elif name == 0xE1:
            if content.startswith(b"Exif\0\0", start):
                yield Part("exif", "JPEG APP1 segment, EXIF", content[start:end])
            elif content.startswith(_XMP_JPEG, start):
                yield Part("xmp", "JPEG APP1 segment, XMP", content[start + len(_XMP_JPEG) : end])
            elif content.startswith(_XMP_MORE, start):
                body = start + len(_XMP_MORE)
                offset = int.from_bytes(content[body + 36 : body + 40], "big")
                more.setdefault(content[body : body + 32], []).append((offset, content[body + 40 : end]))
    for pieces in more.values():
        place = "JPEG APP1 segments, extended XMP"
        if sum(len(piece) for _, piece in pieces) > PART_BYTES:
            yield Part("unread", place, b"it is larger than 8 MiB")
        else:
            yield Part("xmp", place, b"".join(piece for _, piece in sorted(pieces)))


def _app11_store(content: bytes) -> bytes:
    """The one JUMBF box of C2PA that all APP11 segments carry in order (ISO/IEC 19566-5, annex D); else nothing.

    Its length is compared with what its head says. Nothing means that the library finds the manifest by itself.
    """
    bodies = [(start, end) for name, start, end in segments(content) if name == 0xEB]
    same_box, pieces = content[bodies[0][0] : bodies[0][0] + 4], []
    for number, (start, end) in enumerate(bodies, 1):
        if content[start : start + 8] != same_box + number.to_bytes(4, "big"):
            return b""
        pieces.append(content[start + (8 if number == 1 else 16) : end])
    store = b"".join(pieces)
    whole = int.from_bytes(store[:4], "big") == len(store) and store[16:20] == b"c2pa"
    return store if whole else b""


def _webp(content: bytes) -> Iterator[Part]:
    at = 12
    forms = {b"EXIF": "exif", b"XMP ": "xmp", b"C2PA": "c2pa"}
    for _ in range(MOST_STEPS):
        if at + 8 > len(content):
            return
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        form = forms.get(name)
        if form is not None and at + 8 + size <= len(content):
            place = f"WebP {name.decode().strip()} chunk"
            if size > PART_BYTES and form != "c2pa":
                yield Part("unread", place, b"the chunk is larger than 8 MiB")
            else:
                yield Part(form, place, b"" if form == "c2pa" else content[at + 8 : at + 8 + size])
        at += 8 + size + size % 2


def _gif(content: bytes) -> Iterator[Part]:
    if len(content) < 13:
        return
    at = 13 + (3 << (content[10] & 7) + 1 if content[10] & 0x80 else 0)
    for _ in range(MOST_STEPS):
        if at + 2 > len(content):
            return
        if content[at] == 0x2C:
            flags = content[at + 9] if at + 9 < len(content) else 0
            at += 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
            _, at = _blocks(content, at, keep=False)
        elif content[at] == 0x21 and content[at + 1] == 0xFE:
            text, at = _blocks(content, at + 2, keep=True)
            yield Part("text", "GIF comment", text, "comment")
        elif content[at] == 0x21 and content[at + 3 : at + 14] == b"XMP DataXMP":
            start = at + 14
            end = content.find(b"<?xpacket end", start, start + PART_BYTES)
            yield Part("xmp", "GIF application extension, XMP", content[start : max(end, start)])
            _, at = _blocks(content, start, keep=False)
        elif content[at] == 0x21:
            if content[at + 3 : at + 11] == b"C2PA_GIF":
                yield Part("c2pa", "GIF application extension", b"")
            _, at = _blocks(content, at + 2, keep=False)
        else:
            return


def _blocks(content: bytes, at: int, *, keep: bool) -> tuple[bytes, int]:
    """The sub-blocks from `at` on, joined up to 8 MiB where they are to be kept, and where they end."""
    kept: list[bytes] = []
    size = 0
    for _ in range(MOST_BLOCKS):
        length = content[at] if at < len(content) else 0
        if not length:
            return b"".join(kept), at + 1
        if keep and size < PART_BYTES:
            kept.append(content[at + 1 : at + 1 + length])
            size += length
        at += 1 + length
    return b"".join(kept), len(content)


def _tiff(content: bytes) -> Iterator[Part]:
    yield Part("tiff", "TIFF fields", content)
    # C2PA's field 0xCD41 is left to the library, which says whether there is a manifest.
    if b"\x41\xcd" in content[: 1 << 20] or b"\xcd\x41" in content[: 1 << 20]:
        yield Part("c2pa", "TIFF field 0xCD41", b"")


_WALKS = {
    kinds.PNG: _png,
    kinds.JPEG: _jpeg,
    kinds.WEBP: _webp,
    kinds.GIF: _gif,
    kinds.TIFF: _tiff,
    kinds.JXL: jxl_parts,
    **dict.fromkeys((kinds.AVIF, kinds.HEIF, kinds.MP4, kinds.QUICKTIME, kinds.M4V, kinds.THREE_GPP), iso_parts),
}
