"""Bytes to a `Fingerprint`: digests first, then the decoder, then PDQ."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from havenline.fingerprints.digests import Digests, digest
from havenline.fingerprints.pdq import pdq
from havenline.media.decode import DEFAULT_LIMITS, Limits, decode_picture
from havenline.media.kinds import HEAD_BYTES, recognise
from havenline.media.postings import Posting, PostingUnreadableError
from havenline.vocabulary import PDQ_FULL, Fingerprint, HavenlineError, Refusal, Refused


class FileUnreadableError(HavenlineError):
    """A file could not be read at all, so that not even its digests are known."""


def fingerprint_bytes(content: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Fingerprint:
    """The fingerprint of one file's bytes: digests always, and the PDQ hash or the reason why there is none.

    The digests are taken before any parser sees the bytes. `pipeline` is `vocabulary.PDQ_FULL` where there is
    a hash. Not checked: whether the hash's quality allows comparing; `Fingerprint.comparable` says so.
    """
    digests = digest(content)
    picture = decode_picture(content, limits=limits)
    if isinstance(picture, Refused):
        return _without_hash(digests, recognise(content[:HEAD_BYTES]), picture)
    value, quality = pdq(picture.rgb)
    return Fingerprint(
        md5=digests.md5,
        sha1=digests.sha1,
        sha256=digests.sha256,
        size=digests.size,
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        pdq=value,
        pdq_quality=quality,
        pipeline=PDQ_FULL,
    )


def fingerprint_file(path: str | Path, *, limits: Limits = DEFAULT_LIMITS) -> Fingerprint:
    """The fingerprint of the file at `path`, as by `fingerprint_bytes`; read once, and only digested when too
    large.

    Links are followed: the caller named the file. Raises FileUnreadableError when its bytes cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            return _of_stream(stream, limits)
    except OSError as error:
        raise FileUnreadableError(f"{path} could not be read ({error.strerror or 'input error'})") from error


def fingerprint_posting(posting: Posting, *, limits: Limits = DEFAULT_LIMITS) -> Fingerprint | Refused:
    """The fingerprint of one posting of a source, or UNREADABLE when its bytes cannot be had any more."""
    try:
        with posting.open() as stream:
            return _of_stream(stream, limits)
    except (OSError, PostingUnreadableError):
        return Refused(Refusal.UNREADABLE, "the file could not be read; check that it is still there, and try again")


def _of_stream(stream: BinaryIO, limits: Limits) -> Fingerprint:
    size = stream.seek(0, 2)
    stream.seek(0)
    if size <= limits.max_bytes:
        return fingerprint_bytes(stream.read(), limits=limits)
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    detail = f"the file has {size:,} bytes; pictures up to {limits.max_bytes:,} bytes are opened"
    return _without_hash(digest(stream), recognise(head), Refused(Refusal.TOO_LARGE, detail))


def _without_hash(digests: Digests, media_type: str | None, refused: Refused) -> Fingerprint:
    return Fingerprint(
        md5=digests.md5,
        sha1=digests.sha1,
        sha256=digests.sha256,
        size=digests.size,
        media_type=media_type,
        refusal=refused,
    )
