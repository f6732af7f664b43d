"""Editions of a list that this house publishes: one folder each, numbered, never changed once it stands.

Specified in `docs/formats/edition.md`; section numbers below are that page's.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from havenline.formats.edition_line import CODE, VALUES, Line, added_line, line_by_pattern, line_pattern
from havenline.formats.merkle_tree import Frontier, leaf_hash
from havenline.vocabulary import HavenlineError, ListEntry, check_hex
from havenline.whole_file import flush_folder

FORM = "havenline-edition/1"
HEAD, ENTRIES, CHANGES = "edition.json", "entries.ndjson", "changes.ndjson"
LONGEST_LINE = 4096
"""Bytes of one line of entries or changes, and of `edition.json`; a longer one is refused unread."""
ALGORITHMS = ("sha256", "sha1", "md5", "pdq")
MARKS = ("", "small-quorum")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
_ENTRY = re.compile(r"[0-9a-f]{32}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_CODE = re.compile(CODE + r"\Z")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_TIME_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z", re.ASCII)


class EditionRefused(HavenlineError):
    """An edition cannot be written or used; the text names the file, the line and the reason."""


class ListKind(StrEnum):
    """What a published list is of; the two last are separate lists that a partner opts into by name."""

    CSAM = "csam"
    PROHIBITED = "prohibited"
    NATIONALLY_ILLEGAL = "nationally_illegal"


_LINE = line_pattern(ListKind, MARKS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One released entry. `entry`: a random id, 32 hex digits, never a hash. `values`: lower-case hex by algorithm.

    `quality`: of the PDQ value, 0..100, with it and never without. `code`: the official short code, or empty.
    `assessments`: how many people assessed the file. `mark`: `small-quorum` or empty. `released`: UTC, whole seconds.
    Raises ValueError for anything else. Not checked: that the framework is known here, that the code is one of it.
    """

    entry: str
    values: Mapping[str, str]
    quality: int | None
    kind: ListKind
    framework: str
    version: str
    code: str
    assessments: int
    mark: str
    released: dt.datetime

    def __post_init__(self) -> None:
        if not _ENTRY.match(self.entry):
            raise ValueError("the id of an entry is 32 lower-case hex digits")
        if not self.values or not set(self.values) <= set(ALGORITHMS):
            raise ValueError(f"an entry has values of {', '.join(ALGORITHMS)}, at least one, and of nothing else")
        for algorithm, value in self.values.items():
            check_hex(algorithm, value)
        if ("pdq" in self.values) != (self.quality is not None) or not 0 <= (self.quality or 0) <= 100:
            raise ValueError("a PDQ value comes with its quality, 0 to 100, and nothing else has one")
        if not _CODE.match(self.framework) or not _CODE.match(self.version):
            raise ValueError("framework and version are codes of at most 64 characters")
        if self.code and not _CODE.match(self.code):
            raise ValueError("the code is none of at most 64 letters, digits and . _ : -")
        if self.assessments < 1 or self.mark not in MARKS:
            raise ValueError("an entry says how many people assessed it, and bears a mark that is known or none")
        if self.released.tzinfo is None or self.released.microsecond:
            raise ValueError("the time of a release is in UTC and whole seconds")

    def brief(self) -> Line:
        """What a reader of a whole edition needs of it."""
        return Line(self.code, self.entry, self.kind.value, self.quality, *map(self.values.get, VALUES))

    def listed(self) -> ListEntry:
        """The entry as matching knows it, its code for a label."""
        return self.brief().listed()

    def line(self) -> bytes:
        """Canonical JSON of the entry, without a line feed (2.)."""
        return _canonical(self._said())

    def _said(self) -> dict[str, Any]:
        return {
            "assessments": self.assessments,
            "code": self.code,
            "entry": self.entry,
            "framework": self.framework,
            "kind": self.kind.value,
            "mark": self.mark,
            "quality": self.quality,
            "released": self.released.astimezone(dt.UTC).strftime(_TIME),
            "values": dict(self.values),
            "version": self.version,
        }


@dataclass(frozen=True, slots=True)
class Edition:
    """What `edition.json` says (1.), and its own SHA-256, `digest`, by which the edition is named.

    `entries`: how many are in force; `added`, `withdrawn`: since the edition before; `withdrawn_total`: ever.
    `root`: hex, the Merkle tree hash of RFC 6962 over the lines of entries. `previous`: digest of the edition before.
    """

    list_name: str
    kind: ListKind
    number: int
    previous: str | None
    made_at: dt.datetime
    entries: int
    added: int
    withdrawn: int
    withdrawn_total: int
    root: str
    entries_sha256: str
    changes_sha256: str
    digest: str


@dataclass(frozen=True, slots=True)
class Added:
    """An entry that the edition before did not have."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """An entry that the edition before had; `entry` is its id, which never comes back."""

    entry: str


def check_list_name(name: str) -> str:
    """Return `name` where it can be a list's and a folder's: lower-case letters, digits, hyphens; else ValueError."""
    if not _NAME.match(name) or name.startswith("ncii"):
        raise ValueError("a list's name is 1 to 64 lower-case letters, digits and hyphens, and never begins with ncii")
    return name


def write_edition(
    folder: Path,
    *,
    list_name: str,
    kind: ListKind,
    entries: Iterable[Entry],
    previous: Path | None,
    made_at: dt.datetime,
) -> Edition:
    """Write the next edition of a list under `folder`, whole or not at all; `previous` is the folder of the last.

    As `stage_edition`, then `place_edition`.
    """
    edition = stage_edition(folder, list_name=list_name, kind=kind, entries=entries, previous=previous, made_at=made_at)
    place_edition(folder, edition.number, edition.digest)
    return edition


def stage_edition(
    folder: Path,
    *,
    list_name: str,
    kind: ListKind,
    entries: Iterable[Entry],
    previous: Path | None,
    made_at: dt.datetime,
) -> Edition:
    """Write the next edition beside its place and flush it to the disk; nobody reads it there.

    One that was staged before and never placed is replaced. `entries`: all in force, in any order, held in memory as
    their lines. Raises EditionRefused where an id stands twice, an entry differs from what the edition before says of
    its id, is of another kind, or `previous` is of another list; OSError.
    """
    check_list_name(list_name)
    before, last = {}, None
    if previous is not None:
        last, held = read_lines(previous)
        before = {each.entry: line for each, line in held}
        if (last.list_name, last.kind) != (list_name, kind):
            raise EditionRefused(f"{previous}: is of the list {last.list_name}, {last.kind}; nothing was written")
    lines: dict[str, bytes] = {}
    for each in entries:
        if each.entry in lines or each.kind is not kind:
            raise EditionRefused(f"{list_name}: the entry {each.entry} stands twice, or is of another kind")
        lines[each.entry] = line = each.line()
        if before.get(each.entry, line) != line:
            raise EditionRefused(f"{list_name}: the entry {each.entry} is not as it was released; nothing was written")
    added, gone = sorted(lines.keys() - before.keys()), sorted(before.keys() - lines.keys())
    ordered = [lines[name] for name in sorted(lines)]
    changes = [change_line(Withdrawn(name)) for name in gone]
    changes += [added_line(lines[name]) for name in added]
    number = last.number + 1 if last is not None else 1
    said = {
        "added": len(added),
        "changes_sha256": _digest_of_lines(changes),
        "entries": len(ordered),
        "entries_sha256": _digest_of_lines(ordered),
        "form": FORM,
        "kind": kind.value,
        "list": list_name,
        "made_at": made_at.astimezone(dt.UTC).strftime(_TIME),
        "number": number,
        "previous": last.digest if last is not None else None,
        "root": Frontier().extended(map(leaf_hash, ordered)).root.hex(),
        "withdrawn": len(gone),
        "withdrawn_total": len(gone) + (last.withdrawn_total if last is not None else 0),
    }
    head = _canonical(said) + b"\n"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = _staged(folder, number)
    with suppress(FileNotFoundError):
        shutil.rmtree(staged)
    staged.mkdir(mode=0o700)
    for name, content in ((ENTRIES, ordered), (CHANGES, changes), (HEAD, [head[:-1]])):
        _write(staged / name, content)
    flush_folder(staged)
    flush_folder(folder)
    return _head(head, staged / HEAD)


def place_edition(folder: Path, number: int, digest: str) -> Path:
    """Give the staged edition of that digest its name, its number, and return its folder; safe to call again.

    Raises EditionRefused where neither there nor staged is exactly this edition, OSError.
    """
    place, staged = folder / str(number), _staged(folder, number)
    if not place.exists():
        if not (staged / HEAD).exists() or head_of(staged).digest != digest:
            raise EditionRefused(f"{place}: this edition is not there and was not staged; restore it from a backup")
        staged.rename(place)
        flush_folder(folder)
    if head_of(place).digest != digest:
        raise EditionRefused(f"{place}: is another edition than the one recorded; restore it from a backup")
    return place


def head_of(folder: Path) -> Edition:
    """What the edition in `folder` says of itself. Not checked: its entries; raises EditionRefused."""
    path = folder / HEAD
    try:
        with path.open("rb") as file:
            return _head(file.read(LONGEST_LINE + 1), path)
    except OSError as error:
        raise EditionRefused(f"{path}: cannot be read ({error.strerror or error})") from None


def read_edition(folder: Path) -> tuple[Edition, Iterator[Entry]]:
    """The edition in `folder` and its entries in order.

    Each line is checked as it comes, count, digest and root once the last one was taken; until then nothing says that
    the entries are all. Raises EditionRefused, also from the iterator.
    """
    edition = head_of(folder)
    return edition, _entries(folder / ENTRIES, edition)


def read_lines(folder: Path) -> tuple[Edition, Iterator[tuple[Line, bytes]]]:
    """As `read_edition`, with the lines of entries as they stand there, in a fifth of its time."""
    edition = head_of(folder)
    return edition, _checked(folder / ENTRIES, edition)


def read_changes(folder: Path) -> tuple[Edition, Iterator[Added | Withdrawn]]:
    """The edition in `folder` and what differs in it from the one before: withdrawn first, then added.

    Checked as by `read_edition`. Not checked: that the changes lead from the edition before to this one.
    """
    edition = head_of(folder)
    return edition, _changes(folder / CHANGES, edition)


def parse_change(line: bytes, *, path: Path, number: int) -> Added | Withdrawn:
    """The change of one line without its end; path and number only name it where EditionRefused is raised."""
    said = _object(line, path, number)
    op = said.pop("op", None)
    if op == "add":
        return Added(parse_entry(_canonical(said), path=path, number=number))
    if op == "withdraw" and said.keys() == {"entry"} and _matches(_ENTRY, said["entry"]):
        return Withdrawn(said["entry"])
    raise EditionRefused(f"{path}: line {number}: neither a withdrawal nor an addition")


def change_line(change: Added | Withdrawn) -> bytes:
    """Canonical JSON of a change, without a line feed (3.)."""
    if isinstance(change, Withdrawn):
        return _canonical({"op": "withdraw", "entry": change.entry})
    return _canonical({"op": "add", **change.entry._said()})


def _entries(path: Path, edition: Edition) -> Iterator[Entry]:
    for number, (_, line) in enumerate(_checked(path, edition), start=1):
        yield parse_entry(line, path=path, number=number)


def _checked(path: Path, edition: Edition) -> Iterator[tuple[Line, bytes]]:
    tree, last, leaves = Frontier(), "", list[bytes]()
    for number, line in _lines(path, edition.entries_sha256):
        entry = parse_line(line, path=path, number=number)
        if entry.entry <= last or entry.kind != edition.kind:
            raise EditionRefused(f"{path}: line {number}: out of order, twice, or of another kind")
        last = entry.entry
        leaves.append(leaf_hash(line))
        if len(leaves) == 1 << 12:
            tree, leaves = tree.extended(leaves), []
        yield entry, line
    tree = tree.extended(leaves)
    if tree.size != edition.entries or tree.root.hex() != edition.root:
        raise EditionRefused(f"{path}: these are not the entries that edition {edition.number} names")


def _changes(path: Path, edition: Edition) -> Iterator[Added | Withdrawn]:
    added = withdrawn = 0
    for number, line in _lines(path, edition.changes_sha256):
        change = parse_change(line, path=path, number=number)
        if isinstance(change, Withdrawn) and added:
            raise EditionRefused(f"{path}: line {number}: a withdrawal behind an addition")
        added, withdrawn = added + isinstance(change, Added), withdrawn + isinstance(change, Withdrawn)
        yield change
    if (added, withdrawn) != (edition.added, edition.withdrawn):
        raise EditionRefused(f"{path}: these are not the changes that edition {edition.number} names")


def _lines(path: Path, digest: str) -> Iterator[tuple[int, bytes]]:
    """The lines of the file without their ends, numbered from 1; at the end the whole must have that digest."""
    whole = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_bounded(file), start=1):
                if not line.endswith(b"\n"):
                    raise EditionRefused(f"{path}: line {number}: longer than {LONGEST_LINE} bytes, or cut off")
                whole.update(line)
                yield number, line[:-1]
    except OSError as error:
        raise EditionRefused(f"{path}: cannot be read ({error.strerror or error})") from None
    if whole.hexdigest() != digest:
        raise EditionRefused(f"{path}: has another SHA-256 than {HEAD} says")


def _bounded(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LONGEST_LINE + 1):
        yield line


def parse_line(line: bytes, *, path: Path, number: int) -> Line:
    """What `parse_entry` accepts, for readers of whole editions. Raises EditionRefused."""
    # Member by member where the pattern does not know it: that says what is wrong.
    return line_by_pattern(_LINE, line) or parse_entry(line, path=path, number=number).brief()


def parse_entry(line: bytes, *, path: Path, number: int) -> Entry:
    """The entry on line `number` of `path`, without its line feed. Raises EditionRefused."""
    said = _loaded(line, path, number)
    try:
        found = Entry(
            entry=_text(said, "entry"),
            values={name: _text(said["values"], name) for name in said["values"]},
            quality=None if said["quality"] is None else _whole(said, "quality"),
            kind=ListKind(said["kind"]),
            framework=_text(said, "framework"),
            version=_text(said, "version"),
            code=_text(said, "code"),
            assessments=_whole(said, "assessments"),
            mark=_text(said, "mark"),
            released=_time(said, "released"),
        )
        if found.line() != line:
            raise ValueError("not one canonical JSON object, or with members that no entry has")
    except KeyError as missing:
        raise EditionRefused(f"{path}: line {number}: has no {missing.args[0]!r}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise EditionRefused(f"{path}: line {number}: {error}") from None
    return found


def _head(content: bytes, path: Path) -> Edition:
    if len(content) > LONGEST_LINE or not content.endswith(b"\n"):
        raise EditionRefused(f"{path}: longer than {LONGEST_LINE} bytes, or cut off")
    said = _object(content[:-1], path, 1)
    if said.pop("form", None) != FORM:
        raise EditionRefused(f"{path}: is no {FORM}; nothing was read from it")
    try:
        edition = Edition(
            list_name=check_list_name(_text(said, "list")),
            kind=ListKind(said["kind"]),
            number=_whole(said, "number"),
            previous=None if said["previous"] is None else _digest(said, "previous"),
            made_at=_time(said, "made_at"),
            entries=_whole(said, "entries"),
            added=_whole(said, "added"),
            withdrawn=_whole(said, "withdrawn"),
            withdrawn_total=_whole(said, "withdrawn_total"),
            root=_digest(said, "root"),
            entries_sha256=_digest(said, "entries_sha256"),
            changes_sha256=_digest(said, "changes_sha256"),
            digest=hashlib.sha256(content).hexdigest(),
        )
    except KeyError as missing:
        raise EditionRefused(f"{path}: has no {missing.args[0]!r}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise EditionRefused(f"{path}: {error}") from None
    first = edition.number == 1
    if len(said) != len(Edition.__slots__) - 1 or edition.number < 1 or (edition.previous is None) != first:
        raise EditionRefused(f"{path}: has members that no edition has, or names no edition before it")
    return edition


def _object(line: bytes, path: Path, number: int) -> dict[str, Any]:
    said = _loaded(line, path, number)
    if _canonical(said) != line:
        raise EditionRefused(f"{path}: line {number}: not one canonical JSON object")
    return said


def _loaded(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """The object of a line; whoever asks checks that it is canonical, by writing it again."""
    try:
        said = json.loads(line)
        if not isinstance(said, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise EditionRefused(f"{path}: line {number}: not one canonical JSON object") from None
    return said


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.match(value) is not None


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said[name]
    if not isinstance(value, str):
        raise ValueError(f"{name!r} is no text")
    return value


def _digest(said: Mapping[str, Any], name: str) -> str:
    if not _matches(_DIGEST, said[name]):
        raise ValueError(f"{name!r} is no digest of 64 lower-case hex digits")
    return str(said[name])


def _whole(said: Mapping[str, Any], name: str) -> int:
    value = said[name]
    if type(value) is not int or value < 0:
        raise ValueError(f"{name!r} is no number from 0 up")
    return value


def _time(said: Mapping[str, Any], name: str) -> dt.datetime:
    text = _text(said, name)
    if not _TIME_FORM.match(text):
        raise ValueError(f"{name!r} is no time like 2026-11-28T13:00:00Z")
    # Ten times as fast as strptime, which is a third of what reading an entry takes.
    return dt.datetime.fromisoformat(text)


def _canonical(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _digest_of_lines(lines: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for line in lines:
        whole.update(line + b"\n")
    return whole.hexdigest()


def _staged(folder: Path, number: int) -> Path:
    return folder / f".{number}.part"


def _write(path: Path, lines: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        path.chmod(0o600)
        file.writelines(line + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
