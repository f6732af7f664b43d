"""MD5, SHA-1 and SHA-256 of the original bytes in one pass."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import RawIOBase
from typing import Any, BinaryIO

_PIECE = 1 << 20
_CHUNK = 1 << 16  # stays in the cache while the three sums go over it


@dataclass(frozen=True, slots=True)
class Digests:
    """Lower-case hex digests and the number of bytes they cover."""

    md5: str
    sha1: str
    sha256: str
    size: int


class Digesting:
    """Digests in the making: give it the bytes in order, piece by piece, and close with `digests`."""

    def __init__(self) -> None:
        self._sums = (
            hashlib.md5(usedforsecurity=False),
            hashlib.sha1(usedforsecurity=False),
            hashlib.sha256(usedforsecurity=False),
        )
        self.size = 0

    def update(self, piece: bytes | memoryview) -> None:
        """Take in the next bytes."""
        whole = memoryview(piece)
        for at in range(0, len(whole), _CHUNK):
            part = whole[at : at + _CHUNK]
            for each in self._sums:
                each.update(part)
        self.size += len(whole)

    def digests(self) -> Digests:
        """Of all bytes taken in so far."""
        md5, sha1, sha256 = (each.hexdigest() for each in self._sums)
        return Digests(md5=md5, sha1=sha1, sha256=sha256, size=self.size)


def digest(source: bytes | BinaryIO) -> Digests:
    """The digests of `source`; a stream is read to its end from where it stands, in pieces of 1 MiB.

    MD5 and SHA-1 are for looking files up in lists that carry nothing else, never for proof. Raises what
    reading the stream raises.
    """
    sums = Digesting()
    if isinstance(source, bytes):
        sums.update(source)
    else:
        while piece := source.read(_PIECE):
            sums.update(piece)
    return sums.digests()


class DigestingStream(RawIOBase):
    """A seekable stream whose bytes are digested while somebody else reads them, each byte once.

    What is read in order from the front is digested as it passes by; what is skipped or read ahead of its
    turn is read once more when `finish` closes the gap. Reading again costs nothing.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source, self._sums, self._at = source, Digesting(), 0

    def readable(self) -> bool:
        """As every stream that can be read."""
        return True

    def seekable(self) -> bool:
        """As every stream whose position can be changed."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position, as `io.RawIOBase.seek`."""
        self._at = self._source.seek(offset, whence)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the stream, and digest what of it comes next in order."""
        piece = self._source.read(len(buffer))
        buffer[: len(piece)] = piece
        self._pass_by(piece)
        return len(piece)

    def finish(self) -> Digests:
        """Read and digest what nobody has read in order, and give the digests of the whole stream."""
        self.seek(self._sums.size)
        while piece := self._source.read(_PIECE):
            self._pass_by(piece)
        return self._sums.digests()

    def _pass_by(self, piece: bytes) -> None:
        fresh = self._at + len(piece) - self._sums.size
        if self._at <= self._sums.size and fresh > 0:
            self._sums.update(memoryview(piece)[-fresh:])
        self._at += len(piece)
