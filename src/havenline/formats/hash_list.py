"""Hash lists from and to files: editions, CSV, and raw lines of hex. Specified in
`docs/formats/hash-list-csv.md`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from havenline.formats import csv_text, edition
from havenline.formats.csv_text import Header, LineProblem
from havenline.formats.edition import ListError, canonical_digest, check_text
from havenline.vocabulary import EditionRef, HashKind, ListEntry, check_hex
from havenline.whole_file import write_whole

COLUMNS = ("entry", "md5", "sha1", "sha256", "pdq", "pdq_quality", "label")
NO_EDITION = 0
"""The number of a list that is a plain file and no edition."""

_HASHES = tuple(kind.value for kind in HashKind)
_PREFIX = re.compile(rf"({'|'.join(_HASHES)}):(.+)", re.DOTALL)
_RAW_LINE = re.compile(r"[0-9a-fA-F]{32,64}\s*\Z")

__all__ = ["COLUMNS", "NO_EDITION", "HashList", "ListError", "read_list", "write_list"]


@dataclass(frozen=True, slots=True)
class HashList:
    """A list as read: `problems` are the lines passed over, `notes` what else a person should know of the
    file.
    """

    ref: EditionRef
    entries: tuple[ListEntry, ...]
    made_by: str | None = None
    problems: tuple[LineProblem, ...] = ()
    notes: tuple[str, ...] = ()


def read_list(argument: str) -> HashList:
    """The list that a `--list` argument names: an edition, a CSV with headers, or `KIND:FILE` for raw
    lines of hex.

    An edition's digest is verified. Of text files each bad line is reported and the rest is read. Raises
    ListError when the file cannot be read, is damaged or foreign, or holds lines and none is usable. Not
    checked: who made the list, and whether its hashes are right.
    """
    prefixed = _PREFIX.match(argument)
    path = Path(prefixed.group(2) if prefixed else argument)
    try:
        if prefixed:
            return _read_raw(path, prefixed.group(1))
        with path.open("rb") as opened:
            head = opened.read(4)
        if head == edition.MAGIC:
            read = edition.read_edition(path)
            return HashList(read.ref, read.entries, made_by=read.made_by)
        if path.suffix.lower() == ".parquet":
            raise ListError(f"{path}: not a Parquet file, or cut short at its beginning; nothing was read from it")
        return _read_csv(path)
    except csv_text.NotTextError as error:
        raise ListError(f"{path}: {error}; nothing was read from it") from None
    except OSError as error:
        raise ListError(f"{path}: cannot be read ({error.strerror or error})") from None


def write_list(
    path: Path, entries: Sequence[ListEntry], *, name: str, number: int, made_by: str, replace: bool = False
) -> EditionRef:
    """Write `entries` whole or not at all: a CSV when the name ends in .csv, else an edition.

    A CSV keeps neither `name` nor `number`; the answer is what a reader will see.

    Raises ListError when the file exists and `replace` is false, or cannot be written; ValueError when an
    entry id occurs twice, or a text is not one line of 1 to 200 printable characters.
    """
    digest = canonical_digest(entries)
    for entry in entries:
        check_text("entry id", entry.entry)
        if entry.label is not None:
            check_text("label", entry.label)
    try:
        if path.suffix.lower() != ".csv":
            ref = EditionRef(check_text("list name", name), number, digest)
            edition.write_edition(path, ref, entries, made_by=made_by, replace=replace)
            return ref
        with write_whole(path, replace=replace) as file:
            file.write((",".join(COLUMNS) + "\n").encode())
            file.writelines(_csv_line(entry) for entry in entries)
        return EditionRef(_plain_name(path), NO_EDITION, digest)
    except FileExistsError:
        raise ListError(f"{path}: exists already and was left as it is; use --force to replace it") from None
    except OSError as error:
        raise ListError(f"{path}: cannot be written ({error.strerror or error}); nothing was kept") from None


def _csv_line(entry: ListEntry) -> bytes:
    cells = (getattr(entry, column) for column in COLUMNS)
    return (",".join(_csv_cell("" if cell is None else str(cell)) for cell in cells) + "\n").encode()


def _csv_cell(text: str) -> str:
    text = csv_text.guarded(text)
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in '",;\t') else text


class _Collector:
    """Entries and problems of one text file, with entry ids kept unique."""

    def __init__(self) -> None:
        self.entries: list[ListEntry] = []
        self.problems: list[LineProblem] = []
        self._line_of: dict[str, int] = {}

    def add(self, line: int, cells: dict[str, str]) -> None:
        try:
            entry = _entry(line, cells)
            if entry.entry in self._line_of:
                raise ValueError(f"its entry id is that of line {self._line_of[entry.entry]}")
        except ValueError as error:
            self.problems.append(LineProblem(line, str(error)))
            return
        self._line_of[entry.entry] = line
        self.entries.append(entry)

    def as_list(self, path: Path, notes: Iterable[str] = ()) -> HashList:
        if self.problems and not self.entries:
            first, count = self.problems[0], len(self.problems)
            reason = f"none of its {count:,} lines is usable (line {first.line}: {first.reason})"
            raise ListError(f"{path}: {reason}")
        ref = EditionRef(_plain_name(path), NO_EDITION, canonical_digest(self.entries))
        return HashList(ref, tuple(self.entries), problems=tuple(self.problems), notes=tuple(notes))


def _read_raw(path: Path, kind: str) -> HashList:
    collected = _Collector()
    for line, text in csv_text.numbered_lines(path):
        if isinstance(text, LineProblem):
            collected.problems.append(text)
        elif not text.lstrip().startswith("#"):
            collected.add(line, {kind: text.strip()})
    return collected.as_list(path)


def _read_csv(path: Path) -> HashList:
    lines = csv_text.numbered_lines(path)
    header = _header(path, next(lines, None))
    collected = _Collector()
    for line, text in lines:
        row = text if isinstance(text, LineProblem) else csv_text.read_row(text, line, header)
        if isinstance(row, LineProblem):
            collected.problems.append(row)
        else:
            collected.add(line, row.cells)
    unknown = [column for column in header.columns if column not in COLUMNS]
    notes = [f"columns not used: {', '.join(repr(column) for column in unknown)}"] if unknown else []
    return collected.as_list(path, notes)


def _header(path: Path, first: tuple[int, str | LineProblem] | None) -> Header:
    wanted = f"a header with at least one of {', '.join(_HASHES)}"
    if first is None:
        raise ListError(f"{path}: empty; a list begins with {wanted}")
    line, text = first
    if isinstance(text, LineProblem):
        raise ListError(f"{path}: line {line} is {text.reason}; a list begins with {wanted}")
    if _RAW_LINE.match(text):
        raise ListError(
            f"{path}: begins with bare hex, and PDQ and SHA-256 look alike: "
            f"say which it is, as pdq:{path} or sha256:{path}"
        )
    try:
        header = csv_text.read_header(text, line, known=_HASHES)
    except ValueError as error:
        raise ListError(f"{path}: line {line}: {error}") from None
    twice = [column for column in COLUMNS if header.columns.count(column) > 1]
    if twice:
        raise ListError(f"{path}: its header names {twice[0]} twice; nothing was read from it")
    if not any(column in _HASHES for column in header.columns):
        raise ListError(f"{path}: no hash list: {wanted} is expected in its first line")
    return header


def _entry(line: int, cells: dict[str, str]) -> ListEntry:
    """The entry in `cells`. Raises ValueError with what is wrong, never with the value itself."""
    hashes: dict[str, Any] = {kind: check_hex(kind, cells[kind].lower()) for kind in _HASHES if cells.get(kind)}
    if not hashes:
        raise ValueError("no hash on this line")
    quality = _quality(cells.get("pdq_quality", "")) if "pdq" in hashes else None
    label = cells.get("label") or None
    return ListEntry(
        entry=check_text("entry id", cells.get("entry") or f"line-{line}"),
        pdq_quality=quality,
        label=None if label is None else check_text("label", label),
        **hashes,
    )


def _quality(cell: str) -> int | None:
    if not cell:
        return None
    if not re.fullmatch(r"[0-9]{1,3}", cell) or int(cell) > 100:
        raise ValueError("pdq_quality is a whole number from 0 to 100")
    return int(cell)


def _plain_name(path: Path) -> str:
    name = "".join(sign if sign.isprintable() else "_" for sign in path.stem)
    return name[: edition.LONGEST_TEXT] or "list"
