"""MD5, SHA-1 and SHA-256 of the original bytes in one pass."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Digests:
    """Lower-case hex digests and the number of bytes they cover."""

    md5: str
    sha1: str
    sha256: str
    size: int


def digest(source: bytes | BinaryIO) -> Digests:
    """The digests of `source`; a stream is read to its end from where it stands, in pieces of 1 MiB.

    MD5 and SHA-1 are for looking files up in lists that carry nothing else, never for proof. Raises what
    reading the stream raises.
    """
    stream = BytesIO(source) if isinstance(source, bytes) else source
    sums = (
        hashlib.md5(usedforsecurity=False),
        hashlib.sha1(usedforsecurity=False),
        hashlib.sha256(usedforsecurity=False),
    )
    size = 0
    while piece := stream.read(_CHUNK):
        for each in sums:
            each.update(piece)
        size += len(piece)
    md5, sha1, sha256 = (each.hexdigest() for each in sums)
    return Digests(md5=md5, sha1=sha1, sha256=sha256, size=size)
