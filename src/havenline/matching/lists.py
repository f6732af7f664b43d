"""Looking fingerprints up in hash lists: by digest, and by PDQ distance and quality, on the terms of each list."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from havenline.entries import UNKNOWN_QUALITY, Values
from havenline.matching.asked import KINDS, NO_LEEWAY, Asked, FilmLeads, Leads, match_order
from havenline.matching.films import FoundFilms, find_films
from havenline.matching.snapshot import Edition, EditionHead, Snapshot
from havenline.matching.sources import Rows, Source, Terms, there
from havenline.texts import Texts, stretches
from havenline.vocabulary import NCII, EditionRef, Fingerprint, HashKind, HavenlineError, Leeway, ListTerms, Match

MOST = 1000
"""So many entries of one edition are told one by one for one fingerprint; of the others their number."""
_FILM, _PDQ = KINDS.index(HashKind.FILM), KINDS.index(HashKind.PDQ)
_ONE_BY_ONE = 24
"""So many leads are made in plain Python: NumPy's calls would take longer."""
_DIRECTLY = 1 << 16
"""Up to this many pairs of a question and an entry are made at once, however often codes repeat."""


class KindsMixed(HavenlineError):
    """Lists of adults' intimate pictures and lists of child abuse were named together; nothing was looked up."""


def count_in_shadow(lists: ListLookup, fingerprints: Sequence[Fingerprint], *, at: dt.datetime) -> dict[str, int]:
    """How many of `fingerprints` each list in shadow would match, by name of list; told as numbers alone."""
    shadow = lists.in_shadow()
    if shadow is None:
        return {}
    counts = {head.ref.list_name: 0 for head in shadow.heads if head.terms.enabled}
    for matches in shadow.lookup(fingerprints, at=at):
        for name in {match.edition.list_name for match in matches if not match.allowed}:
            counts[name] += 1
    return counts


def keep_apart(names: Iterable[str]) -> None:
    """Raises KindsMixed where some lists of these names are of kind ncii and others are not."""
    kinds = {name.startswith(NCII): name for name in names}
    if len(kinds) > 1:
        raise KindsMixed(
            f"the list {kinds[True]!r} is of adults' intimate pictures and {kinds[False]!r} is not: they are kept "
            "apart, so name them in two runs"
        )


class ListLookup(Protocol):
    """Whatever answers lookups in hash lists: lists in this process, or a client of the one that holds them."""

    @property
    def heads(self) -> tuple[EditionHead, ...]:
        """The editions that are looked up in."""

    def lookup(
        self, fingerprints: Sequence[Fingerprint], *, at: dt.datetime, leeway: Leeway = NO_LEEWAY
    ) -> list[tuple[Match, ...]]:
        """As `Lists.lookup`."""

    def in_shadow(self) -> ListLookup | None:
        """The lists in shadow alone, to count what they would give; None where there are none, or others count."""


class Together:
    """Several lookups as one. An allow-list in one of them does not speak of the matches of another."""

    __slots__ = ("_lookups",)

    def __init__(self, lookups: Sequence[ListLookup]) -> None:
        """Ask `lookups`, each time all of them. Raises KindsMixed."""
        self._lookups = tuple(lookups)
        keep_apart(head.ref.list_name for head in self.heads)

    @property
    def heads(self) -> tuple[EditionHead, ...]:
        """The editions of all."""
        return tuple(head for each in self._lookups for head in each.heads)

    def lookup(
        self, fingerprints: Sequence[Fingerprint], *, at: dt.datetime, leeway: Leeway = NO_LEEWAY
    ) -> list[tuple[Match, ...]]:
        """The matches of all, in the order of `Lists.lookup`."""
        found = [each.lookup(fingerprints, at=at, leeway=leeway) for each in self._lookups]
        together = ([match for one in each for match in one] for each in zip(*found, strict=True))
        return [tuple(sorted(each, key=match_order)) for each in together]

    def in_shadow(self) -> Together | None:
        """As `ListLookup` says."""
        parts = [part for each in self._lookups if (part := each.in_shadow()) is not None]
        return Together(parts) if parts else None


class Lists:
    """Hash lists that answer lookups. Immutable; safe to use from several threads."""

    __slots__ = ("_allow", "_allowing", "_floor", "_none", "_ready", "_sources", "heads")

    def __init__(self, sources: Sequence[Source], terms: Mapping[str, ListTerms] | None = None) -> None:
        """Answer from `sources`; `terms`, by name of list, stand in place of those in the snapshots."""
        self._sources = [source for source in sources if source.snapshot.heads]
        changed = terms or {}
        self._set_heads(
            replace(head, terms=changed.get(head.ref.list_name, head.terms))
            for source in self._sources
            for head in source.snapshot.heads
        )

    def _set_heads(self, heads: Iterable[EditionHead]) -> None:
        self.heads: tuple[EditionHead, ...] = tuple(heads)
        keep_apart(head.ref.list_name for head in self.heads)
        self._floor = np.array([head.terms.quality_floor for head in self.heads], np.int64)
        self._allow = np.array([head.terms.allow for head in self.heads], np.bool_)
        self._allowing = bool(self._allow.any())
        self._ready: _Ready | None = None
        refs = tuple(head.ref for head in self.heads)
        self._none = _leads(refs, _NOTHING, np.empty(0, np.bool_), Texts.of([]), FilmLeads())

    @classmethod
    def build(cls, editions: Sequence[Edition], *, threads: int = 1) -> Lists:
        """Prepare `editions`; entries with equal hashes, in one edition or several, are all told."""
        return cls([Source(Snapshot.build(editions, threads=threads))])

    @classmethod
    def open(cls, paths: Iterable[str | Path]) -> Lists:
        """Map the snapshots at `paths`; refusals as `Snapshot.open`."""
        return cls([Source(Snapshot.open(path)) for path in paths])

    @classmethod
    def joined(cls, parts: Sequence[Lists]) -> Lists:
        """The lists of all `parts`, each on its own terms; an allow-list of one counts for all."""
        made = cls([source for part in parts for source in part._sources])
        made._set_heads(head for part in parts for head in part.heads)
        return made

    def in_shadow(self) -> Lists | None:
        """The same with the lists in shadow alone enabled, to count what they would give; None where none is."""
        if not any(head.terms.shadow for head in self.heads):
            return None
        made = Lists(self._sources)
        made._set_heads(
            replace(head, terms=replace(head.terms, enabled=head.terms.shadow, shadow=False)) for head in self.heads
        )
        return made

    def counts(self) -> dict[HashKind, int]:
        """How many values of each kind there are, and films where there are any, less those of withdrawn entries."""
        counts = {
            kind: sum(source.snapshot.count(kind, less=source.gone) for source in self._sources) for kind in HashKind
        }
        return {kind: count for kind, count in counts.items() if count or kind is not HashKind.FILM}

    def flat(self) -> int:
        """How many PDQ values lie below the quality floor of their list; the withdrawn ones count too."""
        count, first = 0, 0
        for source in self._sources:
            rows, qualities = source.snapshot.pdq_qualities
            floors = self._floor[first + source.snapshot.editions_of(rows.astype(np.int64))]
            count += int((qualities < floors).sum())
            first += len(source.snapshot.heads)
        return count

    def __len__(self) -> int:
        """How many entries, over all editions."""
        return sum(len(source.snapshot) - len(source.gone) for source in self._sources)

    def lookup(
        self,
        fingerprints: Sequence[Fingerprint],
        *,
        at: dt.datetime,
        leeway: Leeway = NO_LEEWAY,
        threads: int = 1,
    ) -> list[tuple[Match, ...]]:
        """The matches of each fingerprint, in the order given, by lists that are active at the time `at`.

        For one entry only its strongest kind is reported: SHA-256, SHA-1, MD5, the frames of a film where their shares
        are those of its list, then PDQ within its radius, where both sides reach its quality floor. Matches are
        sorted: exact ones first, then by distance, list, edition number and entry. With `leeway` the radius of every
        list is wider and its floor lower, for values that are not exact. Not judged here: what a match means.
        """
        return self.look_up(Asked.of(fingerprints, leeway), at=at, threads=threads).matches(len(fingerprints))

    def look_up(self, asked: Asked, *, at: dt.datetime, threads: int = 1) -> Leads:
        """As `lookup`, from columns to columns."""
        ready = self._ready
        if ready is None or not ready.since <= at < ready.until:
            ready = self._ready = self._made_ready(at)
        found = []
        for source, first, terms in ready.active:
            each, films = _found(source, asked, terms.wider(asked.leeway) if asked.leeway else terms, threads)
            if len(each.asked):
                found.append((source.snapshot, first, each, films))
        return self._told(asked, found) if found else self._none

    def _made_ready(self, at: dt.datetime) -> _Ready:
        """What is looked up in from `at` on, until a list expires."""
        active = np.array([head.terms.active(at) for head in self.heads], np.bool_)
        chosen, first = [], 0
        for source in self._sources:
            here = slice(first, first + len(source.snapshot.heads))
            if active[here].any():
                terms = Terms.of([head.terms for head in self.heads[here]], active[here])
                chosen.append((source, first, terms))
            first = here.stop
        ends = [head.terms.expires_at for head in self.heads if head.terms.expires_at is not None]
        return _Ready(at, min([each for each in ends if each > at], default=_NEVER), chosen)

    def _told(self, asked: Asked, found: list[tuple[Snapshot, int, _Found, FoundFilms | None]]) -> Leads:
        if not self._allowing and len(found) == 1:
            snapshot, first, each, films = found[0]
            told = replace(each, edition=each.edition + first) if first else each
            none = np.zeros(len(told.asked), np.bool_)
            return _leads(self._none.editions, told, none, snapshot.ids(told.row), _film_leads(told, films))
        kept = []
        allowing = [self._allow[each.edition + first] for _, first, each, _ in found]
        known = np.zeros(asked.count, np.bool_)
        for (_, _, each, _), allow in zip(found, allowing, strict=True):
            known[each.asked[allow & (each.kind == 0)]] = True
        for (snapshot, first, each, films), allow in zip(found, allowing, strict=True):
            told = each.at(~allow) if allow.any() else each
            kept.append((replace(told, edition=told.edition + first), snapshot.ids(told.row), _film_leads(told, films)))
        whole = _Found.joined([told for told, _, _ in kept])
        allowed = known[whole.asked] & (whole.kind >= _FILM)
        starts = np.cumsum([0, *(len(told.asked) for told, _, _ in kept)])[:-1].tolist()
        leads = FilmLeads.joined([each for _, _, each in kept], starts)
        return _leads(self._none.editions, whole, allowed, Texts.joined(ids for _, ids, _ in kept), leads)


@dataclass(frozen=True, slots=True)
class _Ready:
    """What is looked up in at any time from `since` until `until`: sources, where their editions begin, terms."""

    since: dt.datetime
    until: dt.datetime
    active: list[tuple[Source, int, Terms]]


@dataclass(frozen=True, slots=True)
class _Found:
    """Leads in one snapshot, by columns of int64; `edition` counts the snapshot's own."""

    asked: Rows
    row: Rows
    edition: Rows
    kind: Rows
    distance: Rows
    more: Rows

    @classmethod
    def joined(cls, parts: list[_Found]) -> _Found:
        if len(parts) == 1:
            return parts[0]
        return cls(*(_joined([getattr(part, name) for part in parts]) for name in cls.__slots__))

    def at(self, chosen: NDArray[Any]) -> _Found:
        return _Found(*(getattr(self, name)[chosen] for name in _Found.__slots__))


_NOTHING = _Found(*(np.empty(0, np.int64) for _ in _Found.__slots__))
_NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)


def _film_leads(found: _Found, films: FoundFilms | None) -> FilmLeads:
    """What is told of those of `found` that are by film."""
    if films is None:
        return FilmLeads()
    leads, keys = np.flatnonzero(found.kind == _FILM), films.asked << 32 | films.row
    order = np.argsort(keys)
    return films.told.take(order[np.searchsorted(keys[order], found.asked[leads] << 32 | found.row[leads])], leads)


def _leads(
    editions: tuple[EditionRef, ...], found: _Found, allowed: NDArray[np.bool_], entries: Texts, films: FilmLeads
) -> Leads:
    return Leads(
        editions,
        found.asked.astype(np.uint32),
        found.edition.astype(np.uint16),
        found.kind.astype(np.uint8),
        found.distance.astype(np.uint8),
        allowed,
        found.more.astype(np.uint32),
        entries,
        films,
    )


def _found(source: Source, asked: Asked, terms: Terms, threads: int) -> tuple[_Found, FoundFilms | None]:
    """The leads in one snapshot, once for each fingerprint and entry, at most `MOST` for each edition; films apart."""
    parts = []
    for kind, column in asked.hashes.items():
        if not len(column.rows):
            continue
        if kind is HashKind.PDQ:
            part = _by_pdq(source, column, asked.pdq_quality, terms, threads)
        else:
            part = _by_digest(source, column, terms, KINDS.index(kind))
        if len(part.asked):
            parts.append(part)
    films = find_films(source, asked, terms, threads)
    if films is not None:
        none = np.zeros(len(films.asked), np.int64)
        parts.append(_Found(films.asked, films.row, films.edition, none + _FILM, films.distance, none))
    if not parts:
        return _NOTHING, None
    found = _Found.joined(parts)
    if len(found.asked) < 2:
        return found, films
    if len(parts) == 1 and films is None and _each_once(asked.hashes[KINDS[int(found.kind[0])]].rows):
        return found, None
    # Sorted so that of one fingerprint and entry the strongest comes first, and then the nearest.
    found = found.at(np.lexsort((found.distance, found.kind, found.row, found.asked)))
    fresh = np.ones(len(found.asked), np.bool_)
    fresh[1:] = (found.asked[1:] != found.asked[:-1]) | (found.row[1:] != found.row[:-1])
    return _capped(found.at(fresh)), films


def _by_digest(source: Source, column: Values, terms: Terms, kind: int) -> _Found:
    places, rows = source.snapshot.by_digest(KINDS[kind], column.values)
    kept, edition = there(source, rows, terms)
    none = np.zeros(len(kept), np.int64)
    asking = column.rows[places[kept]].astype(np.int64)
    return _capped(_Found(asking, rows[kept], edition[kept], none + kind, none, none))


def _each_once(rows: NDArray[np.uint32]) -> bool:
    """Whether no fingerprint has two values, so that none is near one entry twice. False where they are not sorted."""
    return len(rows) == 1 or bool((rows[1:] > rows[:-1]).all())


def _by_pdq(source: Source, column: Values, quality: NDArray[np.uint8], terms: Terms, threads: int) -> _Found:
    values, rows, told = column.values, column.rows, quality
    if len(quality) > 1:
        good = quality >= terms.lowest
        if not good.all():
            values, rows, told = column.values[good], column.rows[good], quality[good]
    elif quality[0] < terms.lowest:
        return _NOTHING
    index = source.snapshot.index
    queries, codes, distances = index.search_codes(values, radius=terms.widest, threads=threads)
    if not len(codes):
        return _NOTHING
    if len(codes) <= _ONE_BY_ONE and not index.tables.repeats:
        return _one_by_one(source, terms, (rows, told), (queries, codes, distances))
    if index.count_of_all(codes, most=_DIRECTLY) <= _DIRECTLY:
        return _near_directly(source, terms, (rows, told), (queries, codes, distances))
    return _near_by_code(source, terms, (rows, told), (queries, codes, distances))


_Asking = tuple[NDArray[np.uint32], NDArray[np.uint8]]
"""Rows and qualities of the values that were searched for."""
_Near = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Places among those values, codes, distances."""


def _near_directly(source: Source, terms: Terms, asking: _Asking, near: _Near) -> _Found:
    """The entries of each code of each pair."""
    places, rows, qualities = source.snapshot.rows_of_codes(near[1])
    alone = len(places) == len(near[1])
    queries, distances = (near[0], near[2]) if alone else (near[0][places], near[2][places])
    asked, quality = asking[0][queries], asking[1][queries]
    kept, edition = there(source, rows, terms)
    floor = terms.floor[edition]
    good = (
        (distances <= terms.radius[edition])
        & (quality >= floor)
        & ((qualities == UNKNOWN_QUALITY) | (qualities >= floor))
    )
    kept = kept[good[kept]]
    none = np.zeros(len(kept), np.int64)
    found = _Found(
        asked[kept].astype(np.int64), rows[kept], edition[kept], none + _PDQ, distances[kept].astype(np.int64), none
    )
    return _capped(found)


def _one_by_one(source: Source, terms: Terms, asking: _Asking, near: _Near) -> _Found:
    """The same in plain Python, for few codes, each of one entry."""
    made = []
    for place, code, distance in zip(*(column.tolist() for column in near), strict=True):
        row, edition, has = source.snapshot.row_of_entry(code)
        if not terms.active[edition] or distance > terms.radius[edition]:
            continue
        if min(int(asking[1][place]), has) < terms.floor[edition]:
            continue
        if len(source.gone):
            at = int(np.searchsorted(source.gone, row))
            if at < len(source.gone) and source.gone[at] == row:
                continue
        made.append((int(asking[0][place]), row, edition, _PDQ, distance, 0))
    return _Found(*np.array(made, np.int64).T) if made else _NOTHING


def _near_by_code(source: Source, terms: Terms, asking: _Asking, near: _Near) -> _Found:
    """The entries of each code once: a code that many entries have is looked into once, however many ask for it."""
    queries, codes, distances = near
    distinct, which = np.unique(codes, return_inverse=True)
    places, rows, qualities = source.snapshot.rows_of_codes(distinct)
    kept, edition = there(source, rows, terms)
    floor = terms.floor[edition[kept]]
    kept = kept[(qualities[kept] == UNKNOWN_QUALITY) | (qualities[kept] >= floor)]
    kept = kept[np.lexsort((rows[kept], places[kept]))]
    none = np.zeros(len(kept), np.int64)
    entries = _capped(_Found(places[kept], rows[kept], edition[kept], none + _PDQ, none, none))
    starts = np.searchsorted(entries.asked, which)
    lengths = np.searchsorted(entries.asked, which, side="right") - starts
    pair, entry = np.repeat(np.arange(len(which)), lengths), stretches(starts, lengths)
    made = entries.at(entry)
    distance, place = distances[pair].astype(np.int64), queries[pair]
    near_enough = (distance <= terms.radius[made.edition]) & (asking[1][place] >= terms.floor[made.edition])
    return replace(made, asked=asking[0][place].astype(np.int64), distance=distance).at(near_enough)


def _capped(found: _Found) -> _Found:
    """The first `MOST` of each fingerprint and edition, the last of them with the number of the others."""
    if len(found.asked) <= MOST:
        return found
    order = np.lexsort((found.row, found.distance, found.kind, found.edition, found.asked))
    sorted_ = found.at(order)
    fresh = np.ones(len(order), np.bool_)
    fresh[1:] = (sorted_.asked[1:] != sorted_.asked[:-1]) | (sorted_.edition[1:] != sorted_.edition[:-1])
    starts = np.flatnonzero(fresh)
    lengths = np.diff([*starts, len(order)])
    if lengths.max() <= MOST:
        return found
    rank = np.arange(len(order)) - np.repeat(starts, lengths)
    beyond = np.add.reduceat(np.where(rank >= MOST, 1 + sorted_.more, 0), starts)
    more = sorted_.more.copy()
    more[starts + np.minimum(lengths, MOST) - 1] += beyond
    return replace(sorted_, more=more).at(rank < MOST)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
