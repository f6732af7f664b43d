"""Where a code within a radius must be looked for: the arithmetic behind the index, without any of its speed.

A code is sixteen chunks of sixteen bits, its chunks form eight pairs of 32 bits. Give pair p a bound t(p) such
that the sum of t(p) + 1 over all pairs is r + 1. **Claim:** two codes at distance <= r have a pair p whose
distance is <= t(p). Otherwise every pair has a distance >= t(p) + 1, and the whole is >= r + 1.

Within such a pair the two chunks lie at distances a + b <= t. Look a code up by its first chunk within distance
k1, and by its second within distance k2, where k1 + k2 >= t - 1. **Claim:** one of the two look-ups meets it.
Otherwise a >= k1 + 1 and b >= k2 + 1, so a + b >= k1 + k2 + 2 >= t + 1. What a look-up at key distance d finds
is worth verifying when its partner chunk is within t - d.

Bounds are spread as evenly as possible: t(p) is (r + 1) // 8 - 1, and one more for the first (r + 1) % 8 pairs.
A pair with t = -1 need not be looked at. So up to radius 15 only exact keys are probed (t <= 1), up to 31 keys
within one bit (t <= 3), up to 47 within two (t <= 5).

Source: multi-index hashing (Norouzi, Punjani, Fleet 2012), its uneven bounds (Qin et al. 2018); the partner
chunk beside each posting is what makes sixteen short chunks as selective as eight long ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHUNKS = 16
CHUNK_BITS = 16
PAIRS = 8
LARGEST_TABLED = 47
"""Beyond this radius keys at distance three would be probed: 697 a chunk, and the scan is faster."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The look-ups for one radius. Arrays are read-only; tables are numbered by their chunk.

    `bounds` int64 (8,): the distance bound of each pair, -1 where it is not looked at. `reaches` int64 (16,): within
    which distance of its key each table is probed, -1 where it is not. `probes` int64 (16,): how many of `flips`
    that takes. `flips` uint16 (1, 17 or 137,): what a key is combined with by
    exclusive or, nearest first; `weights` int64: how many bits of each are set. `keys`:
    how many keys are probed in all.
    """

    bounds: NDArray[np.int64]
    reaches: NDArray[np.int64]
    probes: NDArray[np.int64]
    flips: NDArray[np.uint16]
    weights: NDArray[np.int64]
    keys: int

    @property
    def arrays(self) -> tuple[Any, Any, Any, Any, Any]:
        """The five arrays in their order, as the kernels take them."""
        return self.bounds, self.reaches, self.probes, self.flips, self.weights


@cache
def plan(radius: int) -> Plan:
    """The look-ups that find every code within `radius`, 0..47. Raises ValueError for another radius."""
    if not 0 <= radius <= LARGEST_TABLED:
        raise ValueError(f"tables answer radii in 0..{LARGEST_TABLED}, not {radius}")
    least, more = divmod(radius + 1, PAIRS)
    bounds = [least - 1 + (pair < more) for pair in range(PAIRS)]
    reaches = [reach for bound in bounds for reach in (bound // 2, bound - 1 - bound // 2)]
    flips = [
        sum(1 << bit for bit in bits)
        for weight in range(max(reaches) + 1)
        for bits in combinations(range(CHUNK_BITS), weight)
    ]
    within = {-1: 0, 0: 1, 1: 1 + CHUNK_BITS, 2: 1 + CHUNK_BITS + CHUNK_BITS * (CHUNK_BITS - 1) // 2}
    probes = [within[reach] for reach in reaches]
    return Plan(
        _frozen(bounds, np.int64),
        _frozen(reaches, np.int64),
        _frozen(probes, np.int64),
        _frozen(flips, np.uint16),
        _frozen([flip.bit_count() for flip in flips], np.int64),
        sum(probes),
    )


def _frozen(values: list[int], kind: type[Any]) -> NDArray[Any]:
    made = np.array(values, dtype=kind)
    made.setflags(write=False)
    return made
