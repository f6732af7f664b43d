"""Many short texts as two arrays: what entry ids and labels are where there are millions of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MULTIPLIERS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_WORD = 8
_FEW = 1 << 13
_VERY_FEW = 16
"""So many are taken one by one: NumPy's calls would take longer."""
"""So many are sorted in plain Python before a sorting library would be loaded."""


@dataclass(frozen=True, slots=True)
class Texts:
    """n texts in UTF-8: text k is `letters[offsets[k] : offsets[k + 1]]`.

    `offsets` uint64 (n + 1,), not descending, from 0; `letters` uint8. Not checked: that they fit, nor that the bytes
    are UTF-8.
    """

    offsets: NDArray[np.uint64]
    letters: NDArray[np.uint8]

    @classmethod
    def of(cls, texts: Iterable[str | bytes]) -> Texts:
        """Take in `texts`, in their order. Raises UnicodeEncodeError for a text that UTF-8 cannot say."""
        encoded = [text.encode() if isinstance(text, str) else text for text in texts]
        lengths = np.fromiter((len(text) for text in encoded), np.uint64, len(encoded))
        return cls(_offsets(lengths), np.frombuffer(b"".join(encoded), np.uint8))

    @classmethod
    def joined(cls, parts: Iterable[Texts]) -> Texts:
        """The texts of all `parts`, one part after the other."""
        taken = list(parts)
        if len(taken) == 1:
            return taken[0]
        lengths = [part.lengths for part in taken] or [np.empty(0, np.uint64)]
        letters = [part.letters[: int(part.offsets[-1])] for part in taken] or [np.empty(0, np.uint8)]
        return cls(_offsets(np.concatenate(lengths)), np.concatenate(letters))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> str:
        """One text. Raises IndexError outside 0..n-1; bytes that are not UTF-8 come as replacement signs."""
        if not 0 <= row < len(self):
            raise IndexError(f"texts lie in 0..{len(self) - 1}, not {row}")
        return bytes(self.letters[int(self.offsets[row]) : int(self.offsets[row + 1])]).decode(errors="replace")

    @property
    def lengths(self) -> NDArray[np.uint64]:
        """How many bytes each text has."""
        return np.diff(self.offsets)

    def take(self, rows: NDArray[Any]) -> Texts:
        """The texts at `rows`, in that order; a row may come again."""
        if len(rows) <= _VERY_FEW:
            offsets = self.offsets
            if len(rows) == 1:
                letters = self.letters[int(offsets[rows[0]]) : int(offsets[rows[0] + 1])]
                return Texts(np.array([0, len(letters)], np.uint64), letters)
            return Texts.of(
                [self.letters[int(offsets[row]) : int(offsets[row + 1])].tobytes() for row in rows.tolist()]
            )
        starts = self.offsets[rows].astype(np.int64)
        lengths = self.offsets[np.asarray(rows, np.int64) + 1].astype(np.int64) - starts
        return Texts(_offsets(lengths.astype(np.uint64)), self.letters[stretches(starts, lengths)])

    def strings(self) -> list[str]:
        """All texts as they are read; bytes that are not UTF-8 come as replacement signs."""
        whole, ends = self.letters.tobytes(), self.offsets.tolist()
        return [whole[start:end].decode(errors="replace") for start, end in pairwise(ends)]

    def order(self) -> NDArray[np.int64]:
        """The rows in the order of their bytes, equal texts by their rows."""
        if len(self) <= _FEW:
            whole, ends = self.letters.tobytes(), self.offsets.tolist()
            rows = sorted(range(len(self)), key=lambda row: whole[ends[row] : ends[row + 1]])
            return np.array(rows, np.int64)
        import pyarrow as pa
        import pyarrow.compute as pc

        offsets = pa.py_buffer(np.ascontiguousarray(self.offsets.astype(np.int64)))
        letters = pa.py_buffer(np.ascontiguousarray(self.letters))
        whole = pa.Array.from_buffers(pa.large_binary(), len(self), [None, offsets, letters])
        return np.asarray(pc.array_sort_indices(whole)).astype(np.int64)

    def keys(self) -> NDArray[np.uint64]:
        """A mixed 64-bit value of each text: equal texts have equal ones, others nearly never, unless made to.

        Eight bytes at a time, xor, multiply, fold; then the length. The same on every machine.
        """
        starts, lengths = self.offsets[:-1].astype(np.int64), self.lengths.astype(np.int64)
        mixed = lengths.astype(np.uint64) * _MULTIPLIERS[1]
        if not len(lengths) or not lengths.any():
            return mixed
        padded = np.concatenate([self.letters, np.zeros(_WORD, np.uint8)])
        words = np.ndarray((len(padded) - _WORD + 1,), "<u8", padded, strides=(1,))
        rows = np.arange(len(lengths))
        for at in range(0, int(lengths.max()), _WORD):
            rows = rows[lengths[rows] > at]
            left = np.minimum(lengths[rows] - at, _WORD).astype(np.uint64)
            word = words[starts[rows] + at] << (np.uint64(64) - np.uint64(8) * left)
            mixed[rows] = (mixed[rows] ^ word) * _MULTIPLIERS[0]
            mixed[rows] ^= mixed[rows] >> np.uint64(29)
        return mixed

    def repeats(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows whose text stands in an earlier row, ascending, and the first row of each."""
        keys = self.keys()
        order = np.argsort(keys, kind="stable")
        alike = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        seen: dict[bytes, int] = {}
        later, first = [], []
        for row in sorted({*order[alike].tolist(), *order[alike + 1].tolist()}):
            text = bytes(self.letters[int(self.offsets[row]) : int(self.offsets[row + 1])])
            if text in seen:
                later.append(row)
                first.append(seen[text])
            else:
                seen[text] = row
        return np.array(later, np.int64), np.array(first, np.int64)


def stretches(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """starts[0], starts[0] + 1, … lengths[0] of them, then the same of starts[1] and so on."""
    before = np.cumsum(lengths) - lengths
    inside: NDArray[np.int64] = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    return inside


def _offsets(lengths: NDArray[np.uint64]) -> NDArray[np.uint64]:
    made = np.zeros(len(lengths) + 1, np.uint64)
    np.cumsum(lengths, out=made[1:])
    return made
