"""`decoderd`: opens hostile pictures for the desk, each in a throw-away process that can reach nothing.

The supervisor takes questions over a Unix socket from users that it was told, with the content in a sealed descriptor
that it never reads. It hands both to a warm process, the zygote, which forks a child for each; it takes the child's
answer from a pipe, checks every field and its length, and passes it on. A child that takes too long, says too much,
or falls costs its own file an answer, and nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import stat
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import Any

from havenline.vocabulary import HavenlineError, Refusal, Refused
from havenline_guard import decoder_child
from havenline_guard import decoder_wire as wire
from havenline_guard.decoder_wire import Wanted
from havenline_guard.decoder_zygote import ENDED, JOB, be_zygote
from havenline_guard.lockdown import lock_down
from havenline_guard.sandbox import probe

WALL_SECONDS = 10.0
_CREDENTIALS = struct.Struct("3i")
_CONNECTIONS = 64
_SOONEST, _LATEST = 0.1, 10.0
"""Seconds before a zygote that fell is started again: the longer, the oftener it fell at once."""
_MOST_FALLS = 4
"""In a row before it was ready: then the server ends, so that whoever started it learns why and may start it anew."""
_FILMS = int(find_spec("av") is not None)
"""Whether films can be opened, as the state tells it."""
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_UNREAD = 30.0
_PIECE = 1 << 20


class DecoderdError(HavenlineError):
    """`decoderd` cannot serve; the text says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve: `path` of the socket, system users who may ask, a system group that may reach the socket,
    children at once, and seconds that one file may take."""

    path: Path
    users: frozenset[int]
    group: int | None = None
    at_once: int = 2
    seconds: float = WALL_SECONDS


def serve(
    settings: Settings,
    *,
    say: Callable[[str], None],
    answering: decoder_child.Answering = decoder_child.answer,
    warm: Callable[[], None] = decoder_child.warm,
) -> None:
    """Answer until SIGTERM, SIGINT or SIGHUP; `say` is given lines for people.

    Raises DecoderdError where the machine cannot close a process off, the socket cannot be had, or the process that
    children are forked from falls again and again before it is ready: nothing is then opened. Not done: to encrypt
    what passes; memory of all children together is the unit's to limit.
    """
    tried = probe()
    if not tried.can:
        raise DecoderdError(f"content cannot be opened safely on this machine, so none is: {tried.why}")
    listener, lock = _listening(settings)
    try:
        supervisor = _Supervisor(settings, listener, say, answering, warm)
        # Before anything is given up, for it may have to write compiled loops down; it gives up the same once warm.
        supervisor.start_zygote()
        lock_down(accepts=True, starts=True, writes=False)
        supervisor.run()
    finally:
        listener.close()
        os.close(lock)


def _listening(settings: Settings) -> tuple[socket.socket, int]:
    """The bound socket, and the lock that keeps a second server from its path."""
    path = settings.path
    if len(os.fsencode(path)) > wire.LONGEST_PATH:
        raise DecoderdError(f"{path}: a path of a socket has at most {wire.LONGEST_PATH} bytes")
    made, lock = socket.socket(socket.AF_UNIX), -1
    before = os.umask(0o177)
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise DecoderdError(f"{path}: is there already and is no socket; it was left as it is")
            path.unlink()
        made.bind(os.fspath(path))
        if settings.group is not None:
            os.chown(path, -1, settings.group)
            path.chmod(0o660)
    except (DecoderdError, OSError) as error:
        made.close()
        if lock != -1:
            os.close(lock)
        if isinstance(error, BlockingIOError):
            raise DecoderdError(f"{path}: another decoderd serves this socket already") from None
        if isinstance(error, OSError):
            raise DecoderdError(f"{path}: cannot be made: {error.strerror}") from None
        raise
    finally:
        os.umask(before)
    made.listen(_CONNECTIONS)
    made.setblocking(False)
    return made, lock


@dataclass(slots=True, eq=False)
class _Link:
    """One connection."""

    socket: socket.socket
    job: _Job | None = None
    out: memoryview = field(default_factory=lambda: memoryview(b""))
    since: float = 0.0


@dataclass(slots=True, eq=False)
class _Job:
    """One file on its way: `link` is None when nobody waits for it any more."""

    number: int
    link: _Link | None
    content: int
    length: int
    asked: decoder_child.Asked
    reading: int | None = None
    said: bytearray = field(default_factory=bytearray)
    deadline: float = 0.0
    status: int | None = None
    late: bool = False
    too_much: bool = False


class _Supervisor:
    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        say: Callable[[str], None],
        answering: decoder_child.Answering,
        warm: Callable[[], None],
    ) -> None:
        self._warm = warm
        self._settings, self._listener, self._say, self._answering = settings, listener, say, answering
        self._selector = DefaultSelector()
        self._links: set[_Link] = set()
        self._waiting: deque[_Job] = deque()
        self._running: dict[int, _Job] = {}
        self._zygote: socket.socket | None = None
        self._zygote_pid: int
        self._ready: bool
        self._started, self._pause = 0.0, 0.0
        self._numbers = count(1)
        self._counts = dict.fromkeys(
            ("pictures", "sheets", "texts", "refused", "ended", "late", "restarts", "most_kib"), 0
        )
        self._ending = False
        self._falls = 0
        """How often in a row the zygote fell before it was ready."""

    def run(self) -> None:
        """Serve until told to end, a quarter of a second later; signals are not put back, for nothing is left to do."""
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, self._end)
        try:
            while not self._ending:
                for key, events in self._selector.select(0.25):
                    key.data(events)
                self._sweep()
        finally:
            if self._zygote is not None:
                os.kill(self._zygote_pid, signal.SIGKILL)
                os.waitpid(self._zygote_pid, 0)

    def _end(self, _number: int, _frame: object) -> None:
        self._ending = True

    def start_zygote(self) -> None:
        """Fork the process that children are forked from; it says when it is warm."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        supervisor = os.getpid()
        pid = os.fork()
        if not pid:
            self._selector.close()
            self._listener.close()
            ours.close()
            for link in self._links:
                link.socket.close()
            be_zygote(theirs, parent=supervisor, warm=self._warm, answering=self._answering)
        theirs.close()
        self._zygote, self._zygote_pid, self._ready, self._started = ours, pid, False, time.monotonic()
        self._selector.register(ours, EVENT_READ, self._told)

    def _told(self, _events: int) -> None:
        """The zygote is ready, a child has ended, or the zygote has fallen."""
        assert self._zygote is not None
        try:
            said = self._zygote.recv(ENDED.size)
        except OSError:
            said = b""
        if not said:
            self._lost_zygote()
            return
        number, status, most = ENDED.unpack(said)
        if not number:
            self._ready, self._falls = True, 0
            if self._listener not in self._selector.get_map():
                self._selector.register(self._listener, EVENT_READ, self._accept)
                self._say(f"answering on {self._settings.path}, {self._settings.at_once} files at once")
            self._give()
        elif (job := self._running.get(number)) is not None:
            job.status = status
            self._counts["most_kib"] = max(self._counts["most_kib"], most)
            self._finish(job)

    def _lost_zygote(self) -> None:
        """Whoever waits for an answer hears that there is none; another zygote is started, soon or later."""
        assert self._zygote is not None
        self._selector.unregister(self._zygote)
        self._zygote.close()
        os.kill(self._zygote_pid, signal.SIGKILL)
        os.waitpid(self._zygote_pid, 0)
        self._falls += not self._ready
        self._zygote, self._ready = None, False
        self._counts["restarts"] += 1
        self._say("the process that children are forked from fell, and is started again; its reason stands above")
        lived = time.monotonic() - self._started
        self._pause = _SOONEST if lived > _LATEST else min(_LATEST, 2 * self._pause + _SOONEST)
        for job in list(self._running.values()):
            self._settle(job, wire.not_served("the server had to start anew; ask again"))
        if self._falls >= _MOST_FALLS:
            raise DecoderdError("the process that children are forked from cannot start; its reason stands above")

    def _accept(self, _events: int) -> None:
        try:
            taken, _ = self._listener.accept()
        except OSError:
            return
        _, user, _ = _CREDENTIALS.unpack(taken.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        taken.setblocking(False)
        link = _Link(taken)
        self._links.add(link)
        if user not in self._settings.users or len(self._links) > _CONNECTIONS:
            why = "this user may not ask" if user not in self._settings.users else "too many ask at once; ask again"
            with suppress(OSError):
                taken.send(wire.not_served(why))
            self._drop(link)
            return
        self._selector.register(taken, EVENT_READ, lambda _: self._read(link))

    def _read(self, link: _Link) -> None:
        """One question, with its descriptor."""
        descriptors: list[int] = []
        try:
            said, descriptors, _, _ = socket.recv_fds(link.socket, wire.QUESTION.size, 4)
            if not said or link.job is not None:
                raise ConnectionError
            wanted, width, height, number, length = wire.read_question(said)
            if wanted == Wanted.STATE and not descriptors:
                self._send(link, wire.state(json.dumps(self._state())))
                return
            self._ask(link, decoder_child.Asked(width, height, number, wanted), length, descriptors)
            descriptors = []
        except BlockingIOError:
            pass
        except wire.Malformed as error:
            with suppress(OSError):
                link.socket.send(wire.not_served(str(error)))
            self._drop(link)
        except OSError:
            self._drop(link)
        finally:
            for each in descriptors:
                os.close(each)

    def _ask(self, link: _Link, asked: decoder_child.Asked, length: int, descriptors: list[int]) -> None:
        if len(descriptors) != 1 or asked.wanted == Wanted.STATE or not _is_sealed(descriptors[0], length):
            raise wire.Malformed("the content comes in one sealed descriptor of its exact length, 256 MiB at most")
        link.job = _Job(next(self._numbers), link, descriptors[0], length, asked)
        self._waiting.append(link.job)
        self._give()

    def _give(self) -> None:
        """Start what waits, as far as there is room."""
        while self._waiting and self._ready and len(self._running) < self._settings.at_once:
            job = self._waiting.popleft()
            if job.link is None:
                os.close(job.content)
                continue
            assert self._zygote is not None
            reading, writing = os.pipe2(os.O_CLOEXEC)
            with suppress(OSError):  # beyond what one user may have of it
                fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, _PIECE)
            job.reading, job.deadline = reading, time.monotonic() + self._settings.seconds
            self._running[job.number] = job
            self._selector.register(reading, EVENT_READ, lambda _, job=job: self._hear(job))
            # A zygote that has fallen is noticed where it is listened to.
            with suppress(OSError):
                asked = job.asked
                told = JOB.pack(job.number, asked.wanted, asked.width, asked.height, asked.number, job.length)
                socket.send_fds(self._zygote, [told], [job.content, writing])
            os.close(writing)
            os.close(job.content)

    def _hear(self, job: _Job) -> None:
        if job.reading is None:
            return  # settled by what was heard before it in the same round
        piece = os.read(job.reading, _PIECE)
        job.said += piece
        if len(job.said) > wire.LARGEST_ANSWER:
            job.too_much = True
            self._kill(job)
        if not piece or job.too_much:
            self._deaf(job)
            self._finish(job)

    def _deaf(self, job: _Job) -> None:
        if job.reading is not None:
            self._selector.unregister(job.reading)
            os.close(job.reading)
            job.reading = None

    def _kill(self, job: _Job) -> None:
        if self._zygote is not None:
            with suppress(OSError):
                self._zygote.send(JOB.pack(job.number, 0, 0, 0, 0, 0))

    def _finish(self, job: _Job) -> None:
        """Answer, once the child has ended and all that it said was heard."""
        if job.status is None or job.reading is not None:
            return
        if not job.status and not job.too_much:
            with suppress(wire.Malformed):
                self._counts[_counted_as(job)] += 1
                self._settle(job, bytes(job.said))
                return
        if os.waitstatus_to_exitcode(job.status) == 3:
            self._settle(job, wire.not_served("a child could not be closed off, so nothing was opened"))
            return
        self._counts["late" if job.late else "ended"] += 1
        self._settle(job, wire.refusal(Refused(Refusal.DECODER_FAILED, self._why(job))))

    def _why(self, job: _Job) -> str:
        assert job.status is not None
        code = os.waitstatus_to_exitcode(job.status)
        if job.late:
            return f"opening it took longer than {self._settings.seconds:g} seconds; nothing of it was kept"
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return "opening it took more than one file may take of the processor; nothing of it was kept"
        if code == -signal.SIGSYS:
            return "opening it tried what no decoder does, and was ended; look at it apart"
        return "opening it ended the process that opened it; nothing of it was kept, look at it apart"

    def _settle(self, job: _Job, answer: bytes) -> None:
        self._deaf(job)
        self._running.pop(job.number, None)
        if job.link is not None:
            job.link.job = None
            self._send(job.link, answer)
        self._give()

    def _send(self, link: _Link, answer: bytes) -> None:
        link.out, link.since = memoryview(answer), time.monotonic()
        self._selector.modify(link.socket, EVENT_WRITE, lambda _: self._flush(link))
        self._flush(link)

    def _flush(self, link: _Link) -> None:
        try:
            while link.out:
                link.out = link.out[link.socket.send(link.out) :]
        except BlockingIOError:
            return
        except OSError:
            self._drop(link)
            return
        self._selector.modify(link.socket, EVENT_READ, lambda _: self._read(link))

    def _drop(self, link: _Link) -> None:
        if link not in self._links:
            return
        self._links.remove(link)
        if link.socket in self._selector.get_map():
            self._selector.unregister(link.socket)
        link.socket.close()
        if link.job is not None:
            link.job.link = None
            self._kill(link.job)

    def _sweep(self) -> None:
        now = time.monotonic()
        for job in self._running.values():
            if now > job.deadline and not job.late:
                job.late = True
                self._kill(job)
        for link in [link for link in self._links if link.out and now > link.since + _UNREAD]:
            self._drop(link)
        if self._zygote is None and now > self._started + self._pause:
            self.start_zygote()

    def _state(self) -> dict[str, Any]:
        return {
            "films": _FILMS,
            "ready": self._ready,
            "running": len(self._running),
            "waiting": len(self._waiting),
        } | self._counts


def _counted_as(job: _Job) -> str:
    """What a child that ended well has answered. Raises Malformed where it is no answer to what was asked."""
    width, height, number = job.asked.width, job.asked.height, job.asked.number
    found: wire.Decoded | wire.DecodedSheet | bytes | Refused
    if job.asked.wanted == Wanted.TEXT:
        found, counted = wire.read_text(job.said), "texts"
    elif job.asked.wanted == Wanted.SHEET:
        found, counted = wire.read_sheet(job.said, width=width, height=height, frames=number), "sheets"
    else:
        found, counted = wire.read_answer(job.said, width=width, height=height), "pictures"
    return "refused" if isinstance(found, Refused) else counted


def _is_sealed(descriptor: int, length: int) -> bool:
    """Whether the content can no longer change under the one who reads it, and is as long as was said."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        return False
    return seals & _SEALS == _SEALS and os.fstat(descriptor).st_size == length <= wire.LARGEST_CONTENT
