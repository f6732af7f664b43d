"""What was added to and withdrawn from hash lists since a snapshot: an append-only file, docs/formats/live-lists.md, 3.

A change is one record: whoever reads the file sees all of it or nothing. Each record's digest covers the one
before, so a record cannot be turned, left out or put elsewhere unseen.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from havenline.matching.snapshot import said_terms, terms_of
from havenline.vocabulary import VALUE_KINDS, FrameHash, HavenlineError, ListEntry, ListTerms
from havenline.whole_file import write_whole

MAGIC = b"\x89HVLNCH\n"
FORM = 1
_HEAD = struct.Struct("<8sIQ32s")
"""Magic, form, generation, digest of the snapshot."""
_LENGTH = struct.Struct("<I")
_DIGEST = 32
_FIELDS = (*(kind.value for kind in VALUE_KINDS), "pdq_quality", "label")


class LiveListsDamaged(HavenlineError):
    """Live lists cannot be used as they are; the text says what is damaged, and what to do."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one acknowledged step changed, by name of list. Withdrawn first, then added, then the terms."""

    withdraw: Mapping[str, Sequence[str]] = field(default_factory=dict)
    add: Mapping[str, Sequence[ListEntry]] = field(default_factory=dict)
    terms: Mapping[str, ListTerms] = field(default_factory=dict)
    at: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A change with the digest of its record, lower-case hex, and where the record ends in the file."""

    change: Change
    digest: str
    end: int


class ChangeLog:
    """One file of changes, opened. Not safe for several threads; any number of processes may read it."""

    def __init__(self, path: Path) -> None:
        """Open the file at `path`. Raises LiveListsDamaged when it is none, OSError when it cannot be read."""
        self.path, self._file = path, -1
        self._file = os.open(path, os.O_RDONLY)
        head = os.pread(self._file, _HEAD.size, 0)
        if len(head) < _HEAD.size or not head.startswith(MAGIC):
            raise LiveListsDamaged(
                f"{path}: no file of changes, or cut short at its beginning; restore it from a backup"
            )
        self.generation: int
        _, form, self.generation, snapshot = _HEAD.unpack(head)
        if form != FORM:
            raise LiveListsDamaged(f"{path}: has form {form}, this program reads form {FORM}: use a matching program")
        self.snapshot = snapshot.hex()
        self.end = _HEAD.size
        self.digest = hashlib.sha256(head).digest()
        self.start = self.digest.hex()

    @staticmethod
    def create(path: Path, *, generation: int, snapshot: str, changes: Sequence[Change] = ()) -> None:
        """Write a new file for a snapshot of that digest, with `changes` in it, in place of an earlier one."""
        head = _HEAD.pack(MAGIC, FORM, generation, bytes.fromhex(snapshot))
        before = hashlib.sha256(head).digest()
        with write_whole(path, replace=True) as file:
            file.write(head)
            for change in changes:
                record = _record(change, before)
                before = record[_LENGTH.size : _LENGTH.size + _DIGEST]
                file.write(record)

    def close(self) -> None:
        """Let the file go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        self.close()

    @property
    def size(self) -> int:
        """How long the file is now; larger than `end` when there is something new, or something torn."""
        return os.fstat(self._file).st_size

    def news(self) -> Iterator[Recorded]:
        """The changes since the last call, each as soon as it is whole. A torn or unfinished last one is left.

        Raises LiveListsDamaged when a record does not fit its digest and others follow it.
        """
        size = self.size
        if size < self.end:
            raise LiveListsDamaged(f"{self.path}: is shorter than it was; restore it from a backup")
        while self.end + _LENGTH.size + _DIGEST <= size:
            start = os.pread(self._file, _LENGTH.size + _DIGEST, self.end)
            (length,) = _LENGTH.unpack_from(start)
            end = self.end + len(start) + length
            if end > size:
                return
            payload = os.pread(self._file, length, self.end + len(start))
            digest = hashlib.sha256(self.digest + payload).digest()
            if digest != start[_LENGTH.size :]:
                if end < size:
                    raise LiveListsDamaged(
                        f"{self.path}: the record at byte {self.end:,} is damaged and others follow it; "
                        "restore the file from a backup"
                    )
                return
            self.end, self.digest = end, digest
            yield Recorded(_read(payload), digest.hex(), end)

    def append(self, change: Change) -> Recorded:
        """Add a record behind all others and return when it is on the disk.

        For one writer at a time, who has read all `news`. What is torn behind the last whole record, and so was never
        acknowledged, is cut off. Raises OSError when it cannot be written; then nothing was added.
        """
        record = _record(change, self.digest)
        # Only here is it opened for writing: who reads may be forbidden to.
        file = os.open(self.path, os.O_RDWR)
        try:
            if self.size > self.end:
                os.ftruncate(file, self.end)
            written = 0
            while written < len(record):
                written += os.pwrite(file, record[written:], self.end + written)
            os.fsync(file)
        except BaseException:
            os.ftruncate(file, self.end)
            raise
        finally:
            os.close(file)
        self.end += len(record)
        self.digest = record[_LENGTH.size : _LENGTH.size + _DIGEST]
        return Recorded(change, self.digest.hex(), self.end)


def said_change(change: Change) -> dict[str, Any]:
    """A change as JSON says it (docs/formats/live-lists.md, 3)."""
    said: dict[str, Any] = {"at": change.at}
    if change.withdraw:
        said["withdraw"] = {name: list(ids) for name, ids in change.withdraw.items()}
    if change.add:
        said["add"] = {name: [_said(entry) for entry in entries] for name, entries in change.add.items()}
    if change.terms:
        said["terms"] = {name: said_terms(terms) for name, terms in change.terms.items()}
    return said


def change_of(said: Mapping[str, Any]) -> Change:
    """The change that JSON says. Raises AttributeError, KeyError, TypeError, ValueError where it says none."""
    return Change(
        withdraw={name: tuple(ids) for name, ids in said.get("withdraw", {}).items()},
        add={name: tuple(_entry(each) for each in entries) for name, entries in said.get("add", {}).items()},
        terms={name: terms_of(terms) for name, terms in said.get("terms", {}).items()},
        at=said["at"],
    )


def _record(change: Change, before: bytes) -> bytes:
    payload = json.dumps(said_change(change), ensure_ascii=False, separators=(",", ":")).encode()
    return _LENGTH.pack(len(payload)) + hashlib.sha256(before + payload).digest() + payload


def _said(entry: ListEntry) -> dict[str, Any]:
    # A film names its id otherwise, so that a program that would pass over frames cannot read the record.
    said: dict[str, Any] = {"film" if entry.frames else "entry": entry.entry}
    said |= {name: getattr(entry, name) for name in _FIELDS if getattr(entry, name) is not None}
    if entry.opaque:
        said["opaque"] = [list(each) for each in entry.opaque]
    if entry.frames:
        said["frames"] = [list(each) for each in entry.frames]
    return said


def _read(payload: bytes) -> Change:
    try:
        return change_of(json.loads(payload))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise LiveListsDamaged("a record of changes fits its digest and cannot be read: use a newer program") from None


def _entry(said: dict[str, Any]) -> ListEntry:
    opaque = tuple((name, text) for name, text in said.get("opaque", ()))
    frames = tuple(FrameHash(*each) for each in said["frames"]) if "film" in said else ()
    return ListEntry(
        said["film" if frames else "entry"],
        opaque=opaque,
        frames=frames,
        **{name: said[name] for name in _FIELDS if name in said},
    )
