"""A file is what its first bytes say, whatever it is called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from havenline.media.kinds import HEAD_BYTES, PICTURES, recognise


def saved(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (200, 100, 50)).save(buffer, form)
    return buffer.getvalue()


def box(major: bytes, *brands: bytes) -> bytes:
    body = major + bytes(4) + b"".join(brands)
    return (len(body) + 8).to_bytes(4, "big") + b"ftyp" + body + b"\0\0\0\x08mdat" + b"heicavif"


def old_tar() -> bytes:
    header = bytearray(tarfile.TarInfo("name").tobuf(tarfile.USTAR_FORMAT))
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("AVIF", "image/avif"),
        ("TIFF", "image/tiff"),
        ("BMP", "image/bmp"),
    ],
)
def test_every_picture_kind_that_is_opened_is_recognised(form: str, kind: str) -> None:
    assert recognise(saved(form)[:HEAD_BYTES]) == kind
    assert kind in PICTURES


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (box(b"avif", b"mif1", b"miaf"), "image/avif"),
        (box(b"avis", b"avif"), "image/avif"),
        (box(b"mif1", b"avif", b"miaf"), "image/avif"),
        (box(b"mif1", b"heic", b"miaf"), "image/heif"),
        (box(b"heic", b"mif1"), "image/heif"),
        (box(b"msf1", b"hevc"), "image/heif"),
        (box(b"isom", b"avc1", b"mp41"), "video/mp4"),
        (box(b"mp42"), "video/mp4"),
        (box(b"qt  "), "video/quicktime"),
        (box(b"3gp5"), "video/3gpp"),
        (box(b"M4A ", b"mp42"), "audio/mp4"),
        (b"MM\0*\0\0\0\x08", "image/tiff"),
        (b"II+\0\x08\0\0\0", "image/tiff"),
        (b"\xff\x0a\xfa\x7f", "image/jxl"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"\x1aE\xdf\xa3" + bytes(20) + b"webm", "video/webm"),
        (b"Rar!\x1a\x07\x01\0", "application/x-rar-compressed"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "application/x-7z-compressed"),
        (gzip.compress(b"x"), "application/gzip"),
        (bz2.compress(b"x"), "application/x-bzip2"),
        (bz2.compress(b""), "application/x-bzip2"),
        (lzma.compress(b"x"), "application/x-xz"),
        (zipped("a.png"), "application/zip"),
        (b"PK\x05\x06" + bytes(18), "application/zip"),
        (tarfile.TarInfo("name").tobuf(tarfile.USTAR_FORMAT), "application/x-tar"),
        (tarfile.TarInfo("name").tobuf(tarfile.GNU_FORMAT), "application/x-tar"),
        (old_tar(), "application/x-tar"),
    ],
)
def test_other_kinds_are_told_apart(head: bytes, kind: str) -> None:
    assert recognise(head) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"B",
        b"plain text",
        b"BMW is a make of car, not a bitmap at all",
        b"II am not a picture",
        b"MM\0",
        b"RIFFxxxxWEB",
        bytes(512),
        bytes(8192),
        b"<html><body>",
        b"name" + bytes(508),
    ],
)
def test_what_only_begins_alike_is_unknown(head: bytes) -> None:
    assert recognise(head) is None


@given(st.binary(max_size=700))
def test_any_bytes_have_a_kind_or_none(head: bytes) -> None:
    kind = recognise(head)
    assert kind is None or "/" in kind
