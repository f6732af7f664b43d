"""The rare branches of `matchd`'s processes, taken in this process: faults of sockets and lists, late readers, ends."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from havenline.matching.asked import Asked
from havenline.matching.change_log import LiveListsDamaged
from havenline.matching.lists import Lists
from havenline.matching.live import ChangeRefused, LiveLists
from havenline.vocabulary import HavenlineError
from havenline_guard import lockdown, matchd, wire
from havenline_guard.counters import Count, Counters
from havenline_guard.matchd import MatchdError, Settings
from havenline_guard.wire import Kind, Reason
from havenline_guard.worker import Limits, Worker, _Link

from .drawn import edition, fingerprint


class Faulty:
    """Lists that are there, until `fault` is set."""

    generation = 0

    def __init__(self, lists: Lists) -> None:
        self.lists, self.fault = lists, None

    fault: Exception | None

    def current(self) -> Lists:
        if self.fault is not None:
            raise self.fault
        return self.lists


class Rig:
    """A worker in a thread of this process; `control` is the parent's end."""

    def __init__(self, folder: Path, **limits: float) -> None:
        LiveLists.create(folder / "lists", [edition("a", "b")])
        self.held = Faulty(LiveLists.open(folder / "lists").current())
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(20)
        self.counters = Counters(3)
        self.worker = Worker(
            self.held,
            theirs,
            counters=self.counters,
            row=2,
            limits=Limits(**limits),  # type: ignore[arg-type]
        )
        self.thread = threading.Thread(target=self.worker.run)
        self.theirs = theirs
        self.opened = [self.control, theirs]

    def start(self) -> Rig:
        self.thread.start()
        self.control.recv(8)
        return self

    def connected(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        self.opened.append(ours)
        socket.send_fds(self.control, [b"+"], [theirs.fileno()])
        theirs.close()
        ours.settimeout(20)
        ours.sendall(wire.message(Kind.HELLO, 1, wire.hello()))
        assert said(ours)[0] == Kind.WELCOME
        return ours

    def link(self) -> tuple[socket.socket, _Link]:
        """A connection that the worker has and that is not served by its loop."""
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        theirs.setblocking(False)
        self.opened += [ours, theirs]
        made = _Link(theirs)
        self.worker._links[theirs.fileno()] = made
        self.worker._poll.register(theirs.fileno(), select.EPOLLIN)
        self.counters.row(2)[Count.OPEN] += 1
        return ours, made

    def stop(self) -> None:
        if self.thread.is_alive():
            self.control.shutdown(socket.SHUT_WR)
            self.thread.join(20)
        assert not self.thread.is_alive()
        for each in self.opened:
            each.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.stop()


def said(connection: socket.socket) -> tuple[int, bytes]:
    head = connection.recv(wire.HEAD.size, socket.MSG_WAITALL)
    if not head:
        return 0, b""
    length, kind, *_ = wire.HEAD.unpack(head)
    return kind, connection.recv(length, socket.MSG_WAITALL) if length else b""


def lookup(*names: str) -> bytes:
    return wire.message(Kind.LOOKUP, 2, wire.asked_body(Asked.of([fingerprint(name) for name in names]), 0))


def many() -> bytes:
    values = np.random.default_rng(3).integers(0, 256, (5000, 32), dtype=np.uint8)
    del values
    return lookup(*(str(number) for number in range(5000)))


@pytest.mark.parametrize(
    ("fault", "reason", "text"),
    [
        (LiveListsDamaged("the lists are damaged"), Reason.LISTS, "the lists are damaged"),
        (OSError(5, "Input/output error"), Reason.LISTS, "the lists cannot be used: Input/output error"),
        (ChangeRefused("not so"), Reason.CHANGE_REFUSED, "not so"),
        (RuntimeError("our own mistake"), Reason.INTERNAL, "the server's log says more"),
    ],
)
def test_a_fault_of_the_lists_is_said_and_the_process_goes_on(
    rig: Rig, fault: Exception, reason: Reason, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    asker = rig.start().connected()
    rig.held.fault = fault
    asker.sendall(lookup("a"))
    kind, body = said(asker)
    why, closes, told = wire.read_refusal(body)
    assert (kind, why, closes) == (Kind.REFUSED, reason, reason is Reason.INTERNAL)
    assert text in told
    assert "our own mistake" not in told
    rig.held.fault = None
    again = rig.connected()
    again.sendall(lookup("a"))
    assert said(again)[0] == Kind.LEADS
    assert ("our own mistake" in capfd.readouterr().err) == (reason is Reason.INTERNAL)


def test_a_fault_between_two_questions_is_written_down_and_ends_nothing(
    rig: Rig, capfd: pytest.CaptureFixture[str]
) -> None:
    asker = rig.start().connected()
    rig.held.fault = HavenlineError("the folder is away")
    for _ in range(200):
        time.sleep(0.05)
        if "the folder is away" in (told := capfd.readouterr().err):
            break
    assert "matchd: the folder is away" in told
    rig.held.fault = None
    asker.sendall(lookup("a"))
    assert said(asker)[0] == Kind.LEADS


def test_what_waits_to_be_read_is_sent_at_the_end_and_a_large_question_answered(rig: Rig) -> None:
    slow, large = rig.start().connected(), rig.connected()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    heads = wire.message(Kind.HEADS, 3, b"")
    large.sendall(many())
    slow.sendall(heads)
    rig.control.shutdown(socket.SHUT_WR)
    assert said(slow)[0] == Kind.TABLE
    assert said(large)[0] == Kind.LEADS
    rig.thread.join(20)
    assert rig.counters.of(2, Count.OPEN) == 0


def test_the_end_waits_for_a_late_reader_no_longer_than_it_may(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ending=0.3)
    _, late = rig.link()
    late.out = memoryview(b"never read")
    rig.worker._poll.modify(late.socket.fileno(), 0)
    reader, prompt = rig.link()
    prompt.out = memoryview(b"read")
    rig.worker._poll.modify(prompt.socket.fileno(), select.EPOLLOUT)
    rig.worker._poll.register(rig.control.fileno(), 0)
    rig.worker._drain()
    assert reader.recv(10) == b"read"
    assert rig.worker._links == {}
    rig.stop()


def test_a_message_that_comes_in_pieces_may_say_too_great_a_length_in_its_second_piece(rig: Rig) -> None:
    asker = rig.start().connected()
    head = wire.HEAD.pack(wire.LARGEST, Kind.LOOKUP, 0, 0, 1)
    asker.sendall(head[:5])
    time.sleep(0.1)
    asker.sendall(head[5:])
    kind, body = said(asker)
    assert (kind, wire.read_refusal(body)[0]) == (Kind.REFUSED, Reason.TOO_MUCH)
    assert said(asker) == (0, b"")


def test_who_goes_away_in_the_middle_of_an_answer_is_let_go(rig: Rig) -> None:
    for act in ("send", "flush"):
        ours, link = rig.link()
        ours.close()
        if act == "send":
            rig.worker._send(link, b"nobody reads this")
        else:
            link.out = memoryview(b"nor this")
            rig.worker._flush(link)
        assert link not in rig.worker._links.values()
    rig.worker._drop(link)  # a second time is none


def test_who_does_not_read_waits_for_room_and_is_closed_behind_a_refusal(rig: Rig) -> None:
    ours, link = rig.link()
    rig.worker._read(link)  # nothing has come: nothing happens
    assert link in rig.worker._links.values()
    link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    filling = bytes(1 << 20)
    rig.worker._send(link, filling)
    assert link.out is not None
    rig.worker._flush(link)
    before = len(link.out)
    rig.worker._flush(link)
    assert len(link.out) == before, "there is no room, so nothing is sent"
    full = _Link(link.socket)
    rig.worker._send(full, b"more")
    assert full.out is not None
    assert len(full.out) == 4, "no part of it was sent"
    link.closing = True
    got = 0
    while link in rig.worker._links.values():
        got += len(ours.recv(1 << 20))
        rig.worker._flush(link)
    while part := ours.recv(1 << 20):
        got += len(part)
    assert got == len(filling)


def test_the_parent_may_have_nothing_to_say_after_all(rig: Rig) -> None:
    rig.theirs.setblocking(False)
    rig.worker._taken()
    assert not rig.worker._draining


def test_a_large_question_of_somebody_who_went_away_is_dropped(rig: Rig) -> None:
    ours, link = rig.link()
    rig.worker._renewed(rig.held.current())
    body = many()
    rig.worker._look_up(link, 1, memoryview(body)[wire.HEAD.size :], 0)
    assert len(rig.worker._long) == 1
    rig.worker._drop(link)
    rig.worker._go_on()
    assert rig.worker._long == deque()
    ours.close()


def test_an_idle_connection_is_closed_and_one_with_a_large_question_is_not(rig: Rig) -> None:
    _, idle = rig.link()
    _, asking_much = rig.link()
    rig.worker._renewed(rig.held.current())
    rig.worker._look_up(asking_much, 1, memoryview(many())[wire.HEAD.size :], 0)
    idle.deadline = asking_much.deadline = time.monotonic() - 1
    rig.worker._sweep()
    assert list(rig.worker._links.values()) == [asking_much]


def test_a_hang_up_without_anything_to_read_drops_the_connection(rig: Rig) -> None:
    ours = rig.start().connected()
    (link,) = rig.worker._links.values()
    rig.worker._poll.modify(link.socket.fileno(), 0)
    ours.close()
    for _ in range(200):
        if link not in rig.worker._links.values():
            break
        time.sleep(0.02)
    assert link not in rig.worker._links.values()


def test_at_least_one_process_answers(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "s", 0, frozenset(), frozenset())
    with pytest.raises(MatchdError, match="at least one process"):
        matchd.serve([], settings, say=print)


def test_sockets_that_cannot_both_be_had_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / f"s{wire.CHANGING}").write_text("no socket")
    settings = Settings(tmp_path / "s", 1, frozenset(), frozenset())
    with pytest.raises(MatchdError, match="is no socket"), matchd._Sockets(settings, changes=True):
        pass
    assert not (tmp_path / "s").exists()
    with pytest.raises(OSError, match="No such file"):
        matchd._Sockets._bound(str(tmp_path / "away" / "s"), None)


def parent(folder: Path, **limits: float) -> matchd._Parent:
    settings = Settings(folder / "s", 1, frozenset(), frozenset(), limits=Limits(**limits))  # type: ignore[arg-type]
    sockets = matchd._Sockets(settings, changes=False)
    return matchd._Parent(lambda: pytest.fail("not opened"), settings, sockets, Counters(3), print, changes=False)


def test_the_parent_takes_what_its_children_tell_and_their_silence_as_an_end(tmp_path: Path) -> None:
    above = parent(tmp_path)
    child = above._children[2]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    child.control = ours
    above._told(child)  # nothing was said
    assert child.control is ours
    above._selector.register(ours, select.EPOLLIN, child)
    above._selector.unregister(ours)
    ours.close()
    theirs.close()
    child.control = Broken()  # type: ignore[assignment]
    above._selector.register(child.control, select.EPOLLIN, child)
    above._told(child)
    assert child.control is None


class Broken:
    """A control socket whose other end is broken."""

    def __init__(self) -> None:
        self._pair = socket.socketpair()

    def fileno(self) -> int:
        return self._pair[0].fileno()

    def recv(self, _: int) -> bytes:
        raise ConnectionResetError

    def close(self) -> None:
        for each in self._pair:
            each.close()


def test_a_connection_that_is_gone_before_it_is_taken_is_passed_over(tmp_path: Path) -> None:
    above = parent(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "l"))
        listener.listen()
        listener.setblocking(False)
        above._accept(listener)
    assert above._row[Count.CONNECTIONS] == 0


def started(code: str) -> int:
    """A child of this process that has printed something already."""
    told, telling = os.pipe()
    command = [sys.executable, "-c", code]
    pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, telling, 1)])
    os.close(telling)
    os.read(told, 1)
    os.close(told)
    return pid


STAYS = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('.', flush=True); time.sleep(600)"


def test_a_child_that_does_not_end_in_time_is_killed(tmp_path: Path) -> None:
    above = parent(tmp_path, ending=-1.0)
    child = above._children[2]
    child.pid = started(STAYS)
    above._end()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_child_that_falls_with_its_end_still_open_is_let_go_of(tmp_path: Path) -> None:
    above = parent(tmp_path)
    child = above._children[2]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    above._selector.register(ours, select.EPOLLIN, child)
    child.control, child.pid, child.started, above._ending = ours, started("print('.')"), time.monotonic(), True
    for _ in range(500):
        above._reap()
        if not child.pid:
            break
        time.sleep(0.01)
    assert (child.pid, child.control) == (0, None)
    theirs.close()


class Folded:
    """Lists whose changes wait, and whose folding does not go well."""

    def __init__(self, fault: BaseException) -> None:
        self.fault, self.pending = fault, 3

    def fold(self) -> None:
        raise self.fault


@pytest.mark.parametrize(
    ("fault", "text"), [(ChangeRefused("no room"), "matchd: no room"), (RuntimeError("a mistake"), "RuntimeError")]
)
def test_a_folding_that_fails_says_why_and_ends_alone(
    tmp_path: Path, fault: Exception, text: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Left(BaseException):
        pass

    def leave(code: int) -> None:
        raise Left(code)

    monkeypatch.setattr(matchd.os, "_exit", leave)
    settings = Settings(tmp_path / "s", 1, frozenset(), frozenset())
    folding = matchd._Folding(Folded(fault), settings, Counters(3))  # type: ignore[arg-type]
    with pytest.raises(Left, match="1"):
        folding._fold()
    assert text in capfd.readouterr().err


def test_a_folding_that_is_under_way_is_ended_with_the_process_and_not_begun_twice(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "s", 1, frozenset(), frozenset(), fold_after=1)
    folding = matchd._Folding(Folded(RuntimeError()), settings, Counters(3))  # type: ignore[arg-type]
    folding._pid = pid = started(STAYS)
    folding()
    assert folding._pid == pid
    folding.stop()
    matchd._Folding(Folded(RuntimeError()), settings, Counters(3)).stop()  # type: ignore[arg-type]


def test_a_process_whose_lists_cannot_be_opened_says_so_and_ends(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Left(BaseException):
        pass

    def leave(code: int) -> None:
        raise Left(code)

    kept = {each: signal.getsignal(each) for each in (signal.SIGCHLD, *matchd._SIGNALS)}
    monkeypatch.setattr(matchd.os, "_exit", leave)
    monkeypatch.setattr(matchd, "lock_down", lambda **_: lockdown.LockedDown(False))
    try:
        for fault, text in ((HavenlineError("they are damaged"), "matchd: they are damaged"), (OSError(), "Traceback")):
            above = parent(tmp_path)
            above._opening = raising(fault)
            above._sockets = Closed()  # type: ignore[assignment]
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with pytest.raises(Left, match="1"), ours:
                above._become(above._children[2], theirs)
            theirs.close()
            assert text in capfd.readouterr().err
    finally:
        for each, handler in kept.items():
            signal.signal(each, handler)


class Closed:
    """Sockets that were never opened."""

    def close(self) -> None:
        """There is nothing to close."""


def raising(fault: BaseException) -> Any:
    def opening() -> None:
        raise fault

    return opening


def test_an_unknown_machine_and_a_kernel_that_refuses_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockdown, "give_up_privileges", lambda: None)
    monkeypatch.setattr(lockdown.platform, "machine", lambda: "abacus")
    told = lockdown.lock_down(accepts=False, starts=False, writes=False)
    assert told == lockdown.LockedDown(False, "no filter of system calls is known for abacus")
    monkeypatch.undo()

    class Refusing:
        @staticmethod
        def prctl(*_: int) -> int:
            return -1

    monkeypatch.setattr(lockdown.ctypes, "CDLL", lambda *_, **__: Refusing)
    monkeypatch.setattr(lockdown.resource, "setrlimit", lambda *_: None)
    with pytest.raises(OSError, match="prctl was refused"):
        lockdown.give_up_privileges()
    lockdown.end_with_parent(signal.SIGTERM)


def test_who_is_reset_in_the_middle_of_a_question_is_let_go(rig: Rig) -> None:
    _, link = rig.link()

    class Reset:
        def __init__(self, behind: socket.socket) -> None:
            self.fileno, self.close = behind.fileno, behind.close

        def recv_into(self, _: object) -> int:
            raise ConnectionResetError

    link.socket = Reset(link.socket)  # type: ignore[assignment]
    rig.worker._read(link)
    assert rig.worker._links == {}


def test_a_large_question_that_waits_at_the_end_is_answered(rig: Rig) -> None:
    ours, link = rig.link()
    rig.worker._renewed(rig.held.current())
    rig.worker._look_up(link, 1, memoryview(many())[wire.HEAD.size :], 0)
    answered = threading.Thread(target=rig.worker._drain)
    answered.start()
    assert said(ours)[0] == Kind.LEADS
    answered.join(20)
    assert rig.worker._links == {}


def test_a_question_whose_head_comes_in_pieces_is_answered(rig: Rig) -> None:
    asker = rig.start().connected()
    whole = lookup("a")
    for part in (whole[:7], whole[7:40], whole[40:]):
        asker.sendall(part)
        time.sleep(0.05)
    assert said(asker)[0] == Kind.LEADS


class Late:
    """Tells first of a connection that is gone by then."""

    def __init__(self, behind: select.epoll) -> None:
        self.behind, self.told = behind, False
        self.register, self.unregister, self.modify = behind.register, behind.unregister, behind.modify

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        first = [] if self.told else [(1 << 20, select.EPOLLIN)]
        self.told = True
        return [*first, *self.behind.poll(timeout)]


def test_a_connection_that_is_gone_when_its_turn_comes_is_passed_over(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ending=0.3)
    rig.worker._poll = Late(rig.worker._poll)  # type: ignore[assignment]
    asker = rig.start().connected()
    asker.sendall(lookup("a"))
    assert said(asker)[0] == Kind.LEADS
    rig.worker._poll.told = False  # type: ignore[attr-defined]
    _, late = rig.link()
    late.out = memoryview(b"to be sent at the end")
    rig.control.shutdown(socket.SHUT_WR)
    rig.thread.join(20)
    assert rig.worker._links == {}
    rig.stop()
