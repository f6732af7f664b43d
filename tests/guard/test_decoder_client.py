"""Who asks `decoderd` believes only the server that it knows, and only whole answers that come in time."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from havenline.vocabulary import Refusal, Refused
from havenline_guard import decoder_wire as wire
from havenline_guard.decoder_client import DecoderClient, DecoderdUnreachable, _sealed
from havenline_guard.decoder_wire import Wanted
from tests.guard.light_decoderd import PICTURE, SHEET


@contextmanager
def saying(path: Path, said: bytes) -> Iterator[list[bytes]]:
    """In place of `decoderd`: says one thing to whoever connects; what it was asked."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen()

        def answer() -> None:
            taken, _ = listener.accept()
            with taken:
                asked.append(taken.recv(1 << 16))
                taken.sendall(said)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield asked
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "the connection was ended"),
        (b"x", "the connection was ended"),
        (wire.picture(PICTURE)[:-1], "the connection was ended"),
        (wire.HEAD.pack(wire.MAGIC, 2, 1, 0, wire.LARGEST_ANSWER), "the answer is too long"),
        (wire.picture(replace(PICTURE, shown_width=9)), "is this a decoderd of this version"),
        (wire.not_served("too many"), "s: too many"),
    ],
)
def test_what_no_server_of_this_version_says_is_no_answer(tmp_path: Path, said: bytes, why: str) -> None:
    with saying(tmp_path / "s", said), pytest.raises(DecoderdUnreachable, match=why):
        DecoderClient(tmp_path / "s").decode(b"x", width=8, height=8)


def test_each_question_is_asked_as_it_stands_and_its_answer_given(tmp_path: Path) -> None:
    client, refused = DecoderClient(tmp_path / "s"), Refused(Refusal.BROKEN, "cut")
    for ask, wanted, width, number, made, said in (
        (lambda: client.decode(b"xyz", width=9, height=8), Wanted.PICTURE, 9, 0, PICTURE, wire.picture(PICTURE)),
        (lambda: client.sheet(b"xyz", width=9, height=8, frames=7), Wanted.SHEET, 9, 7, SHEET, wire.sheet(SHEET)),
        (lambda: client.text(b"xyz", place=7), Wanted.TEXT, 0, 7, b"words", wire.one_text(b"words")),
    ):
        for answer, expected in ((said, made), (wire.refusal(refused), refused)):
            with saying(tmp_path / "s", answer) as asked:
                assert ask() == expected
            (tmp_path / "s").unlink()
            height = 8 if width else 0
            assert asked == [wire.question(wanted=wanted, width=width, height=height, number=number, length=3)]


def test_an_answer_is_taken_up_to_its_end_and_as_long_as_the_longest(tmp_path: Path) -> None:
    with saying(tmp_path / "s", wire.picture(PICTURE) + b"more"):
        assert DecoderClient(tmp_path / "s").decode(b"x", width=8, height=8) == PICTURE
    whole = replace(PICTURE, width=1024, height=1024, shown_width=1024, shown_height=1024, rgb=bytes(3 << 20))
    with saying(tmp_path / "t", wire.picture(whole)):
        assert DecoderClient(tmp_path / "t").decode(b"x", width=1024, height=1024) == whole
    with saying(tmp_path / "u", wire.state('{"running": 1}')):
        assert DecoderClient(tmp_path / "u").state() == {"running": 1}


def test_root_oneself_and_the_owner_of_the_folder_are_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 4321, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    for number, user in enumerate((0, 1234, tmp_path.stat().st_uid)):
        monkeypatch.setattr("havenline_guard.decoder_client._CREDENTIALS", Credentials(user))
        with saying(tmp_path / str(number), wire.picture(PICTURE)):
            assert DecoderClient(tmp_path / str(number)).decode(b"x", width=8, height=8) == PICTURE


def test_who_does_not_answer_in_time_or_is_somebody_else_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(os.fspath(tmp_path / "s"))
        silent.listen()
        client = DecoderClient(tmp_path / "s", timeout=0.1)
        with pytest.raises(DecoderdUnreachable, match=r"no answer within 0\.1 s"):
            client.decode(b"x", width=8, height=8)
        asked: list[bool] = []
        monkeypatch.setattr(socket, "send_fds", lambda *_: asked.append(True))
        monkeypatch.setattr("havenline_guard.decoder_client._CREDENTIALS", Credentials(65_533))
        with pytest.raises(DecoderdUnreachable, match="served by the system user 65533, who does not own"):
            client.decode(b"x", width=8, height=8)
        assert asked == []


class Credentials:
    """As if the process at the other end were of another user."""

    size = 12

    def __init__(self, user: int) -> None:
        self._user = user

    def unpack(self, told: bytes) -> tuple[int, int, int]:
        return 1, self._user, 1


def test_what_is_too_large_or_of_no_size_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    client = DecoderClient("/nonexistent/s")
    monkeypatch.setattr(wire, "LARGEST_CONTENT", 10)
    for asked in (
        lambda: client.decode(bytes(11), width=8, height=8),
        lambda: client.sheet(bytes(11), width=8, height=8, frames=1),
        lambda: client.text(bytes(11), place=0),
    ):
        found = asked()
        assert isinstance(found, Refused)
        assert found.reason is Refusal.TOO_LARGE
    for width, height in ((1024, 1), (1, 1024)):
        with pytest.raises(DecoderdUnreachable):
            client.decode(bytes(10), width=width, height=height)
    for width, height in ((0, 8), (8, 0), (1025, 8), (8, 1025)):
        with pytest.raises(ValueError, match="1 to 1024 pixels"):
            client.decode(b"x", width=width, height=height)
    for frames in (0, 17):
        with pytest.raises(ValueError, match="1 to 16"):
            client.sheet(b"x", width=8, height=8, frames=frames)
    for place in (-1, 512):
        with pytest.raises(ValueError, match="from 0 to 511"):
            client.text(b"x", place=place)


def test_what_is_sent_is_the_content_and_can_no_longer_change() -> None:
    descriptor = _sealed(b"words")
    assert os.pread(descriptor, 100, 0) == b"words"
    attempts: tuple[Callable[[], object], ...] = (
        lambda: os.pwrite(descriptor, b"W", 0),
        lambda: os.ftruncate(descriptor, 4),
        lambda: os.ftruncate(descriptor, 6),
        lambda: fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
    )
    for attempt in attempts:
        with pytest.raises(PermissionError):
            attempt()
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_a_sealed_descriptor_that_cannot_be_had_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[int] = []
    real = os.close
    monkeypatch.setattr(os, "close", lambda each: (closed.append(each), real(each)))

    def full(descriptor: int, view: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        _sealed(b"x")
    assert len(closed) == 1
