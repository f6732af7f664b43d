"""Editions of hash lists as one immutable mapped file, prepared for lookups: docs/formats/snapshot.md."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.entries import BYTES, Entries, Frames, Opaque, Values
from havenline.matching.hamming import HammingIndex
from havenline.matching.index_file import arrays_of, tables_of
from havenline.matching.mapped_file import Flaw, MappedFileRefused, read_mapped, write_mapped
from havenline.texts import Texts, stretches
from havenline.vocabulary import ASKED_SHARE, LISTED_SHARE, EditionRef, HashKind, ListTerms

KIND = "snapshot"
FORM = 1
FORM_WITH_FILMS = 2
"""Where entries have frames, so that a program that would pass over them refuses the file."""
DIGESTS = (HashKind.SHA256, HashKind.SHA1, HashKind.MD5)
"""The strongest first."""
_KEY = 8
"""Bytes of a digest by which it is sorted."""
_FRAME = "frame_"
"""Stands before the names of the sections of the index over frames."""
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Edition:
    """One immutable edition of a hash list, and the terms on which it is matched.

    `made_by`: the program that made it. `added`: entries that were added to the list since the edition that `ref`
    numbers. `pipeline`: what made its PDQ values, as far as is known; every list is asked with the values of both of
    Meta's pipelines all the same. Not checked here: that the digest fits the entries, and that their ids are unique.
    """

    ref: EditionRef
    entries: Entries
    terms: ListTerms = field(default_factory=ListTerms)
    made_by: str = ""
    added: bool = False
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class EditionHead:
    """What a snapshot says of an edition in it: all but the entries, and how many they are."""

    ref: EditionRef
    terms: ListTerms
    made_by: str
    count: int
    added: bool = False
    pipeline: str = ""


class Snapshot:
    """The entries of some editions, by columns, row after row; immutable, safe to use from several threads.

    Rows are numbered through all editions in their order. `withdrawn`: by name of list, the ids of entries that must
    not come back with a later edition. `digest` names the file that it was opened from.
    """

    __slots__ = ("_arrays", "_ends", "_index", "_says", "_stops", "digest", "frame_index", "heads", "withdrawn")

    def __init__(self, says: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], digest: str | None = None) -> None:
        """Use `build` or `open`."""
        self._says, self._arrays, self.digest = says, arrays, digest
        self.heads: tuple[EditionHead, ...] = tuple(_head_of(each) for each in says["lists"])
        self._ends = np.cumsum([head.count for head in self.heads], dtype=np.int64)
        self._stops = self._ends.tolist()
        self._index = HammingIndex(tables_of(arrays, entries=len(arrays["pdq_rows"])))
        self.frame_index: HammingIndex | None = None
        """The frames of films, in the order of their rows; None where there are none."""
        if says["form"] == FORM_WITH_FILMS:
            own = {name.removeprefix(_FRAME): each for name, each in arrays.items() if name.startswith(_FRAME)}
            self.frame_index = HammingIndex(tables_of(own, entries=len(arrays["frame_rows"])))
        kinds = arrays["withdrawn_lists"]
        self.withdrawn: dict[str, Texts] = {
            name: self._texts("withdrawn").take(np.flatnonzero(kinds == at))
            for at, name in enumerate(says["withdrawn"])
        }

    @classmethod
    def build(
        cls, editions: Sequence[Edition], *, withdrawn: Mapping[str, Texts] | None = None, threads: int = 1
    ) -> Snapshot:
        """Prepare `editions`: about 128 bytes for each PDQ value, the digests sorted, the ids once.

        Raises ValueError when there are more than 65,535 editions. Not checked: that ids are unique in an edition.
        """
        if len(editions) >= 1 << 16:
            raise ValueError("a snapshot holds fewer than 65,536 editions")
        entries = Entries.joined([edition.entries for edition in editions])
        gone = dict(withdrawn or {})
        says = {
            "form": FORM_WITH_FILMS if len(entries.frames) else FORM,
            "entries": len(entries),
            "lists": [_said(edition) for edition in editions],
            "opaque": list(entries.opaque.names),
            "withdrawn": list(gone),
        }
        return cls(says, {**_columns(entries, threads=threads), **_withdrawn(gone)})

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = False) -> Snapshot:
        """Map the snapshot at `path`; refusals, and what is checked, as `mapped_file.read_mapped` says."""
        mapped = read_mapped(Path(path), KIND, verify=verify)
        if not _is_sound(mapped.says, mapped.arrays):
            if mapped.says.get("form") not in (FORM, FORM_WITH_FILMS):
                raise MappedFileRefused(
                    Flaw.VERSION,
                    f"the snapshot has another form, this program reads forms {FORM} and {FORM_WITH_FILMS}: "
                    "use a matching one",
                )
            raise MappedFileRefused(Flaw.HEAD, "the head of the snapshot contradicts itself: make it anew")
        return cls(mapped.says, mapped.arrays, mapped.digest)

    def save(self, path: str | Path, *, replace: bool = True) -> str:
        """Write the snapshot `path`, whole or not at all, in place of an earlier one; returns its digest.

        Readable by its owner alone. Raises FileExistsError when there is one and `replace` is false, OSError when it
        cannot be written.
        """
        return write_mapped(Path(path), KIND, self._says, self._arrays, replace=replace)

    def __len__(self) -> int:
        """How many entries, over all editions."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def index(self) -> HammingIndex:
        """The PDQ values; position k belongs to row `rows_of_pdq[k]`."""
        return self._index

    def count(self, kind: HashKind, *, less: Rows | None = None) -> int:
        """How many values of a kind there are, but for those of the entries at the rows `less`; films: entries."""
        rows = np.unique(self.frames.rows) if kind is HashKind.FILM else self._arrays[f"{kind.value}_rows"]
        return len(rows) - (int(np.isin(rows, less).sum()) if less is not None and len(less) else 0)

    @property
    def frames(self) -> Frames:
        """The frames of films without their values, which `frame_index` has: `values` is empty."""
        if self.frame_index is None:
            return Frames()
        arrays = self._arrays
        none = Frames().values
        return Frames(arrays["frame_rows"], arrays["frame_milliseconds"], none, arrays["frame_quality"])

    @property
    def pdq_qualities(self) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """The row of each PDQ value, and its quality; 255 for unknown."""
        return self._arrays["pdq_rows"], self._arrays["pdq_quality"]

    def editions_of(self, rows: Rows) -> Rows:
        """For each of `rows` the position of its edition in `heads`."""
        return np.searchsorted(self._ends, rows, side="right")

    def ids(self, rows: Rows) -> Texts:
        """The ids of the entries at `rows`."""
        return self._texts("id").take(rows)

    def by_digest(self, kind: HashKind, values: NDArray[np.uint8]) -> tuple[Rows, Rows]:
        """The entries that have one of `values`, uint8 (m, bytes of the kind): (places in `values`, rows)."""
        keys = self._arrays[f"{kind.value}_keys"]
        sought = _keys(values)
        starts = np.searchsorted(keys, sought)
        lengths = np.searchsorted(keys, sought, side="right") - starts
        if not lengths.any():
            return _NONE, _NONE
        places, at = np.repeat(np.arange(len(values)), lengths), stretches(starts, lengths)
        same = (self._arrays[f"{kind.value}_rest"][at] == values[places, _KEY:]).all(axis=1)
        return places[same], self._arrays[f"{kind.value}_rows"][at[same]].astype(np.int64)

    def rows_of_codes(self, codes: Rows) -> tuple[Rows, Rows, NDArray[np.uint8]]:
        """All entries that have one of the index's `codes` (positions): (places in `codes`, rows, qualities)."""
        places, entries = self._index.entries_of_all(codes)
        return places, self._arrays["pdq_rows"][entries].astype(np.int64), self._arrays["pdq_quality"][entries]

    def row_of_entry(self, entry: int) -> tuple[int, int, int]:
        """Of one entry of the index: its row, the position of its edition in `heads`, its quality."""
        row = int(self._arrays["pdq_rows"][entry])
        return row, bisect_right(self._stops, row), int(self._arrays["pdq_quality"][entry])

    def rows_of_ids(self, name: str, ids: Texts) -> Rows:
        """The rows of the list `name` that have one of `ids`, ascending."""
        keys, sought = self._arrays["id_keys"], ids.keys()
        starts = np.searchsorted(keys, sought)
        lengths = np.searchsorted(keys, sought, side="right") - starts
        rows = self._arrays["id_rows"][stretches(starts, lengths)].astype(np.int64)
        wanted = ids.take(np.repeat(np.arange(len(ids)), lengths)).strings()
        same = [id_ == want for id_, want in zip(self.ids(rows).strings(), wanted, strict=True)]
        named = np.array([head.ref.list_name == name for head in self.heads], np.bool_)
        rows = rows[np.array(same, np.bool_)]
        return np.unique(rows[named[self.editions_of(rows)]]) if len(rows) else rows

    def entries(self) -> Entries:
        """All entries as they were given to `build`, row after row."""
        index = self._index
        hashes = {
            HashKind.PDQ: Values(self._arrays["pdq_rows"], index.codes_of(range(len(index)))),
            **{kind: self._values(kind) for kind in DIGESTS},
        }
        opaque = Opaque(
            tuple(self._says["opaque"]),
            self._arrays["opaque_rows"],
            self._arrays["opaque_kinds"],
            self._texts("opaque"),
        )
        labels = self._arrays["label_codes"]
        if not len(labels):
            labels = np.zeros(len(self), np.uint32)
        frames = self.frames
        if self.frame_index is not None:
            frames = replace(frames, values=self.frame_index.codes_of(range(len(frames))))
        return Entries(
            self._texts("id"), hashes, self._arrays["pdq_quality"], labels, self._texts("label"), opaque, frames
        )

    def editions(self) -> list[Edition]:
        """The editions with their entries, as `build` takes them."""
        whole, start, made = self.entries(), 0, []
        for head in self.heads:
            entries = whole.take(np.arange(start, start + head.count)) if len(self.heads) > 1 else whole
            made.append(Edition(head.ref, entries, head.terms, head.made_by, head.added, head.pipeline))
            start += head.count
        return made

    def _texts(self, name: str) -> Texts:
        return Texts(self._arrays[f"{name}_offsets"], self._arrays[f"{name}_letters"])

    def _values(self, kind: HashKind) -> Values:
        keys, rows = self._arrays[f"{kind.value}_keys"], self._arrays[f"{kind.value}_rows"]
        order = np.argsort(rows)
        first = keys[order].astype(">u8").view(np.uint8).reshape(-1, _KEY)
        return Values(rows[order], np.hstack([first, self._arrays[f"{kind.value}_rest"][order]]))


_NONE: Rows = np.empty(0, np.int64)


def _keys(values: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first eight bytes of each value as a number, so that numbers and bytes have one order."""
    return np.ascontiguousarray(values[:, :_KEY]).view(">u8").ravel().astype(np.uint64)


def _columns(entries: Entries, *, threads: int) -> dict[str, NDArray[Any]]:
    """The arrays of a snapshot but for those of the withdrawn."""
    pdq = entries.hashes[HashKind.PDQ]
    made: dict[str, NDArray[Any]] = arrays_of(HammingIndex.build(pdq.values, threads=threads).tables)
    made |= {"pdq_rows": pdq.rows, "pdq_quality": entries.pdq_quality}
    for kind in DIGESTS:
        column = entries.hashes[kind]
        keys = _keys(column.values)
        order = np.argsort(keys, kind="stable")
        made[f"{kind.value}_keys"] = keys[order]
        made[f"{kind.value}_rest"] = column.values[order, _KEY:]
        made[f"{kind.value}_rows"] = column.rows[order]
    if len(entries.frames):
        made |= _frame_columns(entries.frames, threads=threads)
    keys = entries.ids.keys()
    order = np.argsort(keys, kind="stable")
    opaque = entries.opaque
    return made | {
        "id_offsets": entries.ids.offsets,
        "id_letters": entries.ids.letters,
        "id_keys": keys[order],
        "id_rows": order.astype(np.uint32),
        "label_codes": entries.label_codes if entries.label_codes.any() else np.empty(0, np.uint32),
        "label_offsets": entries.labels.offsets,
        "label_letters": entries.labels.letters,
        "opaque_rows": opaque.rows,
        "opaque_kinds": opaque.kinds,
        "opaque_offsets": opaque.texts.offsets,
        "opaque_letters": opaque.texts.letters,
    }


def _frame_columns(frames: Frames, *, threads: int) -> dict[str, NDArray[Any]]:
    index = HammingIndex.build(frames.values, threads=threads)
    return {_FRAME + name: each for name, each in arrays_of(index.tables).items()} | {
        "frame_rows": frames.rows,
        "frame_milliseconds": frames.milliseconds,
        "frame_quality": frames.quality,
    }


def _withdrawn(gone: Mapping[str, Texts]) -> dict[str, NDArray[Any]]:
    ids = Texts.joined(gone.values())
    lists = np.repeat(np.arange(len(gone)), [len(each) for each in gone.values()])
    return {
        "withdrawn_lists": lists.astype(np.uint16),
        "withdrawn_offsets": ids.offsets,
        "withdrawn_letters": ids.letters,
    }


def _said(edition: Edition) -> dict[str, Any]:
    return {
        "name": edition.ref.list_name,
        "number": edition.ref.number,
        "digest": edition.ref.digest,
        "entries": len(edition.entries),
        "made_by": edition.made_by,
        "added": edition.added,
        "pipeline": edition.pipeline,
        "terms": said_terms(edition.terms),
    }


def said_terms(terms: ListTerms) -> dict[str, Any]:
    """Terms as JSON says them (docs/formats/snapshot.md, 2)."""
    expires = None if terms.expires_at is None else terms.expires_at.astimezone(dt.UTC).isoformat()
    said = {
        "radius": terms.radius,
        "quality_floor": terms.quality_floor,
        "allow": terms.allow,
        "enabled": terms.enabled,
        "expires_at": expires,
        "asked_share": terms.asked_share,
        "listed_share": terms.listed_share,
    }
    return {**said, "shadow": True} if terms.shadow else said


def terms_of(said: Mapping[str, Any]) -> ListTerms:
    """The terms that JSON says. Raises KeyError, TypeError, ValueError where it says none."""
    expires = said["expires_at"]
    return ListTerms(
        radius=said["radius"],
        quality_floor=said["quality_floor"],
        allow=said["allow"],
        enabled=said["enabled"],
        expires_at=None if expires is None else dt.datetime.fromisoformat(expires),
        # Terms that were said before entries could be films say nothing of shares.
        asked_share=said.get("asked_share", ASKED_SHARE),
        listed_share=said.get("listed_share", LISTED_SHARE),
        shadow=said.get("shadow", False),
    )


def _head_of(said: Mapping[str, Any]) -> EditionHead:
    ref = EditionRef(said["name"], said["number"], said["digest"])
    # Snapshots that were written before editions named their pipeline say nothing of it.
    pipeline = said.get("pipeline", "")
    return EditionHead(ref, terms_of(said["terms"]), said["made_by"], said["entries"], said["added"], pipeline)


def _is_sound(says: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether head and arrays speak of one number of entries, values and texts."""
    try:
        heads = [_head_of(each) for each in says["lists"]]
        n = sum(head.count for head in heads)
        shapes: dict[str, tuple[Any, ...]] = {name: (array.dtype.str, *array.shape) for name, array in arrays.items()}
        expected: dict[str, tuple[Any, ...]] = {"id_keys": ("<u8", n), "id_rows": ("<u4", n)}
        for kind in DIGESTS:
            k = len(arrays[f"{kind.value}_rows"])
            expected[f"{kind.value}_keys"] = ("<u8", k)
            expected[f"{kind.value}_rest"] = ("|u1", k, BYTES[kind] - _KEY)
            expected[f"{kind.value}_rows"] = ("<u4", k)
        k, m, gone = (len(arrays[name]) for name in ("pdq_rows", "opaque_rows", "withdrawn_lists"))
        expected |= {"pdq_rows": ("<u4", k), "pdq_quality": ("|u1", k), "opaque_rows": ("<u4", m)}
        expected |= {"opaque_kinds": ("<u2", m), "withdrawn_lists": ("<u2", gone)}
        expected["label_codes"] = ("<u4", n if len(arrays["label_codes"]) else 0)
        counts = {"id": n, "label": len(arrays["label_offsets"]) - 1, "opaque": m, "withdrawn": gone}
        for name, count in counts.items():
            expected[f"{name}_offsets"] = ("<u8", count + 1)
            expected[f"{name}_letters"] = ("|u1", int(arrays[f"{name}_offsets"][-1]))
        if says["form"] == FORM_WITH_FILMS:
            frames = len(arrays["frame_rows"])
            expected |= {f"frame_{name}": ("<u4", frames) for name in ("rows", "milliseconds")}
            expected["frame_quality"] = ("|u1", frames)
        elif says["form"] != FORM:
            return False
        return says["entries"] == n and all(shapes[each] == expected[each] for each in expected)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return False
