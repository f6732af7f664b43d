"""Hash lists from files of other programs, and as CSV to them. Specified in `docs/formats/hash-list-csv.md`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from havenline.entries import Entries
from havenline.formats import csv_text
from havenline.formats.csv_text import LineProblem
from havenline.formats.list_block import Block
from havenline.formats.list_frames import frames_text
from havenline.formats.list_json import json_blocks
from havenline.formats.list_kinds import spread
from havenline.formats.list_lines import LONGEST_LINE, csv_blocks, hex_blocks
from havenline.formats.list_mapping import FIELDS, FRAMES, HASHES, ColumnMap, ListError, named
from havenline.formats.list_parquet import MAGIC, parquet_blocks
from havenline.formats.list_values import Checked, checked
from havenline.vocabulary import LONGEST_TEXT, VALUE_KINDS, EditionRef, ListEntry, check_text
from havenline.whole_file import write_whole

NO_EDITION = 0
"""The number of a list that is a plain file and no edition."""
UNNAMED = "line-"
"""Entries without an id are called so, and by the number of their line."""
Progress = Callable[[int], None]
"""Called with how many bytes of the file are read."""

_PREFIX = re.compile(rf"({'|'.join(HASHES)}):(.+)", re.DOTALL)
_SAME_ID = "its entry id is that of line {other:,}"
_SAME_ID_ELSEWHERE = "its entry id is that of line {other:,} of an earlier file"

__all__ = ["NO_EDITION", "ColumnMap", "Form", "HashList", "ListError", "Problems", "joined", "read_list", "write_list"]


class Form(StrEnum):
    """The forms of file that a list is read from; raw lines of hex are named by their kind, as `pdq:FILE`."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Problems:
    """Lines that were passed over: `lines` int64 ascending; `codes` int32, positions in `reasons`; `others` int64, the
    line that a reason speaks of.
    """

    lines: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    codes: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    others: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    reasons: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def __iter__(self) -> Iterator[LineProblem]:
        """The problems in the order of their lines."""
        for line, code, other in zip(self.lines, self.codes, self.others, strict=True):
            yield LineProblem(int(line), self.reasons[code].format(other=int(other)))

    def __getitem__(self, place: int) -> LineProblem:
        """One of them."""
        reason = self.reasons[self.codes[place]].format(other=int(self.others[place]))
        return LineProblem(int(self.lines[place]), reason)

    @property
    def repeats(self) -> int:
        """How many of them were passed over because their entry id came before."""
        return int((self.others > 0).sum())

    def more(self, lines: NDArray[np.int64], reason: str, others: NDArray[np.int64]) -> Problems:
        """The same and the `lines` that are passed over for one reason more."""
        if not len(lines):
            return self
        numbers = np.concatenate([self.lines, lines])
        order = np.argsort(numbers, kind="stable")
        codes = np.concatenate([self.codes, np.full(len(lines), len(self.reasons), np.int32)])
        return Problems(
            numbers[order], codes[order], np.concatenate([self.others, others])[order], (*self.reasons, reason)
        )


@dataclass(frozen=True, slots=True)
class HashList:
    """A list as read: `lines` int64, the line of each entry; `problems`, the lines passed over; `alike`, how many
    entries have the same values as an earlier one; `notes`, what else a person should know of the file.
    """

    ref: EditionRef
    entries: Entries
    lines: NDArray[np.int64]
    problems: Problems = field(default_factory=Problems)
    alike: int = 0
    notes: tuple[str, ...] = ()


def read_list(
    argument: str,
    *,
    form: Form | None = None,
    mapping: ColumnMap | None = None,
    strict: bool = False,
    unnamed: str = UNNAMED,
    progress: Progress | None = None,
) -> HashList:
    """The list in a file, or, as `KIND:FILE`, in raw lines of hex; without `form` it is told by the content.

    Each bad line is reported and the rest is read, unless `strict`. An entry whose id repeats an earlier one is a bad
    line; one with the values of an earlier one is kept and counted. Raises ListError when the file cannot be read, is
    damaged or foreign, or holds lines and none is usable. Not checked: who made the list, and whether its hashes are
    right.
    """
    prefixed = _PREFIX.match(argument)
    path = Path(prefixed.group(2) if prefixed else argument)
    mapping, unused = mapping or ColumnMap(), list[str]()
    try:
        if prefixed:
            blocks = hex_blocks(path, prefixed.group(1))
        else:
            blocks = _blocks(path, form or _form_of(path), mapping, unused)
        blocks = (spread(block, mapping) for block in blocks)
        read = _collected(path, blocks, strict=strict, unnamed=unnamed, progress=progress)
    except csv_text.NotTextError as error:
        raise ListError(f"{path}: {error}; nothing was read from it") from None
    except OSError as error:
        raise ListError(f"{path}: cannot be read ({error.strerror or error})") from None
    if unused:
        read = replace(read, notes=(f"columns not used: {named(unused)}",))
    return read


def path_of(argument: str) -> Path:
    """The file that an argument of `read_list` names."""
    prefixed = _PREFIX.match(argument)
    return Path(prefixed.group(2) if prefixed else argument)


def joined(reads: Sequence[HashList]) -> tuple[Entries, list[Problems], int]:
    """The entries of several lists as one, the bad lines of each, and how many entries have the values of another.

    An entry whose id stands in an earlier list is passed over.
    """
    if len(reads) == 1:
        return reads[0].entries, [reads[0].problems], reads[0].alike
    entries = Entries.joined([each.entries for each in reads])
    starts = np.cumsum([0, *(len(each.entries) for each in reads)])
    later, first = entries.ids.repeats()
    lines = np.concatenate([each.lines for each in reads]) if reads else np.empty(0, np.int64)
    problems = []
    for each, start, end in zip(reads, starts[:-1], starts[1:], strict=True):
        here = (later >= start) & (later < end)
        problems.append(each.problems.more(lines[later[here]], _SAME_ID_ELSEWHERE, lines[first[here]]))
    if len(later):
        entries = entries.take(np.delete(np.arange(len(entries)), later))
    return entries, problems, _alike(entries)


def write_list(path: Path, entries: Entries, *, replace: bool = False) -> EditionRef:
    """Write `entries` as a CSV, whole or not at all; the answer is what a reader will see. Frames where there are any.

    Raises ListError when the file exists and `replace` is false, cannot be written, or a film has more frames than
    fit into a line; ValueError when an entry id
    occurs twice, a text is not one line of 1 to 200 printable characters, or an entry carries opaque values, which a
    CSV has no place for.
    """
    if len(entries.ids.repeats()[0]):
        raise ValueError("two entries have one id")
    if len(entries.opaque.rows):
        raise ValueError("a CSV has no place for carried values")
    try:
        with write_whole(path, replace=replace) as file:
            columns = FIELDS if len(entries.frames) else tuple(field for field in FIELDS if field != FRAMES)
            file.write((",".join(columns) + "\n").encode())
            for entry in entries:
                line = _csv_line(entry, columns)
                if len(line) > LONGEST_LINE:
                    raise ListError(f"{path}: a film has more frames than fit into a line; name a snapshot")
                file.write(line)
    except FileExistsError:
        raise ListError(f"{path}: exists already and was left as it is; use --force to replace it") from None
    except OSError as error:
        raise ListError(f"{path}: cannot be written ({error.strerror or error}); nothing was kept") from None
    return EditionRef(plain_name(path), NO_EDITION, entries.digest())


def plain_name(path: Path) -> str:
    """What a list is called that has no name but its file's."""
    name = "".join(sign if sign.isprintable() else "_" for sign in path.stem).strip()
    return name[:LONGEST_TEXT].strip() or "list"


def _csv_line(entry: ListEntry, columns: Sequence[str]) -> bytes:
    check_text("entry id", entry.entry)
    if entry.label is not None:
        check_text("label", entry.label)
    cells = [getattr(entry, column) for column in columns if column != FRAMES]
    cells += [frames_text(entry.frames) if entry.frames else ""] if FRAMES in columns else []
    return (",".join(_csv_cell("" if cell is None else str(cell)) for cell in cells) + "\n").encode()


def _csv_cell(text: str) -> str:
    text = csv_text.guarded(text)
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in '",;\t') else text


def _form_of(path: Path) -> Form:
    with path.open("rb") as opened:
        head = opened.read(4096)
    if head.startswith(MAGIC):
        return Form.PARQUET
    ending = path.suffix.lower()
    if ending == ".parquet":
        raise ListError(f"{path}: not a Parquet file, or cut short at its beginning; nothing was read from it")
    if ending in (".jsonl", ".ndjson", ".json") or head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"[")):
        return Form.JSONL
    return Form.CSV


def _blocks(path: Path, form: Form, mapping: ColumnMap, unused: list[str]) -> Iterator[Block]:
    if form is Form.PARQUET:
        return parquet_blocks(path, mapping, unused)
    if form is Form.JSONL:
        return json_blocks(path, mapping, unused)
    return csv_blocks(path, mapping, "\t" if form is Form.TSV else None, unused)


def _collected(
    path: Path, blocks: Iterable[Block], *, strict: bool, unnamed: str, progress: Progress | None
) -> HashList:
    parts: list[Checked] = []
    refused, codes = [np.empty((0, 2), np.int64)], dict[str, int]()
    for block in blocks:
        part = checked(block, unnamed=unnamed)
        if part.refused:
            if strict:
                line, reason = part.refused[0]
                raise ListError(f"{path}: line {line:,}: {reason}; nothing was kept, because every line must be right")
            rows = [(line, codes.setdefault(_escaped(reason), len(codes))) for line, reason in part.refused]
            refused.append(np.array(rows, np.int64))
            part = replace(part, refused=())
        parts.append(part)
        if progress is not None:
            progress(block.done)
    found = np.concatenate(refused)
    problems = Problems(found[:, 0], found[:, 1].astype(np.int32), np.zeros(len(found), np.int64), tuple(codes))
    if len(problems) and not any(len(part.lines) for part in parts):
        raise ListError(
            f"{path}: none of its {len(problems):,} lines is usable (line {problems[0].line:,}: {problems[0].reason})"
        )
    lines = np.concatenate([part.lines for part in parts]) if parts else np.empty(0, np.int64)
    entries = Entries.joined([part.entries for part in parts])
    parts.clear()
    later, first = entries.ids.repeats()
    if len(later):
        if strict:
            raise ListError(
                f"{path}: line {lines[later[0]]:,}: {_SAME_ID.format(other=int(lines[first[0]]))}; "
                "nothing was kept, because every line must be right"
            )
        problems = problems.more(lines[later], _SAME_ID, lines[first])
        kept = np.delete(np.arange(len(entries)), later)
        entries, lines = entries.take(kept), lines[kept]
    ref = EditionRef(plain_name(path), NO_EDITION, entries.digest())
    return HashList(ref, entries, lines, problems, _alike(entries))


def _escaped(reason: str) -> str:
    return reason.replace("{", "{{").replace("}", "}}")


def _alike(entries: Entries) -> int:
    """How many entries have all the values of an earlier one, frames aside; those without any are not counted."""
    mixed, known = np.zeros(len(entries), np.uint64), np.zeros(len(entries), np.bool_)
    for at, kind in enumerate(VALUE_KINDS):
        column = entries.hashes[kind]
        words = np.ascontiguousarray(column.values[:, :16]).view(np.uint64)
        odd = np.uint64((2 * at + 1) * 0x9E3779B97F4A7C15 % (1 << 64))
        mixed[column.rows] ^= (words[:, 0] ^ words[:, 1] * odd) * odd
        known[column.rows] = True
    rows = np.flatnonzero(known)
    order = rows[np.argsort(mixed[rows], kind="stable")]
    pairs = np.flatnonzero(mixed[order][1:] == mixed[order][:-1])
    if not len(pairs):
        return 0
    one, two = order[pairs], order[pairs + 1]
    same = np.ones(len(pairs), np.bool_)
    for kind in VALUE_KINDS:
        column, place = entries.hashes[kind], np.full(len(entries), -1, np.int64)
        place[column.rows] = np.arange(len(column))
        a, b = place[one], place[two]
        both = np.flatnonzero((a >= 0) & (b >= 0))
        same &= (a >= 0) == (b >= 0)
        same[both] &= (column.values[a[both]] == column.values[b[both]]).all(axis=1)
    return int(same.sum())
