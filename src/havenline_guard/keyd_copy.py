"""A whole copy of `keyd`'s database for a backup, made by SQLite itself: by `keyd`, or while no `keyd` runs.

The copy holds wrapped keys, none of them open: docs/formats/backup.md says how long it may be kept.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from havenline.vocabulary import HavenlineError

DATABASE = "keyd.sqlite"
COPY = "copy.sqlite"
"""Where `keyd` puts the copy that it is asked for; the next destruction takes it away."""


class KeydAtWork(HavenlineError):
    """A `keyd` works in this folder, so that its database can be copied by itself alone."""


def copy_database(source: sqlite3.Connection, to: Path) -> None:
    """Write what is committed in `source` to the file `to`, flushed. Raises sqlite3.Error and OSError."""
    to.unlink(missing_ok=True)
    descriptor = os.open(to, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with closing(sqlite3.connect(to)) as copied:
            source.backup(copied)
            # A file by itself: the mark that a write-ahead log belongs to it is taken off.
            copied.execute("PRAGMA journal_mode=DELETE").fetchall()
        os.fsync(descriptor)
    except BaseException:
        to.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def copy_at_rest(folder: Path, to: Path) -> None:
    """Copy the database of a `keyd` that does not run. Raises KeydAtWork when it does, and sqlite3.Error."""
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with closing(sqlite3.connect(folder / DATABASE)) as source:
            copy_database(source, to)
    except BlockingIOError:
        raise KeydAtWork(f"keyd works in {folder}") from None
    finally:
        os.close(lock)
