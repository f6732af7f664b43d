"""The messages between `decoderd` and who asks it, to and from bytes: docs/formats/decoderd.md, form 2."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from havenline.vocabulary import HavenlineError, Refusal, Refused, check_text

FORM = 2
LONGEST_PATH = 100
"""Bytes of a socket's path."""
LARGEST_CONTENT = 256 << 20
LARGEST_TEXT = 1 << 20
LONGEST_SIDE = 1024
"""The most pixels of a side that an answer carries."""
QUESTION = struct.Struct("<8sHHHHHHQ")
"""Magic, form, what is wanted, most pixels wide and high, number (most frames of a sheet, or the place of a text),
zero, bytes of content."""
MOST_TEXTS = 512
HEAD = struct.Struct("<8sHHIQ")
"""Magic, form, verdict, zero, bytes that follow."""
_PICTURE = struct.Struct("<IIIHHBBBBB32s32s")
"""The file's width, height and frames; the pixels' width and height; mark, cut short, kind, two qualities; hashes."""
_SHEET = struct.Struct("<IIQHHHBB")
"""A frame's width and height, milliseconds of the film, frames on the sheet, its width and height; cut short, kind."""
MAGIC = b"HVLNDECO"
PICTURE, REFUSED, NOT_SERVED, STATE, SHEET, TEXT = 1, 2, 3, 4, 5, 6
"""Verdicts. NOT_SERVED: nothing was learned about the content."""
LARGEST_ANSWER = HEAD.size + _PICTURE.size + 3 * LONGEST_SIDE * LONGEST_SIDE
KINDS = (
    "image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/tiff", "image/bmp", "image/heif",
    "image/jxl",
)  # fmt: skip
"""Kinds of pictures by their number in an answer."""
FILM_KINDS = (
    "video/mp4", "video/quicktime", "video/3gpp", "video/x-m4v", "video/webm", "video/x-matroska", "video/x-msvideo",
    "video/mpeg", "video/mp2t", "video/x-flv", "video/x-ms-wmv",
)  # fmt: skip
"""Kinds of films, alike."""
MOST_FRAMES = 16
"""On one sheet."""
_NUMBERS = {1: (0, 0), 2: (0, 0), 3: (1, MOST_FRAMES), 4: (0, MOST_TEXTS - 1)}
"""By what is wanted: the least and the greatest number."""
_REASONS = tuple(Refusal)


class Wanted(IntEnum):
    """What a question asks for."""

    STATE = 1
    PICTURE = 2
    SHEET = 3
    TEXT = 4


class Malformed(HavenlineError):
    """Bytes that are no message of this form."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture as it left the sandbox. `rgb` holds `shown_height` rows of `shown_width` pixels of three bytes, the
    picture shrunk to what was asked for, in stored order; `width` and `height` are the file's.

    `pdq` and `pdq_512` are 64 hex digits, each with its quality: the full-size hash, and Meta's other pipeline.
    """

    width: int
    height: int
    frames: int
    orientation: int
    cut_short: bool
    media_type: str
    pdq: str
    pdq_quality: int
    pdq_512: str
    pdq_512_quality: int
    shown_width: int
    shown_height: int
    rgb: bytes


@dataclass(frozen=True, slots=True)
class DecodedSheet:
    """A film's frames on one sheet, as they left the sandbox.

    `rgb` holds `shown_height` rows of `shown_width` pixels of three bytes; `width` and `height` are those of a stored
    frame, `milliseconds` what the film says of its length.
    """

    width: int
    height: int
    milliseconds: int
    frames: int
    cut_short: bool
    media_type: str
    shown_width: int
    shown_height: int
    rgb: bytes


def question(*, wanted: Wanted, width: int = 0, height: int = 0, number: int = 0, length: int = 0) -> bytes:
    """What goes with the descriptor of the content; `number`: most frames of a sheet, or the place of a text."""
    return QUESTION.pack(MAGIC, FORM, wanted, width, height, number, 0, length)


def read_question(said: bytes) -> tuple[Wanted, int, int, int, int]:
    """What is wanted, width, height, number, and length. Raises Malformed."""
    if len(said) != QUESTION.size:
        raise Malformed("a question is one message of its own")
    magic, form, wanted, width, height, number, zero, length = QUESTION.unpack(said)
    if magic != MAGIC or form != FORM or zero or wanted not in _NUMBERS:
        raise Malformed("this is no question of a form that is known here")
    least, most = _NUMBERS[wanted]
    pixels = wanted in {Wanted.PICTURE, Wanted.SHEET}
    if not least <= number <= most or (not pixels and (width or height or (wanted == Wanted.STATE and length))):
        raise Malformed("this is no question of a form that is known here")
    if pixels and not (0 < width <= LONGEST_SIDE and 0 < height <= LONGEST_SIDE):
        raise Malformed(f"1 x 1 to {LONGEST_SIDE} x {LONGEST_SIDE} pixels are given")
    return Wanted(wanted), width, height, number, length


def picture(made: Decoded) -> bytes:
    """A whole answer."""
    fixed = _PICTURE.pack(
        made.width,
        made.height,
        made.frames,
        made.shown_width,
        made.shown_height,
        made.orientation,
        made.cut_short,
        KINDS.index(made.media_type),
        made.pdq_quality,
        made.pdq_512_quality,
        bytes.fromhex(made.pdq),
        bytes.fromhex(made.pdq_512),
    )
    return HEAD.pack(MAGIC, FORM, PICTURE, 0, len(fixed) + len(made.rgb)) + fixed + made.rgb


def sheet(made: DecodedSheet) -> bytes:
    """A whole answer."""
    fixed = _SHEET.pack(
        made.width,
        made.height,
        made.milliseconds,
        made.frames,
        made.shown_width,
        made.shown_height,
        made.cut_short,
        FILM_KINDS.index(made.media_type),
    )
    return HEAD.pack(MAGIC, FORM, SHEET, 0, len(fixed) + len(made.rgb)) + fixed + made.rgb


def one_text(raw: bytes) -> bytes:
    """A whole answer that holds a text of the file."""
    return _text(TEXT, raw)


def refusal(refused: Refused) -> bytes:
    """A whole answer that refuses the content."""
    return _text(REFUSED, bytes([_REASONS.index(refused.reason)]) + refused.detail.encode())


def not_served(why: str) -> bytes:
    """A whole answer that says nothing of the content."""
    return _text(NOT_SERVED, why.encode())


def state(text: str) -> bytes:
    """A whole answer to the question for the server's state, in JSON."""
    return _text(STATE, text.encode())


def read_answer(said: bytes | bytearray, *, width: int, height: int) -> Decoded | Refused:
    """What a decoder answered to a question for `width` x `height` pixels at most; every field is checked.

    Raises Malformed for anything else, also for a longer or shorter one.
    """
    verdict, body = _opened(said)
    if verdict == REFUSED:
        return _read_refusal(body)
    if verdict != PICTURE or len(body) < _PICTURE.size:
        raise Malformed("the answer is not of this form")
    return _read_picture(body, width, height)


def read_sheet(said: bytes | bytearray, *, width: int, height: int, frames: int) -> DecodedSheet | Refused:
    """As `read_answer`, to a question for a sheet of `frames` frames of a film at most."""
    verdict, body = _opened(said)
    if verdict == REFUSED:
        return _read_refusal(body)
    if verdict != SHEET or len(body) < _SHEET.size:
        raise Malformed("the answer is not of this form")
    full_width, full_height, milliseconds, shown, wide, high, cut, kind = _SHEET.unpack_from(body)
    rgb = body[_SHEET.size :]
    if not (0 < wide <= width and 0 < high <= height) or len(rgb) != 3 * wide * high:
        raise Malformed("the answer does not hold the pixels that it says")
    if not 0 < shown <= frames or not full_width or not full_height or cut > 1 or kind >= len(FILM_KINDS):
        raise Malformed("the answer holds values that no film has")
    return DecodedSheet(full_width, full_height, milliseconds, shown, bool(cut), FILM_KINDS[kind], wide, high, rgb)


def read_text(said: bytes | bytearray) -> bytes | Refused:
    """What a decoder answered to a question for a text: 1 MiB at most, any bytes. Raises Malformed."""
    verdict, body = _opened(said)
    if verdict == REFUSED:
        return _read_refusal(body)
    if verdict != TEXT or len(body) > LARGEST_TEXT:
        raise Malformed("the answer is not of this form")
    return body


def _opened(said: bytes | bytearray) -> tuple[int, bytes]:
    """The verdict and what follows the head."""
    if len(said) < HEAD.size:
        raise Malformed("the answer is cut short")
    magic, form, verdict, zero, length = HEAD.unpack_from(said)
    if magic != MAGIC or form != FORM or zero or length != len(said) - HEAD.size:
        raise Malformed("the answer is not of this form")
    return verdict, bytes(memoryview(said)[HEAD.size :])


def _read_picture(body: bytes, width: int, height: int) -> Decoded:
    full_width, full_height, frames, wide, high, mark, cut, kind, quality, other, pdq, pdq_512 = _PICTURE.unpack_from(
        body
    )
    rgb = body[_PICTURE.size :]
    fits = 0 < wide <= min(width, full_width) and 0 < high <= min(height, full_height)
    if not fits or len(rgb) != 3 * wide * high or not frames:
        raise Malformed("the answer does not hold the pixels that it says")
    if mark not in range(1, 9) or cut > 1 or kind >= len(KINDS) or max(quality, other) > 100:
        raise Malformed("the answer holds values that no picture has")
    return Decoded(
        full_width, full_height, frames, mark, bool(cut), KINDS[kind], pdq.hex(), quality, pdq_512.hex(), other,
        wide, high, rgb,
    )  # fmt: skip


def _read_refusal(body: bytes) -> Refused:
    try:
        return Refused(_REASONS[body[0]], check_text("detail", body[1:].decode()))
    except (IndexError, ValueError):
        raise Malformed("the answer's reason cannot be read") from None


def _text(verdict: int, body: bytes) -> bytes:
    return HEAD.pack(MAGIC, FORM, verdict, 0, len(body)) + body
