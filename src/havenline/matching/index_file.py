"""An index as one immutable file that every process maps and shares: docs/formats/hamming-index.md, form 1."""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.matching.pigeonhole import CHUNKS
from havenline.matching.tables import KEYS, LANES, Tables
from havenline.vocabulary import HavenlineError
from havenline.whole_file import write_whole

MAGIC = b"\x89HVLNIX\n"
VERSION = 1
_HEAD = struct.Struct("<8sIIQQQ")
"""Magic, version, number of sections, entries, codes, size of the file."""
_SECTION = struct.Struct("<16sQQ32s")
"""Name, offset, length, SHA-256."""
_DIGEST = 32
_HEAD_BYTES = 4096
"""The head with its padding; every section starts at a multiple of it: a page."""
_SMALL_FILE = 1 << 22
"""Files up to this size are verified whenever they are opened: it takes no longer than the rest."""
_KINDS: dict[str, np.dtype[Any]] = {
    "codes": np.dtype("<u8"),
    "directory": np.dtype("<u4"),
    "partners": np.dtype("<u2"),
    "postings": np.dtype("<u4"),
    "repeat_ranks": np.dtype("<u4"),
    "repeat_codes": np.dtype("<u4"),
    "repeat_entries": np.dtype("<u4"),
}
DAMAGED = "the index holds values that contradict each other: it is damaged; build it anew from the list"


class Flaw(StrEnum):
    """What is wrong with an index file."""

    FOREIGN = "foreign"
    VERSION = "version"
    HEAD = "head"
    SIZE = "size"
    SECTION = "section"


class IndexFileRefused(HavenlineError):
    """A file that is not a whole, undamaged index file; no part of it is used. `flaw` says why."""

    def __init__(self, flaw: Flaw, detail: str) -> None:
        super().__init__(detail)
        self.flaw = flaw


def write_index(path: Path, tables: Tables) -> None:
    """Write `tables` as the index file `path`, in place of an earlier one.

    Beside its place under another name, flushed to the disk, renamed, the folder flushed: after a crash there is
    the earlier file or the new one. Readable by its owner alone. Raises OSError when it cannot be written.
    """
    sections = {name: getattr(tables, name) for name in _KINDS}
    with write_whole(path, replace=True) as file:
        file.write(_head(tables, sections))
        for section in sections.values():
            file.write(_raw(section))
            file.write(bytes(-file.tell() % _HEAD_BYTES))


def read_index(path: Path, *, verify: bool) -> Tables:
    """Map the index file `path`. Raises IndexFileRefused and OSError.

    Always checked: the head by its digest, the size of the file, the lengths of all sections against the counts.
    The sections by their digests, and the padding, when `verify` is true or the file has at most 4 MiB.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        placed = _checked_head(file.read(_HEAD_BYTES), size)
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if verify or size <= _SMALL_FILE:
        _check_sections(whole, placed)
    arrays = {
        name: np.frombuffer(whole, kind, placed[name][1] // kind.itemsize, placed[name][0])
        for name, kind in _KINDS.items()
    }
    arrays["codes"] = arrays["codes"].reshape(-1, 4)
    arrays["directory"] = arrays["directory"].reshape(-1, KEYS + 1)
    return Tables(**arrays)


def _layout(entries: int, codes: int, *, tabled: bool) -> dict[str, tuple[int, int]]:
    """Offset and length of each section: they follow from the counts."""
    repeats = 4 * (entries - codes)
    lengths = {
        "codes": 32 * codes,
        "directory": 4 * CHUNKS * (KEYS + 1) if tabled else 0,
        "partners": 2 * (CHUNKS * codes + LANES) if tabled else 0,
        "postings": 4 * CHUNKS * codes if tabled else 0,
        "repeat_ranks": repeats,
        "repeat_codes": repeats,
        "repeat_entries": repeats,
    }
    placed, offset = {}, _HEAD_BYTES
    for name, length in lengths.items():
        placed[name] = (offset, length)
        offset += length + -length % _HEAD_BYTES
    return placed


def _end(placed: dict[str, tuple[int, int]]) -> int:
    offset, length = placed["repeat_entries"]
    return offset + length + -length % _HEAD_BYTES


def _head(tables: Tables, sections: dict[str, NDArray[Any]]) -> bytes:
    placed = _layout(tables.entry_count, len(tables.codes), tabled=tables.tabled)
    head = _HEAD.pack(MAGIC, VERSION, len(placed), tables.entry_count, len(tables.codes), _end(placed))
    for name, (offset, length) in placed.items():
        digest = hashlib.sha256(_raw(sections[name]))
        digest.update(bytes(-length % _HEAD_BYTES))
        head += _SECTION.pack(name.encode(), offset, length, digest.digest())
    head = head.ljust(_HEAD_BYTES - _DIGEST, b"\0")
    return head + hashlib.sha256(head).digest()


def _raw(section: NDArray[Any]) -> memoryview:
    return section.reshape(-1).view(np.uint8).data


def _checked_head(head: bytes, size: int) -> dict[str, tuple[int, int, bytes]]:
    """Offset, length and digest of each section."""
    if not head.startswith(MAGIC):
        raise IndexFileRefused(Flaw.FOREIGN, "this is no Havenline index file: choose another, or build one")
    if len(head) < _HEAD_BYTES:
        raise IndexFileRefused(Flaw.SIZE, f"the file ends after {size:,} bytes, within its head: fetch it again")
    _, version, count, entries, codes, end = _HEAD.unpack_from(head)
    if hashlib.sha256(head[:-_DIGEST]).digest() != head[-_DIGEST:]:
        raise IndexFileRefused(Flaw.HEAD, "the head of the file is damaged: fetch it again, or build it anew")
    if version != VERSION:
        raise IndexFileRefused(
            Flaw.VERSION, f"the file has form {version}, this program reads form {VERSION}: use a matching program"
        )
    if size != end:
        raise IndexFileRefused(
            Flaw.SIZE, f"the file has {size:,} bytes where its head says {end:,}: it is torn; fetch it again"
        )
    named = [_SECTION.unpack_from(head, _HEAD.size + each * _SECTION.size) for each in range(min(count, len(_KINDS)))]
    placed = {name.rstrip(b"\0").decode("ascii", "replace"): rest for name, *rest in named}
    tabled = "directory" in placed and placed["directory"][1] > 0
    layout = _layout(entries, codes, tabled=tabled) if codes <= entries < 1 << 32 else {}
    if (
        count != len(layout)
        or {name: tuple(rest[:2]) for name, rest in placed.items()} != layout
        or _end(layout) != end
    ):
        raise IndexFileRefused(Flaw.HEAD, "the head of the file contradicts itself: build the file anew")
    return {name: (rest[0], rest[1], rest[2]) for name, rest in placed.items()}


def _check_sections(whole: mmap.mmap, placed: dict[str, tuple[int, int, bytes]]) -> None:
    with memoryview(whole) as view:
        for name, (offset, length, digest) in placed.items():
            with view[offset : offset + length + -length % _HEAD_BYTES] as section:
                if hashlib.sha256(section).digest() != digest:
                    raise IndexFileRefused(
                        Flaw.SECTION, f"the section {name} of the file is damaged: fetch it again, or build it anew"
                    )
