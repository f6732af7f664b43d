"""Codes of natural pictures, whose bits are not even: the tables find exactly what comparing every pair finds."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from havenline.fingerprints.pdq import hash_picture
from havenline.matching import HammingIndex, codes_from_hex, search_twin

SOAK = bool(os.environ.get("HAVENLINE_SOAK"))
REFERENCE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "pdq"

pytestmark = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"the reference data is absent: {REFERENCE} does not exist"
)


@pytest.fixture(scope="module")
def codes() -> NDArray[np.uint8]:
    """Crops of the reference pictures, near ones among them, each turned and mirrored in eight ways."""
    draw = np.random.default_rng(1)
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(REFERENCE.glob("*/*.jpg"))]
    pictures = [picture for picture in pictures if min(picture.shape[:2]) >= 48]
    values = []
    for number in range(12_000 if SOAK else 1_250):
        picture = pictures[number % len(pictures)]
        side = int(draw.integers(40, min(*picture.shape[:2], 120)))
        top, left = draw.integers(0, [each - side for each in picture.shape[:2]]).tolist()
        for turns in range(4):
            crop = np.rot90(picture[top : top + side, left : left + side], turns)
            values += [hash_picture(np.ascontiguousarray(form))[0] for form in (crop, crop[::-1])]
    return codes_from_hex(values)


@pytest.mark.parametrize("radius", [0, 15, 31, 32, 47, 48, 64])
def test_natural_codes_are_found_exactly(codes: NDArray[np.uint8], radius: int) -> None:
    draw = np.random.default_rng(2)
    chosen = codes[draw.integers(0, len(codes), 200)]
    queries = chosen ^ np.packbits(draw.random((200, 256)) < draw.random((200, 1)) * 0.2, axis=1)
    found = HammingIndex.build(codes).search(queries, radius=radius)
    truth = search_twin.scan(queries.view(np.uint64), codes.view(np.uint64), radius)
    rows = [set(zip(*(part.tolist() for part in each), strict=True)) for each in (found, truth)]
    assert rows[0] == rows[1]
    assert len(found[0]) == len(rows[0]) > 0


def test_natural_codes_are_joined_exactly(codes: NDArray[np.uint8]) -> None:
    some = codes[:9_000]
    left, right, distances = HammingIndex.build(some).pairs()
    truth = search_twin.scan_pairs(some.view(np.uint64), 31)
    found = set(zip(left.tolist(), right.tolist(), distances.tolist(), strict=True))
    assert found == set(zip(*(part.tolist() for part in truth), strict=True))
    assert len(left) == len(found) > 0
