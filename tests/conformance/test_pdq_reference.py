"""PDQ against the published reference: the pictures and hashes of Meta's own repository."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from havenline.fingerprints import fingerprint_file
from havenline.fingerprints.pdq import hash_512_first, hash_picture
from havenline.fingerprints.pdq_screening import screen_jpeg
from havenline.media.decode import Picture, decode_picture
from havenline.vocabulary import Refused

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


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["file"])
def test_each_pipeline_agrees_with_the_program_it_is_named_after(row: dict[str, str]) -> None:
    picture = decode_picture((REFERENCE / row["file"]).read_bytes())

    assert isinstance(picture, Picture)
    for found, column, most in (
        (hash_512_first(picture.rgb), "cpp", 10),
        (hash_picture(picture.rgb), "pillow_rgb", 2),
    ):
        value, quality = found
        expected = row["cpp_pdq" if column == "cpp" else "pillow_rgb_pdqhash"]
        assert abs(quality - int(row[f"{column}_quality"])) <= 1
        if int(row[f"{column}_quality"]) >= 80:
            assert apart(value, expected) <= most


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["file"])
def test_the_screening_lane_stays_near_the_exact_one(row: dict[str, str]) -> None:
    content = (REFERENCE / row["file"]).read_bytes()
    picture, screened = decode_picture(content), screen_jpeg(content)

    assert isinstance(picture, Picture)
    assert not isinstance(screened, Refused)
    value, quality = hash_picture(picture.rgb)
    assert abs(quality - screened[1]) <= 1
    if quality >= 50:
        assert apart(value, screened[0]) <= 12


def test_the_reference_table_is_not_empty() -> None:
    assert len(rows()) >= 21
    assert sum(int(row["cpp_quality"]) >= 80 for row in rows()) >= 15
