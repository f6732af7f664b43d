"""Hash lists by the argument that names them: a snapshot, a folder with live lists, or a file of another form."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from havenline.entries import Entries
from havenline.formats.hash_list import HashList, ListError, read_list
from havenline.matching.asked import NO_LEEWAY
from havenline.matching.change_log import LiveListsDamaged
from havenline.matching.lists import Lists
from havenline.matching.live import CURRENT, LiveLists
from havenline.matching.mapped_file import MappedFileRefused, is_mapped
from havenline.matching.snapshot import Edition, EditionHead, Snapshot
from havenline.matching.sources import Source
from havenline.vocabulary import EditionRef, Fingerprint, Leeway, ListTerms, Match

Progress = Callable[[int], None]


class Kept(StrEnum):
    """How hash lists are kept where an argument leads."""

    SNAPSHOT = "snapshot"
    LIVE = "live"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class OpenedLists:
    """What one argument names. `read` is there for a file of another form, `snapshot` for a snapshot, `live` for a
    folder with live lists.
    """

    argument: str
    kept: Kept
    lists: Lists
    read: HashList | None = None
    snapshot: Snapshot | None = None
    live: LiveLists | None = None

    @property
    def heads(self) -> tuple[EditionHead, ...]:
        """The editions that are looked up in."""
        return self.lists.heads


def open_lists(
    argument: str, *, verify: bool = False, threads: int = 1, progress: Progress | None = None
) -> OpenedLists:
    """What `argument` names, ready to answer lookups.

    A snapshot is mapped and none of its entries is read, unless `verify` asks for its sections to be checked; a folder
    of live lists is opened as it is now; anything else is read as `read_list` does. Raises ListError with the reason.
    """
    path, kept = Path(argument), kept_as(argument)
    if kept is Kept.FILE:
        read = read_list(argument, progress=progress)
        made = Lists.build([Edition(read.ref, read.entries)], threads=threads)
        return OpenedLists(argument, kept, made, read=read)
    with _one_line(path):
        if kept is Kept.SNAPSHOT:
            snapshot = Snapshot.open(path, verify=verify)
            return OpenedLists(argument, kept, Lists([Source(snapshot)]), snapshot=snapshot)
        live = live_lists(path)
        return OpenedLists(argument, kept, live.current(), live=live)


def live_lists(folder: Path) -> LiveLists:
    """The live lists in `folder`. Raises ListError with the reason."""
    if not (folder / CURRENT).exists():
        raise ListError(f"{folder}: cannot be read (it holds no live lists: no file in it is named {CURRENT})")
    with _one_line(folder):
        return LiveLists.open(folder)


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """What a snapshot or live lists are refused for, as a ListError that names the file."""
    try:
        yield
    except MappedFileRefused as error:
        raise ListError(f"{path}: {error}") from None
    except LiveListsDamaged as error:
        raise ListError(str(error)) from None
    except OSError as error:
        raise ListError(f"{path}: cannot be read ({error.strerror or error})") from None


class ListsTogether:
    """What several arguments name, as one; live lists are looked up in as they are at each lookup."""

    def __init__(self, opened: Sequence[OpenedLists]) -> None:
        """Raises ListError where two arguments name the same list and number."""
        _check_names(opened)
        self._opened = tuple(opened)
        self._parts: list[Lists] = []
        self._lists = self._now()

    @property
    def heads(self) -> tuple[EditionHead, ...]:
        """The editions that are looked up in."""
        return self._now().heads

    def lookup(
        self, fingerprints: Sequence[Fingerprint], *, at: dt.datetime, leeway: Leeway = NO_LEEWAY
    ) -> list[tuple[Match, ...]]:
        """As `Lists.lookup`. Raises as `LiveLists.current` does."""
        return self._now().lookup(fingerprints, at=at, leeway=leeway)

    def in_shadow(self) -> Lists | None:
        """As `Lists.in_shadow`."""
        return self._now().in_shadow()

    def _now(self) -> Lists:
        parts = [each.lists if each.live is None else each.live.current() for each in self._opened]
        if not self._parts or any(new is not old for new, old in zip(parts, self._parts, strict=True)):
            self._parts, self._lists = parts, Lists.joined(parts)
        return self._lists


def _check_names(opened: Sequence[OpenedLists]) -> None:
    named: dict[tuple[str, int], str] = {}
    for each in opened:
        for name, number in sorted({(head.ref.list_name, head.ref.number) for head in each.heads}):
            if (name, number) in named:
                raise ListError(
                    f"{each.argument} and {named[name, number]} are both named {name!r} number {number}: "
                    "a match could not say which it came from, so rename one of them"
                )
            named[name, number] = each.argument


def kept_as(argument: str) -> Kept:
    """How the lists that `argument` names are kept, by what is there; what cannot be read counts as a file."""
    path = Path(argument)
    if path.is_dir():
        return Kept.LIVE
    try:
        with path.open("rb") as file:
            return Kept.SNAPSHOT if is_mapped(file.read(8)) else Kept.FILE
    except OSError:
        return Kept.FILE


def write_snapshot(
    path: Path,
    entries: Entries,
    *,
    name: str,
    number: int,
    made_by: str,
    pipeline: str = "",
    terms: ListTerms | None = None,
    replace: bool = False,
    threads: int = 1,
) -> EditionRef:
    """Keep one edition as the snapshot `path`, whole or not at all; `pipeline` as in `Edition`.

    Raises ListError when the file exists and `replace` is false, or cannot be written; ValueError when the number is
    under 1 or an entry id occurs twice.
    """
    if number < 1:
        raise ValueError("editions are numbered from 1")
    if len(entries.ids.repeats()[0]):
        raise ValueError("two entries have one id")
    ref = EditionRef(name, number, entries.digest())
    edition = Edition(ref, entries, terms or ListTerms(), made_by, pipeline=pipeline)
    snapshot = Snapshot.build([edition], threads=threads)
    try:
        snapshot.save(path, replace=replace)
    except FileExistsError:
        raise ListError(f"{path}: exists already and was left as it is; use --force to replace it") from None
    except OSError as error:
        raise ListError(f"{path}: cannot be written ({error.strerror or error}); nothing was kept") from None
    return ref


def check_whole(opened: OpenedLists) -> None:
    """Check every section of a snapshot, or of the one that live lists stand on, and the digests of its editions.

    Raises ListError with the first thing that is wrong. Not checked: the digest of what was added to an edition, and
    of an edition from which entries were withdrawn, which is that of the edition it came from.
    """
    path = Path(opened.argument)
    snapshots = [path] if opened.kept is Kept.SNAPSHOT else sorted(path.glob("g*.snapshot"))
    for each in snapshots:
        with _one_line(each), suppress(*([FileNotFoundError] if opened.kept is Kept.LIVE else [])):
            snapshot = Snapshot.open(each, verify=True)
            for edition in snapshot.editions():
                whole = not edition.added and edition.ref.list_name not in snapshot.withdrawn
                if whole and edition.entries.digest() != edition.ref.digest:
                    raise ListError(
                        f"{each}: the entries of {edition.ref.list_name!r} number {edition.ref.number} do not give the "
                        "digest that it names; fetch it again, or make it anew"
                    )
