"""What files say of their origin, and whether one picture was made of another, in workers that can be closed off."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from havenline.scan_workers import Answer, CloseOff, Lost, Work, answers
from havenline.vocabulary import Refusal, Refused

if TYPE_CHECKING:
    from havenline.provenance.signers import Signers

SECONDS_PER_FILE = 300
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Origin:
    """What one posting says of its origin: `signals` as `provenance.Signal`, or why it could not be read.

    No signals at all mean nothing.
    """

    path: str
    media_type: str | None = None
    signals: tuple[Any, ...] = ()
    refused: Refused | None = None


def origins(
    postings: Iterable[Any],
    *,
    key: bytes,
    workers: int,
    close_off: CloseOff | None = None,
    signers: Signers | None = None,
    pixels: bool = False,
) -> Iterator[Origin]:
    """The origin of each posting of a source, in order, read by `workers` processes, closed off by `close_off`.

    `key`: what the digests of texts are keyed with, at least 16 bytes. `signers`: whom the house trusts to sign.
    `pixels`: marks in decoded pixels are looked for too. A file that kills its worker, or takes longer than 300
    seconds, is refused. Raises `scan_workers.WorkersFailedError` when no worker can be started. Not read: pictures and
    films above 256 MiB.
    """
    for answer in _answered(postings, _Read(key, signers, pixels), workers=workers, close_off=close_off):
        posting, reply = answer.task, answer.reply
        if reply is None:
            yield Origin(posting.path, refused=posting.refused)
        elif isinstance(reply, Lost):
            detail = (
                f"reading it {'took too long' if reply is Lost.TOOK_TOO_LONG else 'failed'}; nothing of it was kept"
            )
            yield Origin(posting.path, refused=Refused(Refusal.DECODER_FAILED, detail))
        else:
            yield _from_reply(posting.path, reply[0])


@dataclass(frozen=True, slots=True)
class _Read:
    """What a worker does with a posting: its kind and signals as JSON."""

    key: bytes
    signers: Signers | None = None
    pixels: bool = False

    def __call__(self, posting: Any, descriptor: int | None) -> tuple[bytes, bytes]:
        from havenline.media.containers import PostingUnreadableError

        if descriptor is not None:
            posting = replace(posting, descriptor=descriptor)
        try:
            said = self._said_of(posting)
        except (PostingUnreadableError, OSError):
            said = _refusal(
                Refusal.UNREADABLE, "the file could not be read; check that it is still there, and try again"
            )
        except MemoryError:
            said = _refusal(Refusal.DECODER_FAILED, "there was not enough memory to read this file")
        except Exception as error:
            # The message of an unforeseen error may quote the file, so only its kind is told.
            said = _refusal(Refusal.DECODER_FAILED, f"the reader failed unforeseen ({type(error).__name__})")
        return json.dumps(said).encode(), b""

    def _said_of(self, posting: Any) -> dict[str, Any]:
        from havenline.media import kinds
        from havenline.media.decode import DEFAULT_LIMITS
        from havenline.provenance import read_picture
        from havenline.provenance.models import read_model

        with posting.open() as stream:
            model = read_model(stream, key=self.key)
            if model is not None:
                return {"media_type": model.media_type, "signals": [asdict(each) for each in model.signals]}
            stream.seek(0)
            content = stream.read(DEFAULT_LIMITS.max_bytes + 1)
        kind = kinds.recognise(content[: kinds.HEAD_BYTES])
        if len(content) > DEFAULT_LIMITS.max_bytes:
            return _refusal(Refusal.TOO_LARGE, f"signals are read up to {DEFAULT_LIMITS.max_bytes:,} bytes")
        if kind not in kinds.PICTURES | kinds.FILMS:
            return _refusal(
                Refusal.UNKNOWN_KIND, "it is neither a picture, nor a film, nor a model file that is known here"
            )
        signals = read_picture(content, key=self.key, signers=self.signers, pixels=self.pixels)
        return {"media_type": kind, "signals": [asdict(each) for each in signals]}


def _answered(
    postings: Iterable[Any], work: Work, *, workers: int, close_off: CloseOff | None
) -> Iterator[Answer[Any]]:
    from havenline.scan import posting_descriptor, posting_weight

    return answers(
        postings,
        work=work,
        needs_worker=lambda posting: getattr(posting, "refused", None) is None,
        weight=posting_weight,
        workers=workers,
        seconds=SECONDS_PER_FILE,
        close_off=close_off,
        opened=posting_descriptor,
    )


def pictures_as_shown(
    postings: Iterable[Any], *, workers: int, close_off: CloseOff | None = None
) -> Iterator[Any | Refused]:
    """Each picture grey, as it is shown, at most 512 pixels on its longer side, for `provenance.derived.compare`.

    Arrays (height, width) uint8, or why there is none, in order. Opened in processes as those of `origins`. Raises
    `scan_workers.WorkersFailedError`. Not checked: that the pixels are the file's, where it took its worker over.
    """
    for answer in _answered(postings, _Shrink(), workers=workers, close_off=close_off):
        if isinstance(answer.reply, tuple):
            yield _shown_from(answer.reply)
        else:
            lost = Refused(Refusal.DECODER_FAILED, "reading it failed or took too long; nothing of it was kept")
            yield getattr(answer.task, "refused", None) or lost


@dataclass(frozen=True, slots=True)
class _Shrink:
    """What a worker does with a picture that is to be compared: height and width as JSON, and the grey pixels."""

    def __call__(self, posting: Any, descriptor: int | None) -> tuple[bytes, bytes]:
        from havenline.media.decode import DEFAULT_LIMITS, decode_picture
        from havenline.provenance.keypoints import as_shown, shrunk

        if descriptor is not None:
            posting = replace(posting, descriptor=descriptor)
        try:
            with posting.open() as stream:
                content = stream.read(DEFAULT_LIMITS.max_bytes + 1)
            found = decode_picture(content)
            if isinstance(found, Refused):
                return json.dumps(_refusal(found.reason, found.detail)).encode(), b""
            small = shrunk(as_shown(found.rgb, found.orientation)).round().astype("uint8")
            return json.dumps({"shape": small.shape}).encode(), small.tobytes()
        except Exception as error:
            # The message of an unforeseen error may quote the file, so only its kind is told.
            detail = f"the reader failed unforeseen ({type(error).__name__})"
            return json.dumps(_refusal(Refusal.DECODER_FAILED, detail)).encode(), b""


def _shown_from(reply: tuple[bytes, bytes]) -> Any | Refused:
    import numpy as np

    try:
        said = json.loads(reply[0])
        if "refused" in said:
            refused = said["refused"]
            return Refused(Refusal(refused["reason"]), str(refused["detail"])[:_LONGEST])
        height, width = said["shape"]
        if not (type(height) is int and type(width) is int and 0 < height <= 512 and 0 < width <= 512):
            raise ValueError
        return np.frombuffer(reply[1], np.uint8).reshape(height, width)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        detail = "the worker that read it gave an answer that none gives; look at it apart"
        return Refused(Refusal.DECODER_FAILED, detail)


def _refusal(reason: Refusal, detail: str) -> dict[str, Any]:
    return {"refused": {"reason": reason.value, "detail": detail}}


def _from_reply(path: str, reply: bytes) -> Origin:
    """What a worker said, which a file may have taken over: anything unexpected is a refusal."""
    from havenline.provenance.read_back import read_back

    try:
        said = json.loads(reply)
        if "refused" in said:
            refused = said["refused"]
            return Origin(path, refused=Refused(Refusal(refused["reason"]), str(refused["detail"])[:_LONGEST]))
        return Origin(path, str(said["media_type"])[:_LONGEST], read_back(said["signals"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        detail = "the worker that read it gave an answer that none gives; look at it apart"
        return Origin(path, refused=Refused(Refusal.DECODER_FAILED, detail))
