"""Hash lists as lines of text: CSV, TSV and raw hex, block by block.

Lines of plain ASCII without quotation marks are cut into cells for a whole block at once; every other line is read by
itself, by the rules of `csv_text`, which are the ones that hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from havenline.formats import csv_text
from havenline.formats.csv_text import Header, LineProblem
from havenline.formats.list_block import Block, Cells
from havenline.formats.list_mapping import ColumnMap, ListError

LONGEST_LINE = 1 << 20
"""Bytes; a longer line is refused, so that a file without line ends cannot fill the memory."""
TOO_LONG = f"longer than {LONGEST_LINE:,} bytes"
AT_ONCE = 1 << 21
"""So many bytes of a file are read and looked at together."""
_BARE_HEX = re.compile(r"[0-9a-fA-F]{32,64}\s*\Z")
_MARK = b"\xef\xbb\xbf"
_NEWLINE, _QUOTE, _APOSTROPHE, _NUMBER_SIGN = 0x0A, 0x22, 0x27, 0x23
Read = Callable[[str, int], Mapping[str, str] | LineProblem | None]
"""One line by itself: its cells by field, what is wrong with it, or None where it is to be passed over."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines: `text`, each with a line feed behind it, and the number of the first. `done`: bytes of the file."""

    text: bytes
    first: int
    done: int


def blocks_of_lines(path: Path) -> Iterator[Lines]:
    """The lines of a UTF-8 file, some thousands at a time; CR and CRLF end lines too, and the mark is left out.

    Of a line longer than `LONGEST_LINE` the beginning comes, and is longer than that still. Raises NotTextError for
    UTF-16 and binary content, OSError when the file cannot be read.
    """
    with path.open("rb") as file:
        pending, number = b"", 1
        for piece in _pieces(file):
            whole = pending + piece
            cut = whole.rfind(b"\n") + 1
            pending = whole[cut:][: LONGEST_LINE + 1]
            if cut:
                yield Lines(whole[:cut], number, file.tell())
                number += whole.count(b"\n", 0, cut)
        if pending:
            yield Lines(pending + b"\n", number, file.tell())


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """What stands in the file, with line feeds alone as line ends, and without the mark."""
    csv_text.check_is_text(file.read(4096))
    file.seek(0)
    if file.read(len(_MARK)) != _MARK:
        file.seek(0)
    held = b""
    while chunk := file.read(AT_ONCE):
        chunk = held + chunk
        # A CR at the very end may be half of a CRLF.
        held = b"\r" if chunk.endswith(b"\r") else b""
        chunk = chunk[: len(chunk) - len(held)]
        yield chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in chunk else chunk
    if held:
        yield b"\n"


def csv_blocks(path: Path, mapping: ColumnMap, separator: str | None, told: list[str]) -> Iterator[Block]:
    """The lines below the header. `told` gets the names of the columns that are not used.

    Raises ListError when the header is none of a hash list; else as `blocks_of_lines`.
    """
    blocks = blocks_of_lines(path)
    lines, header = _header(path, blocks, mapping, separator)
    try:
        chosen = mapping.chosen(header.columns)
    except ValueError as error:
        raise ListError(f"{path}: {error}; nothing was read from it") from None
    told += [name for at, name in enumerate(header.columns) if at not in chosen.values()]

    def read(text: str, line: int) -> Mapping[str, str] | LineProblem | None:
        row = csv_text.read_cells(text, line, header)
        if isinstance(row, LineProblem):
            return row
        return {field: row[at] for field, at in chosen.items()}

    form = _Form(ord(header.separator), len(header.columns), chosen, read, _odd(_QUOTE, header.separator))
    for each in chain([lines], blocks):
        yield form.block(each)


def hex_blocks(path: Path, kind: str) -> Iterator[Block]:
    """Lines that hold one value of `kind` each; those that begin with # are passed over."""

    def read(text: str, line: int) -> Mapping[str, str] | LineProblem | None:
        return None if text.lstrip().startswith("#") else {kind: text.strip()}

    form = _Form(None, 1, {kind: 0}, read, _odd(_NUMBER_SIGN))
    for each in blocks_of_lines(path):
        yield form.block(each)


@dataclass(frozen=True, slots=True)
class _Form:
    """How lines are cut: by `separator`, into `width` cells, of which `chosen` are taken; `odd`, by byte, marks the
    lines that only `read` may read.
    """

    separator: int | None
    width: int
    chosen: Mapping[str, int]
    read: Read
    odd: NDArray[np.bool_]

    def block(self, lines: Lines) -> Block:
        """The cells of some lines."""
        letters = np.frombuffer(lines.text, np.uint8)
        ends = np.flatnonzero(letters == _NEWLINE)
        starts = np.concatenate([[0], ends[:-1] + 1])
        plain, cells = self._cut(letters, starts, ends)
        numbers, blank = lines.first + np.arange(len(ends)), np.zeros(len(ends), np.bool_)
        taken: dict[str, dict[int, str]] = {field: {} for field in self.chosen}
        problems: dict[int, str] = {}
        for row in np.flatnonzero(~plain).tolist():
            got = self._read(lines.text[starts[row] : ends[row]], lines.first + row)
            if isinstance(got, LineProblem):
                problems[row] = got.reason
            elif got is None:
                blank[row] = True
            else:
                for field in self.chosen:
                    taken[field][row] = got[field]
        if self.width == 1:
            blank |= plain & (next(iter(cells.values())).lengths == 0)
        blank[list(problems)] = True
        whole = Block(numbers, {field: each.changed(taken[field]) for field, each in cells.items()}, (), lines.done)
        refused = tuple((lines.first + row, reason) for row, reason in problems.items())
        return replace(whole if not blank.any() else whole.at(~blank), refused=refused)

    def _cut(
        self, letters: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], dict[str, Cells]]:
        """Which lines are plain, and their cells; those of the others are empty."""
        plain = ends - starts <= LONGEST_LINE
        plain[np.searchsorted(ends, np.flatnonzero(self.odd[letters]))] = False
        signs = np.flatnonzero(letters == self.separator) if self.separator is not None else ends[:0]
        line = np.searchsorted(ends, signs)
        plain &= np.bincount(line, minlength=len(ends)) == self.width - 1
        rows = np.flatnonzero(plain)
        inner = signs[plain[line]].reshape(len(rows), self.width - 1)
        borders = np.hstack([starts[rows, None] - 1, inner, ends[rows, None]])
        cells, guarded = {}, np.zeros(len(ends), np.bool_)
        for field, at in self.chosen.items():
            begins, lengths = np.zeros(len(ends), np.int64), np.zeros(len(ends), np.int64)
            begins[rows] = borders[:, at] + 1
            lengths[rows] = borders[:, at + 1] - begins[rows]
            cells[field] = Cells(letters, begins, lengths).stripped()
            if self.separator is not None:
                guarded |= cells[field].first_and_last()[0] == _APOSTROPHE
        return plain & ~guarded, cells

    def _read(self, line: bytes, number: int) -> Mapping[str, str] | LineProblem | None:
        if len(line) > LONGEST_LINE:
            return LineProblem(number, TOO_LONG)
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return LineProblem(number, "not UTF-8")
        return self.read(text, number) if text.strip() else None


def _odd(*signs: int | str) -> NDArray[np.bool_]:
    """By byte: control signs but for the line feed and a tab that separates, what is not ASCII, and `signs`."""
    odd = np.ones(256, np.bool_)
    odd[0x20:0x7F] = False
    odd[_NEWLINE] = False
    for sign in signs:
        if isinstance(sign, str):
            odd[ord(sign)] = False
        else:
            odd[sign] = True
    return odd


def _header(path: Path, blocks: Iterator[Lines], mapping: ColumnMap, separator: str | None) -> tuple[Lines, Header]:
    """The first line that is not blank, and the lines below it in its block."""
    wanted = "a header that names the columns"
    for block in blocks:
        at, number = 0, block.first
        while at < len(block.text):
            end = block.text.index(b"\n", at)
            line = block.text[at:end]
            at, number = end + 1, number + 1
            if len(line) > LONGEST_LINE:
                raise ListError(f"{path}: line {number - 1} is {TOO_LONG}; a list begins with {wanted}")
            try:
                text = line.decode()
            except UnicodeDecodeError:
                raise ListError(f"{path}: line {number - 1} is not UTF-8; a list begins with {wanted}") from None
            if text.strip():
                return Lines(block.text[at:], number, block.done), _read_header(
                    path, text, number - 1, mapping, separator
                )
    raise ListError(f"{path}: empty; a list begins with {wanted}")


def _read_header(path: Path, text: str, line: int, mapping: ColumnMap, separator: str | None) -> Header:
    if _BARE_HEX.match(text):
        raise ListError(
            f"{path}: begins with bare hex, and PDQ and SHA-256 look alike: "
            f"say which it is, as pdq:{path} or sha256:{path}"
        )
    try:
        if separator is None:
            header = csv_text.read_header(text, line, known=mapping.wanted())
            separator = header.separator
        cells = tuple(cell.strip() for cell in csv_text.split_cells(text, separator))
    except ValueError as error:
        raise ListError(f"{path}: line {line}: {error}") from None
    return Header(line, cells, separator)
