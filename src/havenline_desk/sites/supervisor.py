"""Keep the processes of one desk running: start them in order, start again what ended, stop them in the other order.

Each is a process of its own, and none is told when another is started again: they meet at sockets whose paths stay.
In production systemd does this, and nothing here is used.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from havenline.vocabulary import HavenlineError

from .cluster import Cluster
from .folders import write
from .server import ending_with_us

STATUS_FILE = "processes.json"
_LOOK_EVERY = 0.25
_LONGEST_PAUSE = 30.0
_REMEMBERED = 60.0
"""Seconds that one must have run for its earlier ends to be forgotten."""
_ASK_EVERY, _SILENT = 20.0, 6
"""Seconds from one question whether a process responds to the next, and how many must fail in a row: on a machine
under load an answer takes long, and to end what is only slow would make it worse."""


class SupervisorError(HavenlineError):
    """A process that the desk cannot do without did not start; the text names it."""


class Part(Protocol):
    """One process that is looked after. `required`: without it the desk is not opened at all."""

    name: str
    required: bool

    def launch(self) -> None:
        """Begin to start it; may return before it answers."""

    def pid(self) -> int | None:
        """Its process number, None when it does not run."""

    def answers(self) -> bool:
        """Whether it does its work; asked until it once does."""

    def responds(self) -> bool:
        """Whether it says anything at all, be it a refusal; may take a while. True where it cannot be asked."""

    def stop(self) -> None:
        """End it and wait, where it was started here."""


class Program:
    """A program that runs as a child, and ends with this process however that ends.

    `command` begins with the path of an executable. `running` is a child that was started before. Where one of somebody
    else's answers already, it is adopted: `adopted` gives its process number, None once it is gone.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        answers: Callable[[], bool] = lambda: True,
        responds: Callable[[], bool] = lambda: True,
        environ: Callable[[], Mapping[str, str]] = lambda: os.environ,
        required: bool = True,
        running: subprocess.Popen[bytes] | None = None,
        adopted: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.name, self.required = name, required
        self._command, self._environ, self._answers = command, environ, answers
        self._responds = responds
        self._child, self._adopted = running, adopted

    def launch(self) -> None:
        self._clear()
        if self._child is None and self._adopted() is not None:
            return
        self._child = subprocess.Popen(  # noqa: S603 - our own arguments
            ending_with_us(self._command),
            env=dict(self._environ()),
            start_new_session=True,
        )

    def pid(self) -> int | None:
        if self._child is None:
            return self._adopted()
        # Not reaped yet: the number of its group must stay its own until the rest of the group is ended.
        try:
            ended = os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return None
        return self._child.pid if ended is None else None

    def answers(self) -> bool:
        return self._answers()

    def responds(self) -> bool:
        return self._responds()

    def stop(self, *, timeout: float = 8.0) -> None:
        if self._child is None or self._child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child.pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        while self.pid() is not None and time.monotonic() < deadline:
            time.sleep(0.02)
        self._clear()

    def _clear(self) -> None:
        """End what is left of the child and of what it started, and forget it."""
        if self._child is not None:
            if self._child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._child.pid, signal.SIGKILL)
                self._child.wait()
            self._child = None


class Database:
    """The embedded PostgreSQL, which is nobody's child; `ours` says that it is stopped at the end."""

    name = "postgresql"
    required = True

    def __init__(self, cluster: Cluster, *, ours: bool) -> None:
        self._cluster, self._ours = cluster, ours

    def launch(self) -> None:
        self._cluster.start(timeout=20.0)
        self._ours = True

    def pid(self) -> int | None:
        return self._cluster.pid()

    def answers(self) -> bool:
        return self._cluster.running()

    def responds(self) -> bool:
        return True

    def stop(self) -> None:
        if self._ours:
            self._cluster.stop()


@dataclass(frozen=True, slots=True)
class Told:
    """What the file of processes says of one: `started` is the moment that /proc gives, in ticks since the boot."""

    name: str
    pid: int
    started: int
    since: float
    again: int

    @property
    def runs(self) -> bool:
        """Whether that very process still runs."""
        return start_of(self.pid) == self.started


@dataclass(slots=True)
class _Kept:
    part: Part
    up: bool = False
    ready: bool = False
    falls: int = 0
    since: float = -math.inf
    again: int = 0
    next_try: float = 0.0
    silent: int = 0
    next_question: float = 0.0
    asking: threading.Thread | None = None

    def ask(self, *, at: float) -> None:
        """Ask whether it responds, when it is time and the last question is over; not waited for."""
        if at < self.next_question or (self.asking is not None and self.asking.is_alive()):
            return
        self.next_question = at + _ASK_EVERY
        self.asking = threading.Thread(target=self._ask, args=(self.again,), daemon=True)
        self.asking.start()

    def _ask(self, again: int) -> None:
        responds = self.part.responds()
        if again == self.again:
            self.silent = 0 if responds else self.silent + 1

    def wait(self, *, at: float) -> float:
        """Put the next start off, longer with each fall; by how many seconds."""
        pause = 0.0 if not self.falls else min(_LONGEST_PAUSE, 2.0 ** (self.falls - 1))
        self.falls += 1
        self.next_try = at + pause
        return pause


class Supervisor:
    """Looks after `parts`, in the order in which they are started; `say` is given lines for people.

    One that runs and has not responded for two minutes is ended, and so started again. `record` is where `havenline
    status` reads. Not noticed: that PostgreSQL, or a process without a socket, runs and does nothing.
    """

    def __init__(self, parts: Sequence[Part], *, record: Path, say: Callable[[str], None]) -> None:
        self._kept = [_Kept(part) for part in parts]
        self._record, self._say = record, say

    def start(self, *, timeout: float = 30.0) -> None:
        """Start what does not run, each when the one before answers. Raises SupervisorError for a required one.

        One that is not required and does not start is left out from then on.
        """
        for kept in list(self._kept):
            part = kept.part
            if part.pid() is None:
                part.launch()
            deadline = time.monotonic() + timeout
            while not (answers := part.answers()) and part.pid() is not None and time.monotonic() < deadline:
                time.sleep(0.02)
            kept.up = kept.ready = answers and part.pid() is not None
            if kept.up:
                continue
            part.stop()
            if part.required:
                raise SupervisorError(f"{part.name} did not start; its reason stands above")
            self._kept.remove(kept)
        self._tell()

    def keep(self) -> None:
        """Look after them until this is interrupted."""
        while True:
            time.sleep(_LOOK_EVERY)
            self.look(at=time.monotonic())

    def look(self, *, at: float) -> None:
        """Look once, at second `at` of any clock that only goes forward: start again what ended."""
        changed = False
        for kept in self._kept:
            part = kept.part
            if part.pid() is not None:
                if not kept.up:  # it came back by itself
                    kept.up, changed = True, True
                if not kept.ready and part.answers():
                    kept.ready = True
                    self._say(f"{part.name} answers again")
                if kept.silent < _SILENT:
                    if kept.ready:
                        kept.ask(at=at)
                    continue
                part.stop()
            if kept.up:
                self._note_end(
                    kept, at=at, why="did not respond for two minutes" if kept.silent >= _SILENT else "ended by itself"
                )
                changed = True
            if at >= kept.next_try:
                changed |= self._launch(kept, at=at)
        if changed:
            self._tell()

    def stop(self) -> None:
        """Stop all, the last first, and leave no record."""
        for kept in reversed(self._kept):
            kept.part.stop()
        self._record.unlink(missing_ok=True)

    def _note_end(self, kept: _Kept, *, at: float, why: str) -> None:
        if at - kept.since >= _REMEMBERED:
            kept.falls = 0
        kept.up = kept.ready = False
        pause = kept.wait(at=at)
        when = f"in {pause:.0f} s" if pause else "at once"
        self._say(f"{kept.part.name} {why} and is started again {when}")

    def _launch(self, kept: _Kept, *, at: float) -> bool:
        try:
            kept.part.launch()
        except (HavenlineError, OSError) as error:
            kept.wait(at=at)
            self._say(f"{kept.part.name} does not start: {error}")
            return False
        kept.up, kept.since, kept.silent = True, at, 0
        kept.next_question = at + _ASK_EVERY
        kept.again += 1
        return True

    def _tell(self) -> None:
        """Write down which processes run. A full disk must not end the desk for that."""
        now = time.time()
        rows = [Told("supervisor", os.getpid(), start_of(os.getpid()) or 0, now, 0)]
        for kept in self._kept:
            pid = kept.part.pid()
            if pid is not None and (started := start_of(pid)) is not None:
                rows.append(Told(kept.part.name, pid, started, now, kept.again))
        before = {(row.pid, row.started): row.since for row in told(self._record)}
        lines = [asdict(row) | {"since": before.get((row.pid, row.started), now)} for row in rows]
        missing = [kept.part.name for kept in self._kept if kept.part.pid() is None]
        with contextlib.suppress(OSError):
            write(self._record, json.dumps({"processes": lines, "missing": missing}, indent=1).encode())


def told(record: Path) -> list[Told]:
    """What the file of processes says, whether or not it is still so; nothing where there is none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return [Told(**row) for row in json.loads(record.read_bytes())["processes"]]
    return []


def missing(record: Path) -> list[str]:
    """The processes that had ended when the file of processes was written."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return [str(name) for name in json.loads(record.read_bytes())["missing"]]
    return []


def start_of(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot; None when it does not run, or only waits to be reaped."""
    try:
        words = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else int(words[19])
