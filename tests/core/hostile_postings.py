"""Postings that do to their worker what hostile files do; apart, so that workers import little else."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from havenline.vocabulary import Fingerprint, Refusal, Refused


@dataclass(frozen=True)
class Held:
    """A posting whose bytes are at hand."""

    path: str
    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self) -> bytes:
        if self.content == b"unreadable":
            raise PermissionError(13, "Permission denied")
        return self.content


@dataclass(frozen=True)
class Changed(Held):
    """What this process reads is not what a worker reads, or can be read no more."""

    content: bytes
    here: bytes
    reader: int = field(default_factory=os.getpid)

    def read(self) -> bytes:
        return Held(self.path, self.here if os.getpid() == self.reader else self.content).read()


@dataclass(frozen=True)
class Barred:
    path: str
    refused: Refused


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digested(content: bytes) -> Fingerprint:
    """A fingerprint by digests alone, with some contents that do what hostile files do."""
    match content.split(b" ")[0]:
        case b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"quits":
            os._exit(0)
        case b"raises":
            raise RuntimeError("secret words of the file")
        case b"hungry":
            raise MemoryError
        case b"stuck":
            while True:
                time.sleep(60)
        case b"once":
            marker = Path(content.split(b" ")[1].decode())
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        case b"slow":
            time.sleep(0.05)
    return Fingerprint(
        md5=hashlib.md5(content).hexdigest(),
        sha1=hashlib.sha1(content).hexdigest(),
        sha256=sha(content),
        size=len(content),
        refusal=Refused(Refusal.UNKNOWN_KIND, "a test"),
    )


def digested_falsely(name: str, false: str | int, content: bytes) -> Fingerprint:
    return replace(digested(content), **{name: false})  # type: ignore[arg-type]


def held(*contents: bytes) -> list[Held]:
    return [Held(f"{number}.bin", content) for number, content in enumerate(contents)]


def quits_at_once(*_: object) -> None:
    os._exit(7)
