"""What a source holds: postings that can be read, and places where one could not be had."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from havenline.vocabulary import HavenlineError, Refused

_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


class SourceError(HavenlineError):
    """The source that was named does not exist or cannot be read at all."""


class PostingUnreadableError(HavenlineError):
    """A posting was there when the source was listed, and can no longer be read."""


@dataclass(frozen=True, slots=True)
class ContainerLimits:
    """What a source may cost.

    Beyond `ratio_from` bytes nothing may unpack to more than `max_ratio` times its packed size.
    """

    max_members: int = 200_000
    max_member_bytes: int = 256 * 1024 * 1024
    max_directory_bytes: int = 32 * 1024 * 1024
    max_ratio: int = 200
    ratio_from: int = 1024 * 1024


DEFAULT_CONTAINER_LIMITS = ContainerLimits()


@dataclass(frozen=True, slots=True)
class Posting:
    """One file of a source at its relative `path`: still on disk (`file`), out of an archive (`content`), or open
    already (`descriptor`, read from its beginning and closed with the stream).

    Cheap to hand to another process: a path, or the bytes that would have to travel anyway. `path` is
    unique within its source, uses `/`, and shows bytes that are not UTF-8 and control characters as
    backslash escapes.
    """

    path: str
    size: int
    file: Path | None = None
    content: bytes | None = field(default=None, repr=False)
    descriptor: int | None = None

    def open(self) -> BinaryIO:
        """A stream over the bytes; links are not followed. Raises PostingUnreadableError."""
        if self.content is not None:
            return BytesIO(self.content)
        if self.descriptor is not None:
            return os.fdopen(self.descriptor, "rb")
        if self.file is None:
            raise PostingUnreadableError(f"{self.path} has neither a file nor content")
        try:
            return open_regular(self.file)
        except OSError as error:
            raise PostingUnreadableError(f"{self.path} could not be read ({error.strerror})") from error

    def read(self) -> bytes:
        """All bytes, however many; `open` is there for those who need less. Raises PostingUnreadableError."""
        if self.content is not None:
            return self.content
        try:
            with self.open() as stream:
                return stream.read()
        except OSError as error:
            raise PostingUnreadableError(f"{self.path} could not be read ({error.strerror})") from error


@dataclass(frozen=True, slots=True)
class RefusedPosting:
    """A place in a source whose bytes could not be had, and why."""

    path: str
    refused: Refused


class Names:
    """Gives every posting of one source a path of its own."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def distinct(self, path: str) -> str:
        """`path`, or `path` with ` (2)`, ` (3)` … before its ending where it was given out already."""
        if path in self._taken:
            pure = PurePosixPath(path)
            number = self._next.get(path, 2)
            while (other := str(pure.with_name(f"{pure.stem} ({number}){pure.suffix}"))) in self._taken:
                number += 1
            self._next[path] = number + 1
            path = other
        self._taken.add(path)
        return path


def shown(name: bytes) -> str:
    """A name as text that can be printed and stored: control bytes and what is not UTF-8 become escapes."""
    text = name.decode("utf-8", "backslashreplace")
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def open_regular(file: Path) -> BinaryIO:
    """Open a regular file without following a link or waiting at a pipe. Raises OSError."""
    return os.fdopen(open_descriptor(file), "rb")


def open_descriptor(file: Path) -> int:
    """As `open_regular`, as a bare descriptor that the caller closes. Raises OSError."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not a regular file")
    return descriptor
