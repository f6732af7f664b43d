"""One process of `matchd`: a single thread that answers its connections, which the parent hands to it.

Nothing here waits for one connection: what cannot be sent at once waits its turn while others are answered, and a
large question is answered in slices between the questions of others.
"""

from __future__ import annotations

import datetime as dt
import json
import select
import socket
import struct
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from havenline.matching.asked import Asked, Leads
from havenline.matching.change_log import LiveListsDamaged
from havenline.matching.lists import Lists
from havenline.matching.live import ChangeRefused, LiveLists
from havenline.matching.mapped_file import MappedFileRefused
from havenline.vocabulary import HavenlineError
from havenline_guard import wire
from havenline_guard.counters import Count, Counters, bucket_of, prometheus
from havenline_guard.held import Held
from havenline_guard.wire import Kind, Malformed, Reason, Table

CLOSED = struct.Struct("<I")
"""To the parent: so many connections were closed since the last message; 0: ready."""
_SLICE = 2048
"""Fingerprints, or PDQ values, that are looked up before other connections get their turn."""
_MOST_LEADS = 1 << 20
"""And moments of films."""
_ROOM = 1 << 20
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT
_LOOKUP, _LEADS = int(Kind.LOOKUP), int(Kind.LEADS)
_NOTHING = wire.HEAD.size
"""Bytes of a message with nothing in it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much: seconds that a connection may be idle, that a message may take to arrive, that an answer
    may wait for its reader, and that the end may take; and connections in all processes together."""

    idle: float = 600.0
    arriving: float = 30.0
    unread: float = 30.0
    ending: float = 5.0
    connections: int = 256


class _Link:
    """One connection."""

    __slots__ = ("closing", "deadline", "filled", "greeted", "out", "part", "socket")

    def __init__(self, taken: socket.socket) -> None:
        self.socket = taken
        self.greeted = self.closing = False
        self.part: bytearray | None = None
        self.filled = 0
        self.out: memoryview | None = None
        self.deadline = 0.0


@dataclass(slots=True)
class _Long:
    """A question too large to be answered in one go."""

    link: _Link
    tag: int
    known: int
    began: int
    asked: Asked
    lists: Lists
    table: Table
    at: dt.datetime
    done: int = 0
    leads: int = 0
    parts: list[Leads] = field(default_factory=list)


class Worker:
    """The loop of one process; `control` leads to the parent, `row` is its row in `counters`.

    A worker whose lists are given as `changing` makes changes too; its `fold` is called now and then.
    """

    def __init__(
        self, held: Held, control: socket.socket, *, counters: Counters, row: int, limits: Limits,
        changing: LiveLists | None = None, now_and_then: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._held, self._control, self._limits = held, control, limits
        self._changing, self._now_and_then = changing, now_and_then
        self._counters, self._row = counters, counters.row(row)
        self._links: dict[int, _Link] = {}
        self._long: deque[_Long] = deque()
        self._closed = 0
        self._draining = False
        self._buffer = bytearray(_ROOM)
        self._view = memoryview(self._buffer)
        self._poll = select.epoll()
        self._lists: Lists | None = None
        self._shadow: Lists | None = None
        self._table: Table
        self._nothing: bytes
        control.setblocking(False)
        self._poll.register(control.fileno(), _READ)

    def run(self) -> None:
        """Answer until the parent closes its end; then finish what was begun, and return."""
        self._renewed(self._held.current())
        self._row[Count.ALIVE] = 1
        self._row[Count.OPEN] = 0
        self._control.send(CLOSED.pack(0))
        control, poll, links = self._control.fileno(), self._poll.poll, self._links
        sweep = time.monotonic() + 1.0
        while not self._draining:
            for descriptor, event in poll(0.0 if self._long else 1.0):
                link = links.get(descriptor)
                if link is None:
                    if descriptor == control:
                        self._taken()
                elif link.out is not None:
                    self._flush(link)
                elif event & _READ:
                    self._read(link)
                else:
                    self._drop(link)
            if self._long:
                self._go_on()
            if time.monotonic() >= sweep:
                sweep = time.monotonic() + 1.0
                self._sweep()
        self._drain()

    def _taken(self) -> None:
        """Take what the parent hands over; its end means ours."""
        try:
            said, descriptors, _, _ = socket.recv_fds(self._control, 1, 8)
        except BlockingIOError:
            return
        for descriptor in descriptors:
            link = _Link(socket.socket(fileno=descriptor))
            link.socket.setblocking(False)
            link.deadline = time.monotonic() + self._limits.arriving
            self._links[descriptor] = link
            self._poll.register(descriptor, _READ)
            self._row[Count.OPEN] += 1
        self._draining = not said

    def _read(self, link: _Link) -> None:
        part = link.part
        try:
            got = link.socket.recv_into(self._buffer if part is None else memoryview(part)[link.filled :])
        except BlockingIOError:
            return None
        except OSError:
            got = 0
        if not got:
            return self._drop(link)
        if part is None:
            if got >= _NOTHING:
                end = _NOTHING + int.from_bytes(self._buffer[:4], "little")
                if end == got:
                    return self._answer(link, self._view[:got])
                if end < got or end > wire.LARGEST:
                    return self._malformed(link, got, end)
            else:
                end = _NOTHING
            link.part = bytearray(end)
            link.part[:got] = self._view[:got]
            link.filled = got
            link.deadline = time.monotonic() + self._limits.arriving
            return None
        link.filled += got
        if link.filled < len(part):
            return None
        end = _NOTHING + int.from_bytes(part[:4], "little")
        if len(part) == _NOTHING < end:
            if end > wire.LARGEST:
                return self._malformed(link, len(part), end)
            part.extend(bytes(end - _NOTHING))
            return None
        link.part, link.filled = None, 0
        return self._answer(link, memoryview(part))

    def _malformed(self, link: _Link, got: int, end: int) -> None:
        if end > wire.LARGEST:
            text = f"a message of {end:,} bytes is too long: {wire.LARGEST:,} are the most"
            self._refuse(link, 0, Reason.TOO_MUCH, text, closes=True)
        else:
            text = f"{got - end:,} bytes follow a message before its answer: ask again when it is there"
            self._refuse(link, 0, Reason.MALFORMED, text, closes=True)

    def _answer(self, link: _Link, message: memoryview) -> None:
        """Answer one whole message."""
        began = time.perf_counter_ns()
        _, kind, zero, more, tag = wire.HEAD.unpack_from(message)
        link.deadline = 0.0
        if kind == _LOOKUP and link.greeted and not (zero or more) and self._changing is None:
            self._guarded(link, tag, lambda: self._look_up(link, tag, message[_NOTHING:], began))
        else:
            self._guarded(link, tag, lambda: self._other(link, kind, zero or more, tag, message[_NOTHING:]))

    def _guarded(self, link: _Link, tag: int, work: Callable[[], None]) -> None:
        """Do `work` for a connection; whatever comes of it, this process goes on."""
        try:
            work()
        except Malformed as error:
            self._refuse(link, tag, Reason.MALFORMED, str(error), closes=True)
        except ChangeRefused as error:
            self._refuse(link, tag, Reason.CHANGE_REFUSED, str(error), closes=False)
        except (LiveListsDamaged, MappedFileRefused, OSError) as error:
            self._row[Count.FAILED] += 1
            text = f"the lists cannot be used: {error.strerror}" if isinstance(error, OSError) else str(error)
            self._refuse(link, tag, Reason.LISTS, text, closes=False)
        except Exception:
            # A fault of ours must not end the answers to others; the traceback holds no values.
            self._row[Count.FAILED] += 1
            traceback.print_exc(file=sys.stderr)
            self._refuse(link, tag, Reason.INTERNAL, "the question failed; the server's log says more", closes=True)

    def _look_up(self, link: _Link, tag: int, body: memoryview, began: int) -> None:
        asked, known = wire.read_asked(body)
        lists = self._held.current()
        if lists is not self._lists:
            self._renewed(lists)
        now = dt.datetime.now(dt.UTC)
        if asked.count > _SLICE or len(asked.pdq_quality) > _SLICE:
            # The buffer is everybody's, so this one gets a copy.
            asked, known = wire.read_asked(memoryview(bytes(body)))
            self._poll.modify(link.socket.fileno(), 0)
            self._long.append(_Long(link, tag, known, began, asked, lists, self._table, now))
            return
        leads = lists.look_up(asked, at=now)
        self._told(link, tag, leads, self._table, known, asked.count, began)
        self._count_shadow(asked, now)

    def _count_shadow(self, asked: Asked, at: dt.datetime) -> None:
        if self._shadow is not None:
            self._row[Count.SHADOW] += len(self._shadow.look_up(asked, at=at).asked)

    def _told(self, link: _Link, tag: int, leads: Leads, table: Table, known: int, count: int, began: int) -> None:
        told, row = len(leads.asked), self._row
        if not told and known == table.number and table is self._table:
            body = self._nothing
        else:
            body = wire.leads_body(leads, table, known)
        self._send(link, wire.HEAD.pack(len(body), _LEADS, 0, 0, tag) + body)
        took = time.perf_counter_ns() - began
        row[Count.LOOKUPS] += 1
        row[Count.QUESTIONS] += count
        row[Count.LEADS] += told
        row[Count.NANOSECONDS] += took
        bucket = bucket_of(took)
        if bucket >= 0:
            row[bucket] += 1

    def _go_on(self) -> None:
        """One slice of the large question that has waited longest."""
        long = self._long.popleft()
        if self._links.get(long.link.socket.fileno()) is long.link:
            self._guarded(long.link, long.tag, lambda: self._slice(long))

    def _slice(self, long: _Long) -> None:
        # As many as have about so many values.
        step = max(1, _SLICE * long.asked.count // max(1, long.asked.count, len(long.asked.pdq_quality)))
        first, last = long.done, min(long.done + step, long.asked.count)
        part = long.asked.part(first, last)
        leads = long.lists.look_up(part, at=long.at)
        self._count_shadow(part, long.at)
        long.parts.append(replace(leads, asked=leads.asked + np.uint32(first)))
        long.leads += len(leads.asked) + len(leads.films.asked)
        long.done = last
        if long.leads > _MOST_LEADS:
            self._poll.modify(long.link.socket.fileno(), _READ)
            text = f"there are more than {_MOST_LEADS:,} leads: ask for fewer fingerprints at once"
            self._refuse(long.link, long.tag, Reason.TOO_MUCH, text, closes=False)
        elif last < long.asked.count:
            self._long.append(long)
        else:
            self._poll.modify(long.link.socket.fileno(), _READ)
            self._told(long.link, long.tag, Leads.joined(long.parts), long.table, long.known, last, long.began)

    def _other(self, link: _Link, kind: int, flaw: int, tag: int, body: memoryview) -> None:
        if flaw:
            raise Malformed("the head of a message is not of this form")
        if kind == Kind.HELLO and not link.greeted:
            form = wire.read_hello(body)
            if form != wire.FORM:
                text = f"this server speaks form {wire.FORM}, not {form}: use a matching program"
                self._refuse(link, tag, Reason.VERSION, text, closes=True)
                return
            link.greeted = True
            self._send(link, wire.message(Kind.WELCOME, tag, wire.welcome()))
        elif not link.greeted:
            raise Malformed("a connection begins with a greeting")
        elif kind == Kind.HEADS and not body:
            self._renewed(self._held.current())
            self._send(link, wire.message(Kind.TABLE, tag, self._table.text))
        elif kind == Kind.HEALTH and not body:
            told = self._counters.told(now=time.time_ns())
            self._send(link, wire.message(Kind.HEALTHY, tag, json.dumps(told).encode()))
        elif kind == Kind.METRICS and not body:
            told = self._counters.told(now=time.time_ns())
            self._send(link, wire.message(Kind.COUNTED, tag, prometheus(told).encode()))
        elif kind == Kind.CHANGE and self._changing is not None:
            self._change(link, tag, body, self._changing)
        elif kind in (Kind.CHANGE, Kind.LOOKUP):
            other = "changes go to the socket beside it" if kind == Kind.CHANGE else "this one is for changes"
            self._refuse(link, tag, Reason.NOT_ALLOWED, f"not on this socket: {other}", closes=True)
        else:
            raise Malformed("this is no question that can be asked here")

    def _change(self, link: _Link, tag: int, body: memoryview, lists: LiveLists) -> None:
        at = dt.datetime.now(dt.UTC)
        change = wire.read_change(body, at=at)
        changed = lists.change(withdraw=change.withdraw, add=change.add, terms=change.terms, at=at)
        self._row[Count.CHANGES] += 1
        said = {"generation": changed.generation, "digest": changed.digest}
        self._send(link, wire.message(Kind.CHANGED, tag, json.dumps(said).encode()))

    def _renewed(self, lists: Lists) -> None:
        """From here on answers come from `lists`."""
        if lists is self._lists:
            return
        self._lists, self._table, self._shadow = lists, Table.of(lists.heads), lists.in_shadow()
        self._nothing = wire.nothing_body(self._table)
        self._row[Count.GENERATION] = self._held.generation
        self._row[Count.ENTRIES] = len(lists)
        self._row[Count.EDITIONS] = len(lists.heads)

    def _refuse(self, link: _Link, tag: int, reason: Reason, text: str, *, closes: bool) -> None:
        self._row[Count.REFUSED] += 1
        self._row[Count.MALFORMED] += reason is Reason.MALFORMED
        link.closing = closes
        self._send(link, wire.message(Kind.REFUSED, tag, wire.refusal(reason, text, closes=closes)))

    def _send(self, link: _Link, message: bytes) -> None:
        try:
            sent = link.socket.send(message)
        except BlockingIOError:
            sent = 0
        except OSError:
            return self._drop(link)
        if sent < len(message):
            link.out = memoryview(message)[sent:]
            link.deadline = time.monotonic() + self._limits.unread
            self._poll.modify(link.socket.fileno(), _WRITE)
        elif link.closing:
            self._drop(link)
        return None

    def _flush(self, link: _Link) -> None:
        assert link.out is not None
        try:
            link.out = link.out[link.socket.send(link.out) :]
        except BlockingIOError:
            return None
        except OSError:
            return self._drop(link)
        if not link.out:
            link.out = None
            link.deadline = 0.0
            if link.closing:
                return self._drop(link)
            self._poll.modify(link.socket.fileno(), _READ)
        return None

    def _drop(self, link: _Link) -> None:
        descriptor = link.socket.fileno()
        if self._links.pop(descriptor, None) is None:
            return
        self._poll.unregister(descriptor)
        link.socket.close()
        self._row[Count.OPEN] -= 1
        self._closed += 1
        self._tell_closed()

    def _tell_closed(self) -> None:
        if self._closed:
            with suppress(OSError):
                self._control.send(CLOSED.pack(self._closed))
                self._closed = 0

    def _sweep(self) -> None:
        """Once a second: new lists are opened before somebody asks, and who is late is dropped."""
        now = time.monotonic()
        for link in list(self._links.values()):
            if not link.deadline:
                link.deadline = now + self._limits.idle
            elif now > link.deadline and not any(long.link is link for long in self._long):
                self._drop(link)
        self._tell_closed()
        try:
            self._renewed(self._held.current())
            if self._now_and_then is not None:
                self._now_and_then()
        except (HavenlineError, OSError) as error:
            # Questions meet the same fault, and say so; here it must only not end this process.
            sys.stderr.write(f"matchd: {error}\n")

    def _drain(self) -> None:
        """Answer what has arrived whole, send what waits to be sent, close."""
        self._poll.unregister(self._control.fileno())
        for link in list(self._links.values()):
            if link.out is None and not any(long.link is link for long in self._long):
                self._read(link)
        while self._long:
            self._go_on()
        end = time.monotonic() + self._limits.ending
        waiting = [link for link in self._links.values() if link.out is not None]
        while waiting and time.monotonic() < end:
            ready = {descriptor for descriptor, _ in self._poll.poll(0.1)}
            for link in waiting:
                if link.socket.fileno() in ready:
                    self._flush(link)
            waiting = [link for link in self._links.values() if link.out is not None]
        for link in list(self._links.values()):
            self._drop(link)
        self._row[Count.ALIVE] = 0
