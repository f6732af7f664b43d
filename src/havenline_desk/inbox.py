"""The one folder of the server from which an import may be started on a page; whoever runs the host puts things there.

Nothing comes into it by way of the desk: no upload, and no address is ever opened.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from django.conf import settings

from havenline.vocabulary import HavenlineError

ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
MANIFEST = ".csv"
LONGEST = 1000


class InboxRefused(HavenlineError):
    """There is no such thing in the inbox, or it may not be taken from there; the text says which."""


class EntryKind(StrEnum):
    FOLDER = "folder"
    ARCHIVE = "archive"
    MANIFEST = "manifest"


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """Something that lies directly in the inbox. Told by its name alone: nothing of it was opened."""

    name: str
    kind: EntryKind


def folder() -> Path:
    """HAVENLINE_INBOX, or `inbox` in the data folder."""
    return Path(settings.INBOX or settings.HOME / "inbox")


def make_ready() -> None:
    """Make the inbox of the data folder, closed to others; one that HAVENLINE_INBOX names is its owner's to make."""
    if not settings.INBOX:
        folder().mkdir(mode=0o700, exist_ok=True)


def entries() -> tuple[InboxEntry, ...] | None:
    """What can be imported and the manifests beside it, by name, at most 1000; None without an inbox.

    Links are left out, and so are names that begin with a dot, cannot be printed, or are not UTF-8.
    """
    try:
        with os.scandir(folder()) as found:
            listed = [InboxEntry(each.name, kind) for each in found if (kind := _kind(each)) is not None]
    except OSError:
        return None
    return tuple(sorted(listed, key=lambda entry: entry.name)[:LONGEST])


def path_of(name: str, *kinds: EntryKind) -> Path:
    """The path of what lies there under that name and is of one of these kinds. Raises InboxRefused."""
    for entry in entries() or ():
        if entry.name == name and entry.kind in kinds:
            return folder().resolve() / name
    raise InboxRefused("there is no such thing in the inbox any more; choose again")


def digest_of(manifest: str) -> str:
    """SHA-256, hexadecimal, of the manifest of that name; empty without a name. Raises InboxRefused."""
    if not manifest:
        return ""
    try:
        return hashlib.sha256(path_of(manifest, EntryKind.MANIFEST).read_bytes()).hexdigest()
    except OSError as error:
        raise InboxRefused(f"the manifest cannot be read ({error.strerror}); nothing was started") from None


def count_files(source: Path) -> int | None:
    """How many files a folder has, links left out; None of an archive, which is not opened for that."""
    if not source.is_dir():
        return None
    return sum(not Path(where, name).is_symlink() for where, _, names in os.walk(source) for name in names)


def _kind(entry: os.DirEntry[str]) -> EntryKind | None:
    if entry.name.startswith(".") or not entry.name.isprintable() or len(entry.name) > 200:
        return None
    if entry.is_dir(follow_symlinks=False):
        return EntryKind.FOLDER
    if not entry.is_file(follow_symlinks=False):
        return None
    lower = entry.name.lower()
    if lower.endswith(MANIFEST):
        return EntryKind.MANIFEST
    return EntryKind.ARCHIVE if lower.endswith(ARCHIVES) else None
