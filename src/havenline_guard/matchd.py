"""`matchd`: the process that holds hash lists, so that no other needs to.

A parent binds two Unix sockets, one for lookups and one for changes, gives up what `lockdown` names, and starts the
processes that answer and the one that changes; it takes connections, looks at who asks, and hands each to the process
that has the fewest. It starts what falls again, and ends all together.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import stat
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import NoReturn

from havenline.matching import kernels
from havenline.matching.live import ChangeRefused, LiveLists
from havenline.vocabulary import HavenlineError
from havenline_guard import wire
from havenline_guard.counters import Count, Counters
from havenline_guard.held import Held, open_held
from havenline_guard.lockdown import lock_down
from havenline_guard.wire import Kind, Reason
from havenline_guard.worker import CLOSED, Limits, Worker

_CREDENTIALS = struct.Struct("3i")
_CHANGER = 1
"""The row of the process that changes; those behind it answer."""
_BACKLOG = 128
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_SOONEST = 0.05
_LATEST = 10.0
"""Seconds before what fell is started again: the longer, the oftener it fell at once."""


class MatchdError(HavenlineError):
    """`matchd` cannot serve; the text says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve: `path` of the socket for lookups; the one for changes has `.change` behind its name.

    `lookup`, `change`: the system users who may. Nobody else may, root included. `group`: a system group that may
    reach the socket for lookups; without one its owner alone, and root. `fold_after` changes, or `fold_age` seconds
    after the first of them, they are folded into a new snapshot.
    """

    path: Path
    workers: int
    lookup: frozenset[int]
    change: frozenset[int]
    group: int | None = None
    limits: Limits = field(default_factory=Limits)
    fold_after: int = 4096
    fold_age: float = 3600.0


def serve(
    paths: Sequence[Path],
    settings: Settings,
    *,
    say: Callable[[str], None],
    opener: Callable[[Sequence[Path]], Held] = open_held,
) -> None:
    """Hold the lists at `paths` and answer until SIGTERM, SIGINT or SIGHUP; `say` is given lines for people.

    Everything is compiled or loaded before the first connection is taken. Raises MatchdError where the socket
    cannot be had, HavenlineError where the lists cannot be used. Not done: to encrypt lists in memory.
    """
    if settings.workers < 1:
        raise MatchdError("at least one process must answer")
    kernels.prepare(lambda: say("compiling for this machine, once …"))
    held = opener(paths)
    changes = isinstance(held, LiveLists)
    held.current()
    with _Sockets(settings, changes=changes) as sockets:
        counters = Counters(2 + settings.workers)
        parent = _Parent(lambda: opener(paths), settings, sockets, counters, say, changes=changes)
        locked = lock_down(accepts=True, starts=True, writes=True)
        if not locked.filtered:
            say(f"warning: {locked.why}; network and programs are not closed to these processes")
        counters.row(0)[Count.FILTERED] = locked.filtered
        parent.run()


class _Sockets:
    """The two listening sockets and their lock; they are taken away at the end."""

    def __init__(self, settings: Settings, *, changes: bool) -> None:
        self._settings, self._changes = settings, changes
        self._path = os.path.abspath(settings.path)  # noqa: PTH100 - links in it are left as they are
        self._lock = -1
        self.lookup: socket.socket | None = None
        self.change: socket.socket | None = None

    def __enter__(self) -> _Sockets:
        if len(os.fsencode(self._path)) > wire.LONGEST_PATH:
            raise MatchdError(f"{self._path}: a path of a socket has at most {wire.LONGEST_PATH} bytes")
        try:
            self._lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.lookup = self._bound(self._path, self._settings.group)
            if self._changes:
                self.change = self._bound(self._path + wire.CHANGING, None)
        except MatchdError:
            self._given_up()
            raise
        except BlockingIOError:
            self._given_up()
            raise MatchdError(f"{self._path}: another matchd serves this socket already") from None
        except OSError as error:
            self._given_up()
            raise MatchdError(f"{self._path}: cannot be made: {error.strerror}") from None
        return self

    def _given_up(self) -> None:
        """Let go of what was had; what others have is left alone."""
        if self._lock >= 0:
            os.close(self._lock)
        if self.lookup is not None:
            self.lookup.close()
            Path(self._path).unlink(missing_ok=True)

    def __exit__(self, *_: object) -> None:
        for each in self.each():
            each.close()
        # The lock stays a file: to take it away would let two serve.
        for path in (self._path, self._path + wire.CHANGING):
            with suppress(OSError):
                Path(path).unlink()
        os.close(self._lock)

    def each(self) -> list[socket.socket]:
        return [each for each in (self.lookup, self.change) if each is not None]

    def close(self) -> None:
        """In a process that takes no connections."""
        for each in self.each():
            each.close()
        os.close(self._lock)

    @staticmethod
    def _bound(path: str, group: int | None) -> socket.socket:
        """Bind and listen; what an earlier one left behind is taken away, anything else is left and refused."""
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise MatchdError(f"{path}: is there already and is no socket; it was left as it is")
            with socket.socket(socket.AF_UNIX) as trying:
                try:
                    trying.connect(path)
                except ConnectionRefusedError:
                    os.unlink(path)  # noqa: PTH108
                else:
                    raise MatchdError(f"{path}: something serves this socket already")
        made = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            made.bind(path)
        except OSError:
            made.close()
            raise
        finally:
            os.umask(before)
        if group is not None:
            os.chown(path, -1, group)
            os.chmod(path, 0o660)  # noqa: PTH101
        made.listen(_BACKLOG)
        made.setblocking(False)
        return made


@dataclass(slots=True)
class _Child:
    """One process as its parent sees it: `open`, how many connections it has."""

    row: int
    pid: int = 0
    control: socket.socket | None = None
    ready: bool = False
    open: int = 0
    started: float = 0.0
    falls: int = 0
    again: float = 0.0


class _Parent:
    """The loop of the parent."""

    def __init__(
        self, opening: Callable[[], Held], settings: Settings, sockets: _Sockets, counters: Counters,
        say: Callable[[str], None], *, changes: bool,
    ) -> None:  # fmt: skip
        self._opening, self._settings, self._sockets = opening, settings, sockets
        self._counters, self._row, self._say = counters, counters.row(0), say
        rows = range(_CHANGER if changes else _CHANGER + 1, 2 + settings.workers)
        self._children = {row: _Child(row) for row in rows}
        self._selector = DefaultSelector()
        self._ending = False
        self._wake, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Serve until told to end."""
        self._row[Count.STARTED] = time.time_ns()
        before = {each: signal.signal(each, self._signalled) for each in _SIGNALS}
        woken = signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        try:
            for child in self._children.values():
                self._start(child)
            self._selector.register(self._wake, EVENT_READ)
            self._loop()
            self._end()
        finally:
            signal.set_wakeup_fd(woken)
            for each, earlier in before.items():
                signal.signal(each, earlier)

    def _signalled(self, number: int, _frame: object) -> None:
        self._ending |= number != signal.SIGCHLD

    def _loop(self) -> None:
        while not self._ending:
            for key, _ in self._selector.select(self._pause()):
                if key.fileobj == self._wake:
                    with suppress(BlockingIOError):
                        os.read(self._wake, 4096)
                elif isinstance(key.data, _Child):
                    self._told(key.data)
                else:
                    self._accept(key.data)
            self._reap()

    def _pause(self) -> float | None:
        waiting = [child.again for child in self._children.values() if not child.pid]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _start(self, child: _Child) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            ours.close()
            self._become(child, theirs)
        theirs.close()
        ours.setblocking(False)
        child.pid, child.control, child.ready, child.open, child.started = pid, ours, False, 0, time.monotonic()
        self._selector.register(ours, EVENT_READ, child)

    def _become(self, child: _Child, control: socket.socket) -> NoReturn:
        """Be the process that `child` stands for, and end with it."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for each in _SIGNALS:
                signal.signal(each, signal.SIG_DFL if each == signal.SIGCHLD else signal.SIG_IGN)
            self._sockets.close()
            self._selector.close()
            os.close(self._wake)
            os.close(self._waking)
            for other in self._children.values():
                if other.control is not None:
                    other.control.close()
            changes = child.row == _CHANGER
            lock_down(accepts=False, starts=changes, writes=changes)
            held = self._opening()
            changing = held if changes and isinstance(held, LiveLists) else None
            folding = None if changing is None else _Folding(changing, self._settings, self._counters)
            Worker(
                held, control, counters=self._counters, row=child.row, limits=self._settings.limits,
                changing=changing, now_and_then=folding,
            ).run()  # fmt: skip
            if folding is not None:
                folding.stop()
            code = 0
        except HavenlineError as error:
            sys.stderr.write(f"matchd: {error}\n")
        except BaseException:
            traceback.print_exc(file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _told(self, child: _Child) -> None:
        """A process is ready, has closed connections, or has fallen."""
        if child.control is None:
            return
        try:
            said = child.control.recv(CLOSED.size)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if len(said) < CLOSED.size:
            self._selector.unregister(child.control)
            child.control.close()
            child.control = None
            child.ready = False
            return
        (closed,) = CLOSED.unpack(said)
        child.open -= closed
        if not closed:
            child.ready = True
            if not self._listening() and all(each.ready for each in self._children.values()):
                self._listen()

    def _listening(self) -> bool:
        return any(each in self._selector.get_map() for each in self._sockets.each())

    def _listen(self) -> None:
        for each in self._sockets.each():
            self._selector.register(each, EVENT_READ, each)
        self._say(f"answering on {self._settings.path} with {self._settings.workers} processes")

    def _accept(self, listener: socket.socket) -> None:
        try:
            taken, _ = listener.accept()
        except OSError:
            return None
        with taken:
            changes = listener is self._sockets.change
            _, user, _ = _CREDENTIALS.unpack(taken.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            self._row[Count.CONNECTIONS] += 1
            if user not in (self._settings.change if changes else self._settings.lookup):
                what = "change hash lists" if changes else "look up in hash lists"
                return self._turn_away(taken, Reason.NOT_ALLOWED, f"the system user {user} may not {what} here")
            ready = [each for each in self._children.values() if each.ready and (each.row == _CHANGER) is changes]
            if sum(child.open for child in self._children.values()) >= self._settings.limits.connections:
                return self._turn_away(taken, Reason.BUSY, "there are too many connections: try again later")
            for child in sorted(ready, key=lambda each: each.open):
                assert child.control is not None
                with suppress(OSError):
                    socket.send_fds(child.control, [b"+"], [taken.fileno()])
                    child.open += 1
                    return None
            return self._turn_away(taken, Reason.BUSY, "no process is ready to answer: try again in a moment")

    def _turn_away(self, taken: socket.socket, reason: Reason, text: str) -> None:
        self._row[Count.REFUSED] += 1
        taken.setblocking(False)
        with suppress(OSError):
            taken.send(wire.message(Kind.REFUSED, 0, wire.refusal(reason, text, closes=True)))

    def _reap(self) -> None:
        """Take note of what fell, and start it again."""
        now = time.monotonic()
        for child in self._children.values():
            if child.pid and os.waitpid(child.pid, os.WNOHANG)[0]:
                self._told(child)
                if child.control is not None:
                    self._selector.unregister(child.control)
                    child.control.close()
                quick = now - child.started < _LATEST
                child.falls = child.falls + 1 if quick else 0
                child.pid, child.control, child.ready, child.open = 0, None, False, 0
                child.again = now + min(_LATEST, _SOONEST * 2 ** min(child.falls, 10))
                row = self._counters.row(child.row)
                row[Count.ALIVE] = row[Count.OPEN] = 0
                if not self._ending:
                    self._row[Count.RESTARTS] += 1
                    self._say("a process fell and is started again")
            if not child.pid and not self._ending and now >= child.again:
                self._start(child)

    def _end(self) -> None:
        """Have every process finish what it began; then end it."""
        self._say("ending")
        for child in self._children.values():
            if child.control is not None:
                child.control.shutdown(socket.SHUT_WR)
        latest = time.monotonic() + self._settings.limits.ending + 1.0
        while any(child.pid for child in self._children.values()) and time.monotonic() < latest:
            for key, _ in self._selector.select(0.1):
                if isinstance(key.data, _Child):
                    self._told(key.data)
            self._reap()
        for child in self._children.values():
            if child.pid:
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)


class _Folding:
    """Puts changes into a new snapshot, in a process of its own, when there are many or they are old."""

    def __init__(self, lists: LiveLists, settings: Settings, counters: Counters) -> None:
        self._lists, self._settings = lists, settings
        self._row = counters.row(_CHANGER)
        self._pid = 0

    def __call__(self) -> None:
        """Look whether it is time. Called once a second."""
        now, pending = time.time_ns(), self._lists.pending
        if not pending:
            self._row[Count.PENDING_SINCE] = 0
        elif not self._row[Count.PENDING_SINCE] or pending < self._row[Count.PENDING]:
            self._row[Count.PENDING_SINCE] = now
        self._row[Count.PENDING] = pending
        if self._pid:
            if not os.waitpid(self._pid, os.WNOHANG)[0]:
                return
            self._pid = 0
        age = (now - self._row[Count.PENDING_SINCE]) / 1e9
        if pending and (pending >= self._settings.fold_after or age >= self._settings.fold_age):
            self._row[Count.FOLDS] += 1
            self._row[Count.PENDING_SINCE] = now
            self._pid = os.fork()
            if not self._pid:
                self._fold()

    def stop(self) -> None:
        """End a folding that is under way; the lists stay as they are."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def _fold(self) -> NoReturn:
        code = 1
        try:
            self._lists.fold()
            code = 0
        except ChangeRefused as error:
            sys.stderr.write(f"matchd: {error}\n")
        except BaseException:
            traceback.print_exc(file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(code)
