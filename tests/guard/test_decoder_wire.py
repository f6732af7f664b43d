"""Messages of `decoderd`: only what is whole, of this form, and within its bounds is taken."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest

from havenline.vocabulary import Refusal, Refused
from havenline_guard import decoder_wire as wire
from havenline_guard.decoder_wire import Decoded, DecodedSheet, Wanted
from tests.guard.light_decoderd import PICTURE


def head(verdict: int, length: int, *, magic: bytes = b"HVLNDECO", form: int = 2, zero: int = 0) -> bytes:
    """The head of an answer by its bytes, as docs/formats/decoderd.md has them."""
    return magic + struct.pack("<HHIQ", form, verdict, zero, length)


def asking(*fields: int, magic: bytes = b"HVLNDECO") -> bytes:
    """A question by its bytes: form, what is wanted, width, height, number, zero, bytes of content."""
    return magic + struct.pack("<HHHHHHQ", *fields)


def test_questions_are_the_bytes_that_the_form_says() -> None:
    assert wire.question(wanted=Wanted.STATE) == asking(2, 1, 0, 0, 0, 0, 0)
    assert wire.question(wanted=Wanted.PICTURE, width=320, height=300, length=9) == asking(2, 2, 320, 300, 0, 0, 9)
    for wanted, number, said in (
        (Wanted.SHEET, 16, (2, 3, 8, 7, 16, 0, 9)),
        (Wanted.TEXT, 511, (2, 4, 8, 7, 511, 0, 9)),
    ):
        assert wire.question(wanted=wanted, width=8, height=7, number=number, length=9) == asking(*said)


def test_answers_are_the_bytes_that_the_form_says() -> None:
    rgb = bytes(range(12))
    made = Decoded(70, 60, 5, 6, True, "image/jxl", "0a" * 32, 90, "0b" * 32, 80, 2, 2, rgb)
    fixed = struct.pack("<IIIHHBBBBB", 70, 60, 5, 2, 2, 6, 1, 8, 90, 80) + b"\x0a" * 32 + b"\x0b" * 32
    assert wire.picture(made) == head(1, 97) + fixed + rgb
    film = DecodedSheet(70, 60, 4000, 3, True, "video/x-ms-wmv", 2, 2, rgb)
    assert wire.sheet(film) == head(5, 36) + struct.pack("<IIQHHHBB", 70, 60, 4000, 3, 2, 2, 1, 10) + rgb
    place = list(Refusal).index(Refusal.BROKEN)
    assert wire.refusal(Refused(Refusal.BROKEN, "cut")) == head(2, 4) + bytes([place]) + b"cut"
    assert wire.not_served("ask again") == head(3, 9) + b"ask again"
    assert wire.state("{}") == head(4, 2) + b"{}"
    assert wire.one_text(b"\xff") == head(6, 1) + b"\xff"


def test_the_bounds_are_those_of_the_form_and_the_largest_picture_is_the_longest_answer() -> None:
    assert (wire.LONGEST_PATH, wire.LARGEST_CONTENT, wire.LARGEST_TEXT) == (100, 256 << 20, 1 << 20)
    assert (wire.LONGEST_SIDE, wire.MOST_FRAMES, wire.MOST_TEXTS) == (1024, 16, 512)
    whole = replace(PICTURE, width=1024, height=1024, shown_width=1024, shown_height=1024, rgb=bytes(3 << 20))
    assert len(wire.picture(whole)) == wire.LARGEST_ANSWER
    assert len(wire.one_text(bytes(wire.LARGEST_TEXT))) < wire.LARGEST_ANSWER


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        asking(2, 2, 8, 8, 0, 0, 1)[:-1],
        asking(2, 2, 8, 8, 0, 0, 1) + b"\0",
        asking(2, 2, 8, 8, 0, 0, 1, magic=b"HVLNMATC"),
        *(
            asking(*fields)
            for fields in (
                *((form, 2, 8, 8, 0, 0, 1) for form in (1, 3)),
                *((2, wanted, 8, 8, 0, 0, 1) for wanted in (0, 5)),
                *((2, 2, width, height, 0, 0, 1) for width, height in ((0, 8), (8, 0), (1025, 8), (8, 1025))),
                *((2, 3, width, height, 1, 0, 1) for width, height in ((0, 8), (8, 0), (1025, 8), (8, 1025))),
                *((2, 1, *sizes) for sizes in ((1, 0, 0, 0, 0), (0, 1, 0, 0, 0), (0, 0, 1, 0, 0), (0, 0, 0, 0, 1))),
                *((2, 4, width, height, 0, 0, 1) for width, height in ((0, 1), (1, 0), (1, 1))),
                *((2, wanted, 8, 8, number, 0, 1) for wanted, number in ((2, 1), (3, 0), (3, 17))),
                *((2, 4, 0, 0, 512, 0, 1), (2, 2, 8, 8, 0, 1, 1)),
            )
        ),
    ],
)
def test_what_is_no_question_is_not_taken_for_one(said: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.read_question(said)


def test_the_questions_of_the_form_are_taken() -> None:
    for wanted, width, height, number, length in (
        (1, 0, 0, 0, 0),
        (2, 1024, 1, 0, 7),
        (2, 1, 1024, 0, 1 << 60),
        (3, 8, 8, 1, 7),
        (3, 8, 8, 16, 7),
        (4, 0, 0, 0, 7),
        (4, 0, 0, 511, 7),
    ):
        read = wire.read_question(asking(2, wanted, width, height, number, 0, length))
        assert read == (wanted, width, height, number, length)


def changed(**fields: Any) -> bytes:
    return wire.picture(replace(PICTURE, **fields))


@pytest.mark.parametrize(
    "said",
    [
        b"",
        wire.picture(PICTURE)[:-1],
        wire.picture(PICTURE) + b"\0",
        b"X" + wire.picture(PICTURE)[1:],
        *(head(verdict, 97) + wire.picture(PICTURE)[24:] for verdict in (0, 3, 4, 5, 6, 7)),
        head(1, 97, form=1) + wire.picture(PICTURE)[24:],
        head(1, 97, zero=1) + wire.picture(PICTURE)[24:],
        changed(shown_height=9, height=9, rgb=bytes(3 * 2 * 9)),
        changed(shown_width=9, width=9, rgb=bytes(3 * 9 * 2)),
        changed(shown_width=0, rgb=b""),
        changed(shown_height=0, rgb=b""),
        changed(shown_width=4, rgb=bytes(24), width=3),
        changed(shown_height=4, rgb=bytes(24), height=3),
        changed(rgb=bytes(15)),
        changed(frames=0),
        changed(orientation=0),
        changed(orientation=9),
        changed(pdq_quality=101),
        changed(pdq_512_quality=101),
        changed(cut_short=2),
        wire.picture(PICTURE)[: 24 + 18] + b"\x09" + wire.picture(PICTURE)[24 + 19 :],
        head(2, 0),
        head(1, 84) + bytes(84),
        wire.refusal(Refused(Refusal.BROKEN, "x"))[:-2] + b"\xffx",
        wire.refusal(Refused(Refusal.BROKEN, "x"))[:-1] + b"\xff",
    ],
)
def test_what_is_no_picture_is_not_taken_for_one(said: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.read_answer(said, width=8, height=8)


def test_pictures_at_their_ends_are_taken() -> None:
    for fields in (
        {"orientation": 8, "cut_short": True, "pdq_quality": 100, "pdq_512_quality": 0, "media_type": "image/jxl"},
        {"shown_width": 8, "shown_height": 8, "rgb": bytes(3 * 64)},
        {"width": 1, "height": 1, "shown_width": 1, "shown_height": 1, "rgb": bytes(3)},
        {"frames": 70_000, "width": 60_000, "height": 50_000},
    ):
        made = replace(PICTURE, **fields)  # type: ignore[arg-type]
        assert wire.read_answer(wire.picture(made), width=8, height=8) == made
    refused = Refused(Refusal.BROKEN, "cut")
    assert wire.read_answer(wire.refusal(refused), width=8, height=8) == refused


@pytest.mark.parametrize(
    "said",
    [
        b"",
        wire.one_text(b"words")[:-1],
        wire.one_text(bytes((1 << 20) + 1)),
        *(head(verdict, 2) + b"{}" for verdict in (0, 1, 3, 4, 5, 7)),
        head(2, 0),
    ],
)
def test_what_is_no_text_is_not_taken_for_one(said: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.read_text(said)


def test_texts_of_any_bytes_are_taken() -> None:
    for text in (b"", b"\xff\0", bytes(1 << 20)):
        assert wire.read_text(wire.one_text(text)) == text
    refused = Refused(Refusal.TOO_LARGE, "long")
    assert wire.read_text(wire.refusal(refused)) == refused


FILM = DecodedSheet(192, 144, 4000, 4, False, "video/mp4", 8, 4, bytes(3 * 8 * 4))


def filmed(**fields: Any) -> bytes:
    return wire.sheet(replace(FILM, **fields))


@pytest.mark.parametrize(
    "said",
    [
        b"",
        wire.sheet(FILM)[:-1],
        wire.sheet(FILM) + b"\0",
        head(5, 23) + bytes(23),
        *(head(verdict, 24 + 96) + wire.sheet(FILM)[24:] for verdict in (0, 1, 3, 4, 6, 7)),
        filmed(frames=5),
        filmed(frames=0),
        filmed(width=0),
        filmed(height=0),
        filmed(shown_width=9, rgb=bytes(3 * 9 * 4)),
        filmed(shown_height=9, rgb=bytes(3 * 8 * 9)),
        filmed(shown_width=0, rgb=b""),
        filmed(shown_height=0, rgb=b""),
        filmed(rgb=bytes(3 * 8 * 4 - 1)),
        filmed(rgb=bytes(3 * 8 * 4 + 1)),
        filmed(cut_short=2),
        wire.sheet(FILM)[: 24 + 23] + b"\x0b" + wire.sheet(FILM)[24 + 24 :],
    ],
)
def test_what_is_no_sheet_is_not_taken_for_one(said: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.read_sheet(said, width=8, height=8, frames=4)


def test_sheets_at_their_ends_are_taken() -> None:
    for fields in (
        {},
        {"cut_short": True, "media_type": "video/x-ms-wmv", "milliseconds": 0, "frames": 1},
        {"width": 1, "height": 1, "shown_width": 1, "shown_height": 1, "rgb": bytes(3)},
        {"shown_height": 8, "rgb": bytes(3 * 64)},
    ):
        made = replace(FILM, **fields)  # type: ignore[arg-type]
        assert wire.read_sheet(wire.sheet(made), width=8, height=8, frames=4) == made
    refused = Refused(Refusal.BROKEN, "cut")
    assert wire.read_sheet(wire.refusal(refused), width=8, height=8, frames=4) == refused
