"""The process that children are forked from: what it says, what it gave up, and that none of them outlives it."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from havenline_guard import decoder_child, decoder_zygote
from havenline_guard import decoder_wire as wire
from havenline_guard.decoder_child import Answering, Asked
from havenline_guard.decoder_client import _sealed
from havenline_guard.decoder_wire import Wanted
from havenline_guard.decoder_zygote import ENDED, JOB
from tests.guard.light_decoderd import answering

READY = ENDED.pack(0, 0, 0)


@dataclass(slots=True)
class Started:
    """A zygote; `code` and `complained` once it has ended."""

    control: socket.socket
    pid: int
    code: int = -1
    complained: bytes = b""

    def give(self, number: int, content: bytes) -> int:
        """Have a text of `content` opened; the descriptor to hear the answer from."""
        reading, writing = os.pipe()
        descriptor = _sealed(content)
        job = JOB.pack(number, Wanted.TEXT, 0, 0, 0, len(content))
        socket.send_fds(self.control, [job], [descriptor, writing])
        os.close(descriptor)
        os.close(writing)
        return reading

    def end(self, number: int) -> None:
        self.control.send(JOB.pack(number, 0, 0, 0, 0, 0))

    def ended(self) -> tuple[int, int, int]:
        """The next child that ended: number, exit code, and its most memory."""
        number, status, most = ENDED.unpack(self.control.recv(100))
        return number, os.waitstatus_to_exitcode(status), most


@contextmanager
def zygote(
    *, parent: int | None = None, warm: Callable[[], None] = lambda: None, answering: Answering = answering
) -> Iterator[Started]:
    """One in a process of its own, left alone at the end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe()
    parent = parent or os.getpid()
    pid = os.fork()
    if not pid:
        ours.close()
        sys.stderr = os.fdopen(writing, "w")
        decoder_zygote.be_zygote(theirs, parent=parent, warm=warm, answering=answering)
    theirs.close()
    os.close(writing)
    ours.settimeout(30)
    made = Started(ours, pid)
    try:
        yield made
    finally:
        ours.close()
        made.code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        made.complained = said(reading)


def said(reading: int) -> bytes:
    """What comes out of a pipe until nobody holds its other end."""
    told = b""
    while True:
        assert select.select([reading], [], [], 30)[0], "somebody holds it still"
        piece = os.read(reading, 1 << 16)
        if not piece:
            os.close(reading)
            return told
        told += piece


def test_a_zygote_that_is_left_alone_ends_well_and_one_that_cannot_warm_up_says_why() -> None:
    with zygote() as well:
        assert well.control.recv(100) == READY
    assert (well.code, well.complained) == (0, b"")

    def never() -> None:
        raise RuntimeError("no decoder can be loaded")

    with zygote(warm=never) as cold:
        assert cold.control.recv(100) == b""
    assert cold.code == 1
    assert b"no decoder can be loaded" in cold.complained


def test_a_zygote_whose_parent_ended_before_it_began_does_not_even_warm_up() -> None:
    with zygote(parent=os.getppid()) as orphan:
        assert orphan.control.recv(100) == b""
    assert (orphan.code, orphan.complained) == (-signal.SIGKILL, b"")


def test_each_child_is_told_by_its_number_with_its_end_and_its_memory() -> None:
    with zygote() as made:
        assert made.control.recv(100) == READY
        for number, content, code in ((5, b"words", 0), (1 << 40, b"permission", 3), (7, b"unforeseen", 4)):
            answer = said(made.give(number, content))
            assert answer == (wire.one_text(content) if code == 0 else b"")
            told, ended, most = made.ended()
            assert (told, ended) == (number, code)
            assert 1 << 10 < most < 1 << 21
    assert made.complained == b""


def test_the_child_of_one_job_is_ended_and_no_other() -> None:
    with zygote() as made:
        assert made.control.recv(100) == READY
        first, second = made.give(1, b"sleep"), made.give(2, b"sleep")
        made.end(3)
        made.end(2)
        assert made.ended()[:2] == (2, -signal.SIGKILL)
        assert said(second) == b""
        assert not select.select([first], [], [], 0.1)[0], "it lives"
        made.end(1)
        assert made.ended()[:2] == (1, -signal.SIGKILL)
        assert said(first) == b""
    assert made.code == 0


def test_a_zygote_that_is_left_alone_ends_its_children() -> None:
    with zygote() as made:
        assert made.control.recv(100) == READY
        reading = made.give(5, b"sleep")
        made.end(6)
    assert made.code == 0
    assert said(reading) == b"", "the child is gone, so its pipe ends"


def test_a_zygote_keeps_nothing_of_a_job_and_rests_when_there_is_none() -> None:
    with zygote() as made:
        assert made.control.recv(100) == READY
        kept = []
        for number in (1, 2):
            said(made.give(number, b"words"))
            made.ended()
            kept.append(descriptors(made.pid))
        assert kept[0] == kept[1]
        assert not [each for each in kept[0] if "memfd" in each]
        made.control.settimeout(0.3)
        before = ticks(made.pid)
        with pytest.raises(TimeoutError):
            made.control.recv(100)
        assert ticks(made.pid) - before < 3, "hundredths of a second of the processor"


def descriptors(pid: int) -> set[str]:
    return {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_all_of_a_terminal_leaves_its_end_to_the_server(number: int) -> None:
    with zygote() as made:
        assert made.control.recv(100) == READY
        os.kill(made.pid, number)
        assert said(made.give(1, b"words")) == wire.one_text(b"words")
        assert made.ended()[:2] == (1, 0)
    assert (made.code, made.complained) == (0, b"")


def test_what_a_zygote_gave_up_its_children_cannot_do_even_before_they_are_closed_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waiting, coming = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    waiting.bind(os.fspath(tmp_path / "s"))
    waiting.listen()
    coming.connect(os.fspath(tmp_path / "s"))

    def tried(_content: bytes, _asked: Asked) -> bytes:
        done = []
        attempts: tuple[tuple[bytes, Callable[[], object]], ...] = (
            (b"write", (tmp_path / "written").touch),
            (b"accept", waiting.accept),
            (b"read", Path(__file__).read_bytes),
        )
        for name, attempt in attempts:
            with suppress(OSError):
                attempt()
                done.append(name)
        return wire.one_text(b" ".join(done))

    monkeypatch.setattr(decoder_child, "close_off", lambda *_, **__: None)
    with waiting, coming, zygote(answering=tried) as made:
        assert made.control.recv(100) == READY
        assert said(made.give(1, b"x")) == wire.one_text(b"read")
    assert not (tmp_path / "written").exists()
