"""Members of a zip or tar, read without unpacking to disk; every size an archive states is doubted."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, BinaryIO

from havenline.media import kinds
from havenline.media.postings import ContainerLimits, Names, Posting, RefusedPosting, shown
from havenline.vocabulary import Refusal, Refused

NESTED = Refused(Refusal.ARCHIVE_NESTED, "an archive inside a source is not opened; import it by itself")

_ENCRYPTED = Refused(Refusal.ARCHIVE_ENCRYPTED, "the member is encrypted; unpack it and import the folder")
_BROKEN = Refused(Refusal.ARCHIVE_BROKEN, "the member is damaged in the archive; the others were read")
_CUT_SHORT = Refused(Refusal.ARCHIVE_BROKEN, "the archive is damaged or cut short here; what came before it was read")
_PATH = Refused(Refusal.ARCHIVE_PATH, "the member's path leads out of the archive; it was not read")
_LINK = Refused(Refusal.LINK, "a link in an archive is not followed")
_NO_FILE = Refused(Refusal.NOT_A_FILE, "neither a file nor a folder (a pipe, socket or device)")
_RATIO = Refused(Refusal.ARCHIVE_RATIO, "the member unpacks to far more than its packed size; it was not read")
_RATIO_REST = Refused(Refusal.ARCHIVE_RATIO, "the archive unpacks to far more than its size; the rest was not read")
_METHOD = Refused(Refusal.UNSUPPORTED_KIND, "packed by a method that is not read here; unpack it, import the folder")

_DRIVE = re.compile(rb"[A-Za-z]:")
_END_RECORD = re.compile(rb"PK\x05\x06.{8}(.{4})|PK\x06\x06.{36}(.{8})", re.DOTALL)
_PIECE = 1 << 16
_SMALL_PIECE = 1 << 12
_HEADER_BYTES = 1 << 20
_ENDLESS = 1 << 60
_XZ_MEMORY = 256 * 1024 * 1024


class _TooMuchError(Exception):
    """A stream gave more than it may."""


def archive_kind(stream: BinaryIO) -> str | None:
    """`kinds.ZIP`, `kinds.TAR`, or the packing of a tar (`kinds.GZIP` …); None when it is no such archive."""
    head = stream.read(kinds.HEAD_BYTES)
    kind = kinds.recognise(head)
    stream.seek(0)
    if kind in (kinds.ZIP, kinds.TAR):
        return kind
    if kind not in kinds.ARCHIVES:
        return None
    try:
        if kind == kinds.XZ:  # asks for its memory before the first byte comes out
            lzma.LZMADecompressor(memlimit=_XZ_MEMORY).decompress(head, max_length=1)
        inside = _unpacked(stream, kind).read(kinds.HEAD_BYTES)
    except Exception:  # damaged, or no archive after all: what it is shows when it is decoded
        return None
    finally:
        stream.seek(0)
    return kind if kinds.recognise(inside) == kinds.TAR else None


def members(source: Path, kind: str, limits: ContainerLimits) -> Iterator[Posting | RefusedPosting]:
    """As `members_of`, of the archive at `source`."""
    with source.open("rb") as stream:
        yield from members_of(stream, shown(source.name.encode("utf-8", "surrogateescape")), kind, limits)


def members_of(stream: BinaryIO, whole: str, kind: str, limits: ContainerLimits) -> Iterator[Posting | RefusedPosting]:
    """The members of an archive, in its own order; folders are passed over. `kind` by `archive_kind`.

    What concerns the archive as a whole is refused under `whole`, the archive's own name.
    """
    names = Names()
    taken_in = _of_zip(stream, limits) if kind == kinds.ZIP else _of_tar(stream, kind, limits)
    for number, (name, found) in enumerate(taken_in):
        if number == limits.max_members and name is not None:
            detail = f"the archive has more than {limits.max_members:,} members; the rest was not read"
            name, found = None, Refused(Refusal.ARCHIVE_TOO_MANY, detail)
        label = names.distinct(whole if name is None else name)
        if isinstance(found, Refused):
            yield RefusedPosting(label, found)
        elif archive_kind(BytesIO(found)) is not None:
            yield RefusedPosting(label, NESTED)
        else:
            yield Posting(path=label, size=len(found), content=found)
        if name is None:
            return


_Found = tuple[str | None, bytes | Refused]
"""A member's name (None: the archive as a whole, and nothing follows) and its bytes or why there are none."""


def _of_zip(stream: BinaryIO, limits: ContainerLimits) -> Iterator[_Found]:
    size = stream.seek(0, 2)
    if _directory_bytes(stream, size) > limits.max_directory_bytes:
        detail = "the archive's list of members is too long; nothing was read; split it"
        yield None, Refused(Refusal.ARCHIVE_TOO_MANY, detail)
        return
    try:
        archive = zipfile.ZipFile(stream)
    except Exception:  # `zipfile` lets struct.error and others through
        yield None, Refused(Refusal.ARCHIVE_BROKEN, "the zip's list of members is damaged; nothing was read")
        return
    with archive:
        allowed = max(limits.ratio_from, limits.max_ratio * size)
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            name, safe = _path(_zip_name(entry))
            found = _zip_member(archive, entry, limits) if safe else _PATH
            allowed -= 0 if isinstance(found, Refused) else len(found)
            if allowed < 0:  # only members that share their packed bytes get here
                yield None, _RATIO_REST
                return
            yield name, found


def _directory_bytes(stream: BinaryIO, size: int) -> int:
    """The greatest length of a central directory that any end record states (APPNOTE 4.3.14 to 4.3.16)."""
    stream.seek(max(0, size - 65_557 - 76))
    stated = [int.from_bytes(short or long, "little") for short, long in _END_RECORD.findall(stream.read())]
    stream.seek(0)
    return max((length for length in stated if length != 0xFFFFFFFF), default=0)


def _zip_name(entry: zipfile.ZipInfo) -> bytes:
    """The member's name as stored; without the UTF-8 flag `zipfile` read it losslessly as code page 437."""
    return entry.orig_filename.encode("utf-8" if entry.flag_bits & 0x800 else "cp437", "backslashreplace")


def _zip_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limits: ContainerLimits) -> bytes | Refused:
    kind = stat.S_IFMT(entry.external_attr >> 16) if entry.create_system == 3 else 0
    if kind == stat.S_IFLNK:
        return _LINK
    if kind not in (0, stat.S_IFREG):
        return _NO_FILE
    if entry.flag_bits & 0x1:
        return _ENCRYPTED
    declared = entry.file_size
    if declared > limits.ratio_from and declared > limits.max_ratio * entry.compress_size:
        return _RATIO
    if declared > limits.max_member_bytes:
        return _too_large(declared, limits)
    # More than declared is asked for: a member that has more lied, and `zipfile` would only cut it off.
    entry.file_size = _ENDLESS
    # Only deflate is unpacked by so many bytes at a time; to the others little packed input is given at once.
    piece = _PIECE if entry.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) else _SMALL_PIECE
    try:
        with archive.open(entry) as stream:
            return _bounded(stream, declared, piece)
    except _TooMuchError:
        return _RATIO
    except (NotImplementedError, RuntimeError):
        return _METHOD
    except Exception:
        return _BROKEN


def _bounded(stream: IO[bytes], declared: int, piece: int) -> bytes | Refused:
    parts, size = [], 0
    while part := stream.read(piece):
        parts.append(part)
        size += len(part)
        if size > declared:
            raise _TooMuchError
    return b"".join(parts) if size == declared else _BROKEN


def _too_large(declared: int, limits: ContainerLimits) -> Refused:
    allowed = f"{limits.max_member_bytes:,} bytes"
    detail = f"the member has {declared:,} bytes, more than {allowed}; unpack it and import the folder"
    return Refused(Refusal.TOO_LARGE, detail)


def _path(raw: bytes) -> tuple[str, bool]:
    """A member's path without empty and `.` parts, and whether it stays below its archive."""
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    escapes = raw.startswith(b"/") or b"\\" in raw or b"\0" in raw or b".." in parts or _DRIVE.match(raw)
    return (shown(raw), False) if escapes or not parts else (shown(b"/".join(parts)), True)


class _Rationed:
    """A packed stream that stops when it has given more than its packed size or the member at hand allows."""

    def __init__(self, packed: BinaryIO, kind: str, limits: ContainerLimits) -> None:
        self._packed = packed
        self._plain = packed if kind == kinds.TAR else _unpacked(packed, kind)
        self._limits = limits
        self._given = 0
        self._until = 0

    def allow(self, count: int) -> None:
        """From here on, give at most `count` bytes."""
        self._until = self._given + count

    def read(self, count: int) -> bytes:
        part = self._plain.read(min(count, _PIECE))
        self._given += len(part)
        most = max(self._limits.ratio_from, self._limits.max_ratio * self._packed.tell())
        if self._given > most or self._given > self._until:
            raise _TooMuchError
        return part


def _unpacked(packed: BinaryIO, kind: str) -> BinaryIO:
    if kind == kinds.GZIP:
        return gzip.GzipFile(fileobj=packed)  # type: ignore[return-value]
    return bz2.BZ2File(packed) if kind == kinds.BZIP2 else lzma.LZMAFile(packed)  # type: ignore[return-value]


class _Header(tarfile.TarInfo):
    """Notes when a tar ends as it should: `tarfile` itself takes a damaged header for the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> _Header:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            archive.ended_well = True  # type: ignore[attr-defined]
            raise


def _of_tar(packed: BinaryIO, kind: str, limits: ContainerLimits) -> Iterator[_Found]:
    stream = _Rationed(packed, kind, limits)
    stream.allow(_HEADER_BYTES)
    try:
        with tarfile.open(mode="r|", fileobj=stream, tarinfo=_Header, encoding="utf-8") as archive:  # type: ignore[call-overload]
            while (entry := archive.next()) is not None:
                archive.members = []  # or they would pile up
                stream.allow(archive.offset - entry.offset_data + _HEADER_BYTES)
                if not entry.isdir():
                    name, safe = _path(entry.name.encode("utf-8", "surrogateescape"))
                    yield name, _tar_member(archive, entry, limits) if safe else _PATH
            if not getattr(archive, "ended_well", False):
                yield None, _CUT_SHORT
    except _TooMuchError:
        yield None, _RATIO_REST
    except Exception:  # `tarfile` lets RecursionError and others through
        yield None, _CUT_SHORT


def _tar_member(archive: tarfile.TarFile, entry: tarfile.TarInfo, limits: ContainerLimits) -> bytes | Refused:
    if entry.issym() or entry.islnk():
        return _LINK
    if not entry.isreg():
        return _NO_FILE
    if entry.issparse():
        return _RATIO
    if entry.size < 0:
        return _BROKEN
    if entry.size > limits.max_member_bytes:
        return _too_large(entry.size, limits)
    stream = archive.extractfile(entry)
    return _NO_FILE if stream is None else stream.read()
