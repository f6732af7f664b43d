"""Folders, files and locks on disk: made closed, proved to be what they should be, replaced in one step."""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import tempfile
from pathlib import Path

from havenline.vocabulary import HavenlineError


class FolderError(HavenlineError):
    """A folder, a file or a lock cannot be used; says which and what to do."""


def account(uid: int) -> pwd.struct_passwd:
    """Return the account of user `uid`; raises FolderError when it has no name, which PostgreSQL needs."""
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise FolderError(f"user id {uid} has no name on this machine: add it to /etc/passwd") from None


def is_private(folder: Path, *, owner: int) -> bool:
    """Whether `folder` is a real folder (no link) of user `owner`, closed to everyone else."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not found.st_mode & 0o077


def first_wall(path: Path, *, user: pwd.struct_passwd) -> Path | None:
    """Return the topmost part of `path` that `user`, in no group but its own, may not pass or run, or None.

    Not checked: access control lists, and mounts that forbid running programs.
    """
    real = path.resolve()
    for part in [*reversed(real.parents), real]:
        found = part.stat()
        shift = 6 if found.st_uid == user.pw_uid else 3 if found.st_gid == user.pw_gid else 0
        if not found.st_mode >> shift & 1:
            return part
    return None


def try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the lock of file `path`, or None when somebody else holds it.

    The lock lasts until the descriptor and every copy of it that a child process inherited is closed.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FolderError(f"{path} cannot be opened ({error.strerror}): run as the user that made it") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def sync(folder: Path) -> None:
    """Make renames inside `folder` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, content: bytes, *, mode: int = 0o600, group: int | None = None) -> None:
    """Replace file `path` by `content`, durably and in one step; readers see the old or the new whole."""
    descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(descriptor, "wb") as stream:
        if group is not None:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)
    Path(fresh).replace(path)
    sync(path.parent)
