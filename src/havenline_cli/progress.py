"""How far a scan is: a bar on a terminal, a plain line now and then elsewhere. Always on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import typer

from havenline_cli.told import plain

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_SECONDS_BETWEEN_LINES = 10.0
_WORTH_A_BAR = 1 << 24


class Pace:
    """What was counted so far, and how fast it goes."""

    def __init__(self) -> None:
        self.files = self.size = self.found = self.refused = 0
        self._begun = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begun

    def count(self, *, size: int | None, found: bool = False, refused: bool = False) -> None:
        """Count one file more."""
        self.files += 1
        self.size += size or 0
        self.found += found
        self.refused += refused

    def __str__(self) -> str:
        seconds = max(self.seconds, 1e-9)
        rates = f"{self.files / seconds:,.0f} files/s, {self.size / seconds / 1e6:,.1f} MB/s"
        return f"{rates}, {self.found:,} found, {self.refused:,} refused"


class Meter:
    """Counts files and shows it; `meter` opens it."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    def count(self, *, size: int | None, found: bool = False, refused: bool = False) -> None:
        """Count one file more, and show it when it is time."""
        self.pace.count(size=size, found=found, refused=refused)


class _Bar(Meter):
    def __init__(self, pace: Pace, progress: Progress, task: TaskID) -> None:
        super().__init__(pace)
        self._progress, self._task = progress, task

    def count(self, *, size: int | None, found: bool = False, refused: bool = False) -> None:
        super().count(size=size, found=found, refused=refused)
        self._progress.update(self._task, completed=self.pace.files, pace=str(self.pace))


class _Lines(Meter):
    def __init__(self, pace: Pace) -> None:
        super().__init__(pace)
        self._said = 0.0

    def count(self, *, size: int | None, found: bool = False, refused: bool = False) -> None:
        super().count(size=size, found=found, refused=refused)
        if self.pace.seconds - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = self.pace.seconds
            typer.echo(f"havenline: {self.pace.files:,} files, {self.pace}", err=True)


@contextmanager
def meter(source: Path) -> Iterator[Meter]:
    """A meter for the files of `source`; how many there are is found out beside, where that is quick."""
    if not sys.stderr.isatty():
        yield _Lines(Pace())
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("getting ready", total=None, pace="")
        enough = Event()
        counting = Thread(target=_count, args=(source, progress, task, enough), daemon=True)
        counting.start()
        try:
            yield _Bar(Pace(), progress, task)
        finally:
            enough.set()
            counting.join()


def _count(source: Path, progress: Progress, task: TaskID, enough: Event) -> None:
    """Count the files of a folder; those of an archive are known only when it has been read."""
    total = 0
    for _, _, names in os.walk(source):
        total += len(names)
        if enough.is_set():
            return
    progress.update(task, description="scanning", total=total or None)


@contextmanager
def steps(description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for work in steps; call what it yields with how many are done, of how many. Off a terminal: one line."""
    if not sys.stderr.isatty():
        typer.echo(f"havenline: {description} …", err=True)
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def reading(path: Path) -> Iterator[Callable[[int], None]]:
    """A bar for reading a file; call what it yields with how many bytes are read. For small files there is none."""
    name, size = plain(path.name), path.stat().st_size if path.is_file() else 0
    if size < _WORTH_A_BAR:
        yield lambda done: None
        return
    if not sys.stderr.isatty():
        said = time.monotonic()

        def tell(done: int) -> None:
            nonlocal said
            if time.monotonic() - said >= _SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                typer.echo(f"havenline: {name}: {done / 1e6:,.0f} of {size / 1e6:,.0f} MB read", err=True)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=size)
        yield lambda done: progress.update(task, completed=done)
