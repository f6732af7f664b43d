"""Cells of a hash list checked and taken in as columns: whole blocks at once, doubtful rows one by one.

`entry_of` holds the rules. The columns take in only what surely keeps to them, and leave every other row to it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.entries import BYTES, UNKNOWN_QUALITY, Entries, Frames, Opaque, Values
from havenline.formats.list_block import Block, Cells
from havenline.formats.list_frames import frames_of
from havenline.formats.list_mapping import CARRIED, FRAMES, HASHES
from havenline.texts import Texts
from havenline.vocabulary import LONGEST_TEXT, VALUE_KINDS, FrameHash, HashKind, ListEntry, check_hex, check_text

_NO_DIGIT = 255
_NIBBLES = np.full(256, _NO_DIGIT, np.uint8)
for _digit in "0123456789abcdefABCDEF":
    _NIBBLES[ord(_digit)] = int(_digit, 16)
_ODD = np.ones(256, np.bool_)
_ODD[0x20:0x7F] = False


@dataclass(frozen=True, slots=True)
class Checked:
    """What can be used of a block: `lines` int64 (m,), the m entries, and the lines refused, with the reason."""

    lines: NDArray[np.int64]
    entries: Entries
    refused: tuple[tuple[int, str], ...]


def entry_of(line: int, cells: Mapping[str, str], *, unnamed: str = "line-") -> ListEntry:
    """The entry in `cells`, by field. Raises ValueError with what is wrong, never with the value itself."""
    hashes: dict[str, Any] = {kind: _digest(kind, cells[kind]) for kind in HASHES if cells.get(kind)}
    carried = [
        (field.removeprefix(CARRIED), text) for field, text in cells.items() if text and field.startswith(CARRIED)
    ]
    frames = frames_of(cells[FRAMES]) if cells.get(FRAMES) else ()
    if not hashes and not carried and not frames:
        raise ValueError("no hash on this line")
    if not all(text.isprintable() for _, text in carried):
        raise ValueError("a carried value is not one line of printable characters")
    label = cells.get("label") or None
    return ListEntry(
        entry=check_text("entry id", cells.get("entry") or f"{unnamed}{line}"),
        pdq_quality=_quality(cells.get("pdq_quality", "")) if "pdq" in hashes else None,
        label=None if label is None else check_text("label", label),
        opaque=tuple(sorted(carried)),
        frames=frames,
        **hashes,
    )


def checked(block: Block, *, unnamed: str = "line-") -> Checked:
    """Take in a block: what `entry_of` makes of every row, column by column."""
    made = _Columns(block)
    refused = []
    for row in np.flatnonzero(~made.sure).tolist():
        try:
            cells = {field: each[row] for field, each in block.cells.items()}
        except UnicodeDecodeError:
            refused.append((int(block.lines[row]), "not UTF-8"))
            continue
        try:
            made.put(row, entry_of(int(block.lines[row]), cells, unnamed=unnamed))
        except ValueError as error:
            refused.append((int(block.lines[row]), str(error)))
    rows = np.flatnonzero(made.sure)
    return Checked(block.lines[rows], made.entries(rows, unnamed), tuple(sorted([*block.refused, *refused])))


class _Columns:
    """The columns of a block: `sure` says which rows are taken in."""

    def __init__(self, block: Block) -> None:
        self.block, count = block, len(block.lines)
        self.sure, some = np.ones(count, np.bool_), np.zeros(count, np.bool_)
        self.values: dict[str, NDArray[np.uint8]] = {}
        self.there: dict[str, NDArray[np.bool_]] = {}
        self.frames: dict[int, tuple[FrameHash, ...]] = {}
        self.quality = np.full(count, UNKNOWN_QUALITY, np.uint8)
        for field, cells in block.cells.items():
            there = cells.lengths > 0
            if field in HASHES:
                self.values[field], fine = _decoded(cells, BYTES[HashKind(field)])
                self.there[field] = there
            elif field == "pdq_quality":
                self.quality, fine = _qualities(cells)
            elif field == FRAMES:
                # Each is read by itself, as `entry_of` does.
                fine = ~there
            else:
                fine = _printable(cells, longest=None if field.startswith(CARRIED) else LONGEST_TEXT)
            some |= there & (field in HASHES or field.startswith(CARRIED))
            self.sure &= fine
        self.sure &= some

    def put(self, row: int, entry: ListEntry) -> None:
        """Take in a row that was looked at by itself; its texts stand in the block as they are."""
        self.sure[row] = True
        for field, values in self.values.items():
            value = getattr(entry, field)
            if value is not None:
                values[row] = np.frombuffer(bytes.fromhex(value), np.uint8)
        self.quality[row] = UNKNOWN_QUALITY if entry.pdq_quality is None else entry.pdq_quality
        if entry.frames:
            self.frames[row] = entry.frames

    def entries(self, rows: NDArray[np.int64], unnamed: str) -> Entries:
        """The entries at `rows`."""
        hashes, quality = {kind: Values.none(kind) for kind in VALUE_KINDS}, np.empty(0, np.uint8)
        for field, values in self.values.items():
            there = np.flatnonzero(self.there[field][rows])
            hashes[HashKind(field)] = Values(there.astype(np.uint32), values[rows[there]])
            if field == HashKind.PDQ:
                quality = self.quality[rows[there]]
        codes, labels = self._labels(rows)
        films = ((at, self.frames[row]) for at, row in enumerate(rows.tolist()) if row in self.frames)
        frames = Frames.of(films) if self.frames else Frames()
        return Entries(self._ids(rows, unnamed), hashes, quality, codes, labels, self._opaque(rows), frames)

    def _ids(self, rows: NDArray[np.int64], unnamed: str) -> Texts:
        cells = self.block.cells.get("entry")
        if cells is None:
            return Texts.of(f"{unnamed}{line}" for line in self.block.lines[rows].tolist())
        lacking = rows[cells.lengths[rows] == 0]
        names = {
            row: f"{unnamed}{line}"
            for row, line in zip(lacking.tolist(), self.block.lines[lacking].tolist(), strict=True)
        }
        return cells.changed(names).texts(rows)

    def _labels(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint32], Texts]:
        cells = self.block.cells.get("label")
        if cells is None or not cells.lengths[rows].any():
            return np.zeros(len(rows), np.uint32), Texts.of([""])
        known = {"": 0}
        codes = [known.setdefault(label, len(known)) for label in cells.texts(rows).strings()]
        return np.array(codes, np.uint32), Texts.of(known)

    def _opaque(self, rows: NDArray[np.int64]) -> Opaque:
        fields = sorted(field for field in self.block.cells if field.startswith(CARRIED))
        if not fields:
            return Opaque()
        places = [np.flatnonzero(self.block.cells[field].lengths[rows]) for field in fields]
        kinds = np.repeat(np.arange(len(fields), dtype=np.uint16), [len(each) for each in places])
        texts = Texts.joined(self.block.cells[field].texts(rows[at]) for field, at in zip(fields, places, strict=True))
        row = np.concatenate(places)
        order = np.lexsort((kinds, row))
        names = tuple(field.removeprefix(CARRIED) for field in fields)
        return Opaque(names, row[order].astype(np.uint32), kinds[order], texts.take(order))


def _windows(letters: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Every stretch of `width` letters, without a copy."""
    count = max(len(letters) - width + 1, 0)
    return np.lib.stride_tricks.as_strided(letters, (count, width), (letters.strides[0],) * 2, writeable=False)


def _decoded(cells: Cells, width: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The values in hex, (n, width), zeros where there are none, and which cells are empty or surely right."""
    made, fine = np.zeros((len(cells), width), np.uint8), cells.lengths == 0
    rows = np.flatnonzero(cells.lengths == 2 * width)
    if len(rows):
        nibbles = _NIBBLES[_windows(cells.letters, 2 * width)[cells.starts[rows]]]
        fine[rows] = nibbles.max(axis=1) != _NO_DIGIT
        made[rows] = nibbles[:, ::2] << 4 | nibbles[:, 1::2] & 15
    return made, fine


def _qualities(cells: Cells) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The same of whole numbers of one to three digits up to 100; what is empty is unknown."""
    made, fine = np.full(len(cells), UNKNOWN_QUALITY, np.uint8), cells.lengths == 0
    rows = np.flatnonzero((cells.lengths > 0) & (cells.lengths <= 3))
    value, right = np.zeros(len(rows), np.int64), np.ones(len(rows), np.bool_)
    for at in range(3):
        inside = np.flatnonzero(cells.lengths[rows] > at)
        digits = cells.letters[cells.starts[rows[inside]] + at].astype(np.int64) - ord("0")
        right[inside] &= (digits >= 0) & (digits <= 9)
        value[inside] = value[inside] * 10 + digits
    right &= value <= 100
    made[rows[right]] = value[right]
    fine[rows[right]] = True
    return made, fine


def _printable(cells: Cells, *, longest: int | None) -> NDArray[np.bool_]:
    """Which cells are empty or surely one line of printable ASCII, not too long, without outer blanks."""
    lengths = cells.lengths
    fine: NDArray[np.bool_] = np.ones(len(cells), np.bool_) if longest is None else lengths <= longest
    first, last = cells.first_and_last()
    fine &= (first != ord(" ")) & (last != ord(" "))
    odd = np.flatnonzero(_ODD[cells.letters])
    fine &= np.searchsorted(odd, cells.starts) == np.searchsorted(odd, cells.starts + lengths)
    return fine


def _digest(kind: str, text: str) -> str:
    """A value as lower-case hex. Base64 with its filling is told from hex by its length. Raises ValueError."""
    width = BYTES[HashKind(kind)]
    if kind != HashKind.PDQ and len(text) == 4 * -(-width // 3):
        try:
            value = binascii.a2b_base64(text.translate(_URL_SAFE), strict_mode=True)
            if len(value) == width and base64.b64encode(value).decode() == text.translate(_URL_SAFE):
                return value.hex()
        except (binascii.Error, ValueError):
            pass
    return check_hex(kind, text.lower())


_URL_SAFE = str.maketrans("-_", "+/")


def _quality(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,3}", text) or int(text) > 100:
        raise ValueError("pdq_quality is a whole number from 0 to 100")
    return int(text)
