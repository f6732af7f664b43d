"""A `matchd` in processes of its own, as the command line starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from havenline.matching.live import LiveLists
from tests.guard import told
from tests.guard.drawn import edition
from tests.guard.told import HAVENLINE, MEASURED

COMMAND = [*HAVENLINE, "matchd"]
if MEASURED:
    # For what tests fork.
    told.begin()


class Running:
    """One started server; `socket` is short, for paths of sockets have at most 100 bytes."""

    def __init__(self, lists: Path, socket: Path, *options: str) -> None:
        self.lists, self.socket = lists, socket
        self.command = [*COMMAND, str(lists), "--socket", str(socket), *options]
        self.log = socket.with_suffix(".log")
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            # A group of its own, so that all of it can be killed at once.
            self.process = subprocess.Popen(self.command, stderr=log, start_new_session=True)
        self.wait_until(lambda: self.said.count("answering on") > 0)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_until(self, true: Callable[[], bool], *, seconds: float = 120.0) -> None:
        for _ in range(int(seconds * 50)):
            if true():
                return
            if self.process.poll() is not None:
                pytest.fail(f"matchd ended with {self.process.returncode}: {self.said}")
            time.sleep(0.02)
        pytest.fail(f"matchd was waited for in vain: {self.said}")

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.write_text("")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests of a file that leave its lists as they are: entries a, b and c."""
    folder = tmp_path_factory.mktemp("g")
    LiveLists.create(folder / "lists", [edition("a", "b", "c")])
    running = Running(folder / "lists", folder / "s", "--workers", "2")
    yield running
    assert running.stop() == 0


@pytest.fixture
def matchd(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts servers on fresh lists of entries a, b and c; they end with the test."""
    started: list[Running] = []

    def start(*options: str, lists: Path | None = None) -> Running:
        folder = tmp_path / f"lists{len(started)}"
        if lists is None:
            LiveLists.create(folder, [edition("a", "b", "c")])
        options = options if "--workers" in options else (*options, "--workers", "2")
        started.append(Running(lists or folder, tmp_path / f"s{len(started)}", *options))
        return started[-1]

    yield start
    for each in started:
        if MEASURED:
            each.stop()
        if each.process.poll() is None:
            os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()
