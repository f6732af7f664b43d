"""The CSV manifest that may come with a collection: what is known of each posting from outside its bytes.

Specified in `docs/formats/manifest.md`; section numbers below are that page's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from havenline.formats import csv_text
from havenline.formats.csv_text import Header, LineProblem
from havenline.vocabulary import HavenlineError, check_hex

LONGEST_PATH = 4096
LONGEST_URL = 2048
LONGEST_TEXT = 253


class ManifestError(HavenlineError):
    """A manifest cannot be used at all; the text names the file, the reason, what was kept and what to do."""


class PostingKind(StrEnum):
    """What a posting is, as the manifest declares it."""

    PICTURE = "picture"
    VIDEO = "video"
    TEXT = "text"
    AUDIO = "audio"
    LINK = "link"


_WITHOUT_FILE = frozenset({PostingKind.LINK, PostingKind.TEXT, PostingKind.AUDIO})


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One posting as declared. What the manifest does not say is None; `posted_at` is in UTC."""

    line: int
    path: str
    sha256: str | None = None
    url: str | None = None
    service: str | None = None
    host: str | None = None
    country: str | None = None
    posted_at: datetime | None = None
    kind: PostingKind | None = None
    selected: bool | None = None

    @property
    def may_lack_file(self) -> bool:
        """Whether a posting of this kind is an item even where the collection holds no file for it."""
        return self.kind in _WITHOUT_FILE


COLUMNS = tuple(field.name for field in fields(ManifestRow) if field.name != "line")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The rows that can be used, in order, and the lines that cannot.

    One path may stand on several lines, one for each place where it was posted.
    """

    rows: tuple[ManifestRow, ...]
    problems: tuple[LineProblem, ...]


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. A bad line is reported by number and reason, and the others are read (3.).

    Raises ManifestError when the file cannot be read, is not UTF-8, or its header lacks `path`, repeats a
    column or has one that is not specified (2.). Not checked: that the paths exist, that addresses answer,
    that countries exist; nothing is ever fetched.
    """
    rows: list[ManifestRow] = []
    problems: list[LineProblem] = []
    first_of: dict[str, ManifestRow] = {}
    seen: dict[ManifestRow, int] = {}
    for row in _rows(path):
        if isinstance(row, LineProblem):
            problems.append(row)
            continue
        reason = _conflict(row, first_of.setdefault(row.path, row))
        earlier = seen.setdefault(replace(row, line=0), row.line)
        if reason is None and earlier != row.line:
            reason = f"repeats line {earlier}"
        if reason is None:
            rows.append(row)
        else:
            problems.append(LineProblem(row.line, reason))
    return Manifest(tuple(rows), tuple(problems))


def _conflict(row: ManifestRow, first: ManifestRow) -> str | None:
    """A path may have several places, but it is one posting: these three cannot differ."""
    for name in ("sha256", "kind", "selected"):
        if getattr(row, name) != getattr(first, name):
            return f"its {name} differs from that of line {first.line}, which has the same path"
    return None


def _rows(path: Path) -> Iterator[ManifestRow | LineProblem]:
    lines = csv_text.numbered_lines(path)
    try:
        header = _header(path, next(lines, None))
        for line, text in lines:
            row = _whole(path, text)
            cells = csv_text.read_row(row, line, header)
            yield cells if isinstance(cells, LineProblem) else _row(line, cells.cells)
    except csv_text.NotTextError as error:
        raise _unusable(path, str(error)) from None
    except OSError as error:
        raise _unusable(path, f"it cannot be read ({error.strerror or error})") from None


def _unusable(path: Path, reason: str) -> ManifestError:
    return ManifestError(f"{path}: {reason}; nothing was taken in, correct the manifest and import again")


def _whole(path: Path, text: str | LineProblem) -> str:
    """A manifest in another encoding would give wrong paths on every line, so it is refused as a whole."""
    if isinstance(text, LineProblem):
        raise _unusable(path, f"line {text.line} is {text.reason}; save it as UTF-8")
    return text


def _header(path: Path, first: tuple[int, str | LineProblem] | None) -> Header:
    if first is None:
        raise _unusable(path, "it is empty; its first line names the columns, one of them path")
    line, text = first
    try:
        header = csv_text.read_header(_whole(path, text), line, known=COLUMNS)
    except ValueError as error:
        raise _unusable(path, f"line {line}: {error}") from None
    if "path" not in header.columns:
        raise _unusable(path, "its first line has no column path; it names the columns, and path is required")
    unknown = [column for column in header.columns if column not in COLUMNS]
    if unknown:
        raise _unusable(path, f"column {unknown[0]!r} is not known; the columns are {', '.join(COLUMNS)}")
    twice = [column for column in COLUMNS if header.columns.count(column) > 1]
    if twice:
        raise _unusable(path, f"column {twice[0]} stands there twice")
    return header


def _row(line: int, cells: dict[str, str]) -> ManifestRow | LineProblem:
    try:
        known = {name: read(cells[name]) for name, read in _READERS.items() if name == "path" or cells.get(name)}
        return ManifestRow(line=line, **known)
    except ValueError as error:
        return LineProblem(line, str(error))


# Each reader takes the cell as written and raises ValueError with what is wrong, never with the value itself.


def _path(cell: str) -> str:
    """(3.1) Relative, by `/`, without empty, `.` or `..` parts: the same form that containers give."""
    if not cell or len(cell) > LONGEST_PATH or not cell.isprintable():
        raise ValueError(f"path is missing, longer than {LONGEST_PATH:,} characters, or not printable")
    if cell.startswith("/") or any(part in ("", ".", "..") for part in cell.split("/")):
        raise ValueError("path is not a relative path with / between its parts and no . or .. among them")
    return cell


def _sha256(cell: str) -> str:
    return check_hex("sha256", cell.lower())


def _url(cell: str) -> str:
    if len(cell) > LONGEST_URL or not cell.isprintable() or " " in cell:
        raise ValueError(f"url is longer than {LONGEST_URL:,} characters, or has blanks or unprintable signs")
    return cell


def _text(name: str) -> Callable[[str], str]:
    def read(cell: str) -> str:
        if len(cell) > LONGEST_TEXT or not cell.isprintable():
            raise ValueError(f"{name} is longer than {LONGEST_TEXT} characters, or not printable")
        return cell

    return read


def _country(cell: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2}", cell):
        raise ValueError("country is not two letters (ISO 3166-1 alpha-2)")
    return cell.upper()


def _posted_at(cell: str) -> datetime:
    try:
        moment = datetime.fromisoformat(cell)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("posted_at is not a time with its zone (ISO 8601, as 2023-10-01T12:00:00Z)")


def _kind(cell: str) -> PostingKind:
    if cell.lower() not in list(PostingKind):
        raise ValueError(f"kind is not one of {', '.join(PostingKind)}")
    return PostingKind(cell.lower())


def _selected(cell: str) -> bool:
    if cell.lower() not in ("yes", "no"):
        raise ValueError("selected is neither yes nor no")
    return cell.lower() == "yes"


_READERS: dict[str, Callable[[str], Any]] = {
    "path": _path,
    "sha256": _sha256,
    "url": _url,
    "service": _text("service"),
    "host": _text("host"),
    "country": _country,
    "posted_at": _posted_at,
    "kind": _kind,
    "selected": _selected,
}
