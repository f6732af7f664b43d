"""Looking fingerprints up in editions of hash lists: by exact digest, and by PDQ distance and quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from havenline.matching.hamming import HammingIndex, codes_from_hex
from havenline.vocabulary import (
    NEAR_DISTANCE,
    QUALITY_FLOOR,
    EditionRef,
    Fingerprint,
    HashKind,
    ListEntry,
    Match,
)

_STRONGEST_FIRST = (HashKind.SHA256, HashKind.SHA1, HashKind.MD5)


@dataclass(frozen=True, slots=True)
class Edition:
    """One immutable edition of a hash list. Not checked here: that the digest fits the entries."""

    ref: EditionRef
    entries: tuple[ListEntry, ...]


class ListIndex:
    """Editions prepared for lookups. Immutable; safe to use from several threads."""

    __slots__ = ("_comparable", "_entries", "_exact", "_hamming")

    def __init__(self, entries: Sequence[tuple[EditionRef, ListEntry]]) -> None:
        """Use `build`."""
        self._entries = tuple(entries)
        self._exact: dict[HashKind, dict[str, list[int]]] = {kind: {} for kind in _STRONGEST_FIRST}
        self._comparable: list[int] = []
        codes: list[str] = []
        for position, (_, entry) in enumerate(self._entries):
            for kind in _STRONGEST_FIRST:
                value = getattr(entry, kind.value)
                if value is not None:
                    self._exact[kind].setdefault(value, []).append(position)
            if entry.pdq is not None and (entry.pdq_quality is None or entry.pdq_quality >= QUALITY_FLOOR):
                self._comparable.append(position)
                codes.append(entry.pdq)
        self._hamming = HammingIndex.build(codes_from_hex(codes))

    @classmethod
    def build(cls, editions: Sequence[Edition]) -> ListIndex:
        """Prepare `editions`; entries with equal hashes, in one edition or several, are all reported.

        An entry's PDQ value takes part when its quality is unknown or at least 50: below that, flat
        pictures collide.
        """
        return cls([(edition.ref, entry) for edition in editions for entry in edition.entries])

    def __len__(self) -> int:
        """How many entries, over all editions."""
        return len(self._entries)

    def lookup(self, fingerprints: Sequence[Fingerprint], *, threads: int = 1) -> list[tuple[Match, ...]]:
        """The matches of each fingerprint, in the order given.

        For one entry only its strongest kind is reported: SHA-256, SHA-1, MD5, then PDQ at a distance of
        at most 31. A fingerprint asks with every PDQ value it has, of both of Meta's pipelines, upright and
        of frames, and the smallest distance counts; values of a quality under 50 are not asked. Matches are
        sorted: exact ones first, then by distance, list, edition number and entry. Not judged here: what a
        match means.
        """
        found: list[dict[int, tuple[HashKind, int]]] = [self._by_digest(each) for each in fingerprints]
        asked = [(place, value) for place, each in enumerate(fingerprints) for value in each.askable]
        codes = codes_from_hex([value for _, value in asked])
        queries, entries, distances = self._hamming.search(codes, radius=NEAR_DISTANCE, threads=threads)
        for query, entry, distance in zip(queries.tolist(), entries.tolist(), distances.tolist(), strict=True):
            matched, position = found[asked[query][0]], self._comparable[entry]
            matched[position] = min(matched.get(position, (HashKind.PDQ, distance)), (HashKind.PDQ, distance), key=_gap)
        return [self._as_matches(each) for each in found]

    def _by_digest(self, fingerprint: Fingerprint) -> dict[int, tuple[HashKind, int]]:
        found: dict[int, tuple[HashKind, int]] = {}
        for kind in _STRONGEST_FIRST:
            for position in self._exact[kind].get(getattr(fingerprint, kind.value), ()):
                found.setdefault(position, (kind, 0))
        return found

    def _as_matches(self, found: dict[int, tuple[HashKind, int]]) -> tuple[Match, ...]:
        matches = [
            Match(
                edition=self._entries[position][0],
                entry=self._entries[position][1].entry,
                kind=kind,
                distance=distance,
            )
            for position, (kind, distance) in found.items()
        ]
        return tuple(sorted(matches, key=_order))


def _gap(found: tuple[HashKind, int]) -> tuple[bool, int]:
    return found[0] is HashKind.PDQ, found[1]


def _order(match: Match) -> tuple[bool, int, str, int, str]:
    exact_first = match.kind is HashKind.PDQ
    return exact_first, match.distance, match.edition.list_name, match.edition.number, match.entry
