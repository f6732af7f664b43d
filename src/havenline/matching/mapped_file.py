"""Named arrays as one immutable file that every process maps and shares: docs/formats/mapped-file.md, form 2."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.vocabulary import HavenlineError
from havenline.whole_file import write_whole

MAGIC = b"\x89HVLNMF\n"
FORM = 2
_START = struct.Struct("<8sIIQ")
"""Magic, form, bytes of the head, bytes of the file; then comes the SHA-256 of these and the head."""
_DIGEST = 32
_BEFORE = _START.size + _DIGEST
_PAGE = 4096
"""The head starts with the file; it and every section end at a multiple of this."""
_SMALL_FILE = 1 << 22
"""Files up to this size are verified whenever they are opened: it takes no longer than the rest."""
_LARGEST_HEAD = 1 << 26
_TYPES: dict[str, np.dtype[Any]] = {
    "u1": np.dtype("u1"),
    "u2": np.dtype("<u2"),
    "u4": np.dtype("<u4"),
    "u8": np.dtype("<u8"),
}


class Flaw(StrEnum):
    """What is wrong with a mapped file."""

    FOREIGN = "foreign"
    VERSION = "version"
    HEAD = "head"
    SIZE = "size"
    SECTION = "section"


class MappedFileRefused(HavenlineError):
    """A file that is not a whole, undamaged mapped file; no part of it is used. `flaw` says why."""

    def __init__(self, flaw: Flaw, detail: str) -> None:
        super().__init__(detail)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Mapped:
    """An opened file: what it says of itself, and its arrays, read-only. `digest` names the whole file."""

    says: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    digest: str


def write_mapped(
    path: Path, kind: str, says: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], *, replace: bool = True
) -> str:
    """Write `arrays` and what they are, `says` (JSON), in place of an earlier file; returns the file's digest.

    Beside its place under another name, flushed to the disk, renamed, the folder flushed: after a crash there is
    the earlier file or the new one. Readable by its owner alone. Raises FileExistsError when there is one and `replace`
    is false, OSError when it cannot be written.
    """
    head, start = _head(kind, says, arrays)
    with write_whole(path, replace=replace) as file:
        file.write(start + head)
        for array in arrays.values():
            file.write(bytes(-file.tell() % _PAGE))
            file.write(_raw(array))
        file.write(bytes(-file.tell() % _PAGE))
    return start[-_DIGEST:].hex()


def is_mapped(first: bytes) -> bool:
    """Whether a file that begins with `first` (8 bytes or more) is a mapped file."""
    return first.startswith(MAGIC)


def read_mapped(path: Path, kind: str, *, verify: bool = False) -> Mapped:
    """Map the file at `path`, which must not be changed meanwhile, shared with every process that maps it.

    Raises `MappedFileRefused` with the reason for a file that is not a whole file of `kind`, and OSError when it
    cannot be read. The head and the size are always checked; the sections by their digests, and the padding, when
    `verify` is true or the file has at most 4 MiB.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head, digest = _checked_head(file.read(_BEFORE), file.read, size)
        if head["kind"] != kind:
            raise MappedFileRefused(Flaw.FOREIGN, f"this is a {head['kind']!r}, no {kind!r}: choose another file")
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if verify or size <= _SMALL_FILE:
        _check_sections(whole, head)
    arrays = {
        each["name"]: np.frombuffer(whole, _TYPES[each["type"]], _count(each["shape"]), each["offset"]).reshape(
            each["shape"]
        )
        for each in head["sections"]
    }
    return Mapped(head["says"], arrays, digest)


def _head(kind: str, says: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> tuple[bytes, bytes]:
    """The JSON of the head with its filling, and the start that stands before it."""
    sections: list[dict[str, Any]] = []
    for name, array in arrays.items():
        type_ = next(name for name, each in _TYPES.items() if each == array.dtype)
        digest = hashlib.sha256(_raw(array))
        digest.update(bytes(-array.nbytes % _PAGE))
        sections.append({"name": name, "type": type_, "shape": list(array.shape), "sha256": digest.hexdigest()})
    head = {"kind": kind, "says": dict(says), "sections": sections}
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
    # Offsets follow from the length of the head, and stand in it: so they get as many digits as the largest has.
    room = len(text) + 32 * len(sections) + _PAGE
    length = room + -(room + _BEFORE) % _PAGE
    offset = _BEFORE + length
    for section, array in zip(sections, arrays.values(), strict=True):
        section["offset"] = offset
        offset += array.nbytes + -array.nbytes % _PAGE
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode().ljust(length)
    start = _START.pack(MAGIC, FORM, length, offset)
    return text, start + hashlib.sha256(start + text).digest()


def _raw(array: NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _count(shape: list[int]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count


def _checked_head(start: bytes, read: Any, size: int) -> tuple[dict[str, Any], str]:
    if not start.startswith(MAGIC):
        raise MappedFileRefused(Flaw.FOREIGN, "this is no file of Havenline's mapped form: choose another")
    if len(start) < _BEFORE:
        raise MappedFileRefused(Flaw.SIZE, f"the file ends after {size:,} bytes, within its head: fetch it again")
    _, form, length, end = _START.unpack_from(start)
    if form != FORM:
        raise MappedFileRefused(
            Flaw.VERSION, f"the file has form {form}, this program reads form {FORM}: use a matching program"
        )
    text = read(length) if length <= _LARGEST_HEAD else b""
    if len(text) < length <= _LARGEST_HEAD:
        raise MappedFileRefused(Flaw.SIZE, f"the file ends after {size:,} bytes, within its head: fetch it again")
    if hashlib.sha256(start[: _START.size] + text).digest() != start[_START.size :]:
        raise MappedFileRefused(Flaw.HEAD, "the head of the file is damaged: fetch it again, or make it anew")
    if size != end:
        raise MappedFileRefused(
            Flaw.SIZE, f"the file has {size:,} bytes where its head says {end:,}: it is torn; fetch it again"
        )
    head = json.loads(text)
    if not _is_sound(head, _BEFORE + length, end):
        raise MappedFileRefused(Flaw.HEAD, "the head of the file contradicts itself: make the file anew")
    return head, start[_START.size :].hex()


def _is_sound(head: Any, offset: int, end: int) -> bool:
    """Whether the sections follow each other from `offset` to `end`, each of a known type."""
    try:
        names = [each["name"] for each in head["sections"]]
        if type(head["kind"]) is not str or type(head["says"]) is not dict or len(set(names)) != len(names):
            return False
        for each in head["sections"]:
            shape = each["shape"]
            if each["offset"] != offset or any(type(length) is not int or length < 0 for length in shape):
                return False
            offset += -(-_count(shape) * _TYPES[each["type"]].itemsize // _PAGE) * _PAGE
            if len(bytes.fromhex(each["sha256"])) != 32:
                return False
    except (KeyError, TypeError, ValueError):
        return False
    return offset == end


def _check_sections(whole: mmap.mmap, head: dict[str, Any]) -> None:
    with memoryview(whole) as view:
        ends = [each["offset"] for each in head["sections"][1:]] + [len(whole)]
        for each, end in zip(head["sections"], ends, strict=True):
            with view[each["offset"] : end] as section:
                if hashlib.sha256(section).digest() != bytes.fromhex(each["sha256"]):
                    raise MappedFileRefused(
                        Flaw.SECTION,
                        f"the section {each['name']} of the file is damaged: fetch it again, or make it anew",
                    )
