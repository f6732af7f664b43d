"""The throw-away child of `decoderd`: opens nothing unless it is closed off, and answers with what was asked for."""

from __future__ import annotations

import io
import os
import signal

import numpy as np
import pytest
from PIL import Image

from havenline.fingerprints import fingerprint_bytes
from havenline.media.contact_sheet import Sheet, contact_sheet
from havenline.testing.films import film
from havenline.vocabulary import Refusal, Refused
from havenline_guard import decoder_child
from havenline_guard import decoder_wire as wire
from havenline_guard.decoder_child import Asked
from havenline_guard.decoder_client import _sealed
from havenline_guard.decoder_wire import Decoded, DecodedSheet, Wanted
from havenline_guard.sandbox import Room, SandboxUnavailable
from tests.core.provenance import drawn_marks as marks
from tests.guard.light_decoderd import PICTURE, answering


def lived(
    monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None, *, parent: int | None = None, length: int = 1
) -> tuple[int, bytes]:
    """The code that a child's life ends with when closing it off raises `error`, and what it said."""

    def close_off(room: Room, *, keep: tuple[int, ...]) -> None:
        assert (room, keep) == (Room(800 << 20, 8, 16), (content, writing))
        if error is not None:
            raise error

    monkeypatch.setattr(decoder_child, "close_off", close_off)
    content, (reading, writing) = _sealed(b"x"), os.pipe()
    parent = parent or os.getpid()
    pid = os.fork()
    if not pid:
        decoder_child.live(content, length, writing, parent=parent, asked=Asked(8, 8), answering=answering)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        told = said.read()
    os.close(content)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), told


def test_a_child_answers_only_when_it_is_closed_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lived(monkeypatch) == (0, wire.picture(PICTURE))
    assert lived(monkeypatch, SandboxUnavailable("no Landlock")) == (3, b"")
    assert lived(monkeypatch, PermissionError()) == (3, b"")
    assert lived(monkeypatch, RuntimeError()) == (4, b"")


def test_a_child_whose_parent_ended_before_it_began_ends_unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lived(monkeypatch, parent=os.getppid()) == (-signal.SIGKILL, b"")


def test_a_child_whose_content_is_shorter_than_was_said_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lived(monkeypatch, length=2) == (4, b"")


def test_content_is_read_from_its_start_as_long_as_it_was_said_to_be() -> None:
    content = _sealed(bytes(range(200)) * 100)
    assert decoder_child._read(content, 20_000) == bytes(range(200)) * 100
    assert decoder_child._read(content, 7) == bytes(range(7))
    assert decoder_child._read(content, 0) == b""
    with pytest.raises(EOFError):
        decoder_child._read(content, 20_001)
    os.close(content)


def test_what_is_no_picture_is_refused_by_name() -> None:
    for content, reason in (
        (b"", Refusal.EMPTY),
        (b"words", Refusal.UNKNOWN_KIND),
        (b"%PDF-1.7\n", Refusal.UNSUPPORTED_KIND),
    ):
        found = wire.read_answer(decoder_child.answer(content, Asked(8, 8)), width=8, height=8)
        assert isinstance(found, Refused)
        assert found.reason is reason


def test_where_there_is_no_memory_the_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(content: bytes, asked: Asked) -> bytes:
        raise MemoryError

    monkeypatch.setattr(decoder_child, "_picture", none_left)
    found = wire.read_answer(decoder_child.answer(b"x", Asked(8, 8)), width=8, height=8)
    assert isinstance(found, Refused)
    assert found.reason is Refusal.DECODER_FAILED
    assert "not enough memory" in found.detail


def test_a_text_is_given_by_its_place_up_to_its_largest() -> None:
    for length, given in ((wire.LARGEST_TEXT, True), (wire.LARGEST_TEXT + 1, False)):
        content = marks.png({"Comment": "x" * length})
        said = wire.read_text(decoder_child.answer(content, Asked(0, 0, 0, Wanted.TEXT)))
        assert (said == b"x" * length) is given
        assert given or (isinstance(said, Refused) and said.reason is Refusal.TOO_LARGE)
    gone = wire.read_text(decoder_child.answer(content, Asked(0, 0, 3, Wanted.TEXT)))
    assert isinstance(gone, Refused)
    assert gone.reason is Refusal.UNREADABLE


def drawn(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.arange(width * height * 3, dtype=np.uint8).reshape(height, width, 3)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("size", "asked", "shown"),
    [
        ((30, 20), (64, 64), (30, 20)),
        ((30, 20), (15, 64), (15, 10)),
        ((30, 20), (64, 5), (8, 5)),
        ((300, 2), (30, 30), (30, 1)),
        ((2, 300), (30, 30), (1, 30)),
        ((30, 20), (30, 20), (30, 20)),
    ],
)
def test_a_picture_is_shrunk_into_what_was_asked_and_never_grown(
    size: tuple[int, int], asked: tuple[int, int], shown: tuple[int, int]
) -> None:
    said = decoder_child.answer(drawn(*size), Asked(*asked))
    found = wire.read_answer(said, width=asked[0], height=asked[1])
    assert isinstance(found, Decoded)
    assert (found.width, found.height) == size
    assert (found.shown_width, found.shown_height) == shown
    expected = fingerprint_bytes(drawn(*size))
    assert (found.pdq, found.pdq_quality) == (expected.pdq, expected.pdq_quality)
    assert (found.pdq_512, found.pdq_512_quality) == (expected.pdq_512, expected.pdq_512_quality)


def test_a_film_is_opened_as_a_sheet_or_refused_by_name() -> None:
    content = film("mp4", "mpeg4", seconds=3)
    found = wire.read_sheet(
        decoder_child.answer(content, Asked(320, 300, 2, Wanted.SHEET)), width=320, height=300, frames=2
    )
    assert isinstance(found, DecodedSheet)
    assert (found.width, found.height, found.frames) == (192, 144, 2)
    expected = contact_sheet(io.BytesIO(content), "video/mp4", width=320, height=300, most=2)
    assert isinstance(expected, Sheet)
    assert (found.milliseconds, found.rgb) == (round(1000 * expected.seconds), expected.rgb.tobytes())
    for broken in (content[:200], b"words", drawn(8, 8)):
        said = wire.read_answer(decoder_child.answer(broken, Asked(320, 300, 2, Wanted.SHEET)), width=320, height=300)
        assert isinstance(said, Refused)
