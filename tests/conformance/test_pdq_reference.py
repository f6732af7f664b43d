"""PDQ against the published reference: the pictures and hashes of Meta's own repository."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from havenline.fingerprints import fingerprint_file

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "pdq"

pytestmark = pytest.mark.skipif(
    not (REFERENCE / "expected.csv").is_file(),
    reason="the reference data is not beside this checkout (../shared/data/pdq)",
)


def rows() -> list[dict[str, str]]:
    if not (REFERENCE / "expected.csv").is_file():
        return []
    with (REFERENCE / "expected.csv").open(newline="") as table:
        return list(csv.DictReader(table))


def apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["file"])
def test_a_reference_picture_hashes_as_the_reference_does(row: dict[str, str]) -> None:
    found = fingerprint_file(REFERENCE / row["file"])

    assert found.pdq is not None
    assert found.pdq_quality is not None
    assert abs(found.pdq_quality - int(row["cpp_quality"])) <= 1
    assert abs(found.pdq_quality - int(row["pillow_rgb_quality"])) <= 1
    if int(row["cpp_quality"]) >= 80:
        assert apart(found.pdq, row["cpp_pdq"]) <= 10
        assert apart(found.pdq, row["pillow_rgb_pdqhash"]) <= 2


def test_the_reference_table_is_not_empty() -> None:
    assert len(rows()) >= 21
    assert sum(int(row["cpp_quality"]) >= 80 for row in rows()) >= 15
