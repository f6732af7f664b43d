"""Verify a backup, and make an installation of it: docs/formats/backup.md.

Nothing is touched before every part has the digest that the manifest names. The ledger of what was destroyed comes
first, the mark that the data folder is whole comes last: a restore that is cut short leaves no desk that opens.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import psycopg
import pyrage
from psycopg.conninfo import make_conninfo

from havenline.formats.backup import KEYS_KEPT, BackupError, BackupManifest
from havenline.whole_file import write_whole
from havenline_guard.vault_store import Store

from .backup import KEYS, MANIFEST, Tell, digest_of
from .cluster import OWNER_ROLE, Cluster
from .dump import listing, loading
from .folders import sync, try_lock, write
from .home import RESTORING, Home

LEDGER = "erasures"
DATABASE_OF_KEYS = "keyd.sqlite"
_EDITION = re.compile(r"([a-z0-9-]+)\.([0-9]+)\.(part\.)?(edition\.json|entries\.ndjson|changes\.ndjson)\Z")
_BETWEEN = 1 << 20

PASSPHRASE, SOCKET_FOLDER = "passphrase", "socket_folder"
SIGNED_BY_FILE = "audit_signing_key"
"""A data folder that signs its log by a key in a file starts no key process."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A backup whose every part has its digest. `identity` opens what is sealed; without one only that is known."""

    folder: Path
    manifest: BackupManifest
    identity: pyrage.x25519.Identity | None
    digest: str

    def names(self, below: str) -> Iterator[str]:
        """The names of the parts in one folder of the backup."""
        for part in self.manifest.parts:
            folder, _, name = part.path.rpartition("/")
            if folder == below:
                yield name

    def put(self, name: str, to: Path) -> None:
        """Write the part `name` whole to the new file `to`, unsealed."""
        with write_whole(to, replace=True) as made:
            self.into(name, made)

    def into(self, name: str, to: BinaryIO) -> None:
        """Write the part `name` to `to`, unsealed, and check once more what was read."""
        part = next(each for each in self.manifest.parts if each.path == name)
        with (self.folder / name).open("rb") as file:
            reading = _Digesting(file, self.manifest.salt)
            if self.manifest.sealed:
                _unseal(cast(BinaryIO, reading), to, self.identity)
            else:
                shutil.copyfileobj(cast(BinaryIO, reading), to, _BETWEEN)
            while reading.read(_BETWEEN):
                pass
        if reading.digest.hexdigest() != part.digest:
            raise BackupError(f"{name} changed while it was read; what was restored so far is no desk")


class _Digesting:
    """A file that is digested while it is read."""

    def __init__(self, file: BinaryIO, salt: str) -> None:
        self._file, self.digest = file, hashlib.sha256(bytes.fromhex(salt))

    def read(self, count: int = -1) -> bytes:
        piece = self._file.read(count)
        self.digest.update(piece)
        return piece


def verified(folder: Path, *, identity: Path | None = None, tell: Tell = lambda what, done, of: None) -> Opened:
    """Open a backup and compare every part with its digest. Raises BackupError; touches nothing.

    Given the identity, or where nothing is sealed, it is seen too whether the database's dump can be read.
    Not checked: who made the backup. Whoever can write it can write its manifest; the audit log shows it afterwards.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = BackupManifest.parse(content)
        for number, part in enumerate(manifest.parts, 1):
            with (folder / part.path).open("rb") as file:
                whole = digest_of(file, manifest.salt) == part.digest
            if not whole:
                raise BackupError(f"{part.path} no longer has its digest: this backup is damaged. Nothing was touched")
            tell("digests", number, len(manifest.parts))
    except OSError as error:
        raise BackupError(f"the backup cannot be read ({error}); nothing was touched") from None
    opened = Opened(folder, manifest, _identity(identity), hashlib.sha256(content).hexdigest())
    if opened.identity is not None or not manifest.sealed:
        with listing() as to:
            opened.into("database", to)
    return opened


def ledger_of(opened: Opened, others: Sequence[Path]) -> set[str]:
    """Every object that was ever destroyed, as far as the backup and the other ledgers know."""
    found: set[str] = set()
    for path in others:
        found |= set(path.read_text(errors="replace").split())
    if LEDGER in opened.names(KEYS):
        held = io.BytesIO()
        opened.into(f"{KEYS}/{LEDGER}", held)
        found |= set(held.getvalue().decode(errors="replace").split())
    return {name for name in found if len(name) == 32}


def put_back(
    opened: Opened,
    home: Home,
    *,
    at: dt.datetime,
    ledgers: Sequence[Path] = (),
    outside: Path | None = None,
    keys: bool = True,
    passphrase: bytes | None = None,
    database: str | None = None,
) -> set[str]:
    """Fill the empty data folder `home` but for its content; return the objects that the ledger names.

    `put_content` and `finish` are what comes after. `ledgers`: newer ledgers than the backup's; `outside`: the folder
    of checkpoints that another administrator kept. `keys` false leaves the keys out; `passphrase` opens them where the
    backup does not hold it. `database` is a conninfo of an empty database of the operator's own. Raises BackupError,
    also where keys are older than they may be and no newer ledger says what was destroyed since.
    """
    # long: its steps in their order, one after the other
    manifest = opened.manifest
    if manifest.sealed and opened.identity is None:
        raise BackupError("this backup is sealed: name the file of its age identity with --identity")
    if keys and at - manifest.made_at > KEYS_KEPT and not ledgers and DATABASE_OF_KEYS in opened.names(KEYS):
        raise BackupError(
            f"the keys in this backup are older than {KEYS_KEPT.days} days, and what was destroyed since is not known: "
            "give a newer ledger with --erasures, or restore without keys. Nothing was touched"
        )
    needed = keys and DATABASE_OF_KEYS in opened.names(KEYS) and SIGNED_BY_FILE not in opened.names("settings")
    if needed and passphrase is None and PASSPHRASE not in opened.names(KEYS) and "HAVENLINE_KEYD" not in os.environ:
        raise BackupError(
            "this backup does not hold the passphrase that opens its keys: give it with --passphrase-file, or restore "
            "with --no-keys and without the content. Nothing was touched"
        )
    _make_room(home)
    destroyed = ledger_of(opened, ledgers)
    if keys and DATABASE_OF_KEYS in opened.names(KEYS):
        folder = home.path / KEYS
        folder.mkdir(mode=0o700)
        write(folder / LEDGER, "".join(f"{name}\n" for name in sorted(destroyed)).encode())
        for name in opened.names(KEYS):
            if name not in (LEDGER, SOCKET_FOLDER):
                opened.put(f"{KEYS}/{name}", folder / name)
        if passphrase is not None:
            write(folder / PASSPHRASE, passphrase)
    _load_database(opened, home, database)
    home.kept_content.mkdir(mode=0o700)
    kept_outside = home.path / "audit"
    kept_outside.mkdir(mode=0o700)
    for name in opened.names("audit"):
        opened.put(f"audit/{name}", kept_outside / name)
    if outside is not None and outside.resolve() != kept_outside.resolve():
        for path in outside.iterdir():
            if path.name in {"checkpoints", "journal"}:
                shutil.copyfile(path, kept_outside / path.name)
    for name in opened.names("editions"):
        to = home.path / "editions" / _place_of(name)
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened.put(f"editions/{name}", to)
    for name in opened.names("settings"):
        opened.put(f"settings/{name}", home.path / name)
    sync(home.path)
    write(home.kind_file, f"{manifest.kind}\n".encode())
    return destroyed


def _place_of(name: str) -> Path:
    """Where a file of an edition lies below the folder of editions. Raises BackupError for a name that none has."""
    found = _EDITION.match(name)
    if found is None:
        raise BackupError(f"editions/{name} is no file of an edition; what was restored so far is no desk")
    house_list, number, staged, file = found.groups()
    return Path(house_list, f".{number}.part" if staged else number, file)


def put_content(
    opened: Opened, home: Home, store: Store, *, destroyed: Set[str], tell: Tell = lambda what, done, of: None
) -> None:
    """Put each kept object of the backup that is not `destroyed` into `store`. Raises StoreError and BackupError.

    One that lies there already as it is stands, so that a restore that was cut short goes on; other bytes are refused.
    """
    wanted = [name for name in opened.names("content") if name not in destroyed]
    for number, name in enumerate(wanted, 1):
        with tempfile.TemporaryFile(dir=home.path) as held:
            opened.into(f"content/{name}", cast(BinaryIO, held))
            held.seek(0)
            store.put(name, iter(lambda file=held: file.read(_BETWEEN), b""))  # type: ignore[misc]
        tell("kept objects", number, len(wanted))


def finish(home: Home) -> None:
    """Take the mark away that keeps an unfinished data folder from being opened."""
    (home.path / RESTORING).unlink()
    sync(home.path)


def _make_room(home: Home) -> None:
    """An empty folder with the mark; what an attempt that was cut short left is cleared away."""
    mark = home.path / RESTORING
    if mark.exists():
        _end_database(home)
        for path in home.path.iterdir():
            if path != mark:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return
    if home.kind() is not None or (home.path.is_dir() and any(home.path.iterdir())):
        raise BackupError(f"{home.path} is not empty: a restore never overwrites. Set HAVENLINE_HOME to a new folder")
    home.make()
    write(mark, b"")


def _end_database(home: Home) -> None:
    """Wait for what a killed restore left running in its folder: PostgreSQL, or its set-up."""
    deadline = time.monotonic() + 60.0
    alive = home.postgresql / "alive.lock"
    while alive.exists():
        Cluster(home.postgresql).stop()
        if (lock := try_lock(alive)) is not None:
            os.close(lock)
            return
        if time.monotonic() > deadline:
            raise BackupError(f"what an earlier restore started still works in {home.postgresql}: try again later")
        time.sleep(0.05)


def _load_database(opened: Opened, home: Home, database: str | None) -> None:
    if database is not None:
        with psycopg.connect(database) as connection:
            row = connection.execute("SELECT to_regclass('desk_auditentry')").fetchone()
        if row is not None and row[0] is not None:
            raise BackupError("the database to restore into is not empty; nothing was changed in it")
        with loading(database) as to:
            opened.into("database", to)
        return
    cluster = Cluster(home.postgresql)
    cluster.start()
    try:
        cluster.ensure_roles_and_database()
        with loading(make_conninfo(**cluster.connection(role=OWNER_ROLE))) as to:
            opened.into("database", to)
    finally:
        cluster.stop()


def _identity(path: Path | None) -> pyrage.x25519.Identity | None:
    if path is None:
        return None
    try:
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        return pyrage.x25519.Identity.from_str(lines[0].strip())
    except (OSError, IndexError, UnicodeDecodeError, pyrage.IdentityError):
        raise BackupError(f"{path} holds no age identity; nothing was touched") from None


def _unseal(reading: BinaryIO, to: BinaryIO, identity: pyrage.x25519.Identity | None) -> None:
    assert identity is not None
    try:
        pyrage.decrypt_io(reading, to, [identity])
    except pyrage.DecryptError:
        raise BackupError("this identity does not open the backup; nothing was touched") from None
