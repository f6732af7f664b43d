"""One posting through media, fingerprints and matching to its Finding; a whole source, in workers.

1. `containers.open_source` names the postings of a folder, zip or tar, and refuses what is no file.
2. A worker process reads a posting's bytes and fingerprints them; a file that kills its worker is refused. Closed off
   (`close_off`), a worker opens nothing: this process opens the files and hands them over.
3. The fingerprints are looked up in lists, in the caller's process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from havenline.scan_workers import CloseOff, Lost, answers
from havenline.vocabulary import (
    BY_DISTANCE,
    FULL_EFFORT,
    PDQ_FULL,
    EditionRef,
    Effort,
    Finding,
    Fingerprint,
    FrameHash,
    HashKind,
    Lane,
    Match,
    Refusal,
    Refused,
    check_hex,
    check_text,
)

if TYPE_CHECKING:
    from havenline.provenance.signers import Signers

SECONDS_PER_FILE = 300
_LOOKED_UP_AT_ONCE = 64
_UNREADABLE = "the file could not be read; check that it is still there, and try again"

Lookup = Callable[[Sequence[Fingerprint]], list[tuple[Match, ...]]]
"""As `matching.Lists.lookup, at one time`."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """One posting of a source. Exactly one of `fingerprint`, `known_sha256` and `refused` is set.

    `size` in bytes, as the source declares it. `content` is set when it was asked for, could be read, and
    is not larger than pictures may be. `signals` are what the file says of its origin (`provenance.Signal`),
    None where they were not asked for or could not be read. `posting` is set by the screening lane, whose
    finds are to be opened once more.
    """

    path: str
    size: int | None
    fingerprint: Fingerprint | None = None
    known_sha256: str | None = None
    refused: Refused | None = None
    content: bytes | None = None
    signals: tuple[Any, ...] | None = None
    posting: Any = field(default=None, repr=False, compare=False)


def scan_one(content: bytes, *, path: str, fingerprint: Callable[[bytes], Fingerprint], lookup: Lookup) -> Finding:
    """The finding for one file's bytes, in this very process: for bytes whose decoder cannot harm it."""
    made = fingerprint(content)
    (matches,) = lookup([made])
    return Finding(path, made, matches)


def fingerprint_source(
    source: Path,
    *,
    workers: int,
    known: Collection[str] = (),
    keep_content: bool = False,
    origin_key: bytes | None = None,
    signers: Signers | None = None,
    pixels: bool = False,
    seconds_per_file: int = SECONDS_PER_FILE,
    effort: Effort = FULL_EFFORT,
    close_off: CloseOff | None = None,
) -> Generator[Scanned, None, None]:
    """Every posting of `source` (a folder, zip or tar), fingerprinted by `workers` processes, in order.

    `known`: SHA-256 values (lower-case hex) that need no fingerprint; such a posting comes with `known_sha256` alone.
    With `keep_content` the bytes come along, unless the file is larger than pictures may be: read and digested in this
    very process, and the posting is refused where a worker gave other digests. With `origin_key` the signals of origin
    of what is fingerprinted come along, their texts digested under that key; `signers` are whom the house trusts to
    sign, and with `pixels` marks in decoded pixels are looked for too. A few postings are held at a time, whatever the
    source's size.

    A file that kills its worker twice, the second time with no other file at work, or takes longer than
    `seconds_per_file`, is refused as `decoder_failed`; the others are not touched by it. Closing the iterator, or an
    interrupt, kills the workers at once. `close_off` closes each worker off before its first file
    (`havenline_guard.sandbox.close_worker`), and has an archive unpacked by one more such
    process; without it workers are processes like any other, and archives are unpacked here.

    Raises `containers.SourceError` when the source cannot be opened, `scan_workers.WorkersFailedError` when
    no worker can be started, ValueError when `workers` is under 1. Not checked: that a source stays as it
    is while it is read.
    """
    from havenline.media.archives import members
    from havenline.media.containers import open_source
    from havenline.unpacking import unpacked_by

    unpacking = members if close_off is None else unpacked_by(close_off, seconds=seconds_per_file)
    return fingerprint_postings(
        open_source(source, unpacking=unpacking),
        workers=workers,
        known=known,
        keep_content=keep_content,
        origin_key=origin_key,
        signers=signers,
        pixels=pixels,
        seconds_per_file=seconds_per_file,
        effort=effort,
        close_off=close_off,
    )


def fingerprint_postings(
    postings: Iterable[Any],
    *,
    workers: int,
    known: Collection[str] = (),
    keep_content: bool = False,
    origin_key: bytes | None = None,
    signers: Signers | None = None,
    pixels: bool = False,
    seconds_per_file: int = SECONDS_PER_FILE,
    effort: Effort = FULL_EFFORT,
    fingerprint: Callable[[bytes], Fingerprint] | None = None,
    close_off: CloseOff | None = None,
) -> Generator[Scanned, None, None]:
    """As `fingerprint_source`, for postings as `containers.open_source` gives them: picklable, with `read()`.

    `fingerprint` must be picklable; `fingerprints.fingerprint_bytes` with this `effort` when None.
    """
    if workers < 1:
        raise ValueError(f"workers are 1 or more, not {workers}")
    work = _Work(
        frozenset(bytes.fromhex(each) for each in known),
        effort,
        fingerprint,
        origin_key,
        signers,
        pixels,
    )
    for answer in answers(
        postings,
        work=work,
        needs_worker=lambda posting: getattr(posting, "refused", None) is None,
        weight=posting_weight,
        workers=workers,
        seconds=seconds_per_file,
        close_off=close_off,
        opened=posting_descriptor,
    ):
        posting, reply = answer.task, answer.reply
        if reply is None:
            yield Scanned(posting.path, getattr(posting, "size", None), refused=posting.refused)
        elif isinstance(reply, Lost):
            yield Scanned(posting.path, posting.size, refused=_lost(reply, seconds_per_file))
        else:
            done = _from_reply(posting, reply[0])
            if keep_content:
                done = _with_content(posting, done)
            yield replace(done, posting=posting) if effort.lane is Lane.SCREENING else done


@dataclass(frozen=True, slots=True)
class Triage:
    """How the finds of the screening lane are confirmed.

    `lookup` asks with `vocabulary.SCREENING_LEEWAY`, so that a find at the edge of a radius is not missed; `confirm`
    fingerprints postings by the exact lane, in the order given.
    """

    lookup: Lookup
    confirm: Callable[[list[Any]], Iterable[Scanned]]


def findings(
    scanned: Iterable[Scanned], *, lookup: Lookup, triage: Triage | None = None
) -> Iterator[tuple[Finding, int | None]]:
    """The finding and size of each posting, in order, looked up some dozens at a time.

    With `triage`, what the screening lane finds by distance is fingerprinted and looked up once more, and only that
    counts. Postings that were known already have no fingerprint here and must not be among them.
    """
    waiting = iter(scanned)
    while batch := list(islice(waiting, _LOOKED_UP_AT_ONCE)):
        asked = [each.fingerprint for each in batch if each.fingerprint is not None]
        found = lookup(asked) if triage is None else triage.lookup(asked)
        if triage is not None and any(match.kind in BY_DISTANCE for each in found for match in each):
            doubtful = _doubtful(batch, found)
            again = triage.confirm([batch[place].posting for place in doubtful])
            for place, exact in zip(doubtful, again, strict=True):
                batch[place] = exact
            found = lookup([each.fingerprint for each in batch if each.fingerprint is not None])
        matches = iter(_timed(batch, found, lookup))
        for each in batch:
            if each.fingerprint is None:
                yield Finding(each.path, None, refused=each.refused), each.size
            else:
                yield Finding(each.path, each.fingerprint, next(matches)), each.size


def _timed(batch: list[Scanned], found: Sequence[tuple[Match, ...]], lookup: Lookup) -> Iterator[tuple[Match, ...]]:
    """The matches of each fingerprint; those of a film with pictures say at which seconds, by asking frame by frame."""
    made = (each.fingerprint for each in batch if each.fingerprint is not None)
    for film, matches in zip(made, found, strict=True):
        if not film.frames or all(match.kind is not HashKind.PDQ for match in matches):
            yield matches
            continue
        # As pictures, which are not asked about films; with the film's digests, so that what it matches exactly is no
        # find of a frame's.
        frames = (*film.frames, *film.frames_upright)
        still = replace(film, **_NO_FILM, pipeline=PDQ_FULL, pdq=frames[0].pdq, pdq_quality=frames[0].quality)
        stills = [replace(still, pdq=each.pdq, pdq_quality=each.quality) for each in frames]
        seconds: dict[tuple[EditionRef, str], set[float]] = {}
        for frame, near in zip(frames, lookup(stills), strict=True):
            for match in near:
                if match.kind is HashKind.PDQ:
                    seconds.setdefault((match.edition, match.entry), set()).add(frame.second)
        yield tuple(
            replace(match, seconds=tuple(sorted(seconds.get((match.edition, match.entry), ()))))
            if match.kind is HashKind.PDQ
            else match
            for match in matches
        )


_NO_FILM: dict[str, Any] = dict.fromkeys(("pdq_512", "pdq_512_quality", "pdq_upright", "pdq_512_upright")) | {
    "frames": (),
    "frames_upright": (),
}


def _doubtful(batch: list[Scanned], found: Sequence[tuple[Match, ...]]) -> list[int]:
    """The places in the batch of what the screening lane found by distance."""
    matches = iter(found)
    near = {
        place: any(match.kind in BY_DISTANCE for match in next(matches))
        for place, each in enumerate(batch)
        if each.fingerprint is not None
    }
    return [
        place
        for place, each in enumerate(batch)
        if near.get(place) and each.posting is not None and each.fingerprint and each.fingerprint.pipeline != PDQ_FULL
    ]


@dataclass(frozen=True, slots=True)
class _Work:
    """What a worker does with a posting: answer in JSON."""

    known: frozenset[bytes]
    effort: Effort
    fingerprint: Callable[[bytes], Fingerprint] | None
    origin_key: bytes | None = None
    signers: Signers | None = None
    pixels: bool = False

    def __call__(self, posting: Any, descriptor: int | None) -> tuple[bytes, bytes]:
        from havenline.media.containers import PostingUnreadableError

        if descriptor is not None:
            posting = replace(posting, descriptor=descriptor)
        try:
            said = self._said_of(posting)
        except (PostingUnreadableError, OSError):
            said = _refusal(Refusal.UNREADABLE, _UNREADABLE)
        except MemoryError:
            said = _refusal(Refusal.DECODER_FAILED, "there was not enough memory to open this file")
        except Exception as error:
            # The message of an unforeseen error may quote the content, so only its kind is told.
            said = _refusal(Refusal.DECODER_FAILED, f"the decoder failed unforeseen ({type(error).__name__})")
        return json.dumps(said).encode(), b""

    def _said_of(self, posting: Any) -> dict[str, Any]:
        from havenline.fingerprints import fingerprint_bytes, fingerprint_stream
        from havenline.media.decode import DEFAULT_LIMITS
        from havenline.provenance.model_fingerprint import fingerprint_model

        if posting.size > DEFAULT_LIMITS.max_bytes:
            with posting.open() as stream:
                made = fingerprint_model(stream) or fingerprint_stream(stream, effort=self.effort)
                signals = self._signals(made, stream, b"")
            if bytes.fromhex(made.sha256) in self.known:
                return {"known_sha256": made.sha256}
            return {"fingerprint": asdict(made), "signals": signals}
        content = posting.read()
        if self.known:
            sha256 = hashlib.sha256(content)
            if sha256.digest() in self.known:
                return {"known_sha256": sha256.hexdigest()}
        if self.fingerprint is not None:
            made = self.fingerprint(content)
        else:
            made = fingerprint_model(BytesIO(content)) or fingerprint_bytes(content, effort=self.effort)
        return {"fingerprint": asdict(made), "signals": self._signals(made, BytesIO(content), content)}

    def _signals(self, made: Fingerprint, stream: Any, content: bytes) -> list[dict[str, Any]] | None:
        """What the file says of its origin, or None. A reader that fails costs the signals, never the fingerprint."""
        from havenline.media import kinds
        from havenline.provenance.models import read_model
        from havenline.provenance.pictures import read_picture

        if self.origin_key is None:
            return None
        try:
            if made.media_type in kinds.MODELS:
                model = read_model(stream, key=self.origin_key)
                return None if model is None else [asdict(each) for each in model.signals]
            if content and made.media_type in kinds.PICTURES | kinds.FILMS:
                found = read_picture(content, key=self.origin_key, signers=self.signers, pixels=self.pixels)
                return [asdict(each) for each in found]
        except Exception:  # whatever it is, it may quote the file
            return None
        return None


def posting_descriptor(posting: Any) -> int | None:
    """The file of a posting, open for a worker that can open none. Raises OSError."""
    from havenline.media.postings import open_descriptor

    file = getattr(posting, "file", None)
    return None if file is None else open_descriptor(file)


def posting_weight(posting: Any) -> int:
    """What a posting takes up in this process while it waits: bytes that came from an archive."""
    return len(getattr(posting, "content", None) or b"")


def _refusal(reason: Refusal, detail: str) -> dict[str, Any]:
    return {"refused": {"reason": reason.value, "detail": detail}}


def _with_content(posting: Any, done: Scanned) -> Scanned:
    """With the bytes as this process reads them: a file that took its worker over answers for nothing that is kept."""
    from havenline.fingerprints.digests import digest
    from havenline.media.containers import PostingUnreadableError
    from havenline.media.decode import DEFAULT_LIMITS

    if done.refused is not None or posting.size > DEFAULT_LIMITS.max_bytes:
        return done
    try:
        content = posting.read()
    except (PostingUnreadableError, OSError):
        return Scanned(posting.path, posting.size, refused=Refused(Refusal.UNREADABLE, _UNREADABLE))
    found, said = digest(content), done.fingerprint
    if found.sha256 == done.known_sha256 or (
        said is not None
        and (found.md5, found.sha1, found.sha256, found.size) == (said.md5, said.sha1, said.sha256, said.size)
    ):
        return replace(done, content=content)
    detail = (
        "its bytes are not those whose digests the worker that opened it gave: it was changed meanwhile, or it took "
        "that worker over; nothing of it was kept, look at it apart"
    )
    return Scanned(posting.path, posting.size, refused=Refused(Refusal.DECODER_FAILED, detail))


def _from_reply(posting: Any, reply: bytes) -> Scanned:
    """What a worker said, which a file may have taken over: anything unexpected is a refusal."""
    try:
        return _read_reply(posting, reply)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        detail = "the worker that opened it gave an answer that none gives; look at it apart"
        return Scanned(posting.path, posting.size, refused=Refused(Refusal.DECODER_FAILED, detail))


def _read_reply(posting: Any, reply: bytes) -> Scanned:
    from havenline.provenance.read_back import read_back

    said = json.loads(reply)
    place = partial(Scanned, posting.path, posting.size)
    if "refused" in said:
        return place(refused=_refused(said["refused"]))
    if "known_sha256" in said:
        return place(known_sha256=check_hex("sha256", said["known_sha256"]))
    fields = said["fingerprint"]
    if fields["refusal"] is not None:
        fields["refusal"] = _refused(fields["refusal"])
    for name in ("frames", "frames_upright"):
        fields[name] = tuple(FrameHash(*frame) for frame in fields[name])
    for name in ("media_type", "pipeline"):
        if fields[name] is not None:
            check_text(name, fields[name])
    signals = None if said["signals"] is None else read_back(said["signals"])
    return place(fingerprint=Fingerprint(**fields), signals=signals)


def _refused(said: dict[str, str]) -> Refused:
    return Refused(Refusal(said["reason"]), check_text("detail", said["detail"]))


def _lost(lost: Lost, seconds: int) -> Refused:
    if lost is Lost.NOT_OPENED:
        return Refused(Refusal.UNREADABLE, _UNREADABLE)
    what = f"took longer than {seconds} seconds" if lost is Lost.TOOK_TOO_LONG else "ended the process that opened it"
    return Refused(Refusal.DECODER_FAILED, f"opening it {what}; nothing of it was kept, look at it apart")
