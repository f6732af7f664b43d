"""CSV as other people write it: UTF-8 with or without mark, one record a line, each bad line named and
survived.

The rules are RFC 4180's, with these differences: a record never spans lines (so that one stray quotation
mark cannot swallow the lines after it), `;` and tab serve as separators too, and blank lines are passed
over.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

LONGEST_LINE = 1 << 16
"""Characters; a longer line is refused, so that a file without line ends cannot fill the memory."""

_SEPARATORS = (",", ";", "\t")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# A spreadsheet takes cells with such a beginning for a formula (OWASP, CSV injection).
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class LineProblem:
    """What is wrong with one line of a file; the line was passed over and the rest was read."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its line number (from 1), and its cells by lower-case column name, stripped of outer
    blanks.
    """

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Header:
    """The first line that is not blank, as lower-case column names, and the separator that it uses."""

    line: int
    columns: tuple[str, ...]
    separator: str


class NotTextError(ValueError):
    """The file is no text that can be read; the message is the reason, without the file's name."""


def numbered_lines(path: Path) -> Iterator[tuple[int, str | LineProblem]]:
    """The lines of a UTF-8 file with their numbers from 1, without their ends; blank ones are left out.

    A line that is too long or not UTF-8 comes as a LineProblem. Raises NotTextError for UTF-16 and for
    binary content, and OSError when the file cannot be read.
    """
    with path.open("rb") as opened:
        check_is_text(opened.read(4096))
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
        number = 0
        while text := lines.readline(LONGEST_LINE + 1):
            number += 1
            if len(text) > LONGEST_LINE:
                while text and not text.endswith("\n"):
                    text = lines.readline(LONGEST_LINE + 1)
                yield number, LineProblem(number, f"longer than {LONGEST_LINE:,} characters")
            elif _SURROGATE.search(text):
                yield number, LineProblem(number, "not UTF-8")
            elif text.strip():
                yield number, text.rstrip("\n")


def read_header(text: str, line: int, *, known: Collection[str]) -> Header:
    """The columns in `text`, with the separator under which one of the `known` ones appears, else the
    comma.

    Raises ValueError when a quotation mark is not closed.
    """
    for separator in _SEPARATORS:
        columns = tuple(cell.strip().lower() for cell in split_cells(text, separator))
        if any(column in known for column in columns):
            return Header(line, columns, separator)
    return Header(line, tuple(cell.strip().lower() for cell in split_cells(text, ",")), ",")


def read_row(text: str, line: int, header: Header) -> Row | LineProblem:
    """The record in `text`, or what is wrong with it. Empty cells beyond the header are passed over."""
    cells = read_cells(text, line, header)
    if isinstance(cells, LineProblem):
        return cells
    return Row(line, dict(zip(header.columns, cells, strict=True)))


def read_cells(text: str, line: int, header: Header) -> list[str] | LineProblem:
    """As `read_row`: one cell for each column of the header, by position."""
    try:
        cells = split_cells(text, header.separator)
    except ValueError as error:
        return LineProblem(line, str(error))
    width = len(header.columns)
    if len(cells) < width or any(cell.strip() for cell in cells[width:]):
        return LineProblem(line, f"{len(cells)} cells where the header has {width}")
    return [unguarded(cell.strip()) for cell in cells[:width]]


def split_cells(text: str, separator: str) -> list[str]:
    """The cells of one line. Raises ValueError when a quotation mark is not closed or stands amid a cell."""
    if '"' not in text:
        return text.split(separator)
    try:
        return next(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error:
        raise ValueError("a quotation mark is not closed, or stands where none can be") from None


def guarded(cell: str) -> str:
    """`cell`, with an apostrophe before what a spreadsheet would run as a formula; `unguarded` takes it
    away.
    """
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before `guarded`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def storable(text: str) -> str:
    """`text` with the bytes of a file name that are not UTF-8 written as `\\xNN`, so that it can be
    stored.
    """
    return _SURROGATE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    point = ord(found.group())
    return f"\\x{point - 0xDC00:02x}" if 0xDC80 <= point <= 0xDCFF else f"\\u{point:04x}"


def check_is_text(head: bytes) -> None:
    """Raises NotTextError when a file that begins with `head` is UTF-16 or binary."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    # Latin letters in UTF-16 have a zero beside each: on one side only.
    if head.startswith(_UTF16_MARKS) or (min(even, odd) == 0 and max(even, odd) > len(head) // 4):
        raise NotTextError("it is UTF-16; save it as UTF-8 (in a spreadsheet: “CSV UTF-8”)")
    if even or odd:
        raise NotTextError("it holds binary content, not text")
