"""What a program that asks `matchd` sends, whom it believes, and what it does about answers that are none."""

from __future__ import annotations

import datetime as dt
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from havenline.matching.asked import Asked
from havenline.matching.lists import Lists
from havenline_guard import client as asking
from havenline_guard import wire
from havenline_guard.client import MatchClient, MatchdRefused, MatchdUnreachable
from havenline_guard.wire import Kind, Malformed, Reason, Table

from .drawn import edition, film, fingerprint

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
LISTS = Lists.build([edition("a")])
TABLE = Table.of(LISTS.heads)


class Answering:
    """A server that greets, says to each question the parts that `answer` makes of its kind, tag and body, and writes
    down what it was asked. With `ends` it hangs up behind its first answer."""

    def __init__(
        self, folder: Path, answer: Callable[[int, int, bytes], Sequence[bytes]], *,
        welcome: bytes | None = None, ends: bool = False,
    ) -> None:  # fmt: skip
        self.path = folder / "s"
        self._answer, self._ends = answer, ends
        self._welcome = wire.welcome() if welcome is None else welcome
        self.asked: list[tuple[int, int, bytes]] = []
        self.connections = 0
        self.left = threading.Event()
        """Set when one who asked has hung up."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._serve)]

    def __enter__(self) -> Answering:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in self._threads:
            each.join(20)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._talk, args=(taken,)))
            self._threads[-1].start()

    def _talk(self, taken: socket.socket) -> None:
        taken.settimeout(10)
        with taken, taken.makefile("rb") as coming:
            while head := coming.read(wire.HEAD.size):
                length, kind, _, _, tag = wire.HEAD.unpack(head)
                body = coming.read(length)
                if kind == Kind.HELLO:
                    taken.sendall(wire.message(Kind.WELCOME, tag, self._welcome))
                    continue
                self.asked.append((kind, tag, body))
                for number, part in enumerate(self._answer(kind, tag, body)):
                    time.sleep(0.05 if number else 0)
                    taken.sendall(part)
                if self._ends:
                    return
            self.left.set()


def says(*parts: bytes) -> Callable[[int, int, bytes], Sequence[bytes]]:
    return lambda *_: parts


def healthy(_: int, tag: int, __: bytes) -> list[bytes]:
    return [wire.message(Kind.HEALTHY, tag, b"{}")]


def nothing(_: int, tag: int, body: bytes) -> list[bytes]:
    """No leads; the table to whoever does not say that he has it."""
    known = wire.read_asked(memoryview(body))[1]
    leads = LISTS.look_up(Asked.of([fingerprint("x")]), at=NOON)
    return [wire.message(Kind.LEADS, tag, wire.leads_body(leads, TABLE, known))]


def test_all_that_the_table_of_messages_names_as_questions_can_be_asked() -> None:
    assert {"hello", "lookup", "change", "heads", "health", "metrics"} == asking.OPERATIONS


@pytest.mark.parametrize(
    ("answers", "ends", "error", "text"),
    [
        ((wire.message(Kind.HEALTHY, 77, b"{}"),), False, Malformed, "an answer to something else came"),
        ((wire.message(Kind.TABLE, 2, b"{}"),), False, Malformed, "an answer to something else came"),
        ((wire.HEAD.pack(0, Kind.HEALTHY, 0, 0, 2) + b"x",), False, Malformed, "an impossible length"),
        ((wire.HEAD.pack((1 << 31) + 1, Kind.HEALTHY, 0, 0, 2),), False, Malformed, "an impossible length"),
        ((wire.HEAD.pack(9, Kind.HEALTHY, 0, 0, 2), b"{"), True, MatchdUnreachable, "ended the connection"),
        ((wire.HEAD.pack(2, Kind.HEALTHY, 0, 0, 2)[:3],), True, MatchdUnreachable, "ended the connection"),
        ((), True, MatchdUnreachable, "ended the connection"),
    ],
    ids=["tag", "kind", "too short", "too long", "cut short", "cut in the head", "none"],
)
def test_an_answer_that_is_none_is_named(
    tmp_path: Path, answers: tuple[bytes, ...], ends: bool, error: type[Exception], text: str
) -> None:
    with (
        Answering(tmp_path, says(*answers), ends=ends) as server,
        MatchClient(server.path, timeout=5) as client,
    ):
        with pytest.raises(error, match=text):
            client.health()
        # Nothing more is taken from that connection: the next question makes another.
        server._answer, server._ends = healthy, False
        assert client.health() == {}
    assert server.connections == 2


def test_an_answer_in_small_pieces_is_one(tmp_path: Path) -> None:
    whole = wire.message(Kind.HEALTHY, 2, b'{"a":1}')
    for number, pieces in enumerate(((1, 9, 23), (3, 23), (17, 19, 21, 23))):
        parts = [whole[start:end] for start, end in zip((0, *pieces), pieces, strict=False)]
        (folder := tmp_path / str(number)).mkdir()
        with Answering(folder, says(*parts)) as server, MatchClient(server.path, timeout=5) as client:
            assert client.health() == {"a": 1}


def test_one_connection_serves_until_the_client_is_left_and_each_question_has_a_tag_of_its_own(tmp_path: Path) -> None:
    with Answering(tmp_path, healthy) as server:
        with MatchClient(server.path, timeout=5) as client:
            for _ in range(3):
                client.health()
        assert server.left.wait(10), "the connection is closed though the client is still there"
        assert server.connections == 1
        assert len({tag for _, tag, _ in server.asked}) == 3
        assert client.health() == {}, "a closed client connects anew"
        client.close()


def test_a_connection_that_the_server_ended_is_made_anew_without_a_word_but_a_change_is_never_repeated(
    tmp_path: Path,
) -> None:
    with Answering(tmp_path, healthy, ends=True) as server, MatchClient(server.path, timeout=5) as client:
        assert client.health() == client.health() == {}
        assert server.connections == 2
    (changing := tmp_path / "changing").mkdir()
    with Answering(changing, says(), ends=True) as server:
        server.path.rename(f"{server.path}{wire.CHANGING}")
        with pytest.raises(MatchdUnreachable, match="ended the connection"):
            MatchClient(server.path, timeout=5).change(withdraw={"shapes": ["a"]})
        assert [kind for kind, _, _ in server.asked] == [Kind.CHANGE]


def test_a_child_process_does_not_ask_over_the_connection_of_its_parent(tmp_path: Path) -> None:
    with Answering(tmp_path, healthy) as server, MatchClient(server.path, timeout=5) as client:
        client.health()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                code = 0 if client.health() == {} else 2
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert client.health() == {}
        assert server.connections == 2


def test_a_refusal_that_ends_the_connection_ends_it_on_this_side_too_and_another_does_not(tmp_path: Path) -> None:
    def refuse(_: int, tag: int, __: bytes) -> list[bytes]:
        closes = len(server.asked) == 3
        return [wire.message(Kind.REFUSED, tag, wire.refusal(Reason.TOO_MUCH, "too much", closes=closes))]

    with Answering(tmp_path, refuse) as server, MatchClient(server.path, timeout=5) as client:
        for number in range(3):
            assert not server.left.is_set()
            with pytest.raises(MatchdRefused, match="too much") as caught:
                client.health()
            assert (caught.value.reason, str(caught.value)) == (Reason.TOO_MUCH, f"{server.path}: too much")
            assert server.connections == 1, number
        assert server.left.wait(10)


def test_who_asks_is_sent_the_editions_once(tmp_path: Path) -> None:
    with Answering(tmp_path, nothing) as server, MatchClient(server.path, timeout=5) as client:
        for _ in range(3):
            assert client.lookup([fingerprint("x")], at=NOON) == [()]
    known = [wire.read_asked(memoryview(body))[1] for _, _, body in server.asked]
    assert known == [0, TABLE.number, TABLE.number]


def test_however_many_are_looked_up_a_message_has_some_thousands(tmp_path: Path) -> None:
    with Answering(tmp_path, nothing) as server, MatchClient(server.path, timeout=20) as client:
        # A fingerprint with one perceptual hash counts as two.
        assert client.lookup([fingerprint("x")] * 8193, at=NOON) == [()] * 8193
        # A film counts with its hashes, its frames, and its frames as they are turned.
        films = [film(2000, turned=True), film(2000, turned=True), film(2191), film(1)]
        assert client.lookup(films, at=NOON) == [()] * 4
    counts = [wire.read_asked(memoryview(body))[0].count for _, _, body in server.asked]
    assert counts == [8192, 1, 3, 1]


def test_an_answer_about_what_was_not_asked_is_malformed(tmp_path: Path) -> None:
    leads = LISTS.look_up(Asked.of([fingerprint("a")]), at=NOON)
    body = wire.leads_body(replace(leads, asked=np.array([1], np.uint32)), TABLE, 0)
    with (
        Answering(tmp_path, says(wire.message(Kind.LEADS, 2, body))) as server,
        MatchClient(server.path, timeout=5) as client,
        pytest.raises(Malformed, match="fingerprints that were not asked for"),
    ):
        client.look_up(Asked.of([fingerprint("a")]))


@pytest.mark.parametrize(
    ("welcome", "error", "text"),
    [
        (b"short", Malformed, "greeting cannot be read"),
        (wire._WELCOME.pack(wire.FORM + 1, 1, 1), MatchdUnreachable, "use matching ones"),
        (wire._WELCOME.pack(wire.FORM - 1, 1, 1), MatchdUnreachable, "use matching ones"),
    ],
)
def test_a_server_that_greets_otherwise_is_never_asked(
    tmp_path: Path, welcome: bytes, error: type[Exception], text: str
) -> None:
    with Answering(tmp_path, healthy, welcome=welcome) as server, MatchClient(server.path, timeout=5) as client:
        for _ in range(2):
            with pytest.raises(error, match=text):
                client.health()
        assert server.asked == []


def test_a_path_that_no_socket_can_have_is_refused_before_it_is_tried(tmp_path: Path) -> None:
    with pytest.raises(MatchdUnreachable, match="at most 100 bytes"):
        MatchClient(tmp_path / ("x" * 200)).health()


def test_a_socket_that_is_not_there_is_named_each_time_and_asked_when_it_is_there(tmp_path: Path) -> None:
    client = MatchClient(tmp_path / "s", timeout=5)
    for _ in range(2):
        with pytest.raises(MatchdUnreachable, match=r"cannot be reached \(No such file or directory\): is it started"):
            client.health()
    with Answering(tmp_path, healthy), client:
        assert client.health() == {}


def test_a_server_of_somebody_else_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking.os, "geteuid", lambda: 12345)
    monkeypatch.setattr(MatchClient, "_owner", staticmethod(lambda _path: 12346))
    with Answering(tmp_path, healthy) as server:
        if os.getuid() == 0:
            with MatchClient(server.path, timeout=5) as client:
                assert client.health() == {}, "root is believed wherever it serves"
            monkeypatch.setattr(asking, "_ALWAYS", frozenset())
            server.asked.clear()
        with pytest.raises(MatchdUnreachable, match="does not own the folder"):
            MatchClient(server.path, timeout=5).health()
        assert server.asked == []
        monkeypatch.setattr(MatchClient, "_owner", staticmethod(lambda _path: os.getuid()))
        with MatchClient(server.path, timeout=5) as client:
            assert client.health() == {}, "whoever owns the folder is believed"


def test_a_server_that_does_not_answer_is_not_waited_for_without_end(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with pytest.raises(MatchdUnreachable, match=r"no answer within 0\.2 s"):
            MatchClient(tmp_path / "s", timeout=0.2).health()
