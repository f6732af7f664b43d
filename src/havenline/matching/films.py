"""Comparing films by their frames, as vPDQ does: the share of each one's frames that lie near a frame of the other.

Pure: no film is opened here. After Meta's vPDQ (ThreatExchange, vpdq): frames under the quality floor do not
count, frames with equal hashes count once, two frames match within the radius of PDQ. Not done: that matching
frames come in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from havenline.matching.hamming import HammingIndex, codes_from_hex
from havenline.vocabulary import NEAR_DISTANCE, QUALITY_FLOOR, FrameHash

QUERY_SHARE = 0.8
COMPARED_SHARE = 0.0
"""The least shares of matched frames at which vPDQ calls two films a match."""


class FrameMatch(NamedTuple):
    """A frame of the film asked about, the nearest frame of the other one, and the bits between them."""

    query_second: float
    compared_second: float
    distance: int


@dataclass(frozen=True, slots=True)
class FilmMatch:
    """How two films lie to each other; a lead, never a verdict.

    `query_share` is the part, 0..1, of the distinct frames of the film asked about that match a frame of the film
    called `name`; `compared_share` the part of that film's distinct frames that match one of these. `moments` are
    all sampled frames of the film asked about that match, by their second, each with the nearest frame.
    """

    name: str
    query_share: float
    compared_share: float
    moments: tuple[FrameMatch, ...]


class FilmIndex:
    """Films prepared to be compared with others. Immutable; safe to use from several threads."""

    __slots__ = ("_films", "_hamming", "_names", "_seconds", "_totals")

    def __init__(self, films: Mapping[str, Sequence[FrameHash]]) -> None:
        """Use `build`."""
        self._names = tuple(films)
        self._films: list[int] = []
        self._seconds: list[float] = []
        self._totals: list[int] = []
        codes: list[str] = []
        for place, frames in enumerate(films.values()):
            distinct = _distinct(frames)
            self._totals.append(len(distinct))
            for code, seconds in distinct.items():
                codes.append(code)
                self._films.append(place)
                self._seconds.append(seconds[0])
        self._hamming = HammingIndex.build(codes_from_hex(codes))

    @classmethod
    def build(cls, films: Mapping[str, Sequence[FrameHash]]) -> FilmIndex:
        """Prepare films by name; of frames with equal hashes the earliest second is told. ValueError for bad hex."""
        return cls(films)

    def lookup(
        self,
        frames: Sequence[FrameHash],
        *,
        query_share: float = QUERY_SHARE,
        compared_share: float = COMPARED_SHARE,
        radius: int = NEAR_DISTANCE,
    ) -> tuple[FilmMatch, ...]:
        """The films that reach both least shares (and match at all), the greatest shares first, then by name.

        `radius` in bits, 0..256. Not judged here: what a match means.
        """
        distinct = _distinct(frames)
        queries, entries, distances = self._hamming.search(codes_from_hex(list(distinct)), radius=radius)
        near: dict[int, dict[int, tuple[int, float]]] = {}
        met: dict[int, set[int]] = {}
        for query, entry, distance in zip(queries.tolist(), entries.tolist(), distances.tolist(), strict=True):
            film, gap = self._films[entry], (distance, self._seconds[entry])
            nearest = near.setdefault(film, {})
            nearest[query] = min(nearest.get(query, gap), gap)
            met.setdefault(film, set()).add(entry)
        seconds = list(distinct.values())
        found = (
            FilmMatch(
                name=self._names[film],
                query_share=len(nearest) / len(distinct),
                compared_share=len(met[film]) / self._totals[film],
                moments=tuple(
                    sorted(
                        FrameMatch(second, gap[1], gap[0])
                        for query, gap in nearest.items()
                        for second in seconds[query]
                    )
                ),
            )
            for film, nearest in near.items()
        )
        enough = (each for each in found if each.query_share >= query_share and each.compared_share >= compared_share)
        return tuple(sorted(enough, key=lambda each: (-each.query_share, -each.compared_share, each.name)))


def _distinct(frames: Sequence[FrameHash]) -> dict[str, list[float]]:
    """The hashes good enough to compare, each once, with all the seconds at which it is shown."""
    shown: dict[str, list[float]] = {}
    for second, pdq, quality in sorted(frames):
        if quality >= QUALITY_FLOOR:
            shown.setdefault(pdq, []).append(second)
    return shown
