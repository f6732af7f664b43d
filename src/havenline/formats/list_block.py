"""Some lines of a hash list as columns of cells, whatever form of file they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.texts import Texts, stretches

_SPACE = 0x20
_FEW_SPACES = 3


@dataclass(frozen=True, slots=True)
class Cells:
    """n texts in UTF-8 that may lie anywhere in `letters` uint8: `starts` and `lengths` int64 (n,).

    An empty one stands for a cell that is not there. Not checked: that they fit, nor that the bytes are UTF-8.
    """

    letters: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Cells:
        """Take in `texts`, in their order. Raises UnicodeEncodeError for a text that UTF-8 cannot say."""
        made = Texts.of(texts)
        return cls(made.letters, made.offsets[:-1].astype(np.int64), made.lengths.astype(np.int64))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> str:
        """One text. Raises UnicodeDecodeError where its bytes are not UTF-8."""
        start = int(self.starts[row])
        return self.letters[start : start + int(self.lengths[row])].tobytes().decode()

    def texts(self, rows: NDArray[np.int64]) -> Texts:
        """The texts at `rows`, in that order."""
        lengths = self.lengths[rows]
        offsets = np.zeros(len(rows) + 1, np.uint64)
        np.cumsum(lengths, out=offsets[1:], dtype=np.uint64)
        return Texts(offsets, self.letters[stretches(self.starts[rows], lengths)])

    def first_and_last(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The first and the last byte of each; of an empty one zeros."""
        first, last = np.zeros(len(self), np.uint8), np.zeros(len(self), np.uint8)
        there = np.flatnonzero(self.lengths)
        first[there] = self.letters[self.starts[there]]
        last[there] = self.letters[self.starts[there] + self.lengths[there] - 1]
        return first, last

    def stripped(self) -> Cells:
        """The same texts without outer blanks, as `str.strip` takes them away."""
        starts, lengths = self.starts, self.lengths
        for _ in range(_FEW_SPACES):
            first, last = Cells(self.letters, starts, lengths).first_and_last()
            if not ((first == _SPACE) | (last == _SPACE)).any():
                break
            after = (last == _SPACE) & (lengths > 1)
            starts, lengths = starts + (first == _SPACE), lengths - (first == _SPACE) - after
        made = Cells(self.letters, starts, lengths)
        first, last = made.first_and_last()
        odd = np.flatnonzero((lengths > 0) & (_may_be_blank(first) | _may_be_blank(last)))
        found: dict[int, str] = {}
        for row in odd.tolist():
            with suppress(UnicodeDecodeError):
                found[row] = made[row].strip()
        return made.changed(found)

    def changed(self, texts: Mapping[int, str]) -> Cells:
        """The same with other `texts` at some rows."""
        if not texts:
            return self
        more = Cells.of(texts.values())
        starts, lengths = self.starts.copy(), self.lengths.copy()
        rows = np.fromiter(texts, np.int64, len(texts))
        starts[rows], lengths[rows] = more.starts + len(self.letters), more.lengths
        return Cells(np.concatenate([self.letters, more.letters]), starts, lengths)


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines: `lines` int64 (n,) ascending, their numbers in the file from 1, and their cells by field.

    `refused`: lines of which no cells could be had, with the reason. `done`: how many bytes of the file are read.
    """

    lines: NDArray[np.int64]
    cells: Mapping[str, Cells]
    refused: tuple[tuple[int, str], ...] = ()
    done: int = 0

    def at(self, rows: NDArray[Any]) -> Block:
        """The same with some of its rows alone, chosen by position or mask."""
        cells = {
            field: Cells(each.letters, each.starts[rows], each.lengths[rows]) for field, each in self.cells.items()
        }
        return replace(self, lines=self.lines[rows], cells=cells)


def _may_be_blank(signs: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether a text that begins or ends with such a byte may have an outer blank."""
    return (signs <= _SPACE) | (signs >= 0x80)
