"""What `keyd` answers when its own files fail; every operation on the disk in turn is in test_keyd_faults."""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path
from unittest import mock

import pytest

from havenline_guard import keyd
from havenline_guard import keyd_wire as wire
from havenline_guard.keyd_clock import read_clocks
from havenline_guard.keyd_master import MasterKeysError
from havenline_guard.keyd_wire import KeydRefused, Peer
from havenline_guard.lockdown import LockedDown
from tests.guard.keyd_rig import AMPLE, OBJECTS, PASSPHRASE, Rig, bound, opened, refused, unlike_its_log


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    made.keys.set_budget("p1", AMPLE, by="lead", second="welfare")
    made.keys.mint(OBJECTS[0], kind="original", size=1)
    return made


def test_where_the_log_cannot_be_written_nothing_is_opened_and_all_goes_on_afterwards(rig: Rig) -> None:
    wanted = bound(OBJECTS[0])
    token = rig.keys.grant(wanted)
    with mock.patch.object(rig.state, "_append", side_effect=sqlite3.OperationalError("disk I/O error")):
        refused("unlogged", rig.keys.open, token, wanted)
    assert rig.keys.open(token, wanted)
    assert unlike_its_log(rig) == []


def test_where_the_file_cannot_even_be_read_that_is_said(rig: Rig) -> None:
    with mock.patch.object(rig.state, "_one", side_effect=sqlite3.OperationalError("disk I/O error")):
        assert "cannot read or write" in refused("unlogged", rig.keys.status)
    assert rig.keys.status()["keys"] == 1


def test_a_ledger_that_cannot_be_written_is_asked_for_again(rig: Rig) -> None:
    (rig.folder / "erasures").mkdir()
    assert "ask again" in refused("unlogged", rig.keys.shred, OBJECTS[0], rule="cleared", by="retention")
    (rig.folder / "erasures").rmdir()
    rig.keys.shred(OBJECTS[0], rule="cleared", by="retention")
    assert OBJECTS[0] in (rig.folder / "erasures").read_text()


def test_old_bytes_that_may_still_lie_in_a_file_are_told(rig: Rig) -> None:
    with mock.patch.object(rig.state, "_move_wal", side_effect=sqlite3.OperationalError("disk I/O error")):
        assert "ask again" in refused("unlogged", rig.keys.shred, OBJECTS[0], rule="cleared", by="retention")
    rig.keys.shred(OBJECTS[0], rule="cleared", by="retention")


def test_a_fault_of_the_program_undoes_the_act(rig: Rig) -> None:
    with mock.patch.object(rig.state, "_openable", side_effect=ZeroDivisionError), pytest.raises(ZeroDivisionError):
        rig.keys.grant(bound(OBJECTS[0]))
    assert opened(rig.keys, OBJECTS[0])
    assert unlike_its_log(rig) == []


@pytest.mark.parametrize(
    "fault", [KeydRefused("unlogged", ""), MasterKeysError(""), sqlite3.OperationalError(), OSError()]
)
def test_a_rotation_that_cannot_go_on_is_tried_again_later(rig: Rig, fault: Exception) -> None:
    server = keyd._Server.__new__(keyd._Server)
    server._state = rig.state
    with mock.patch.object(rig.state, "rewrap_some", side_effect=fault):
        assert server._rewrap() == keyd._RETRY
    assert server._rewrap() is None


def test_the_clock_of_this_machine_runs_whatever_the_wall_says() -> None:
    first, second = read_clocks(), read_clocks()
    assert first.boot == second.boot
    assert first.since_boot <= second.since_boot
    with mock.patch("time.time_ns", return_value=0):
        assert read_clocks().since_boot >= second.since_boot


def test_command_line_faults_end_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_bytes(b"only drawn shapes are kept here")
    passphrase.chmod(0o600)
    common = ["--folder", str(tmp_path / "k"), "--passphrase-file", str(passphrase), "--cost", "1024"]
    assert keyd.main(["init", *common]) == 0
    assert keyd.main(["init", *common]) == 1
    assert keyd.main(["init", *common, "--peer", f"{os.getuid()}:king"]) == 1
    assert "king" in capsys.readouterr().err


def server_of(rig: Rig, listener: socket.socket | mock.Mock) -> keyd._Server:
    """A server whose loop does not run; its selector stands for any."""
    server = keyd._Server.__new__(keyd._Server)
    server._state, server._listener, server._selector = rig.state, listener, mock.Mock()
    server._peers, server._connections = {os.getuid(): frozenset(Peer)}, 1
    return server


def test_a_connection_that_is_gone_before_it_is_taken_changes_nothing(rig: Rig) -> None:
    listener = mock.Mock()
    listener.accept.side_effect = ConnectionAbortedError
    server = server_of(rig, listener)
    server._accept()
    assert server._connections == 1


@pytest.mark.parametrize(("fault", "left"), [(BlockingIOError(), 1), (ConnectionResetError(), 0)])
def test_a_connection_that_has_nothing_goes_on_and_one_that_broke_is_let_go(
    rig: Rig, fault: OSError, left: int
) -> None:
    taken = mock.Mock()
    taken.recv.side_effect = fault
    server = server_of(rig, mock.Mock())
    server._read(keyd._Connection(taken, frozenset(Peer)))
    assert server._connections == left
    assert taken.close.called is (left == 0)


@pytest.mark.parametrize("sent", [BlockingIOError(), ConnectionResetError(), 3])
def test_who_cannot_take_the_answer_is_let_go(rig: Rig, sent: OSError | int) -> None:
    taken = mock.Mock()
    taken.recv.return_value = wire.message({"ask": "status"})
    taken.send.side_effect = [sent]
    server = server_of(rig, mock.Mock())
    server._read(keyd._Connection(taken, frozenset(Peer)))
    assert server._connections == 0


def test_where_system_calls_cannot_be_filtered_keyd_says_so(rig: Rig) -> None:
    rig.state.close()
    settings = keyd.Settings(rig.folder, rig.folder / "s", {os.getuid(): frozenset(Peer)})
    said: list[str] = []
    with (
        mock.patch.object(keyd, "lock_down", return_value=LockedDown(False, "an old kernel")),
        mock.patch.object(keyd._Server, "run"),
        mock.patch("signal.signal"),
        mock.patch("signal.set_wakeup_fd"),
    ):
        keyd.serve(settings, PASSPHRASE, say=said.append)
    assert said == ["system calls are not filtered: an old kernel", f"answering on {settings.socket}"]
