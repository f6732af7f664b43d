"""One sealed object, to and from chunks of bytes: AES-256-GCM in segments, docs/formats/vault-object.md, form 1.

Source of the method: STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015) with nonces as in age's payload, the
key of each object derived by HKDF-SHA256 from its own key, a random salt and everything the object is bound to.
What is not hidden: the length of the content.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from havenline.vocabulary import HavenlineError

MAGIC = b"\x89HVLVO\r\n"
FORM = 1
SEGMENT = 64 << 10
"""Bytes of content in each segment but the last."""
_HEAD = struct.Struct(">8sII32s")
_TAG = 16
_TRAILER = hashlib.sha256().digest_size


class Damaged(HavenlineError):
    """A sealed object is not what was written, or is another's; nothing of it may be used."""


def sealed(chunks: Iterable[bytes], key: bytes, *, name: str, kind: str, version: int) -> Iterator[bytes]:
    """The sealed object, in pieces. `key` has 32 bytes and is used for this object alone."""
    head = _HEAD.pack(MAGIC, FORM, SEGMENT, os.urandom(32))
    cipher = _cipher(key, head, name=name, kind=kind, version=version)
    digest = hashlib.sha256(head)
    yield head
    for number, (segment, last) in enumerate(_segments(chunks, SEGMENT)):
        piece = cipher.encrypt(_nonce(number, last), segment, None)
        digest.update(piece)
        yield piece
    yield digest.digest()


def unsealed(pieces: Iterable[bytes], key: bytes, *, name: str, kind: str, version: int) -> Iterator[bytes]:
    """The content, in pieces; each was checked before it is given. Raises Damaged at the first that is not whole.

    That the content is whole is known only at the end of the iteration.
    """
    reading = _Pieces(pieces)
    head = reading.take(_HEAD.size)
    if len(head) != _HEAD.size or _HEAD.unpack(head)[:3] != (MAGIC, FORM, SEGMENT):
        raise Damaged("this is no sealed object of a form that is known here")
    cipher = _cipher(key, head, name=name, kind=kind, version=version)
    number, last = 0, False
    while not last:
        piece = reading.take(SEGMENT + _TAG, leaving=_TRAILER)
        last = reading.at_end(_TRAILER)
        try:
            segment = cipher.decrypt(_nonce(number, last), piece, None)
        except (InvalidTag, ValueError):
            raise Damaged("a sealed object was changed, cut short, or belongs to another key") from None
        number += 1
        yield segment


def check(pieces: Iterable[bytes]) -> None:
    """Whether an object is as it was written, without any key. Raises Damaged.

    Shows rot and cut ends. Who can write the object can also write its digest: that shows only when it is opened.
    """
    reading, digest = _Pieces(pieces), hashlib.sha256()
    while piece := reading.take(SEGMENT, leaving=_TRAILER):
        digest.update(piece)
    if reading.take(_TRAILER) != digest.digest():
        raise Damaged("a sealed object no longer has its digest")


class _Pieces:
    """Pieces of any size, read as pieces of a wanted size."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._buffer = iter(pieces), bytearray()

    def take(self, count: int, *, leaving: int = 0) -> bytes:
        """At most `count` bytes, never the last `leaving` of all."""
        self._fill(count + leaving)
        count = max(0, min(count, len(self._buffer) - leaving))
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def at_end(self, leaving: int) -> bool:
        self._fill(leaving + 1)
        return len(self._buffer) <= leaving

    def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            piece = next(self._pieces, None)
            if piece is None:
                return
            self._buffer += piece


def _segments(chunks: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Segments of `size`, and whether each is the last; an empty content is one empty segment."""
    reading = _Pieces(chunks)
    last = False
    while not last:
        segment = reading.take(size)
        last = reading.at_end(0)
        yield segment, last


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _cipher(key: bytes, head: bytes, *, name: str, kind: str, version: int) -> AESGCM:
    bound = b"".join(struct.pack(">I", len(part)) + part for part in (name.encode(), kind.encode(), head))
    about = b"havenline vault object 1\n" + bound + struct.pack(">Q", version)
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=head[-32:], info=about).derive(key))
