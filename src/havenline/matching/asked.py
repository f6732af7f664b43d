"""What is asked of hash lists and what they answer, by columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from havenline.entries import Values
from havenline.matching.snapshot import DIGESTS
from havenline.texts import Texts, stretches
from havenline.vocabulary import (
    BY_DISTANCE,
    EditionRef,
    FilmMatch,
    Fingerprint,
    FrameMatch,
    HashKind,
    Leeway,
    Match,
    milliseconds_of,
)

NO_LEEWAY = Leeway()
KINDS = (*DIGESTS, HashKind.FILM, HashKind.PDQ)
"""The strongest first: a kind's position is its number in `Leads`."""
_NO_WORDS: NDArray[np.uint32] = np.empty(0, np.uint32)


@dataclass(frozen=True, slots=True)
class AskedFrames:
    """Frames of the films asked about: `values` uint32 (f,), the position of each one's hash among the PDQ values;
    `milliseconds` uint32 (f,) after the beginning; `upright` bool (f,), turned as the file's mark says.
    """

    values: NDArray[np.uint32] = field(default_factory=lambda: _NO_WORDS)
    milliseconds: NDArray[np.uint32] = field(default_factory=lambda: _NO_WORDS)
    upright: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))

    def __len__(self) -> int:
        return len(self.values)

    def of_values(self, inside: NDArray[np.bool_]) -> AskedFrames:
        """The frames whose PDQ values stay where only those that are `inside` do."""
        chosen = inside[self.values]
        places = np.cumsum(inside) - 1
        return AskedFrames(
            places[self.values[chosen]].astype(np.uint32), self.milliseconds[chosen], self.upright[chosen]
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """`count` fingerprints to look up, by columns.

    The row of a value says to which fingerprint, 0..count-1, it belongs; a fingerprint may have several values of
    one kind. `pdq_quality` uint8, beside the PDQ values, 0 to 100. `leeway`: bits by which every radius is widened,
    as far as `LARGEST_RADIUS`. `frames`: which of the PDQ values are frames of films, and when they are shown.
    """

    count: int
    hashes: Mapping[HashKind, Values]
    pdq_quality: NDArray[np.uint8]
    leeway: int = 0
    frames: AskedFrames = field(default_factory=AskedFrames)

    @classmethod
    def of(cls, fingerprints: Sequence[Fingerprint], leeway: Leeway = NO_LEEWAY) -> Asked:
        """The digests, those of a model file's parts too, and all PDQ values: of both pipelines, upright, of frames."""
        hashes: dict[HashKind, Values] = {
            kind: Values.of(kind, [(place, getattr(each, kind.value)) for place, each in enumerate(fingerprints)])
            for kind in DIGESTS
            if kind is not HashKind.SHA256
        }
        hashes[HashKind.SHA256] = Values.of(
            HashKind.SHA256, [(place, value) for place, each in enumerate(fingerprints) for value in each.sha256_values]
        )
        pdq: list[tuple[int, str]] = []
        qualities: list[int] = []
        frames: list[tuple[int, int, bool]] = []
        for place, each in enumerate(fingerprints):
            values = each.pdq_values
            if each.frames:
                at = dict(zip(values, range(len(pdq), len(pdq) + len(values)), strict=True))
                for upright, some in ((False, each.frames), (True, each.frames_upright)):
                    frames += [(at[frame.pdq], milliseconds_of(frame.second), upright) for frame in some]
            pdq += [(place, value) for value in values]
            qualities += [min(100, quality + leeway.quality) for quality in values.values()]
        hashes[HashKind.PDQ] = Values.of(HashKind.PDQ, pdq)
        made = AskedFrames()
        if frames:
            columns = list(zip(*frames, strict=True))
            made = AskedFrames(
                np.array(columns[0], np.uint32), np.array(columns[1], np.uint32), np.array(columns[2], np.bool_)
            )
        return cls(len(fingerprints), hashes, np.array(qualities, np.uint8), leeway.bits, made)

    def part(self, first: int, last: int) -> Asked:
        """The fingerprints first..last-1 by themselves."""
        hashes, quality, frames = {}, self.pdq_quality, self.frames
        for kind, values in self.hashes.items():
            inside = (values.rows >= first) & (values.rows < last)
            hashes[kind] = Values(values.rows[inside] - np.uint32(first), values.values[inside])
            if kind is HashKind.PDQ:
                quality = quality[inside]
                frames = frames.of_values(inside) if len(frames) else frames
        return Asked(last - first, hashes, quality, self.leeway, frames)


@dataclass(frozen=True, slots=True)
class FilmLeads:
    """What is told of the leads by film, f of them, beside `Leads`.

    `leads` uint32 (f,) ascending, the position of each among the leads. `counts` uint32 (f, 4): how many different
    frames of the film asked about match, of how many; how many of the listed one's, of how many. `upright` bool (f,):
    asked with the frames as the mark turns them. `ends` uint32 (f,), where the moments of each end: `asked` and
    `listed` uint32 in milliseconds, `distances` uint8 in bits.
    """

    leads: NDArray[np.uint32] = field(default_factory=lambda: _NO_WORDS)
    counts: NDArray[np.uint32] = field(default_factory=lambda: np.empty((0, 4), np.uint32))
    upright: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    ends: NDArray[np.uint32] = field(default_factory=lambda: _NO_WORDS)
    asked: NDArray[np.uint32] = field(default_factory=lambda: _NO_WORDS)
    listed: NDArray[np.uint32] = field(default_factory=lambda: _NO_WORDS)
    distances: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))

    def __len__(self) -> int:
        return len(self.leads)

    @classmethod
    def joined(cls, parts: Sequence[FilmLeads], starts: Sequence[int]) -> FilmLeads:
        """Those of several answers as one; the leads of part k begin at `starts[k]`."""
        told = [(part, start) for part, start in zip(parts, starts, strict=True) if len(part)]
        if not told:
            return cls()
        befores = np.cumsum([0, *(len(part.asked) for part, _ in told)])[:-1]
        columns = {
            name: np.concatenate([getattr(part, name) for part, _ in told])
            for name in ("counts", "upright", "asked", "listed", "distances")
        }
        return cls(
            leads=np.concatenate([part.leads + np.uint32(start) for part, start in told]),
            ends=np.concatenate(
                [part.ends + np.uint32(before) for (part, _), before in zip(told, befores, strict=True)]
            ),
            **columns,
        )

    def take(self, chosen: NDArray[Any], leads: NDArray[Any]) -> FilmLeads:
        """Those at `chosen`, in that order, as the ones of `leads`."""
        starts = np.concatenate([[0], self.ends[:-1]]).astype(np.int64)[chosen]
        lengths = self.ends[chosen].astype(np.int64) - starts
        moments = stretches(starts, lengths)
        return FilmLeads(
            leads.astype(np.uint32),
            self.counts[chosen],
            self.upright[chosen],
            np.cumsum(lengths).astype(np.uint32),
            self.asked[moments],
            self.listed[moments],
            self.distances[moments],
        )

    def matches(self) -> dict[int, FilmMatch]:
        """Each as a value, by its lead."""
        moments = [
            FrameMatch(asked / 1000, listed / 1000, distance)
            for asked, listed, distance in zip(
                self.asked.tolist(), self.listed.tolist(), self.distances.tolist(), strict=True
            )
        ]
        return {
            lead: FilmMatch(asked / of_asked, listed / of_listed, tuple(moments[start:end]), upright)
            for lead, (asked, of_asked, listed, of_listed), upright, (start, end) in zip(
                self.leads.tolist(),
                self.counts.tolist(),
                self.upright.tolist(),
                pairwise([0, *self.ends.tolist()]),
                strict=True,
            )
        }


@dataclass(frozen=True, slots=True)
class Leads:
    """What was found, by columns; lead k says that fingerprint `asked[k]` lies on or near an entry.

    `asked` uint32; `edition` uint16, a position in `editions`; `kind` uint8, a position in `KINDS`; `distance` uint8,
    in bits, 0 for digests; `allowed` bool and `more` uint32 as in `vocabulary.Match`; `entries`, the ids; `films`,
    what is told of those by film. For each fingerprint and entry the strongest kind alone. In no particular order.
    """

    editions: tuple[EditionRef, ...]
    asked: NDArray[np.uint32]
    edition: NDArray[np.uint16]
    kind: NDArray[np.uint8]
    distance: NDArray[np.uint8]
    allowed: NDArray[np.bool_]
    more: NDArray[np.uint32]
    entries: Texts
    films: FilmLeads = field(default_factory=FilmLeads)

    @classmethod
    def joined(cls, parts: Sequence[Leads]) -> Leads:
        """Those of several answers from the same editions as one."""
        starts = np.cumsum([0, *(len(part.asked) for part in parts)])[:-1].tolist()
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("asked", "edition", "kind", "distance", "allowed", "more")
        }
        return cls(
            editions=parts[0].editions,
            entries=Texts.joined(part.entries for part in parts),
            films=FilmLeads.joined([part.films for part in parts], starts),
            **columns,
        )

    def matches(self, count: int) -> list[tuple[Match, ...]]:
        """The matches of each of `count` fingerprints: exact ones first, then by distance, list, edition, entry."""
        found: list[list[Match]] = [[] for _ in range(count)]
        films = self.films.matches() if len(self.films) else {}
        columns = (self.asked, self.edition, self.kind, self.distance, self.allowed, self.more)
        for lead, (asked, edition, kind, distance, allowed, more, entry) in enumerate(
            zip(*(column.tolist() for column in columns), self.entries.strings(), strict=True)
        ):
            film = films.get(lead)
            seconds = () if film is None else tuple(moment.asked_second for moment in film.moments)
            found[asked].append(
                Match(self.editions[edition], entry, KINDS[kind], distance, allowed, more, seconds, film)
            )
        return [tuple(sorted(each, key=match_order)) if len(each) > 1 else tuple(each) for each in found]


def match_order(match: Match) -> tuple[bool, int, str, int, str]:
    """What matches are sorted by: exact ones first, then by distance, list, edition number and entry."""
    return (
        match.kind in BY_DISTANCE,
        match.distance,
        match.edition.list_name,
        match.edition.number,
        match.entry,
    )
