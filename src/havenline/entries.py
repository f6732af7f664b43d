"""Entries of a hash list as columns: one list of ten million entries is a dozen arrays, not ten million objects.

The canonical digest of a list is defined here (docs/formats/snapshot.md, 3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.texts import Texts
from havenline.vocabulary import VALUE_KINDS, FrameHash, HashKind, ListEntry

BYTES = MappingProxyType({HashKind.MD5: 16, HashKind.SHA1: 20, HashKind.SHA256: 32, HashKind.PDQ: 32})
"""How many bytes a value of each kind has."""
_FIELDS = MappingProxyType({kind: kind.value for kind in VALUE_KINDS})
_AT_ONCE = 1 << 16
UNKNOWN_QUALITY = 255
"""Stands for a PDQ quality that its publisher does not tell."""


@dataclass(frozen=True, slots=True)
class Values:
    """Values of one kind: `values` uint8 (k, bytes of the kind), and the row of each, `rows` uint32 (k,)."""

    rows: NDArray[np.uint32]
    values: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def none(cls, kind: HashKind) -> Values:
        """No values."""
        return cls(np.empty(0, np.uint32), np.empty((0, BYTES[kind]), np.uint8))

    @classmethod
    def of(cls, kind: HashKind, found: Sequence[tuple[int, str]]) -> Values:
        """From (row, lower-case hex) pairs; the hex is not checked here."""
        rows = np.fromiter((row for row, _ in found), np.uint32, len(found))
        whole = np.frombuffer(bytes.fromhex("".join(value for _, value in found)), np.uint8)
        return cls(rows, whole.reshape(len(found), BYTES[kind]))


@dataclass(frozen=True, slots=True)
class Opaque:
    """Values that are carried and never compared or computed, PhotoDNA strings for example.

    `rows` uint32 (m,) ascending; `kinds` uint16 (m,), positions in `names`; `texts` as their publisher wrote them.
    """

    names: tuple[str, ...] = ()
    rows: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    kinds: NDArray[np.uint16] = field(default_factory=lambda: np.empty(0, np.uint16))
    texts: Texts = field(default_factory=lambda: Texts.of([]))


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of films: `rows` uint32 (f,) ascending, the row of each; `milliseconds` uint32 (f,) after the film's
    beginning; `values` uint8 (f, 32), their PDQ; `quality` uint8 (f,), 0 to 100. Those of a row as `listed_frames` has
    them.
    """

    rows: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    milliseconds: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, np.uint32))
    values: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, BYTES[HashKind.PDQ]), np.uint8))
    quality: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, films: Iterable[tuple[int, Sequence[FrameHash]]]) -> Frames:
        """From (row, frames as an entry has them), rows ascending; not checked here."""
        found = [(row, frame) for row, frames in films for frame in frames]
        whole = np.frombuffer(bytes.fromhex("".join(frame.pdq for _, frame in found)), np.uint8)
        return cls(
            np.array([row for row, _ in found], np.uint32),
            np.array([round(frame.second * 1000) for _, frame in found], np.uint32),
            whole.reshape(len(found), BYTES[HashKind.PDQ]),
            np.array([frame.quality for _, frame in found], np.uint8),
        )

    def at(self, chosen: NDArray[Any], rows: NDArray[np.uint32]) -> Frames:
        """The frames at `chosen`, ascending, under other `rows`."""
        return Frames(rows, self.milliseconds[chosen], self.values[chosen], self.quality[chosen])

    def films(self) -> Iterator[tuple[int, tuple[FrameHash, ...]]]:
        """Each row that has frames, and these."""
        ends = np.flatnonzero(np.diff(self.rows.astype(np.int64), append=-1)) + 1
        start = 0
        for end in ends.tolist() if len(self) else ():
            yield (
                int(self.rows[start]),
                tuple(
                    FrameHash(milliseconds / 1000, value.tobytes().hex(), quality)
                    for milliseconds, value, quality in zip(
                        self.milliseconds[start:end].tolist(),
                        self.values[start:end],
                        self.quality[start:end].tolist(),
                        strict=True,
                    )
                ),
            )
            start = end


@dataclass(frozen=True, slots=True)
class Entries:
    """n entries of one list. Row k of every column speaks of entry k.

    `ids`: what the publisher calls each. `hashes`: the values of each kind, rows ascending, no row twice.
    `pdq_quality` uint8, beside the PDQ values: 0 to 100, or 255 for unknown. `label_codes` uint32 (n,) are
    positions in `labels`, where 0 is no label. Not checked: that ids are unique (`Texts.repeats` tells), that every
    entry has a value.
    """

    ids: Texts
    hashes: Mapping[HashKind, Values]
    pdq_quality: NDArray[np.uint8]
    label_codes: NDArray[np.uint32]
    labels: Texts = field(default_factory=lambda: Texts.of([""]))
    opaque: Opaque = field(default_factory=Opaque)
    frames: Frames = field(default_factory=Frames)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, entries: Iterable[ListEntry]) -> Entries:
        """From single entries, in their order."""
        taken = list(entries)
        made = cls.of_cells(
            [each.entry for each in taken],
            {kind: [getattr(each, field) for each in taken] for kind, field in _FIELDS.items()},
            quality=[each.pdq_quality for each in taken],
            labels=[each.label for each in taken],
            opaque=[each.opaque for each in taken],
        )
        films = [(row, each.frames) for row, each in enumerate(taken) if each.frames]
        return replace(made, frames=Frames.of(films)) if films else made

    @classmethod
    def of_cells(
        cls,
        ids: Sequence[str],
        values: Mapping[HashKind, Sequence[str | None]],
        *,
        quality: Sequence[int | None],
        labels: Sequence[str | None],
        opaque: Sequence[Sequence[tuple[str, str]]],
    ) -> Entries:
        """From columns of cells, one of each for every entry; what `ListEntry` checks is not checked here."""
        codes = {"": 0}
        rows = [codes.setdefault(label or "", len(codes)) for label in labels]
        hashes = {
            kind: Values.of(kind, [(row, value) for row, value in enumerate(values[kind]) if value])
            for kind in VALUE_KINDS
        }
        told = [UNKNOWN_QUALITY if each is None else each for each in quality]
        carried = [(row, name, text) for row, each in enumerate(opaque) for name, text in each]
        names = {name: place for place, name in enumerate(sorted({name for _, name, _ in carried}))}
        return cls(
            Texts.of(ids),
            hashes,
            np.array(told, np.uint8)[hashes[HashKind.PDQ].rows],
            np.array(rows, np.uint32),
            Texts.of(codes),
            Opaque(
                tuple(names),
                np.array([row for row, _, _ in carried], np.uint32),
                np.array([names[name] for _, name, _ in carried], np.uint16),
                Texts.of(text for _, _, text in carried),
            ),
        )

    @classmethod
    def joined(cls, parts: Sequence[Entries]) -> Entries:
        """All entries of `parts`, one part after the other."""
        if not parts:
            return cls.of(())
        starts = np.cumsum([0, *(len(part) for part in parts)])[:-1].tolist()
        codes: dict[str, int] = {"": 0}
        label_codes = []
        for part in parts:
            known = [codes.setdefault(label, len(codes)) for label in part.labels.strings()]
            label_codes.append(np.array(known, np.uint32)[part.label_codes])
        names = tuple(sorted({name for part in parts for name in part.opaque.names}))
        kinds = [
            np.array([names.index(name) for name in part.opaque.names], np.uint16)[part.opaque.kinds] for part in parts
        ]
        return cls(
            Texts.joined(part.ids for part in parts),
            {
                kind: Values(
                    _joined(
                        [part.hashes[kind].rows + np.uint32(start) for part, start in zip(parts, starts, strict=True)]
                    ),
                    _joined([part.hashes[kind].values for part in parts]),
                )
                for kind in VALUE_KINDS
            },
            _joined([part.pdq_quality for part in parts]),
            _joined(label_codes).astype(np.uint32),
            Texts.of(codes),
            Opaque(
                names,
                _joined([part.opaque.rows + np.uint32(start) for part, start in zip(parts, starts, strict=True)]),
                _joined(kinds).astype(np.uint16),
                Texts.joined(part.opaque.texts for part in parts),
            ),
            Frames(
                _joined([part.frames.rows + np.uint32(start) for part, start in zip(parts, starts, strict=True)]),
                *(
                    _joined([getattr(part.frames, name) for part in parts])
                    for name in ("milliseconds", "values", "quality")
                ),
            ),
        )

    def take(self, rows: NDArray[Any]) -> Entries:
        """The entries at `rows`, ascending and each once."""
        place = _places(rows, len(self))

        def kept(of: NDArray[np.uint32]) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
            moved = place[of]
            return moved >= 0, moved[moved >= 0].astype(np.uint32)

        hashes, quality = {}, self.pdq_quality
        for kind, column in self.hashes.items():
            chosen, moved = kept(column.rows)
            hashes[kind] = Values(moved, column.values[chosen])
            if kind is HashKind.PDQ:
                quality = quality[chosen]
        chosen, moved = kept(self.opaque.rows)
        opaque = Opaque(
            self.opaque.names, moved, self.opaque.kinds[chosen], self.opaque.texts.take(np.flatnonzero(chosen))
        )
        frames = self.frames.at(*kept(self.frames.rows)) if len(self.frames) else self.frames
        return Entries(self.ids.take(rows), hashes, quality, self.label_codes[rows], self.labels, opaque, frames)

    def __iter__(self) -> Iterator[ListEntry]:
        """The entries as single values, in their order."""
        cells: list[dict[str, Any]] = [{} for _ in range(len(self))]
        for kind, column in self.hashes.items():
            for row, value in zip(column.rows.tolist(), column.values, strict=True):
                cells[row][kind.value] = value.tobytes().hex()
        for row, quality in zip(self.hashes[HashKind.PDQ].rows.tolist(), self.pdq_quality.tolist(), strict=True):
            cells[row]["pdq_quality"] = None if quality == UNKNOWN_QUALITY else quality
        opaque, texts = self.opaque, self.opaque.texts.strings()
        for at, (row, kind_at) in enumerate(zip(opaque.rows.tolist(), opaque.kinds.tolist(), strict=True)):
            cells[row].setdefault("opaque", []).append((opaque.names[kind_at], texts[at]))
        for row, frames in self.frames.films():
            cells[row]["frames"] = frames
        labels = self.labels.strings()
        for row, entry in enumerate(self.ids.strings()):
            cell = cells[row]
            cell["opaque"] = tuple(sorted(cell.get("opaque", ())))
            yield ListEntry(entry, label=labels[int(self.label_codes[row])] or None, **cell)

    def digest(self) -> str:
        """The canonical digest (docs/formats/snapshot.md, 3), lower-case hex; the order of the rows does not matter.

        Not checked: that ids are unique, without which the digest says less than it should.
        """
        order = self.ids.order()
        parts = [order[start : start + _AT_ONCE] for start in range(0, len(order), _AT_ONCE)]
        digest = hashlib.sha256(f"havenline-entries\n{len(self)}\n".encode())
        for part in parts:
            digest.update(_lines(self.ids, part).data)
        for kind in (HashKind.MD5, HashKind.SHA1, HashKind.SHA256, HashKind.PDQ):
            column = self.hashes[kind]
            place = _places(column.rows, len(self))
            for part in parts:
                digest.update((place[part] >= 0).astype(np.uint8).data)
            for part in parts:
                digest.update(column.values[_known(place[part])].data)
        for part in parts:
            digest.update(self.pdq_quality[_known(place[part])].data)
        for part in parts:
            digest.update(_lines(self.labels, self.label_codes[part]).data)
        ranks = _places(order, len(order))[self.opaque.rows].tolist()
        names = [self.opaque.names[kind] for kind in self.opaque.kinds.tolist()]
        for row, name, text in sorted(zip(ranks, names, self.opaque.texts.strings(), strict=True)):
            digest.update(f"{row}\t{name}\t{text}\n".encode())
        if len(self.frames):
            self._take_frames_in(digest, order)
        return digest.hexdigest()

    def _take_frames_in(self, digest: hashlib._Hash, order: NDArray[np.int64]) -> None:
        """What films add to the digest; lists without any have the one that they had before there were such lists."""
        ranks = _places(order, len(order))[self.frames.rows]
        sorted_ = np.argsort(ranks, kind="stable")
        digest.update(b"havenline-frames\n")
        digest.update(np.bincount(ranks, minlength=len(order)).astype("<u4").data)
        for start in range(0, len(sorted_), _AT_ONCE):
            digest.update(self.frames.milliseconds[sorted_[start : start + _AT_ONCE]].astype("<u4").data)
        for start in range(0, len(sorted_), _AT_ONCE):
            digest.update(self.frames.values[sorted_[start : start + _AT_ONCE]].data)
        for start in range(0, len(sorted_), _AT_ONCE):
            digest.update(self.frames.quality[sorted_[start : start + _AT_ONCE]].data)


def _places(rows: NDArray[Any], count: int) -> NDArray[np.int64]:
    """For each of `count` rows where it stands in `rows`, or -1."""
    place = np.full(count, -1, np.int64)
    place[rows] = np.arange(len(rows))
    return place


def _known(places: NDArray[np.int64]) -> NDArray[np.int64]:
    return places[places >= 0]


def _lines(texts: Texts, rows: NDArray[Any]) -> NDArray[np.uint8]:
    """The texts at `rows`, each with a line feed behind it."""
    taken = texts.take(rows)
    ends = taken.offsets[1:].astype(np.int64) + np.arange(len(taken))
    made = np.full(len(taken.letters) + len(taken), ord("\n"), np.uint8)
    inside = np.ones(len(made), np.bool_)
    inside[ends] = False
    made[inside] = taken.letters
    return made


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
