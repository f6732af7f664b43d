"""Checkpoints that are pickles: a zip of torch, or pickles one after the other. Nothing is unpickled."""

from __future__ import annotations

import zipfile
from typing import BinaryIO

from havenline.provenance.model_layout import MOST_TENSORS, Layout, LayoutError, in_order, read_exactly

_LARGEST_DIRECTORY = 32 << 20
_LARGEST_PICKLE = 32 << 20
_HEAD = 16 << 20


def torch_layout(stream: BinaryIO, size: int) -> Layout:
    """The layout of a zip as `torch.save` writes it: its storages are the tensors, `data.pkl` is scanned.

    `whole` is False where a storage is packed. Raises LayoutError. Not checked: check sums, and what the storages hold.
    """
    _check_directory(stream, size)
    spans: list[tuple[int, int]] = []
    pickles: list[tuple[str, bytes]] = []
    whole = True
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if len(members) > MOST_TENSORS:
                raise LayoutError("it has more than 50,000 members")
            for member in members:
                if member.filename.endswith(".pkl"):
                    pickles.append((f"pickle {len(pickles) + 1}", _unpacked(archive, member)))
                elif "/data/" in f"/{member.filename}" and not member.is_dir():
                    if member.compress_type == zipfile.ZIP_STORED:
                        spans.append(_place(stream, member))
                    else:
                        whole = False
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        if isinstance(error, LayoutError):
            raise
        raise LayoutError("its zip is broken") from None
    return Layout("torch", None, in_order(spans, size), pickles=tuple(pickles[:64]), whole=whole)


def pickle_layout(stream: BinaryIO, size: int) -> Layout:
    """The layout of a bare pickle, or of torch's older form; the first 16 MiB are scanned, no tensors told apart."""
    stream.seek(0)
    return Layout("pickle", None, pickles=(("pickle", stream.read(min(size, _HEAD))),), whole=False)


def _check_directory(stream: BinaryIO, size: int) -> None:
    """Refuse a directory that `zipfile` would need much memory for (APPNOTE 6.3.10, 4.3.16)."""
    tail = min(size, 66_000)
    stream.seek(size - tail)
    end = stream.read(tail)
    at = end.rfind(b"PK\5\6")
    if at < 0 or at + 20 > len(end):
        raise LayoutError("its zip has no directory")
    if int.from_bytes(end[at + 12 : at + 16], "little") > _LARGEST_DIRECTORY and b"PK\6\6" not in end:
        raise LayoutError("the directory of its zip is larger than 32 MiB")
    wide = end.rfind(b"PK\6\6")
    if wide >= 0 and int.from_bytes(end[wide + 40 : wide + 48], "little") > _LARGEST_DIRECTORY:
        raise LayoutError("the directory of its zip is larger than 32 MiB")


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.file_size > _LARGEST_PICKLE:
        raise LayoutError("a pickle in it is larger than 32 MiB")
    with archive.open(member) as opened:
        found = opened.read(_LARGEST_PICKLE + 1)
    if len(found) > _LARGEST_PICKLE:
        raise LayoutError("a pickle in it is larger than 32 MiB")
    return found


def _place(stream: BinaryIO, member: zipfile.ZipInfo) -> tuple[int, int]:
    """Where a stored member's bytes lie: its own header may be longer than the directory says."""
    stream.seek(member.header_offset)
    head = read_exactly(stream, 30)
    start = member.header_offset + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    return start, start + member.file_size
