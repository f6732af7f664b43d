"""Take a backup of one installation: docs/formats/backup.md. Whole or not at all; sealed where a recipient is named.

For an instant the audit log stands still, so that database, keys and checkpoints are of one moment; everything else is
copied beside the work of the desk. The ledger of what was destroyed is taken last of all.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import psycopg
import pyrage
from psycopg import sql

from havenline.formats.backup import BackupError, BackupManifest, BackupPart
from havenline.whole_file import write_whole
from havenline_guard.keyd_client import KeyClient
from havenline_guard.keyd_copy import COPY, DATABASE, copy_at_rest
from havenline_guard.vault_store import Absent, Store, StoreError

from .dump import dumping
from .folders import sync
from .home import Home

MANIFEST = "manifest.json"
KEYS = "keyd"
_LOG_LOCK = (18517, 1)
"""The audit log's lock in the database; see `audit_head` in the migration that makes the log."""
_SECRET_WORDS = ("passphrase", "password")
_BETWEEN = 1 << 20

Tell = Callable[[str, int, int], None]
"""Told of progress: what is being copied, how many of how many."""


class Moment(NamedTuple):
    """One moment of the database: its snapshot's name, rows by table, entries of the log, kept objects, editions."""

    snapshot: str
    counts: dict[str, int]
    entries: int
    objects: list[str]
    editions: list[tuple[str, int]]
    """Lists of this house by name, and the numbers of their editions."""


def back_up(
    home: Home,
    to: Path,
    *,
    at: dt.datetime,
    database: str,
    audit_folder: Path,
    content: Store,
    keyd_socket: Path | None = None,
    recipients: Sequence[str] = (),
    tell: Tell = lambda what, done, of: None,
) -> BackupManifest:
    """Write a backup of `home` to the new folder `to` and return its manifest.

    `database` is a conninfo that may read every table; `content` is where kept objects lie; `recipients` are age public
    keys, to which every part is sealed.
    An attempt that was cut short lies beside `to` under another name, and is gone on with. Raises BackupError and
    other HavenlineErrors; then there is no folder `to`. Not checked: that the medium of `to` lasts.
    """
    # long: its steps in their order, one after the other
    if os.path.lexists(to):
        raise BackupError(f"{to} exists already; nothing was written")
    sealing = _recipients(recipients)
    partial = to.parent / f".{to.name}.{'sealed' if sealing else 'plain'}.part"
    try:
        for name in ("", "content"):
            (partial / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in partial.iterdir():
            if stale.name != "content":
                shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        writer = _Writer(partial, sealing)
        with _moment(database, home, audit_folder, keyd_socket, writer) as moment:
            tell("database", 0, 1)
            with dumping(database, snapshot=moment.snapshot) as dumped:
                writer.write("database", dumped)
        missing = _take_content(content, writer, moment.objects, tell)
        _take_editions(home, moment.editions, writer)
        for path in _settings(home, sealed=bool(sealing)):
            writer.take(f"settings/{path.name}", path)
        passphrase = home.keyd / "passphrase"
        if sealing and passphrase.exists():
            writer.take(f"{KEYS}/passphrase", passphrase)
        ledger = home.path / KEYS / "erasures"
        if ledger.exists():
            writer.take(f"{KEYS}/erasures", ledger)
        destroyed = set(ledger.read_text(errors="replace").split()) if ledger.exists() else set()
        manifest = BackupManifest(
            at,
            str(home.kind()),
            bool(sealing),
            writer.salt,
            moment.entries,
            moment.counts,
            tuple(name for name in missing if name not in destroyed),
            tuple(writer.parts),
        )
        with write_whole(partial / MANIFEST, replace=True) as file:
            file.write(manifest.to_bytes())
        for folder in [*(path for path in partial.iterdir() if path.is_dir()), partial]:
            sync(folder)
        partial.rename(to)
        sync(to.parent)
    except (OSError, psycopg.Error, sqlite3.Error) as error:
        raise BackupError(f"the backup could not be written ({str(error).strip()}); there is none at {to}") from error
    return manifest


class _Writer:
    """Writes parts, each whole, and keeps their digests."""

    def __init__(self, folder: Path, sealing: Sequence[pyrage.x25519.Recipient]) -> None:
        self._folder, self._sealing = folder, sealing
        self.salt, self.parts = secrets.token_hex(16), list[BackupPart]()

    def take(self, name: str, source: Path) -> None:
        """Copy `source` as the part `name`."""
        with source.open("rb") as reading:
            self.write(name, reading)

    def has(self, name: str) -> bool:
        """Whether an earlier attempt wrote the part `name` whole; it then stands as it is."""
        if (self._folder / name).exists():
            self._note(name)
            return True
        return False

    def write(self, name: str, reading: BinaryIO) -> None:
        """Write all that can be read as the part `name`."""
        path = self._folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with write_whole(path, replace=True) as file:
            if self._sealing:
                pyrage.encrypt_io(reading, file, self._sealing)
            else:
                shutil.copyfileobj(reading, file, _BETWEEN)
        self._note(name)

    def _note(self, name: str) -> None:
        path = self._folder / name
        with path.open("rb") as file:
            self.parts.append(BackupPart(name, path.stat().st_size, digest_of(file, self.salt)))


def digest_of(file: BinaryIO, salt: str) -> str:
    """SHA-256 of the salt and what is left of an open file, in hex."""
    digest = hashlib.sha256(bytes.fromhex(salt))
    while piece := file.read(_BETWEEN):
        digest.update(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def _moment(
    conninfo: str, home: Home, audit_folder: Path, keyd_socket: Path | None, writer: _Writer
) -> Iterator[Moment]:
    """While the audit log stands still: fix the database's snapshot; copy the keys and checkpoints of that moment."""
    with psycopg.connect(conninfo) as reading, psycopg.connect(conninfo) as halting:
        reading.read_only = True
        reading.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        halting.execute("SELECT pg_advisory_xact_lock(%s, %s)", _LOG_LOCK)
        moment = _looked_at(reading)
        _take_keys(home, keyd_socket, writer)
        if audit_folder.is_dir():
            for path in sorted(audit_folder.iterdir()):
                if path.is_file() and path.name != "lock" and not path.name.startswith("."):
                    writer.take(f"audit/{path.name}", path)
        halting.rollback()
        yield moment


def _looked_at(reading: psycopg.Connection) -> Moment:
    (snapshot,) = reading.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
    tables = reading.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    ).fetchall()
    counts = {}
    for (table,) in tables:
        row = reading.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        counts[table] = int(row[0]) if row else 0
    objects = reading.execute("SELECT object_name FROM desk_storedcontent ORDER BY object_name").fetchall()
    editions = reading.execute(
        "SELECT name, number FROM desk_publishededition e JOIN desk_houselist l ON e.list_id = l.id ORDER BY 1, 2"
    ).fetchall()
    names = [name for (name,) in objects]
    return Moment(snapshot, counts, counts["desk_auditentry"], names, [(name, number) for name, number in editions])


def _take_editions(home: Home, editions: Sequence[tuple[str, int]], writer: _Writer) -> None:
    """Copy each recorded edition, from where it is staged too; one that is gone is missing after a restore too."""
    for name, number in editions:
        for stands, folder in (("", str(number)), ("part.", f".{number}.part")):
            found = home.path / "editions" / name / folder
            if found.is_dir():
                for path in sorted(found.iterdir()):
                    writer.take(f"editions/{name}.{number}.{stands}{path.name}", path)
                break


def _take_keys(home: Home, socket: Path | None, writer: _Writer) -> None:
    folder = home.path / KEYS
    if not (folder / DATABASE).exists():
        return
    copied = folder / COPY
    try:
        if socket is not None and socket.is_socket():
            with KeyClient(socket) as client:
                client.copy()
        else:
            copy_at_rest(folder, copied)
        writer.take(f"{KEYS}/{DATABASE}", copied)
    finally:
        copied.unlink(missing_ok=True)
    writer.take(f"{KEYS}/master.keys", folder / "master.keys")


def _take_content(content: Store, writer: _Writer, names: Sequence[str], tell: Tell) -> list[str]:
    """Copy each kept object that the snapshot names; return those that are not there."""
    missing = []
    for number, name in enumerate(names, 1):
        if not writer.has(f"content/{name}"):
            pieces = _Pieces(content.get(name))
            try:
                pieces.begin()
                writer.write(f"content/{name}", cast(BinaryIO, pieces))
            except Absent:
                missing.append(name)
            if pieces.error is not None:
                raise pieces.error
        tell("kept objects", number, len(names))
    return missing


class _Pieces:
    """What a store gives in pieces, as a file that is read. `error` is what ended it early: age tells no cause."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, b""
        self.error: StoreError | None = None

    def begin(self) -> None:
        """Ask for the first piece. Raises StoreError, Absent among them, before anything is written."""
        self._held = next(self._pieces, b"")

    def read(self, count: int = -1) -> bytes:
        if not self._held:
            try:
                self._held = next(self._pieces, b"")
            except StoreError as error:
                self.error = error
                raise
        wanted = len(self._held) if count < 0 else count
        given, self._held = self._held[:wanted], self._held[wanted:]
        return given


def _settings(home: Home, *, sealed: bool) -> list[Path]:
    """The data folder's own files. What opens the keys is taken along only where everything is sealed."""
    found = sorted(path for path in home.path.iterdir() if path.is_file() and not path.is_symlink())
    found = [path for path in found if path.name not in {"lock", "kind"} and not path.name.startswith(".")]
    return [path for path in found if sealed or not any(word in path.name for word in _SECRET_WORDS)]


def _recipients(texts: Sequence[str]) -> list[pyrage.x25519.Recipient]:
    try:
        return [pyrage.x25519.Recipient.from_str(text) for text in texts]
    except pyrage.RecipientError:
        raise BackupError("a recipient is an age public key: age1…; nothing was written") from None
