"""Films of lists found by the shares of their frames, as vPDQ counts, in one snapshot.

After Meta's vPDQ (ThreatExchange, vpdq): frames under the quality floor do not count, frames with equal hashes count
once, two frames match within the radius. Not asked: that matching frames come in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.entries import Frames
from havenline.matching.asked import Asked, AskedFrames, FilmLeads
from havenline.matching.sources import Rows, Source, Terms, there
from havenline.texts import stretches
from havenline.vocabulary import HashKind

_PAIRS_AT_ONCE = 1 << 20
"""Above so many pairs of an asked frame and a listed one, the fingerprints are asked about one after the other, and the
pairs of each looked at by turns: a card that very many films show makes very many.
"""

_COLUMNS = ("asked", "row", "edition", "distance")


@dataclass(frozen=True, slots=True)
class FoundFilms:
    """Films near fingerprints, each once, by columns of int64: fingerprint, row, edition, and the nearest frame's bits.

    `told` has one place for each, in the same order.
    """

    asked: Rows
    row: Rows
    edition: Rows
    distance: Rows
    told: FilmLeads

    @classmethod
    def joined(cls, parts: list[FoundFilms]) -> FoundFilms | None:
        """All of them, None where there are no parts."""
        if len(parts) < 2:
            return parts[0] if parts else None
        starts = np.cumsum([0, *(len(part.asked) for part in parts)])[:-1].tolist()
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
        return cls(told=FilmLeads.joined([part.told for part in parts], starts), **columns)

    def at(self, chosen: NDArray[Any]) -> FoundFilms:
        """Those at `chosen`, in that order."""
        columns = {name: getattr(self, name)[chosen] for name in _COLUMNS}
        return FoundFilms(told=self.told.take(chosen, np.arange(len(chosen))), **columns)


@dataclass(frozen=True, slots=True)
class _Question:
    """The PDQ values that are asked with: the fingerprint and quality of each, whether it is a frame as stored (bit 0)
    or as the mark turns it (bit 1); and the frames.
    """

    owner: Rows
    quality: NDArray[np.uint8]
    ways: NDArray[np.uint8]
    frames: AskedFrames


@dataclass(frozen=True, slots=True)
class _Near:
    """Pairs of an asked value and a listed frame that match on the terms of its edition, by columns."""

    value: Rows
    frame: Rows
    row: Rows
    edition: Rows
    distance: Rows
    milliseconds: Rows

    def at(self, chosen: NDArray[Any]) -> _Near:
        return _Near(*(getattr(self, name)[chosen] for name in _Near.__slots__))


def find_films(source: Source, asked: Asked, terms: Terms, threads: int) -> FoundFilms | None:
    """The films of one snapshot that reach the shares of their edition's terms; None where there are none.

    Asked with the frames as stored and with those as the mark turns them, each by itself; whichever lies nearer is
    told.
    """
    index, frames, pdq = source.snapshot.frame_index, asked.frames, asked.hashes[HashKind.PDQ]
    if index is None or not len(frames):
        return None
    ways = np.zeros(len(pdq), np.uint8)
    ways[frames.values[~frames.upright]] |= 1
    ways[frames.values[frames.upright]] |= 2
    sought = np.flatnonzero((ways > 0) & (asked.pdq_quality >= terms.lowest))
    if not len(sought):
        return None
    queries, codes, distances = index.search_codes(pdq.values[sought], radius=terms.widest, threads=threads)
    if not len(codes):
        return None
    question, values = _Question(pdq.rows.astype(np.int64), asked.pdq_quality, ways, frames), sought[queries]
    parts = [np.arange(len(codes))]
    if index.count_of_all(codes, most=_PAIRS_AT_ONCE) > _PAIRS_AT_ONCE:
        owners = question.owner[values]
        parts = [np.flatnonzero(owners == owner) for owner in np.unique(owners)]
    found = []
    for part in parts:
        places, entries = index.entries_of_all(codes[part])
        for some in _by_turns(source.snapshot.frames.rows[entries]):
            at = part[places[some]]
            found += _found(source, question, values[at], entries[some], distances[at].astype(np.int64), terms)
    return FoundFilms.joined(found)


def _by_turns(rows: NDArray[np.uint32]) -> Iterator[NDArray[np.int64]]:
    """Positions of pairs, not too many at once, those of one listed film together; `rows`, the film of each pair."""
    if len(rows) <= _PAIRS_AT_ONCE:
        yield np.arange(len(rows))
        return
    order = np.argsort(rows, kind="stable")
    sorted_, start = rows[order], 0
    while start < len(rows):
        last = min(start + _PAIRS_AT_ONCE, len(rows) - 1)
        end = int(np.searchsorted(sorted_, sorted_[last], side="right"))
        yield order[start:end]
        start = end


def _found(
    source: Source, question: _Question, value: Rows, frame: Rows, distance: Rows, terms: Terms
) -> list[FoundFilms]:
    """What pairs of an asked value and a listed frame come to: one part or none."""
    frames = source.snapshot.frames
    row = frames.rows[frame].astype(np.int64)
    kept, edition = there(source, row, terms)
    floor = terms.floor[edition]
    good = (distance <= terms.radius[edition]) & (question.quality[value] >= floor) & (frames.quality[frame] >= floor)
    kept = kept[good[kept]]
    near = _Near(value, frame, row, edition, distance, frames.milliseconds[frame].astype(np.int64)).at(kept)
    ways = [_by_way(question, near, way, frames, terms) for way in (0, 1)]
    both = FoundFilms.joined([each for each in ways if each is not None])
    if both is None:
        return []
    counts = both.told.counts.astype(np.float64)
    asked_share, listed_share = counts[:, 0] / counts[:, 1], counts[:, 2] / counts[:, 3]
    order = np.lexsort((both.told.upright, -listed_share, -asked_share, both.row, both.asked))
    fresh = _fresh(both.asked[order], both.row[order])
    return [both.at(order[fresh])]


def _by_way(question: _Question, near: _Near, way: int, frames: Frames, terms: Terms) -> FoundFilms | None:
    """The films near enough to the frames as stored (0), or as the mark turns them (1)."""
    near = near.at(np.flatnonzero(question.ways[near.value] >> way & 1))
    if not len(near.value):
        return None
    owner = question.owner[near.value]
    # Sorted so that of one fingerprint, film and asked frame the nearest listed frame comes first.
    order = np.lexsort((near.milliseconds, near.distance, near.value, near.row, owner))
    near, owner = near.at(order), owner[order]
    fresh_film, fresh = _fresh(owner, near.row), _fresh(owner, near.row, near.value)
    film, firsts = np.cumsum(fresh_film) - 1, np.flatnonzero(fresh_film)
    counts = np.zeros((len(firsts), 4), np.int64)
    counts[:, 0] = np.bincount(film[fresh])
    counts[:, 1] = _asked_in_all(question, way, owner[firsts], terms.floor[near.edition[firsts]])
    counts[:, 2] = np.bincount(np.unique(film * len(frames) + near.frame) // len(frames))
    enough = counts[:, 0] / counts[:, 1] >= terms.asked_share[near.edition[firsts]]
    chosen = np.flatnonzero(enough)
    edition = near.edition[firsts[chosen]]
    counts[chosen, 3] = _listed_in_all(frames, near.row[firsts[chosen]], terms.floor[edition])
    enough[chosen] = counts[chosen, 2] / counts[chosen, 3] >= terms.listed_share[edition]
    chosen = np.flatnonzero(enough)
    if not len(chosen):
        return None
    nearest = near.at(np.flatnonzero(fresh & enough[film]))
    place = (np.cumsum(enough) - 1)[film[fresh & enough[film]]]
    told = _moments(question, way, nearest, place, counts[chosen])
    firsts = firsts[chosen]
    distance = np.minimum.reduceat(nearest.distance, np.flatnonzero(_fresh(place)))
    return FoundFilms(owner[firsts], near.row[firsts], near.edition[firsts], distance, told)


def _asked_in_all(question: _Question, way: int, owner: Rows, floor: Rows) -> Rows:
    """How many different frames of each fingerprint `owner` reach the `floor`."""
    made, mine = np.zeros(len(owner), np.int64), question.ways >> way & 1
    for each in np.unique(floor).tolist():
        of_all = np.bincount(question.owner[(mine > 0) & (question.quality >= each)], minlength=int(owner.max()) + 1)
        made[floor == each] = of_all[owner[floor == each]]
    return made


def _listed_in_all(frames: Frames, row: Rows, floor: Rows) -> Rows:
    """How many frames of the film at each `row` reach the `floor`."""
    starts = np.searchsorted(frames.rows, row)
    lengths = np.searchsorted(frames.rows, row, side="right") - starts
    place = np.repeat(np.arange(len(row)), lengths)
    good = frames.quality[stretches(starts, lengths)] >= floor[place]
    return np.bincount(place[good], minlength=len(row))


def _moments(question: _Question, way: int, nearest: _Near, place: Rows, counts: Rows) -> FilmLeads:
    """All asked frames of each film's pairs, by their second; `place` says which film a pair belongs to, ascending."""
    mine = np.flatnonzero(question.frames.upright == bool(way))
    mine = mine[np.argsort(question.frames.values[mine], kind="stable")]
    values = question.frames.values[mine]
    starts = np.searchsorted(values, nearest.value)
    lengths = np.searchsorted(values, nearest.value, side="right") - starts
    pair = np.repeat(np.arange(len(place)), lengths)
    asked = question.frames.milliseconds[mine[stretches(starts, lengths)]]
    order = np.lexsort((asked, place[pair]))
    pair = pair[order]
    return FilmLeads(
        np.arange(len(counts), dtype=np.uint32),
        counts.astype(np.uint32),
        np.full(len(counts), bool(way)),
        np.cumsum(np.bincount(place[pair], minlength=len(counts))).astype(np.uint32),
        asked[order],
        nearest.milliseconds[pair].astype(np.uint32),
        nearest.distance[pair].astype(np.uint8),
    )


def _fresh(*columns: Rows) -> NDArray[np.bool_]:
    """Where any of the columns differs from the place before."""
    made = np.ones(len(columns[0]), np.bool_)
    made[1:] = False
    for column in columns:
        made[1:] |= column[1:] != column[:-1]
    return made
