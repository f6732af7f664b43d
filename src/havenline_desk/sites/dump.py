"""PostgreSQL's own programs for taking a database out and putting it back, with nothing secret on a command line."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from havenline.formats.backup import BackupError

from .binaries import client_program

SESSIONS = "django_session"
"""Not taken along: whoever was signed in signs in anew after a restore."""


@contextlib.contextmanager
def dumping(conninfo: str, *, snapshot: str) -> Iterator[BinaryIO]:
    """The database, as it was in an exported snapshot, in pg_dump's custom format, to be read to its end.

    Owners and rights are left out: a restore gives them anew. Raises BackupError, at the end, with PostgreSQL's reason.
    """
    arguments = ("--format=custom", f"--snapshot={snapshot}", f"--exclude-table-data={SESSIONS}")
    with _running("pg_dump", conninfo, "--no-owner", "--no-acl", *arguments) as running:
        assert running.stdout is not None
        yield cast(BinaryIO, running.stdout)


@contextlib.contextmanager
def loading(conninfo: str) -> Iterator[BinaryIO]:
    """Where to write a dump that goes into an empty database, whole or not at all. Raises BackupError at the end."""
    database = str(conninfo_to_dict(conninfo)["dbname"])
    arguments = ("--single-transaction", "--exit-on-error", f"--dbname={database}")
    with _running("pg_restore", conninfo, "--no-owner", "--no-acl", *arguments) as running:
        assert running.stdin is not None
        yield cast(BinaryIO, running.stdin)


@contextlib.contextmanager
def listing() -> Iterator[BinaryIO]:
    """Where to write a dump whose table of contents is looked at, and its rows are not. Raises BackupError."""
    with _running("pg_restore", "", "--list") as running:
        assert running.stdin is not None
        yield cast(BinaryIO, running.stdin)


@contextlib.contextmanager
def _running(program: str, conninfo: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    # A password on the command line would stand in the machine's list of processes.
    environ |= {
        option.envvar.decode(): option.val.decode()
        for option in Conninfo.parse(conninfo.encode())
        if option.val is not None and option.envvar is not None
    }
    with tempfile.TemporaryFile() as complaints:
        running = subprocess.Popen(  # noqa: S603 - our own arguments
            [str(client_program(program)), *arguments],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if program == "pg_dump" else subprocess.DEVNULL,
            stderr=complaints,
        )
        assert running.stdin is not None
        try:
            # Who lists has read enough before the end.
            with contextlib.suppress(BrokenPipeError):
                yield running
            with contextlib.suppress(BrokenPipeError):
                running.stdin.close()
            code = running.wait()
        except BaseException:
            running.kill()
            running.wait()
            raise
        finally:
            with contextlib.suppress(BrokenPipeError):
                running.stdin.close()
            if running.stdout is not None:
                running.stdout.close()
        if code:
            complaints.seek(0)
            reason = (complaints.read().decode(errors="replace").strip() or "no reason given").splitlines()[-1]
            raise BackupError(f"{program} failed: {reason}")
