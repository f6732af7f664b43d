"""What runs on hostile bytes: the throw-away child of `decoderd`, and the warming of the process it is forked from."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import NoReturn

from PIL import Image

from havenline.fingerprints.pdq import hash_512_first, hash_picture
from havenline.media import kinds
from havenline.media.contact_sheet import contact_sheet
from havenline.media.decode import decode_picture
from havenline.provenance.one_text import text_at
from havenline.vocabulary import Refusal, Refused
from havenline_guard import decoder_wire as wire
from havenline_guard.decoder_wire import Wanted
from havenline_guard.lockdown import end_with_parent
from havenline_guard.sandbox import Room, SandboxUnavailable, close_off


@dataclass(frozen=True, slots=True)
class Asked:
    """The most pixels wide and high; `number`: the most frames of a film's sheet, or the place of a text."""

    width: int
    height: int
    number: int = 0
    wanted: Wanted = Wanted.PICTURE


Answering = Callable[[bytes, Asked], bytes]
"""From content and what is asked of it to a whole answer."""
_SECONDS = 8
"""Of processor time; the wall limit is the parent's."""


def answer(content: bytes, asked: Asked) -> bytes:
    """A whole answer: a picture (hashed by both pipelines, shrunk), a sheet or a text; no decoder's error is raised."""
    try:
        if asked.wanted == Wanted.TEXT:
            return _one_text(content, asked.number)
        return _sheet(content, asked) if asked.wanted == Wanted.SHEET else _picture(content, asked)
    except MemoryError:
        return wire.refusal(Refused(Refusal.DECODER_FAILED, "there was not enough memory to open this file"))


def _picture(content: bytes, asked: Asked) -> bytes:
    found = decode_picture(content)
    if isinstance(found, Refused):
        return wire.refusal(found)
    pdq, quality = hash_picture(found.rgb)
    pdq_512, other = hash_512_first(found.rgb)
    scale = min(1.0, asked.width / found.width, asked.height / found.height)
    size = max(1, round(found.width * scale)), max(1, round(found.height * scale))
    small = Image.fromarray(found.rgb)
    if size != small.size:
        small = small.resize(size, Image.Resampling.BOX, reducing_gap=1.0)  # three times as fast: whole steps first
    return wire.picture(
        wire.Decoded(
            found.width, found.height, found.frames, found.orientation, found.cut_short, found.media_type,
            pdq, quality, pdq_512, other, *size, small.tobytes(),
        )
    )  # fmt: skip


def _sheet(content: bytes, asked: Asked) -> bytes:
    kind = kinds.recognise(content[: kinds.HEAD_BYTES])
    if kind not in kinds.FILMS:
        return wire.refusal(Refused(Refusal.UNSUPPORTED_KIND, "the content is no film that is opened here"))
    found = contact_sheet(BytesIO(content), kind, width=asked.width, height=asked.height, most=asked.number)
    if isinstance(found, Refused):
        return wire.refusal(found)
    high, wide = found.rgb.shape[:2]
    return wire.sheet(
        wire.DecodedSheet(
            found.width, found.height, round(1000 * found.seconds), found.frames, found.cut_short, kind,
            wide, high, found.rgb.tobytes(),
        )
    )  # fmt: skip


def _one_text(content: bytes, place: int) -> bytes:
    found = text_at(content, place)
    if found is None:
        return wire.refusal(Refused(Refusal.UNREADABLE, "the file has no such text; was it read by another version?"))
    if len(found[1]) > wire.LARGEST_TEXT:
        return wire.refusal(Refused(Refusal.TOO_LARGE, f"texts up to {wire.LARGEST_TEXT:,} bytes are shown"))
    return wire.one_text(found[1])


def warm() -> None:
    """Load all that the children will need: decoders are used once on drawn pictures, kernels loaded or compiled."""
    from importlib import import_module

    import_module("havenline.scan_warm")


def live(content: int, length: int, reply: int, *, parent: int, asked: Asked, answering: Answering) -> NoReturn:
    """The child's life, on the descriptors of its content and of its reply; never returns, never outlives `parent`.

    Ends with 0 after a whole answer, 3 when it could not be closed off, 4 when it failed unforeseen.
    """
    code = 4
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        end_with_parent(signal.SIGKILL, parent=parent)
        close_off(Room(seconds=_SECONDS, descriptors=16), keep=(content, reply))
        said = memoryview(answering(_read(content, length), asked))
        while said:
            said = said[os.write(reply, said) :]
        code = 0
    except (SandboxUnavailable, PermissionError):
        code = 3
    finally:
        os._exit(code)


def _read(content: int, length: int) -> bytes:
    """All of it at once, for the room holds the largest content not many times. Raises EOFError where there is less."""
    read = os.pread(content, length, 0)
    if len(read) != length:
        raise EOFError("the content is shorter than was said")
    return read
