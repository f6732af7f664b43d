"""The data folder of one installation: where it lies, what kind it is, and its secret key."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from havenline.vocabulary import HavenlineError

from .binaries import SYSTEM_FOLDER
from .folders import account, try_lock, write

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
_SECRET_LENGTH = 50
RESTORING = "restoring"
"""A file of this name marks a data folder that a restore has not finished."""


class HomeError(HavenlineError):
    """The data folder cannot be used; says why and what to do."""


class HomeKind(StrEnum):
    """A demonstration has laxer rules (printed passwords, kept content), so no desk may ever open its folder."""

    DEMO = "demo"
    DESK = "desk"


@dataclass(frozen=True, slots=True)
class Home:
    """The data folder `path` of user `uid`. Nothing is made before `create`, and no parent's mode is ever changed."""

    path: Path
    uid: int

    @classmethod
    def locate(cls, name: str = "desk", *, environ: Mapping[str, str], uid: int) -> Home:
        """Say where the data folder `name` lies: HAVENLINE_HOME, else the system's place for root or for a user.

        A relative XDG_DATA_HOME is ignored, as its specification asks. Raises HomeError for an impossible name.
        """
        if not _NAME.match(name):
            raise HomeError(f"{name!r} cannot name a data folder: lower-case letters, digits and - are expected")
        if named := environ.get("HAVENLINE_HOME"):
            return cls(Path(named).absolute(), uid)
        if uid == 0:
            return cls(SYSTEM_FOLDER / name, uid)
        share = Path(environ.get("XDG_DATA_HOME", ""))
        if not share.is_absolute():
            share = Path(environ.get("HOME") or account(uid).pw_dir) / ".local" / "share"
        return cls(share / "havenline" / name, uid)

    @property
    def postgresql(self) -> Path:
        """Folder of the embedded PostgreSQL, for `Cluster`, which makes it."""
        return self.path / "postgresql"

    @property
    def kept_content(self) -> Path:
        """Folder of kept content; made by `create`, empty unless a legal basis is declared."""
        return self.path / "content"

    @property
    def keyd(self) -> Path:
        """Folder of the key process, for `OwnKeyd`, which makes it."""
        return self.path / "keyd"

    @property
    def signs_by_file(self) -> bool:
        """Whether the audit log of this folder was begun under a key in a file; then it goes on under it."""
        return (self.path / "audit_signing_key").exists()

    @property
    def secret_key_file(self) -> Path:
        """File of the key that signs sessions; made by `secret_key`."""
        return self.path / "secret_key"

    @property
    def kind_file(self) -> Path:
        """File that says whether this is a demonstration or a desk."""
        return self.path / "kind"

    @property
    def passwords_file(self) -> Path:
        """File of a demonstration's generated passwords; refused for any other kind."""
        if self.kind() is not HomeKind.DEMO:
            raise HomeError(f"{self.path} is no demonstration: passwords are never written down in it")
        return self.path / "passwords.json"

    def kind(self) -> HomeKind | None:
        """Return the recorded kind, or None where no data folder has been made."""
        try:
            recorded = self.kind_file.read_text().strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise HomeError(
                f"{self.kind_file} cannot be read ({error}): run Havenline as the user that made it"
            ) from None
        try:
            return HomeKind(recorded)
        except ValueError:
            raise HomeError(
                f"{self.kind_file} names no kind of data folder: put {' or '.join(HomeKind)} in it"
            ) from None

    def create(self, kind: str) -> None:
        """Make the folder of that kind, closed to others, or open it when it is there.

        Raises HomeError when it is of the other kind, is somebody else's, or holds files that are not Havenline's.
        """
        wanted = HomeKind(kind)
        if self.kind() is None:
            self.make()
            with self._locked():
                if self.kind() is None:
                    write(self.kind_file, f"{wanted}\n".encode())
        self.open(wanted)
        if not self.kept_content.is_dir():
            self.kept_content.mkdir(mode=0o700, exist_ok=True)

    def open(self, kind: str) -> None:
        """Check that the folder exists, is of that kind, and is this user's and writable by nobody else."""
        wanted, found = HomeKind(kind), self.kind()
        if (self.path / RESTORING).exists():
            raise HomeError(f"a restore into {self.path} was cut short, so it is not whole: run the restore again")
        if found is None:
            raise HomeError(f"there is no data folder at {self.path}: `havenline {_MAKER[wanted]}` makes one")
        if found is not wanted:
            raise HomeError(
                f"{self.path} is the data folder of a {found}, not of a {wanted}: set HAVENLINE_HOME to another folder"
            )
        at = self.path.stat()
        if at.st_uid != self.uid:
            raise HomeError(f"{self.path} belongs to {account(at.st_uid).pw_name}: run Havenline as that user")
        if at.st_mode & 0o022:
            raise HomeError(f"others can write in {self.path} (mode {stat.S_IMODE(at.st_mode):04o}): `chmod go-w` it")

    def secret_key(self) -> str:
        """Return the key that signs sessions; 64 random characters are made at the first use."""
        if self.kind() is None:
            raise HomeError(f"there is no data folder at {self.path}, so it has no secret key: make it first")
        with self._locked():
            if not self.secret_key_file.exists():
                write(self.secret_key_file, secrets.token_urlsafe(48).encode())
        try:
            key, mode = self.secret_key_file.read_text().strip(), self.secret_key_file.stat().st_mode
        except (OSError, UnicodeDecodeError) as error:
            raise HomeError(f"{self.secret_key_file} cannot be read ({error}): run Havenline as its owner") from None
        if len(key) < _SECRET_LENGTH or mode & 0o077:
            raise HomeError(
                f"{self.secret_key_file} must hold {_SECRET_LENGTH} characters and be closed to others: "
                "remove it, and everybody signs in anew"
            )
        return key

    def make(self) -> None:
        """Make the folder alone and what is missing above it; take an existing one when it is this user's and empty."""
        try:
            for parent in reversed(self.path.parents):
                if not parent.exists():
                    parent.mkdir(mode=0o700, exist_ok=True)
                    parent.chmod(0o755 if self.uid == 0 else 0o700)  # whatever the umask
            self.path.mkdir(mode=0o700, exist_ok=True)
            if self.path.stat().st_uid != self.uid:
                raise HomeError(f"{self.path} belongs to somebody else: set HAVENLINE_HOME to a folder of your own")
            names = {entry.name for entry in self.path.iterdir()}
            strange = {name for name in names - _EXPECTED if not name.startswith(".kind-")}
            if strange and self.kind() is None:
                raise HomeError(
                    f"{self.path} holds other files ({min(strange)}): set HAVENLINE_HOME to an empty folder"
                )
            self.path.chmod(0o711 if self.uid == 0 else 0o700)  # the database's system user must pass root's folder
        except OSError as error:
            raise HomeError(
                f"{self.path} cannot be made ({error.strerror}): set HAVENLINE_HOME to another folder"
            ) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock under which this folder's own files are made; held for an instant only."""
        while (lock := try_lock(self.path / "lock")) is None:
            time.sleep(0.01)
        try:
            yield
        finally:
            os.close(lock)


_EXPECTED = {"kind", "lock", "lost+found"}
_MAKER = {HomeKind.DEMO: "demo", HomeKind.DESK: "up"}
