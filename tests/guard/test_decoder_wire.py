"""Messages of `decoderd`: only what is whole, of this form, and within its bounds is taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from havenline.vocabulary import Refusal, Refused
from havenline_guard import decoder_wire as wire
from havenline_guard.decoder_wire import Decoded, DecodedSheet, Wanted
from tests.guard.light_decoderd import PICTURE, SHEET


def changed(**fields: Any) -> bytes:
    return wire.picture(replace(PICTURE, **fields))


@pytest.mark.parametrize(
    "said",
    [
        b"",
        wire.picture(PICTURE)[:-1],
        wire.picture(PICTURE) + b"\0",
        b"X" + wire.picture(PICTURE)[1:],
        wire.sheet(SHEET),
        changed(shown_width=9),
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
        wire.HEAD.pack(wire.MAGIC, 2, wire.HEAD.unpack_from(wire.refusal(Refused(Refusal.BROKEN, "x")))[2], 0, 0),
        wire.refusal(Refused(Refusal.BROKEN, "x"))[:-2] + b"\xffx",
        wire.refusal(Refused(Refusal.BROKEN, "x"))[:-1] + b"\xff",
    ],
)
def test_what_is_no_picture_is_not_taken_for_one(said: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.read_answer(said, width=8, height=8)


def test_pictures_and_questions_at_their_ends_are_taken() -> None:
    for fields in (
        {"orientation": 8, "cut_short": True, "pdq_quality": 100, "pdq_512_quality": 0},
        {"shown_width": 8, "shown_height": 8, "rgb": bytes(3 * 64)},
        {"frames": 70_000, "width": 60_000, "height": 50_000},
    ):
        made = replace(PICTURE, **fields)  # type: ignore[arg-type]
        assert wire.read_answer(wire.picture(made), width=8, height=8) == made
    for wanted, width, height, number in (
        (Wanted.PICTURE, 1024, 1, 0),
        (Wanted.PICTURE, 1, 1024, 0),
        (Wanted.SHEET, 8, 8, 1),
        (Wanted.SHEET, 8, 8, 16),
        (Wanted.TEXT, 0, 0, 511),
        (Wanted.TEXT, 0, 0, 0),
    ):
        question = wire.question(wanted=wanted, width=width, height=height, number=number, length=7)
        assert wire.read_question(question) == (wanted, width, height, number, 7)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        wire.one_text(b"words")[:-1],
        wire.one_text(bytes(wire.LARGEST_TEXT + 1)),
        wire.state("{}"),
        wire.refusal(Refused(Refusal.BROKEN, "x"))[: wire.HEAD.size],
    ],
)
def test_what_is_no_text_is_not_taken_for_one(said: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.read_text(said)
    assert wire.read_text(wire.one_text(b"\xff\0")) == b"\xff\0"


def test_an_answer_that_is_no_sheet_is_taken_for_none() -> None:
    made = DecodedSheet(192, 144, 4000, 4, False, "video/mp4", 8, 4, bytes(3 * 8 * 4))
    good = wire.sheet(made)
    assert wire.read_sheet(good, width=8, height=8, frames=4) == made
    bad = [
        wire.sheet(replace(made, frames=5)),
        wire.sheet(replace(made, frames=0)),
        wire.sheet(replace(made, width=0)),
        wire.sheet(replace(made, shown_width=9)),
        wire.sheet(replace(made, rgb=bytes(3 * 8 * 4 - 1))),
        wire.picture(Decoded(8, 4, 1, 1, False, "image/png", "0" * 64, 0, "0" * 64, 0, 8, 4, bytes(3 * 8 * 4))),
        good[:-1],
        good + b"\0",
    ]
    for said in bad:
        with pytest.raises(wire.Malformed):
            wire.read_sheet(said, width=8, height=8, frames=4)
    with pytest.raises(wire.Malformed):
        wire.read_answer(good, width=8, height=8)
    with pytest.raises(wire.Malformed):
        wire.read_question(wire.question(wanted=Wanted.SHEET, width=8, height=8, length=5, number=17))
