"""What lookups go through: snapshots less what was withdrawn, and the terms of their editions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from havenline.matching.snapshot import Snapshot
from havenline.vocabulary import LARGEST_RADIUS, ListTerms

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Source:
    """A snapshot, less the entries at the rows `gone`, int64 ascending."""

    snapshot: Snapshot
    gone: Rows = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Terms:
    """For each edition of one snapshot: whether it is active, its radius, its quality floor, its shares of frames.

    `widest` radius and `lowest` floor of those that are active.
    """

    active: NDArray[np.bool_]
    radius: Rows
    floor: Rows
    asked_share: NDArray[np.float64]
    listed_share: NDArray[np.float64]
    widest: int
    lowest: int

    @classmethod
    def of(cls, terms: Sequence[ListTerms], active: NDArray[np.bool_]) -> Terms:
        """From the terms of each edition, of which at least one is active."""
        radius = np.array([each.radius for each in terms], np.int64)
        floor = np.array([each.quality_floor for each in terms], np.int64)
        return cls(
            active,
            radius,
            floor,
            np.array([each.asked_share for each in terms], np.float64),
            np.array([each.listed_share for each in terms], np.float64),
            int(radius[active].max()),
            int(floor[active].min()),
        )

    def wider(self, bits: int) -> Terms:
        """The same with every radius so many bits wider, as far as `LARGEST_RADIUS`."""
        radius = np.minimum(self.radius + bits, LARGEST_RADIUS)
        return replace(self, radius=radius, widest=min(self.widest + bits, LARGEST_RADIUS))


def there(source: Source, rows: Rows, terms: Terms) -> tuple[Rows, Rows]:
    """Which of `rows` are of an active edition and not gone, and the edition of each."""
    edition = source.snapshot.editions_of(rows)
    active = terms.active[edition]
    if len(source.gone):
        at = np.minimum(np.searchsorted(source.gone, rows), len(source.gone) - 1)
        active = active & (source.gone[at] != rows)
    return np.flatnonzero(active), edition
