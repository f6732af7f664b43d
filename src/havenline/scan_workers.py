"""Guarded worker processes: whatever a file does to the process that opens it, the scan goes on.

Workers are forked from a small server process, never from the caller, which may have threads. Tasks go to a
worker as pickles; answers come back as plain bytes, so that a worker which a file has taken over cannot
reach the caller by a pickle. A worker may be closed off before its first task: then the caller opens what the
tasks are about, and hands over descriptors. Nothing here knows what the work is.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import recv_handle, send_handle
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

from havenline.vocabulary import HavenlineError

Task = TypeVar("Task")
Work = Callable[[Any, int | None], tuple[bytes, bytes]]
"""What a worker does with a task and the descriptor that came with it: two byte strings come back. Picklable."""
CloseOff = Callable[[int], None]
"""Run in a new worker before its first task: it gives up all but what it has and the descriptor that is named, and can
load nothing afterwards, not even the module of a task. Must be picklable; what it raises ends the worker."""

_PRELOADED = ["__main__", "havenline.scan_warm", "havenline.scan"]
_QUEUED = 4
"""Tasks that wait at a worker, so that it never idles while its answer travels."""
FILES_A_WORKER = 64
"""A worker ends after so many tasks: what a file did to it, or made it keep, does not outlast them."""
_FOLLOWER_AT = 48
"""At so many tasks of a worker its follower is started, so that it is closed off and ready when it takes over."""
_HELD = 16
"""Tasks per worker that are held at a time, so that one slow file does not leave the others idle."""
_HEAVIEST = 256 * 1024 * 1024
_READY = b"ready"
_ALL, _MORE = b"0", b"1"
"""First byte of an answer: whether its second string follows in a message of its own."""
_LONGEST_REPLY = 1 << 30
_GRACE = 5
"""Seconds after which the caller ends a worker that did not end itself when its time for a task was over."""


class WorkersFailedError(HavenlineError):
    """Worker processes cannot even be started, so nothing was learned about any file."""


class Lost(Enum):
    """Why a task has no answer."""

    DIED = "died"
    TOOK_TOO_LONG = "took too long"
    NOT_OPENED = "not opened"


@dataclass(frozen=True, slots=True)
class Answer(Generic[Task]):
    """A task with the two byte strings of its work, why there are none, or None when it needed no worker."""

    task: Task
    reply: tuple[bytes, bytes] | Lost | None


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    ready: bool = False
    waiting: deque[int] = field(default_factory=deque)
    given: int = 0
    since: float | None = None
    """When it began the task it is at, by the monotonic clock; None before its first."""
    late: bool = False

    @property
    def retired(self) -> bool:
        """Whether it gets no more to do: its follower starts while it is still at its last tasks."""
        return self.given >= FILES_A_WORKER


def answers(
    tasks: Iterable[Task],
    *,
    work: Work,
    needs_worker: Callable[[Task], bool],
    weight: Callable[[Task], int],
    workers: int,
    seconds: int,
    close_off: CloseOff | None = None,
    opened: Callable[[Task], int | None] = lambda task: None,
) -> Generator[Answer[Task], None, None]:
    """Each task with its answer, in the order of `tasks`, of which a few are held at a time.

    These are 16 for each worker, fewer when their `weight`, bytes held in this process, reaches 256 MiB.

    1. A task goes to a worker with room; workers are started when there is work for them, and end after
       `FILES_A_WORKER` tasks; the follower of each is started a little before.
    2. When a worker dies, the task it was at is set aside and the ones behind it are given out again.
    3. When all workers are idle, tasks set aside run again, one at a time with no other beside them: a
    process can also be killed for its neighbours' hunger. One that dies again is Lost.DIED. 4. A task at
    work for more than `seconds` is Lost.TOOK_TOO_LONG, and not tried again. The worker ends itself then, and
    is killed by a thread of this process when it does not.

    With `close_off` the workers can open nothing themselves: `opened` gives the descriptor that goes with a task,
    or None, and is this module's to close; where it raises OSError the task is Lost.NOT_OPENED.

    Closing the iterator, or any exception, kills the workers at once. Raises WorkersFailedError when a
    worker dies before its first task, or cannot be started (a script
    that scans needs the usual `if __name__ == "__main__":`).
    """
    # long: the docstring states the order of steps that the loop keeps
    crew = _Crew(work, workers=workers, seconds=seconds, close_off=close_off, opened=opened)
    held: dict[int, Task] = {}
    burden = 0
    settled: dict[int, tuple[bytes, bytes] | Lost | None] = {}
    fresh, suspects = deque[int](), deque[int]()
    incoming, taken, given = iter(tasks), 0, 0
    more = True
    try:
        while True:
            while more and len(held) < workers * _HELD and burden < _HEAVIEST:
                try:
                    held[taken] = next(incoming)
                except StopIteration:
                    more = False
                    break
                burden += weight(held[taken])
                if needs_worker(held[taken]):
                    fresh.append(taken)
                else:
                    settled[taken] = None
                taken += 1
            crew.give_out(held, settled, fresh, suspects)
            while given in settled:
                burden -= weight(held[given])
                yield Answer(held.pop(given), settled.pop(given))
                given += 1
            if crew.busy:
                crew.collect(settled, fresh, suspects)
            elif not held and not more:
                return
    finally:
        crew.close()


class _Crew:
    """The worker processes and what each of them is at."""

    def __init__(
        self,
        work: Work,
        *,
        workers: int,
        seconds: int,
        close_off: CloseOff | None,
        opened: Callable[[Any], int | None],
    ) -> None:
        self._work, self._limit, self._seconds = work, workers, seconds
        self._close_off, self._opened = close_off, opened
        self._workers: list[_Worker] = []
        self._ended = Event()
        Thread(target=self._watch, daemon=True).start()
        self._leaving: list[_Worker] = []
        self._followers: list[_Worker] = []
        self._again: set[int] = set()

    @property
    def busy(self) -> bool:
        return any(worker.waiting for worker in self._workers)

    def give_out(
        self,
        held: dict[int, Any],
        settled: dict[int, tuple[bytes, bytes] | Lost | None],
        fresh: deque[int],
        suspects: deque[int],
    ) -> None:
        """Hand tasks to workers with room; one that was set aside goes out alone, when all are idle."""
        if suspects:
            if not self.busy:
                self._again.add(suspects[0])
                self._give(self._roomiest(), suspects.popleft(), held, settled)
            return
        while fresh and not (self._again and self.busy):
            worker = self._roomiest()
            if len(worker.waiting) >= _QUEUED:
                return
            self._give(worker, fresh.popleft(), held, settled)

    def collect(
        self,
        settled: dict[int, tuple[bytes, bytes] | Lost | None],
        fresh: deque[int],
        suspects: deque[int],
    ) -> None:
        """Wait until a worker answers or dies, and take note of all that have."""
        pipes = {worker.pipe: worker for worker in self._workers if worker.waiting}
        for pipe in wait(list(pipes)):
            worker = pipes[pipe]  # type: ignore[index]
            try:
                first = worker.pipe.recv_bytes(_LONGEST_REPLY)
                if not worker.ready and first == _READY:
                    worker.ready, worker.since = True, time.monotonic()
                    continue
                more = worker.pipe.recv_bytes(_LONGEST_REPLY) if first[:1] == _MORE else b""
            except (EOFError, OSError):
                self._bury(worker, settled, fresh, suspects)
                continue
            number = worker.waiting.popleft()
            worker.since = time.monotonic() if worker.waiting else None
            self._again.discard(number)
            settled[number] = first[1:], more
            if worker.retired and not worker.waiting:
                self._dismiss(worker)

    def _dismiss(self, worker: _Worker) -> None:
        """End a worker that has done its share, and tidy up after those that ended meanwhile, without waiting."""
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.kill()
        self._leaving.append(worker)
        for each in [each for each in self._leaving if each.process.exitcode is not None]:
            self._leaving.remove(each)
            each.process.close()

    def close(self) -> None:
        """Kill all workers; they hold nothing worth keeping."""
        self._ended.set()
        for worker in (*self._workers, *self._followers):
            worker.process.kill()
            worker.pipe.close()
        for worker in (*self._workers, *self._followers, *self._leaving):
            worker.process.join()
            worker.process.close()
        self._workers.clear()
        self._followers.clear()
        self._leaving.clear()

    def _bury(
        self,
        worker: _Worker,
        settled: dict[int, tuple[bytes, bytes] | Lost | None],
        fresh: deque[int],
        suspects: deque[int],
    ) -> None:
        worker.process.join(timeout=5)
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join()
        code = worker.process.exitcode
        self._workers.remove(worker)
        worker.process.close()
        worker.pipe.close()
        if not worker.ready:
            raise _cannot_start(f"exit status {code}")
        number = worker.waiting.popleft()
        fresh.extendleft(reversed(worker.waiting))
        if worker.late or code == -getattr(signal, "SIGALRM", 0):
            settled[number] = Lost.TOOK_TOO_LONG
        elif number in self._again:
            settled[number] = Lost.DIED
        else:
            suspects.append(number)
        self._again.discard(number)

    def _roomiest(self) -> _Worker:
        """The worker with the least to do; a new one while all have something and the limit allows."""
        able = [worker for worker in self._workers if not worker.retired]
        least = min(able, key=lambda worker: len(worker.waiting), default=None)
        if least is not None and (not least.waiting or len(able) >= self._limit):
            return least
        self._workers.append(self._followers.pop() if self._followers else self._new())
        return self._workers[-1]

    def _new(self) -> _Worker:
        return _started(self._work, self._seconds, self._close_off)

    def _give(
        self,
        worker: _Worker,
        number: int,
        held: dict[int, Any],
        settled: dict[int, tuple[bytes, bytes] | Lost | None],
    ) -> None:
        descriptor = None
        if self._close_off is not None:
            try:
                descriptor = self._opened(held[number])
            except OSError:
                settled[number] = Lost.NOT_OPENED
                self._again.discard(number)
                return
        if worker.ready and not worker.waiting:
            worker.since = time.monotonic()
        worker.waiting.append(number)
        worker.given += 1
        # A worker that died meanwhile is noticed when answers are collected.
        with suppress(OSError):
            worker.pipe.send((held[number], descriptor is not None))
            if descriptor is not None:
                send_handle(worker.pipe, descriptor, worker.process.pid)
        if descriptor is not None:
            os.close(descriptor)
        if worker.given == _FOLLOWER_AT:
            self._followers.append(self._new())

    def _watch(self) -> None:
        """Kill a worker that stays at one task for too long: also one that says half an answer, or takes no task in."""
        while not self._ended.wait(1.0):
            for worker in list(self._workers):
                since = worker.since
                if since is not None and time.monotonic() > since + self._seconds + _GRACE:
                    worker.late = True
                    with suppress(OSError, ValueError):  # it may be gone already
                        worker.process.kill()


def get_ready(*modules: str) -> None:
    """Begin to prepare the process that workers are forked from, and return at once; so does `answers`.

    `modules` that workers will need are imported there once; what is not named, each worker imports for itself. Raises
    WorkersFailedError where the folder for temporary files cannot hold a socket, as one with a very long name cannot.
    """
    if "forkserver" in multiprocessing.get_all_start_methods():
        multiprocessing.set_forkserver_preload([*_PRELOADED, *modules])
        try:
            forkserver.ensure_running()
        except OSError as error:
            place = f"a socket in the folder for temporary files ({error}): give a short one as TMPDIR"
            raise WorkersFailedError(f"workers cannot be started by {place}; nothing was read") from None


def _started(work: Work, seconds: int, close_off: CloseOff | None) -> _Worker:
    get_ready(work.__module__, *([] if close_off is None else [close_off.__module__]))
    forked = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forked else "spawn")
    ours, theirs = context.Pipe()
    start = context.Process  # type: ignore[attr-defined]
    process = start(target=_serve, args=(theirs, work, seconds, close_off), daemon=True)
    try:
        process.start()
    except (EOFError, OSError) as error:
        ours.close()
        raise _cannot_start(type(error).__name__) from None
    finally:
        theirs.close()
    return _Worker(process, ours)


def _cannot_start(reason: str) -> WorkersFailedError:
    return WorkersFailedError(
        f"no worker process could begin ({reason}), so nothing was scanned: check free memory and the "
        'installation; a script that scans must be a file, and do so under `if __name__ == "__main__":`'
    )


def _serve(pipe: Connection, work: Work, seconds: int, close_off: CloseOff | None) -> None:
    """The life of a worker. An interrupt at the terminal is the caller's to answer: it kills its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if close_off is not None:
        close_off(pipe.fileno())
    tasks: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_receive, args=(pipe, tasks), daemon=True).start()
    # The caller may be gone by the time there is something to say.
    with suppress(OSError):
        pipe.send_bytes(_READY)
        while True:
            task, descriptor = tasks.get()
            _alarm(seconds)
            reply = work(task, descriptor)
            _alarm(0)
            # Each message wakes the caller, so the second one is left out where it says nothing.
            pipe.send_bytes((_MORE if reply[1] else _ALL) + reply[0])
            if reply[1]:
                pipe.send_bytes(reply[1])


def _receive(pipe: Connection, tasks: SimpleQueue[Any]) -> None:
    """Take tasks in while the work goes on, so that neither side waits for the other; end with the caller."""
    while True:
        try:
            task, opened = pipe.recv()
            tasks.put((task, recv_handle(pipe) if opened else None))
        except BaseException:  # a worker that takes nothing in must not seem to be at work
            os._exit(1)


def _alarm(seconds: int) -> None:
    """Have the system end this process after `seconds` (0: never): also when it is stuck in a decoder."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)
