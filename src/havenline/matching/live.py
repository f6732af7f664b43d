"""Live lists: a snapshot and a small delta of additions and withdrawals, in one folder that any process may read.

1. A change is appended to the file of changes and flushed to the disk; then it is acknowledged. 2. A reader looks
at two file times before each lookup and takes in what is new, without a lock. 3. When the delta has grown, `fold`
makes a new snapshot of both beside them, and one rename makes it the current one. docs/formats/live-lists.md
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import numpy as np

from havenline.entries import Entries
from havenline.matching.change_log import Change, ChangeLog, LiveListsDamaged, Recorded
from havenline.matching.lists import KindsMixed, Lists, keep_apart
from havenline.matching.snapshot import Edition, Snapshot
from havenline.matching.sources import Rows, Source
from havenline.texts import Texts
from havenline.vocabulary import EditionRef, HavenlineError, ListEntry, ListTerms
from havenline.whole_file import write_whole

CURRENT = "CURRENT"
SEALED_FROM = 2048
"""From so many entries the latest additions are put together with the earlier ones, so that a change stays cheap."""
_TRIES = 100
_NONE: Rows = np.empty(0, np.int64)


class ChangeRefused(HavenlineError):
    """Nothing was changed; the text says why."""


@dataclass(frozen=True, slots=True)
class Changed:
    """An acknowledged change: it holds, across a crash too. `digest` names the state after it."""

    generation: int
    digest: str


@dataclass(slots=True)
class _Delta:
    """What the changes of one generation come to, by name of list."""

    withdrawn: dict[str, dict[str, None]]
    gone: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    sealed: dict[str, Entries] = field(default_factory=dict)
    latest: dict[str, Entries] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=dict)
    terms: dict[str, ListTerms] = field(default_factory=dict)
    changes: int = 0


class LiveLists:
    """Hash lists in a folder that changes while it is read. Safe to use from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Use `create` or `open`."""
        self._folder = folder
        self._named = os.fspath(folder / CURRENT)
        self._lock = Lock()
        self._seen: tuple[int, int] | None = None
        self._log: ChangeLog
        self._base: Snapshot
        self._delta: _Delta
        self._sealed: Snapshot | None = None
        self._lists: Lists | None = None
        with self._lock:
            self._reopen()

    @classmethod
    def create(cls, folder: Path, editions: Sequence[Edition] = (), *, threads: int = 1) -> LiveLists:
        """Make a folder with live lists of `editions`, for its owner alone.

        Raises ChangeRefused when there are live lists in it already, OSError when it cannot be written.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(folder / "lock"):
            if (folder / CURRENT).exists():
                raise ChangeRefused(f"{folder}: holds live lists already; nothing was changed")
            _write_generation(folder, 1, Snapshot.build(editions, threads=threads), ())
            _make_current(folder, 1)
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> LiveLists:
        """Open the live lists in `folder`.

        Raises LiveListsDamaged when they cannot be used or there are none, MappedFileRefused for a damaged
        snapshot, OSError.
        """
        if not (folder / CURRENT).exists():
            raise LiveListsDamaged(f"{folder}: holds no live lists (no file named {CURRENT}); make them first")
        return cls(folder)

    @property
    def generation(self) -> int:
        """The number of the snapshot that the changes belong to."""
        return self._log.generation

    @property
    def pending(self) -> int:
        """How many changes are not yet folded into a snapshot."""
        return self._delta.changes

    def current(self) -> Lists:
        """The lists as they are now: with every change that was acknowledged before this call, by any process.

        Raises as `open` does; the lists that were had before can then be used on.
        """
        lists = self._lists
        if lists is not None and not self._stale():
            return lists
        with self._lock:
            if self._stale():
                self._catch_up()
            if self._lists is None:
                self._lists = self._made()
            return self._lists

    def change(
        self,
        *,
        withdraw: Mapping[str, Sequence[str]] | None = None,
        add: Mapping[str, Sequence[ListEntry]] | None = None,
        terms: Mapping[str, ListTerms] | None = None,
        at: dt.datetime,
    ) -> Changed:
        """Withdraw entries, add entries and set terms of lists, all of it or nothing; return when it holds.

        A withdrawn id stays withdrawn, whether the list has it now or gets it later. Additions to a list that does
        not exist make one, with the number 0. Raises ChangeRefused when an added id was withdrawn, or is there
        already; OSError when it cannot be written; then nothing was changed.
        """
        change = Change(withdraw or {}, add or {}, terms or {}, at.astimezone(dt.UTC).isoformat())
        with self._writing():
            self._check(change)
            recorded = self._log.append(change)
            self._take_in([recorded])
            return Changed(self.generation, recorded.digest)

    def taken(self, name: str, ids: Sequence[str]) -> frozenset[str]:
        """Those of `ids` that the list `name` has, or that were withdrawn from it: `change` would refuse to add them.

        Raises as `open` does.
        """
        with self._lock:
            if self._stale():
                self._catch_up()
            there = set(self._base.ids(self._base.rows_of_ids(name, Texts.of(ids))).strings())
            there |= self._delta.ids.get(name, set()) | self._delta.withdrawn.get(name, {}).keys()
            return frozenset(there.intersection(ids))

    def withdrawn(self, name: str) -> frozenset[str]:
        """Ids that were withdrawn from the list `name`, whether or not it ever had them. Raises as `open` does."""
        with self._lock:
            if self._stale():
                self._catch_up()
            return frozenset(self._delta.withdrawn.get(name, ()))

    def publish(self, edition: Edition, *, threads: int = 1) -> Changed:
        """Put `edition` in the place of the earlier edition of its list, and of what was added to that.

        Ids that were withdrawn from the list are left out. The terms are the edition's. Raises ChangeRefused while
        another process folds or publishes, ValueError, OSError; then nothing was changed.
        """
        self.current()
        self._check_kinds([edition.ref.list_name])
        self._fold(edition, threads=threads)
        return Changed(self.generation, self._log.digest.hex())

    def fold(self, *, threads: int = 1) -> bool:
        """Put the changes into a new snapshot; readers go on meanwhile, and so do writers but for a moment at the end.

        Returns whether there was anything to fold. Raises as `publish` does.
        """
        self.current()
        if not self.pending:
            return False
        self._fold(None, threads=threads)
        return True

    def _stale(self) -> bool:
        return self._log.size != self._log.end or _identity(self._named) != self._seen

    def _catch_up(self) -> None:
        if _identity(self._named) != self._seen or self._log.size < self._log.end:
            self._reopen()
        else:
            self._take_in(list(self._log.news()))

    def _reopen(self) -> None:
        """Open the current generation. One that was current a moment ago may be gone already: look again."""
        for _ in range(_TRIES):
            seen = _identity(self._named)
            generation = _current(self._folder)
            with suppress(FileNotFoundError):
                log = ChangeLog(_changes(self._folder, generation))
                base = Snapshot.open(_snapshot(self._folder, generation))
                break
        else:
            raise LiveListsDamaged(
                f"{self._folder}: the files of generation {generation} are missing; restore a backup"
            )
        if log.snapshot != base.digest or log.generation != generation:
            raise LiveListsDamaged(f"{self._folder}: snapshot and changes do not belong together; restore a backup")
        delta = _Delta(withdrawn={name: dict.fromkeys(ids.strings()) for name, ids in base.withdrawn.items()})
        self._seen, self._log, self._base, self._delta, self._sealed = seen, log, base, delta, None
        self._take_in(list(log.news()))

    def _take_in(self, news: Sequence[Recorded]) -> None:
        delta = self._delta
        withdrawn: dict[str, list[str]] = {}
        added: dict[str, list[ListEntry]] = {}
        for recorded in news:
            for name, ids in recorded.change.withdraw.items():
                withdrawn.setdefault(name, []).extend(ids)
            for name, entries in recorded.change.add.items():
                added.setdefault(name, []).extend(entries)
            delta.terms.update(recorded.change.terms)
        for name, ids in withdrawn.items():
            delta.withdrawn.setdefault(name, {}).update(dict.fromkeys(ids))
            delta.gone = np.union1d(delta.gone, self._base.rows_of_ids(name, Texts.of(ids)))
        for name, entries in added.items():
            delta.ids.setdefault(name, set()).update(entry.entry for entry in entries)
            _add(delta.latest, name, Entries.of(entries))
        if sum(map(len, delta.latest.values())) >= SEALED_FROM:
            for name, columns in delta.latest.items():
                _add(delta.sealed, name, columns)
            delta.latest.clear()
            self._sealed = None
        delta.changes += len(news)
        self._lists = None

    def _made(self) -> Lists:
        """The lists, made anew of what is there already wherever that serves."""
        delta = self._delta
        if self._sealed is None:
            self._sealed = Snapshot.build(self._added(delta.sealed))
        sources = [Source(self._base, delta.gone)]
        for snapshot in (self._sealed, Snapshot.build(self._added(delta.latest))):
            if len(snapshot):
                rows = [snapshot.rows_of_ids(name, Texts.of(ids)) for name, ids in delta.withdrawn.items()]
                sources.append(Source(snapshot, np.unique(np.concatenate([*rows, _NONE]))))
        return Lists(sources, dict(delta.terms))

    def _added(self, entries: Mapping[str, Entries]) -> list[Edition]:
        """What was added, as editions: they name the file of changes that it stands in."""
        return [
            Edition(EditionRef(name, self._number_of(name), self._log.start), columns, self._terms_of(name), added=True)
            for name, columns in entries.items()
        ]

    def _number_of(self, name: str) -> int:
        return next((head.ref.number for head in self._base.heads if head.ref.list_name == name), 0)

    def _terms_of(self, name: str) -> ListTerms:
        known = (head.terms for head in self._base.heads if head.ref.list_name == name)
        return self._delta.terms.get(name) or next(known, ListTerms())

    def _check_kinds(self, names: Iterable[str]) -> None:
        try:
            keep_apart([*(head.ref.list_name for head in self._base.heads), *self._delta.ids, *names])
        except KindsMixed as error:
            raise ChangeRefused(f"{error}; nothing was changed") from None

    def _check(self, change: Change) -> None:
        self._check_kinds(change.add)
        for name, entries in change.add.items():
            ids = [entry.entry for entry in entries]
            gone = {*self._delta.withdrawn.get(name, ()), *change.withdraw.get(name, ())}
            back = next((each for each in ids if each in gone), None)
            if back is not None:
                raise ChangeRefused(
                    f"entry {back!r} was withdrawn from the list {name!r} and does not come back under that id; "
                    "nothing was changed"
                )
            there = self._has(name, ids)
            if there is not None:
                raise ChangeRefused(f"the list {name!r} has the entry {there!r} already; nothing was changed")
        names = {head.ref.list_name for head in self._base.heads} | self._delta.ids.keys() | change.add.keys()
        unknown = next((name for name in change.terms if name not in names), None)
        if unknown is not None:
            raise ChangeRefused(f"there is no list {unknown!r}; nothing was changed")

    def _has(self, name: str, ids: Sequence[str]) -> str | None:
        """The first of `ids` that the list has, or that stands among them twice."""
        rows = self._base.rows_of_ids(name, Texts.of(ids))
        if len(rows):
            return self._base.ids(rows[:1])[0]
        seen = set(self._delta.ids.get(name, ()))
        for each in ids:
            if each in seen:
                return each
            seen.add(each)
        return None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Alone among all writers, with everything taken in that they wrote."""
        with self._lock, _alone(self._folder / "lock"):
            self._catch_up()
            yield

    def _fold(self, published: Edition | None, *, threads: int) -> None:
        with _alone(self._folder / "fold.lock", wait=False):
            seen = LiveLists(self._folder)
            position, generation = seen._log.end, seen.generation + 1
            _sweep(self._folder, keep=seen.generation)
            digest = _folded(seen, published, threads=threads).save(_snapshot(self._folder, generation))
            with self._writing():
                later = _later(_changes(self._folder, seen.generation), position)
                ChangeLog.create(
                    _changes(self._folder, generation), generation=generation, snapshot=digest, changes=later
                )
                _make_current(self._folder, generation)
                self._reopen()
            _sweep(self._folder, keep=generation)


def _folded(seen: LiveLists, published: Edition | None, *, threads: int) -> Snapshot:
    """One snapshot of what `seen` holds: what was withdrawn left out, what was added to a list put together."""
    delta = seen._delta
    withdrawn = {name: Texts.of(ids) for name, ids in delta.withdrawn.items() if ids}
    made: list[Edition] = []
    added: dict[str, list[Edition]] = {}
    for edition in [*seen._base.editions(), *seen._added(delta.sealed), *seen._added(delta.latest)]:
        name = edition.ref.list_name
        if published is not None and name == published.ref.list_name:
            continue
        left = _without(edition, withdrawn.get(name), delta.terms.get(name))
        if edition.added:
            added.setdefault(name, []).append(left)
        else:
            made.append(left)
    for name, editions in added.items():
        entries = Entries.joined([each.entries for each in editions])
        digest = seen._log.digest.hex() if name in delta.ids else editions[-1].ref.digest
        if len(entries):
            made.append(replace(editions[-1], ref=replace(editions[-1].ref, digest=digest), entries=entries))
    if published is not None:
        made.append(_without(published, withdrawn.get(published.ref.list_name), None))
    return Snapshot.build(made, withdrawn=withdrawn, threads=threads)


def _without(edition: Edition, withdrawn: Texts | None, terms: ListTerms | None) -> Edition:
    entries = edition.entries
    if withdrawn is not None and len(entries):
        gone = np.isin(entries.ids.keys(), withdrawn.keys())
        names = set(withdrawn.strings())
        left = [row for row in np.flatnonzero(gone).tolist() if entries.ids[row] not in names]
        entries = entries.take(np.sort(np.concatenate([np.flatnonzero(~gone), np.array(left, np.int64)])))
    return replace(edition, entries=entries, terms=terms or edition.terms)


def _add(to: dict[str, Entries], name: str, columns: Entries) -> None:
    to[name] = Entries.joined([to[name], columns]) if name in to else columns


def _later(path: Path, position: int) -> list[Change]:
    log = ChangeLog(path)
    changes = [recorded.change for recorded in log.news() if recorded.end > position]
    log.close()
    return changes


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as fast, and asked before each lookup
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _current(folder: Path) -> int:
    text = (folder / CURRENT).read_text()
    if not text.strip().isdigit():
        raise LiveListsDamaged(f"{folder / CURRENT}: names no generation; restore it from a backup")
    return int(text)


def _snapshot(folder: Path, generation: int) -> Path:
    return folder / f"g{generation:06d}.snapshot"


def _changes(folder: Path, generation: int) -> Path:
    return folder / f"g{generation:06d}.changes"


def _write_generation(folder: Path, generation: int, snapshot: Snapshot, changes: Sequence[Change]) -> None:
    digest = snapshot.save(_snapshot(folder, generation))
    ChangeLog.create(_changes(folder, generation), generation=generation, snapshot=digest, changes=changes)


def _make_current(folder: Path, generation: int) -> None:
    with write_whole(folder / CURRENT, replace=True) as file:
        file.write(f"{generation}\n".encode())


def _sweep(folder: Path, *, keep: int) -> None:
    """Remove the files of other generations; who has them open keeps them."""
    for path in [*folder.glob("g*.snapshot"), *folder.glob("g*.changes"), *folder.glob(".g*.part")]:
        if path.name not in (_snapshot(folder, keep).name, _changes(folder, keep).name):
            path.unlink(missing_ok=True)


@contextmanager
def _alone(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of that file; it falls with the process. Raises ChangeRefused when not waiting and it is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ChangeRefused(
                f"{path.parent}: another process is folding or publishing; nothing was changed, try again later"
            ) from None
        yield
    finally:
        os.close(descriptor)
