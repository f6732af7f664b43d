"""A process of `matchd` that answers, in a thread of this one, and what it is asked there."""

from __future__ import annotations

import datetime as dt
import select
import socket
import threading
from pathlib import Path

from havenline.matching.asked import Asked, Leads
from havenline.matching.lists import Lists
from havenline.matching.live import LiveLists
from havenline_guard import wire
from havenline_guard.counters import Count, Counters
from havenline_guard.wire import Kind
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
        self.thread = threading.Thread(target=self.worker.run, daemon=True)
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

    def count(self, which: Count) -> int:
        return self.counters.of(2, which)

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


def said(connection: socket.socket) -> tuple[int, bytes]:
    head = connection.recv(wire.HEAD.size, socket.MSG_WAITALL)
    if not head:
        return 0, b""
    length, kind, one, two, _ = wire.HEAD.unpack(head)
    assert (one, two) == (0, 0)
    return kind, connection.recv(length, socket.MSG_WAITALL) if length else b""


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def lookup(*names: str) -> bytes:
    return wire.message(Kind.LOOKUP, 2, wire.asked_body(Asked.of([fingerprint(name) for name in names]), 0))


def many() -> bytes:
    return lookup(*(str(number) for number in range(5000)))


def answered(asker: socket.socket, asked: Asked, known: wire.Table | None = None) -> tuple[Leads, wire.Table]:
    asker.sendall(wire.message(Kind.LOOKUP, 9, wire.asked_body(asked, known.number if known else 0)))
    kind, body = said(asker)
    assert kind == Kind.LEADS
    return wire.read_leads(body, known)


def settled(asker: socket.socket) -> None:
    """An answer is counted behind it: another message waits for that."""
    asker.sendall(wire.message(Kind.HEALTH, 3, b""))
    assert said(asker)[0] == Kind.HEALTHY
