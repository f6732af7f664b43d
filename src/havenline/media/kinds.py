"""What a file is, by its first bytes and never by its name.

Own checks come first for everything this package opens or must refuse knowingly; `filetype` answers the rest.
"""

from __future__ import annotations

import filetype

HEAD_BYTES = 8192
"""How many first bytes `recognise` needs to be sure; fewer are allowed."""

JPEG, PNG, GIF, WEBP = "image/jpeg", "image/png", "image/gif", "image/webp"
AVIF, TIFF, BMP = "image/avif", "image/tiff", "image/bmp"
HEIF, JXL = "image/heif", "image/jxl"
PICTURES = frozenset({JPEG, PNG, GIF, WEBP, AVIF, TIFF, BMP, HEIF, JXL})
"""The kinds that `decode_picture` opens; HEIF and JPEG XL where their extras are installed."""

MP4, QUICKTIME, THREE_GPP, M4V = "video/mp4", "video/quicktime", "video/3gpp", "video/x-m4v"
WEBM, MATROSKA, AVI, MPEG = "video/webm", "video/x-matroska", "video/x-msvideo", "video/mpeg"
TRANSPORT, FLASH, WINDOWS_MEDIA = "video/mp2t", "video/x-flv", "video/x-ms-wmv"
FILMS = frozenset({MP4, QUICKTIME, THREE_GPP, M4V, WEBM, MATROSKA, AVI, MPEG, TRANSPORT, FLASH, WINDOWS_MEDIA})
"""The kinds that `films` opens, where the extra `video` is installed."""

ZIP, TAR = "application/zip", "application/x-tar"
GZIP, BZIP2, XZ = "application/gzip", "application/x-bzip2", "application/x-xz"
ARCHIVES = frozenset({ZIP, TAR, GZIP, BZIP2, XZ})
"""The kinds that `containers` opens; a gzip, bzip2 or xz file only when a tar lies in it."""

SAFETENSORS, GGUF, ONNX = "application/x-safetensors", "application/x-gguf", "application/x-onnx"
TORCH, PICKLE = "application/x-pytorch", "application/x-python-pickle"
MODELS = frozenset({SAFETENSORS, GGUF, ONNX, TORCH, PICKLE})
"""Files of models: digested and never loaded (`havenline.provenance.models`)."""

_OPENINGS = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", JXL),
    (b"\xff\x0a", JXL),
    (b"%PDF-", "application/pdf"),
    (b"\x1f\x8b\x08", GZIP),
    (b"\xfd7zXZ\x00", XZ),
    (b"GGUF", GGUF),
)
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_PACKET = 188  # bytes of an MPEG transport stream (ISO/IEC 13818-1, 2.4.3.2)
_OFFICE = ("application/vnd.", "application/epub")


def recognise(head: bytes) -> str | None:
    """The media type of the file that begins with `head` (its first `HEAD_BYTES` or fewer), or None when
    unknown.

    Not checked: whether the rest of the file keeps the promise of its beginning. A file that is two kinds at
    once counts as the kind it begins as.
    """
    for opening, kind in _OPENINGS:
        if head.startswith(opening):
            return kind
    structured = _by_structure(head)
    if structured is not None:
        return structured
    guess = filetype.guess(head) if head else None
    found = None if guess is None else str(guess.mime)
    # `filetype` is content with "BM" and with two bytes of TIFF; what our own check refused is not one.
    return None if found in PICTURES else found


def _by_structure(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") and head[8:10] != b"CR":
        return TIFF
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return BMP
    if head[:4] == b"\x1aE\xdf\xa3":
        return WEBM if b"webm" in head[:64] else MATROSKA
    if head[:4] == b"\0\0\x01\xba":
        return MPEG
    if head[:1] == b"G" and len(head) > 2 * _PACKET and head[_PACKET] == head[2 * _PACKET] == 0x47:
        return TRANSPORT
    if head[:3] == b"BZh" and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return BZIP2
    if head[:4] == b"PK\x03\x04" and _is_torch(head):
        return TORCH
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        guess = filetype.guess(head)
        return str(guess.mime) if guess is not None and guess.mime.startswith(_OFFICE) else ZIP
    if _is_tar(head):
        return TAR
    return _model(head)


def _is_torch(head: bytes) -> bool:
    """Whether a zip begins with the pickle that `torch.save` writes first."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return name == b"data.pkl" or name.endswith(b"/data.pkl")


def _model(head: bytes) -> str | None:
    length = int.from_bytes(head[:8], "little")
    if 2 <= length <= 100_000_000 and head[8:10] in (b'{"', b"{}", b"{ "):
        return SAFETENSORS
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5") and head[2:3] in _PICKLED:
        return PICKLE
    return ONNX if _is_onnx(head) else None


_PICKLED = tuple(bytes([each]) for each in b"c}])(\x8a\x95\x8c\x8fXKMJGNIU")
"""What the second opcode of a pickle can be: the first of its objects, or the frame around it."""


def _is_onnx(head: bytes) -> bool:
    """Whether the fields of an ONNX ModelProto stand there in order, from `ir_version` up to the graph."""
    if head[:1] != b"\x08" or not 1 <= int.from_bytes(head[1:2], "little") <= 30:
        return False
    at, before = 2, 1
    while at + 2 <= len(head):
        number, form = head[at] >> 3, head[at] & 7
        if number == 7 and form == 2:
            return True
        if not before < number < 7 or form != (0 if number == 5 else 2):
            return False
        length, width, at = 0, 0, at + 1
        while at < len(head) and width < 10:
            length |= (head[at] & 0x7F) << 7 * width
            at, width = at + 1, width + 1
            if head[at - 1] < 0x80:
                break
        at, before = at + (length if form == 2 else 0), number
    return False


def _iso_media(head: bytes) -> str:
    """AVIF, HEIF, QuickTime or MPEG-4 by the brands of the opening `ftyp` box (ISO/IEC 14496-12, 4.3)."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    major = head[8:12]
    brands = {major} | {head[at : at + 4] for at in range(16, max(size - 3, 16), 4)}
    if major in (b"avif", b"avis") or (major in (b"mif1", b"msf1") and brands & {b"avif", b"avis"}):
        return AVIF
    if major in _HEIF_BRANDS:
        return HEIF
    if major == b"qt  ":
        return QUICKTIME
    if major[:3] in (b"M4A", b"M4B"):
        return "audio/mp4"
    return THREE_GPP if major[:2] == b"3g" else MP4


def _is_tar(head: bytes) -> bool:
    """Whether `head` opens with a tar header, old or new, whose checksum fits (POSIX 1003.1, ustar)."""
    block = head[:512]
    if len(block) < 512 or not block[0]:
        return False
    try:
        stated = int(block[148:156].strip(b" \0") or b"x", 8)
    except ValueError:
        return False
    return stated == sum(block) - sum(block[148:156]) + 8 * 0x20
