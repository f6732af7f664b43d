"""The postings of a source: a folder, a zip, a tar (also gzip, bzip2 or xz), or one file; by content, not by
name.

Postings come one at a time. A folder's come sorted by their relative path as bytes, so that two machines
agree; an archive's come in the archive's own order, which is stable and lets a tar be read as a stream.
Archives are opened one level deep: an archive inside a source is refused and has to be imported by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from havenline.media import archives
from havenline.media.postings import (
    DEFAULT_CONTAINER_LIMITS,
    ContainerLimits,
    Names,
    Posting,
    PostingUnreadableError,
    RefusedPosting,
    SourceError,
    open_regular,
    shown,
)
from havenline.vocabulary import Refusal, Refused

__all__ = [
    "DEFAULT_CONTAINER_LIMITS",
    "ContainerLimits",
    "Posting",
    "PostingUnreadableError",
    "RefusedPosting",
    "SourceError",
    "open_source",
]


Unpacking = Callable[[Path, str, ContainerLimits], Iterator[Posting | RefusedPosting]]
"""As `archives.members`."""


def open_source(
    path: Path, *, limits: ContainerLimits = DEFAULT_CONTAINER_LIMITS, unpacking: Unpacking = archives.members
) -> Iterator[Posting | RefusedPosting]:
    """Every posting of the source at `path`, and a refusal for each that cannot be had; links are never
    followed.

    The source itself may be a link: whoever named it meant it. Raises SourceError at once, with one line,
    when it does not exist, is neither a folder nor a file, or cannot be read. `unpacking` reads the members of an
    archive. Not checked: the kind of the postings themselves.
    """
    try:
        source = path.resolve(strict=True)
        if source.is_dir():
            os.scandir(source).close()
            return _in_folder(source)
        with open_regular(source) as stream:
            kind = archives.archive_kind(stream)
            size = stream.seek(0, 2)
    except FileNotFoundError as error:
        raise SourceError(f"{path} does not exist") from error
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "a link that leads to itself"
        raise SourceError(f"{path} cannot be read ({reason})") from error
    if kind is None:
        return iter((Posting(path=shown(os.fsencode(source.name)), size=size, file=source),))
    return unpacking(source, kind, limits)


def _in_folder(root: Path) -> Iterator[Posting | RefusedPosting]:
    names = Names()
    waiting = _listed(root, b"")
    while waiting:
        entry, relative = waiting.pop()
        if isinstance(entry, Refused):
            yield RefusedPosting(names.distinct(shown(relative)), entry)
        elif entry.is_dir(follow_symlinks=False):
            waiting += _listed(Path(entry.path), relative + b"/")
        else:
            found = _at(entry)
            label = names.distinct(shown(relative))
            if isinstance(found, Refused):
                yield RefusedPosting(label, found)
            else:
                yield Posting(path=label, size=found, file=Path(entry.path))


def _listed(folder: Path, prefix: bytes) -> list[tuple[os.DirEntry[str] | Refused, bytes]]:
    """The entries of one folder, the first in order last; folders sort as if their name ended in a slash."""
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError as error:
        detail = f"the folder could not be read ({error.strerror}); nothing in it was taken in"
        return [(Refused(Refusal.UNREADABLE, detail), prefix.rstrip(b"/"))]

    def order(entry: os.DirEntry[str]) -> bytes:
        return os.fsencode(entry.name) + (b"/" if entry.is_dir(follow_symlinks=False) else b"")

    return [(entry, prefix + os.fsencode(entry.name)) for entry in sorted(entries, key=order, reverse=True)]


def _at(entry: os.DirEntry[str]) -> int | Refused:
    """The size of a regular file that can be read and is no archive, or why it is refused."""
    if entry.is_symlink():
        return Refused(Refusal.LINK, "a link is not followed; import the file it leads to")
    if not entry.is_file(follow_symlinks=False):
        return Refused(Refusal.NOT_A_FILE, "neither a file nor a folder (a pipe, socket or device)")
    try:
        with open_regular(Path(entry.path)) as stream:
            if archives.archive_kind(stream) is not None:
                return archives.NESTED
            return stream.seek(0, 2)
    except OSError as error:
        return Refused(Refusal.UNREADABLE, f"the file could not be read ({error.strerror}); check its permissions")
