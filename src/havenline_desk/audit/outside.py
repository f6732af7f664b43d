"""Where the audit log leaves the database: a folder with the signed checkpoints and the journal of hashes.

docs/formats/audit-log.md, 6. The folder proves something only when another administrator keeps it, or a copy of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from havenline.formats.audit_log import Checkpoint, checkpoint_of
from havenline.vocabulary import HavenlineError
from havenline.whole_file import write_whole

_SIGNED = "\u2014 ".encode()
"""How the second half of a note begins. Its first half looks whole too, where a full disk or a crash ends it there."""
_TAIL = 4096
"""Bytes at the end of a file in which its last whole record must lie."""


class AuditUnavailable(HavenlineError):
    """The audit log cannot be written, so the act is refused; the text says why."""


@dataclass(frozen=True, slots=True)
class Sink:
    """The folder. Its files only grow; what a loss of power left torn at their end is cut off by the next writer."""

    folder: Path

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def write_ahead(self, seq: int, entry_hash: str) -> None:
        """Write the hash of an entry whose transaction has not ended yet; called by one writer at a time.

        Not flushed: it outlives a killed process, and lines that a loss of power takes are not missed, since a signed
        checkpoint proves more. Raises AuditUnavailable when it cannot be written.
        """
        with self._told():
            self._append(self.journal, f"{seq} {entry_hash}\n".encode(), end=b"\n", flush=False)

    def add_checkpoint(self, note: bytes) -> None:
        """Append a signed note and flush it to the disk; the caller holds `alone`."""
        with self._told():
            fresh = not self.checkpoints.exists()
            self._append(self.checkpoints, note + b"\n", end=b"\n\n", begins=_SIGNED, flush=True)
            if fresh:
                _flush(self.folder)

    def start_anew(self, lines: Iterable[bytes]) -> None:
        """Begin for another log, with `lines` as its journal; the caller holds `alone` and has kept a copy."""
        with self._told():
            with write_whole(self.journal, replace=True) as file:
                file.writelines(lines)
            self.checkpoints.unlink(missing_ok=True)
            _flush(self.folder)

    def last_checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint that stands here whole; None before the first."""
        last = self.last_note()
        return last[0] if last is not None else None

    def last_note(self) -> tuple[Checkpoint, bytes] | None:
        """The newest checkpoint with its signed note. Raises AuditUnavailable when the file is damaged at its end."""
        with self._told():
            if not self.checkpoints.exists():
                return None
            with self.checkpoints.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 2 * _TAIL))
                blocks = file.read(2 * _TAIL).split(b"\n\n")[:-1]
            if len(blocks) < 2:
                return None
            for end in (len(blocks), len(blocks) - 1):  # a torn note may have left its first half
                note = b"\n\n".join(blocks[max(0, end - 2) : end]) + b"\n"
                with contextlib.suppress(HavenlineError):
                    return checkpoint_of(note), note
            raise AuditUnavailable(f"{self.checkpoints} is damaged: its last note is no checkpoint. Keep it, and ask")

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder's lock, under which checkpoints are signed one after another."""
        with self._told():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _append(self, path: Path, record: bytes, *, end: bytes, begins: bytes = b"", flush: bool) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            place = _whole(descriptor, end, begins)
            try:
                written = os.pwrite(descriptor, record, place)
                if written != len(record):
                    raise OSError(None, "the disk is full")
            except OSError:
                with contextlib.suppress(OSError):  # the next writer cuts it off all the same
                    os.ftruncate(descriptor, place)
                raise
            if flush:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AuditUnavailable(
                f"the audit log cannot be written to {self.folder} ({error.strerror or error})"
            ) from None


def note_id(note: bytes) -> uuid.UUID:
    """By what an entry names a signed note: the first 16 bytes of its SHA-256."""
    return uuid.UUID(bytes=hashlib.sha256(note).digest()[:16])


def _whole(descriptor: int, end: bytes, begins: bytes) -> int:
    """Where the last whole record ends, whose last piece begins so; what is torn behind it is cut off."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - _TAIL)
    tail = os.pread(descriptor, _TAIL, start)
    place = len(tail)
    while (found := tail.rfind(end, 0, place)) >= 0:
        before = tail.rfind(end, 0, found)
        piece = before + len(end) if before >= 0 else 0
        place = found + len(end)
        if tail.startswith(begins, piece):
            break
        place = found
    else:
        place = 0
    if start + place < size:
        os.ftruncate(descriptor, start + place)
    return start + place


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
