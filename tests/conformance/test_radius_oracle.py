"""The published needles and haystack: the search finds exactly the pairs the oracle counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from havenline.matching import HammingIndex, codes_from_hex

REFERENCE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "pdq"

pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"the reference data is absent: {REFERENCE} does not exist"
)


def hashes(name: str) -> list[str]:
    return (REFERENCE / name).read_text(encoding="ascii").split()


@pytest.mark.parametrize(("radius", "pairs"), [(0, 50), (16, 152), (31, 250), (48, 317), (64, 352)])
def test_needles_meet_the_haystack_as_often_as_the_oracle_says(radius: int, pairs: int) -> None:
    index = HammingIndex.build(codes_from_hex(hashes("haystack.txt")))
    needles, entries, distances = index.search(codes_from_hex(hashes("needles.txt")), radius=radius)
    assert len(needles) == len(entries) == len(distances) == pairs
    assert distances.max() <= radius
