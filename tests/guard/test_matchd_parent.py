"""The parent of `matchd`'s processes and what it does about its sockets, taken in this process; folding beside it."""

from __future__ import annotations

import os
import select
import signal
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from havenline.matching.live import ChangeRefused, LiveLists
from havenline.vocabulary import HavenlineError
from havenline_guard import lockdown, matchd, wire
from havenline_guard.counters import Count, Counters
from havenline_guard.matchd import MatchdError, Settings
from havenline_guard.wire import Kind, Reason
from havenline_guard.worker import Limits


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


def test_a_socket_for_a_group_stays_its_owners_and_nobody_waits_at_it(tmp_path: Path) -> None:
    other = 65532 if os.geteuid() == 0 else os.getgid()
    for group, mode in ((None, 0o600), (other, 0o660)):
        with matchd._Sockets._bound(str(tmp_path / "s"), group) as made:
            found = (tmp_path / "s").stat()
            assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (os.geteuid(), mode)
            assert group is None or found.st_gid == group
            assert not made.getblocking()


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path leaves room for names of sockets of a chosen length."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def settings_of(path: Path, **limits: float) -> Settings:
    return Settings(path, 1, frozenset(), frozenset(), limits=Limits(**limits))  # type: ignore[arg-type]


def test_a_path_of_a_socket_has_a_hundred_bytes_at_most(short: Path) -> None:
    longest = short / ("x" * (99 - len(os.fsencode(short))))
    assert len(os.fsencode(longest)) == 100
    with matchd._Sockets(settings_of(longest), changes=True) as sockets, socket.socket(socket.AF_UNIX) as asker:
        assert sockets.change is not None
        asker.connect(str(longest) + wire.CHANGING)
    with pytest.raises(MatchdError, match="100 bytes"), matchd._Sockets(settings_of(Path(f"{longest}x")), changes=True):
        pass
    assert sorted(each.name for each in short.iterdir()) == [f"{longest.name}.lock"]


def test_sockets_are_let_go_of_with_their_lock_which_only_the_owner_may_open(tmp_path: Path) -> None:
    for _ in range(2):
        with matchd._Sockets(settings_of(tmp_path / "s"), changes=True):
            assert stat.S_IMODE((tmp_path / "s.lock").stat().st_mode) == 0o600
            assert stat.S_IMODE((tmp_path / f"s{wire.CHANGING}").stat().st_mode) == 0o600
            with (
                pytest.raises(MatchdError, match="another matchd serves this socket already"),
                matchd._Sockets(settings_of(tmp_path / "s"), changes=True),
            ):
                pass
            assert (tmp_path / "s").exists(), "what another has is left alone"
        assert [each.name for each in tmp_path.iterdir()] == ["s.lock"]


def test_all_is_compiled_before_the_lists_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def opening(_: object) -> Any:
        done.append("opened")
        raise HavenlineError("they are damaged")

    monkeypatch.setattr(matchd.kernels, "prepare", lambda _: done.append("compiled"))
    with pytest.raises(HavenlineError, match="they are damaged"):
        matchd.serve([], settings_of(tmp_path / "s"), say=print, opener=opening)
    assert done == ["compiled", "opened"]
    assert list(tmp_path.iterdir()) == []


def test_where_calls_cannot_be_filtered_it_goes_on_and_says_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    filtered = []
    monkeypatch.setattr(matchd, "lock_down", lambda **_: lockdown.LockedDown(False, "no filter is known for abacus"))
    monkeypatch.setattr(matchd._Parent, "run", lambda parent: filtered.append(int(parent._row[Count.FILTERED])))
    matchd.serve([], settings_of(tmp_path / "s"), say=said.append, opener=lambda _: mock.Mock())
    assert said[-1:] == [
        "warning: no filter is known for abacus; network and programs are not closed to these processes"
    ]
    assert filtered == [0]


def parent(folder: Path, **limits: float) -> matchd._Parent:
    settings = settings_of(folder / "s", **limits)
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


def started(code: str, *arguments: str) -> int:
    """A child of this process that has printed something already."""
    told, telling = os.pipe()
    command = [sys.executable, "-c", code, *arguments]
    pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, telling, 1)])
    os.close(telling)
    os.read(told, 1)
    os.close(told)
    return pid


STAYS = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(".", end="", flush=True)
time.sleep(600)
"""


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
    child.ready, child.open = True, 3
    child.control, child.pid, child.started, above._ending = ours, started("print('.')"), time.monotonic(), True
    for _ in range(500):
        above._reap()
        if not child.pid:
            break
        time.sleep(0.01)
    assert (child.pid, child.control, child.ready, child.open) == (0, None, False, 0)
    theirs.close()


def test_who_comes_while_no_process_is_ready_is_told_so(tmp_path: Path) -> None:
    me = frozenset({os.getuid()})
    with matchd._Sockets(Settings(tmp_path / "s", 1, me, me), changes=False) as sockets:
        above = matchd._Parent(
            lambda: pytest.fail("not opened"), sockets._settings, sockets, Counters(3), print, changes=False
        )
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(str(tmp_path / "s"))
            asker.settimeout(20)
            assert sockets.lookup is not None
            above._accept(sockets.lookup)
            said = asker.recv(1000)
            _, kind, _, _, tag = wire.HEAD.unpack_from(said)
            assert (kind, tag) == (Kind.REFUSED, 0)
            reason, closes, text = wire.read_refusal(said[wire.HEAD.size :])
            assert (reason, closes) == (Reason.BUSY, True)
            assert "no process is ready" in text
            assert asker.recv(1) == b""
        assert above._row[Count.REFUSED] == above._row[Count.CONNECTIONS] == 1


def test_the_parent_leaves_signals_as_they_were_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    above = parent(tmp_path)
    above._children.clear()
    above._ending = True
    before = {each: signal.getsignal(each) for each in matchd._SIGNALS}
    above.run()
    assert {each: signal.getsignal(each) for each in matchd._SIGNALS} == before
    assert signal.set_wakeup_fd(-1) == -1
    assert capsys.readouterr().out == "ending\n"
    assert 0 < time.time_ns() - above._row[Count.STARTED] < 60_000_000_000


def test_a_signal_wakes_the_parent_once(tmp_path: Path) -> None:
    above = parent(tmp_path)
    above._selector.register(above._wake, select.EPOLLIN)
    above._children.clear()
    os.write(above._waking, b"..")

    def end() -> None:
        above._ending = True

    above._reap = end  # type: ignore[method-assign]
    above._loop()
    with pytest.raises(BlockingIOError):
        os.read(above._wake, 1)


FINISHES = """
import pathlib, socket, sys, time
control = socket.socket(fileno=int(sys.argv[1]))
print(".", end="", flush=True)
control.recv(1)
time.sleep(0.3)
pathlib.Path(sys.argv[2]).write_text("done")
"""
"""Like a process that answers: it goes on until its control is shut, and then finishes what it began."""


def test_a_child_may_take_as_long_to_end_as_its_connections_and_a_second_more(tmp_path: Path) -> None:
    for ending, finished in ((30.0, True), (-30.0, False)):
        above = parent(tmp_path, ending=ending)
        child = above._children[2]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        theirs.set_inheritable(True)
        child.control = ours
        above._selector.register(ours, select.EPOLLIN, child)
        child.pid = started(FINISHES, str(theirs.fileno()), str(tmp_path / f"{ending}"))
        theirs.close()
        above._end()
        ours.close()
        assert (tmp_path / f"{ending}").exists() == finished


class Left(BaseException):
    """Raised where a process would leave, with its code."""


@pytest.fixture
def leaving(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be, for a while, a process of `matchd`: where it would leave, Left is raised; signals are then as before."""

    def leave(code: int) -> None:
        raise Left(code)

    kept = {each: signal.getsignal(each) for each in matchd._SIGNALS}
    monkeypatch.setattr(matchd.os, "_exit", leave)
    yield
    signal.set_wakeup_fd(-1)
    for each, handler in kept.items():
        signal.signal(each, handler)


class Folded:
    """Lists whose changes wait, and whose folding does not go well."""

    def __init__(self, fault: BaseException) -> None:
        self.fault, self.pending = fault, 3

    def fold(self) -> None:
        raise self.fault


@pytest.mark.usefixtures("leaving")
@pytest.mark.parametrize(
    ("fault", "text"), [(ChangeRefused("no room"), "matchd: no room"), (RuntimeError("a mistake"), "RuntimeError")]
)
def test_a_folding_that_fails_says_why_and_ends_alone(
    tmp_path: Path, fault: Exception, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
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
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    matchd._Folding(Folded(RuntimeError()), settings, Counters(3)).stop()  # type: ignore[arg-type]


class Kept:
    """Lists of which so many changes wait; to fold them leaves a file."""

    def __init__(self, folder: Path, pending: int) -> None:
        self.folder, self.pending = folder, pending

    def fold(self) -> None:
        (self.folder / f"{self.pending}").write_text("folded")


def folded(folding: matchd._Folding) -> None:
    """Until the folding that it began has ended."""
    assert folding._pid
    for _ in range(1000):
        if os.waitid(os.P_PID, folding._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.01)


def test_changes_are_folded_when_there_are_many_or_the_first_is_old_and_one_folding_follows_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(tmp_path / "s", 1, frozenset(), frozenset(), fold_after=4, fold_age=10.0)
    counters, clock, lists = Counters(3), [1_000_000_000_000], Kept(tmp_path, 0)
    monkeypatch.setattr(matchd.time, "time_ns", lambda: clock[0])
    folding, row = matchd._Folding(lists, settings, counters), counters.row(1)  # type: ignore[arg-type]
    folding()
    assert (row[Count.PENDING], row[Count.PENDING_SINCE], row[Count.FOLDS]) == (0, 0, 0)
    lists.pending = 3
    folding()
    began = clock[0]
    clock[0] += 9_900_000_000
    folding()
    assert (row[Count.PENDING], row[Count.PENDING_SINCE], row[Count.FOLDS]) == (3, began, 0)
    clock[0] += 100_000_000
    folding()
    assert (row[Count.PENDING_SINCE], row[Count.FOLDS]) == (clock[0], 1), "the first is old"
    folded(folding)
    assert (tmp_path / "3").exists()
    lists.pending = 0
    folding()
    assert (row[Count.PENDING], row[Count.PENDING_SINCE], row[Count.FOLDS]) == (0, 0, 1)
    lists.pending = 4
    folding()
    assert row[Count.FOLDS] == 2, "there are many"
    folded(folding)
    assert (tmp_path / "4").exists()
    lists.pending = 3
    clock[0] += 9_000_000_000
    folding()
    assert (row[Count.PENDING_SINCE], row[Count.FOLDS]) == (clock[0], 2), "those that are left are new"
    folding.stop()


@pytest.mark.usefixtures("leaving")
def test_a_process_whose_lists_cannot_be_opened_says_so_and_ends(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matchd, "lock_down", lambda **_: lockdown.LockedDown(False))
    for fault, text in ((HavenlineError("they are damaged"), "matchd: they are damaged"), (OSError(), "Traceback")):
        above = parent(tmp_path)
        above._opening = raising(fault)
        above._sockets = Closed()  # type: ignore[assignment]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with pytest.raises(Left, match="1"), ours:
            above._become(above._children[2], theirs)
        theirs.close()
        assert text in capfd.readouterr().err


@pytest.mark.usefixtures("leaving")
@pytest.mark.parametrize("row", [matchd._CHANGER, 2])
def test_the_process_that_changes_folds_and_starts_others_and_those_that_answer_do_neither(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, row: int
) -> None:
    locked, made, folding, held = mock.Mock(), mock.Mock(), mock.Mock(), mock.Mock(spec=LiveLists)
    made.return_value.run.side_effect = lambda: woken.append(signal.set_wakeup_fd(-1))
    woken: list[int] = []
    for name, fake in (("lock_down", locked), ("Worker", made), ("_Folding", mock.Mock(return_value=folding))):
        monkeypatch.setattr(matchd, name, fake)
    above = parent(tmp_path)
    above._opening, above._sockets = lambda: held, Closed()  # type: ignore[assignment]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(writing)
    try:
        with ours, theirs, pytest.raises(Left, match="0"):
            above._become(matchd._Child(row), theirs)
    finally:
        os.close(reading)
        os.close(writing)
    changes = row == matchd._CHANGER
    locked.assert_called_once_with(accepts=False, starts=changes, writes=changes)
    assert (made.call_args.args, made.call_args.kwargs["row"]) == ((held, theirs), row)
    assert made.call_args.kwargs["changing"] is (held if changes else None)
    assert made.call_args.kwargs["now_and_then"] is (folding if changes else None)
    assert folding.stop.called is changes
    assert woken == [-1], "a signal here wakes nobody else"
    assert capfd.readouterr().err == ""


def test_the_parent_waits_for_no_process_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    above = parent(tmp_path)
    monkeypatch.setattr(above, "_become", lambda *_: os._exit(0))
    child = above._children[2]
    above._start(child)
    assert child.control is not None
    assert not child.control.getblocking()
    assert (child.ready, child.open) == (False, 0)
    os.waitpid(child.pid, 0)
    above._selector.unregister(child.control)
    child.control.close()


class Closed:
    """Sockets that were never opened."""

    def close(self) -> None:
        """There is nothing to close."""


def raising(fault: BaseException) -> Any:
    def opening() -> None:
        raise fault

    return opening
