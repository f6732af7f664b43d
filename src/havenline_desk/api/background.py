"""One thread that writes to the database for all that answer: they wait for it, or go on without."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from django.db import close_old_connections, connections

Made = TypeVar("Made")
_LOG = logging.getLogger(__name__)
_TURN = 1.0
"""Seconds between two runs of what is done by itself."""


class Background:
    """Runs what it is given, in order, and `by_itself` about every second. Without `start` everything runs at once."""

    def __init__(self, by_itself: Callable[[], None]) -> None:
        self._by_itself = by_itself
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], Made], *, timeout: float = 10.0) -> Made:
        """What `work` gives, or raises. Raises TimeoutError after so many seconds; it is done later then."""
        if self._thread is None:
            return work()
        answer: Future[Made] = Future()

        def run() -> None:
            try:
                answer.set_result(work())
            except BaseException as error:
                answer.set_exception(error)

        self._waiting.put(run)
        return answer.result(timeout)

    def do_later(self, work: Callable[[], object]) -> None:
        """As `do`, without waiting; an error goes to the log."""
        if self._thread is None:
            work()
        else:
            self._waiting.put(lambda: self._attempt(work))

    def stop(self, last: Callable[[], None]) -> None:
        """Do what waits, then `last`, and end."""
        if self._thread is not None:
            self._waiting.put(lambda: self._attempt(last))
            self._waiting.put(None)
            self._thread.join(10.0)
            self._thread = None

    def _run(self) -> None:
        while True:
            try:
                work = self._waiting.get(timeout=_TURN)
            except queue.Empty:
                work = self._attempted_by_itself
            if work is None:
                connections.close_all()
                return
            close_old_connections()
            work()

    def _attempted_by_itself(self) -> None:
        self._attempt(self._by_itself)

    @staticmethod
    def _attempt(work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:
            _LOG.exception("what the match service does beside its answers failed; it is tried again")
