"""The process that children are forked from: what it says, and that none of them outlives it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable

import pytest

from havenline_guard import decoder_zygote
from havenline_guard.decoder_client import _sealed
from havenline_guard.decoder_wire import Wanted
from tests.guard.light_decoderd import answering


def zygote_run(
    monkeypatch: pytest.MonkeyPatch, *jobs: tuple[bytes, list[int]], warm: Callable[[], None] = lambda: None
) -> tuple[int, list[bytes], bytes]:
    """The exit code of a zygote that was given `jobs` and then left alone, what it said, and what it complained of."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reading, writing = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        ours.close()
        sys.stderr = os.fdopen(writing, "w")
        decoder_zygote.be_zygote(theirs, parent=parent, warm=warm, answering=answering)
    theirs.close()
    os.close(writing)
    said = []
    ours.settimeout(30)
    if piece := ours.recv(100):
        said.append(piece)
        for question, descriptors in jobs:
            socket.send_fds(ours, [question], descriptors)
    ours.shutdown(socket.SHUT_WR)
    while piece := ours.recv(100):
        said.append(piece)
    ours.close()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with os.fdopen(reading, "rb") as complained:
        return code, said, complained.read()


def test_a_zygote_that_is_left_alone_ends_well_and_one_that_cannot_warm_up_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready = decoder_zygote.ENDED.pack(0, 0, 0)
    assert zygote_run(monkeypatch) == (0, [ready], b"")

    def never() -> None:
        raise RuntimeError("no decoder can be loaded")

    code, said, complained = zygote_run(monkeypatch, warm=never)
    assert (code, said) == (1, [])
    assert b"no decoder can be loaded" in complained


def test_a_zygote_that_is_left_alone_ends_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    content, (reading, writing) = _sealed(b"sleep"), os.pipe()
    job = decoder_zygote.JOB.pack(5, Wanted.PICTURE, 8, 8, 0, 5)
    code, _, _ = zygote_run(monkeypatch, (job, [content, writing]), (decoder_zygote.JOB.pack(6, 0, 0, 0, 0, 0), []))
    os.close(writing)
    assert code == 0
    with os.fdopen(reading, "rb") as said:
        assert said.read() == b"", "the child is gone, so its pipe ends"
    os.close(content)
