"""The three forms of the scan table say the same, appear whole, and run no formula."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from havenline.formats import scan_table as module
from havenline.formats.scan_table import ENDINGS, ScanTableError, check_ending, scan_table
from havenline.vocabulary import (
    EditionRef,
    FilmMatch,
    Finding,
    Fingerprint,
    FrameHash,
    FrameMatch,
    HashKind,
    Match,
    Refusal,
    Refused,
)

REF = EditionRef("shapes", 3, "e" * 64)
HASHED = Fingerprint(
    md5="a" * 32,
    sha1="b" * 40,
    sha256="c" * 64,
    size=1234,
    media_type="image/jpeg",
    width=640,
    height=480,
    pdq="d" * 64,
    pdq_quality=99,
    pipeline="pdq-full/1",
    pdq_512="e" * 64,
    pdq_512_quality=98,
    orientation=6,
    pdq_upright="f" * 64,
    frames=(FrameHash(0.0, "1" * 64, 97), FrameHash(1.5, "2" * 64, 40)),
    frames_upright=(FrameHash(0.0, "3" * 64, 97), FrameHash(1.5, "4" * 64, 41)),
)
BY_FILM = FilmMatch(1.0, 0.25, (FrameMatch(0.0, 7.5, 3), FrameMatch(1.5, 9.0, 0)), upright=True)
NO_FILM = {"asked_share": None, "listed_share": None, "upright": None, "moments": []}
BROKEN = Fingerprint(md5="0" * 32, sha1="1" * 40, sha256="2" * 64, size=7, refusal=Refused(Refusal.BROKEN, "cut short"))
FINDINGS = [
    (Finding("a/b.jpg", HASHED), 1234),
    (
        Finding(
            "=cmd.jpg",
            HASHED,
            matches=(
                Match(REF, "e1", HashKind.SHA256, 0),
                Match(REF, "f", HashKind.FILM, 0, seconds=(0.0, 1.5), film=BY_FILM),
                Match(REF, "e2", HashKind.PDQ, 12, seconds=(1.5, 3.0)),
            ),
        ),
        1234,
    ),
    (Finding("broken.png", BROKEN), 7),
    (Finding("locked", None, refused=Refused(Refusal.UNREADABLE, "no permission")), None),
    (Finding("caf\udce9\n.jpg", HASHED), 1234),
]


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def made(path: Path) -> Path:
    with scan_table(path, lists=[REF]) as table:
        for finding, size in FINDINGS:
            table.add(finding, size=size)
    return path


@pytest.mark.parametrize("ending", [".parquet", ".jsonl"])
def test_each_row_says_all_that_is_known(tmp_path: Path, ending: str) -> None:
    rows = rows_of(made(tmp_path / f"out{ending}"))
    assert [row["path"] for row in rows] == ["a/b.jpg", "=cmd.jpg", "broken.png", "locked", "caf\\xe9\n.jpg"]
    assert rows[0] == {
        "path": "a/b.jpg", "size": 1234, "media_type": "image/jpeg", "width": 640, "height": 480,
        "md5": "a" * 32, "sha1": "b" * 40, "sha256": "c" * 64, "pdq": "d" * 64, "pdq_quality": 99,
        "pipeline": "pdq-full/1", "pdq_512": "e" * 64, "pdq_512_quality": 98, "orientation": 6,
        "pdq_upright": "f" * 64, "pdq_512_upright": None, "cut_short": False,
        "model_body": None, "model_tensors": None,
        "refusal": None, "refusal_detail": None, "matches": [],
        "frames": [
            {"second": 0.0, "pdq": "1" * 64, "quality": 97}, {"second": 1.5, "pdq": "2" * 64, "quality": 40},
        ],
        "frames_upright": [
            {"second": 0.0, "pdq": "3" * 64, "quality": 97}, {"second": 1.5, "pdq": "4" * 64, "quality": 41},
        ],
    }  # fmt: skip
    assert rows[1]["matches"] == [
        {
            "list": "shapes",
            "edition": 3,
            "entry": "e1",
            "kind": "sha256",
            "distance": 0,
            "allowed": False,
            "more": 0,
            "seconds": [],
            **NO_FILM,
        },
        {
            "list": "shapes",
            "edition": 3,
            "entry": "f",
            "kind": "film",
            "distance": 0,
            "allowed": False,
            "more": 0,
            "seconds": [0.0, 1.5],
            "asked_share": 1.0,
            "listed_share": 0.25,
            "upright": True,
            "moments": [
                {"asked_second": 0.0, "listed_second": 7.5, "distance": 3},
                {"asked_second": 1.5, "listed_second": 9.0, "distance": 0},
            ],
        },
        {
            "list": "shapes",
            "edition": 3,
            "entry": "e2",
            "kind": "pdq",
            "distance": 12,
            "allowed": False,
            "more": 0,
            "seconds": [1.5, 3.0],
            **NO_FILM,
        },
    ]
    assert (rows[2]["refusal"], rows[2]["refusal_detail"]) == ("broken", "cut short")
    assert (rows[2]["sha256"], rows[2]["pdq"], rows[2]["size"]) == ("2" * 64, None, 7)
    assert (rows[3]["refusal"], rows[3]["sha256"], rows[3]["size"]) == ("unreadable", None, None)


def test_the_csv_has_the_best_match_in_columns_and_all_as_json(tmp_path: Path) -> None:
    rows = rows_of(made(tmp_path / "out.csv"))
    assert [row["match_count"] for row in rows] == ["0", "3", "0", "0", "0"]
    assert [rows[1][f"match_best_{name}"] for name in ("list", "edition", "entry", "kind", "distance")] == [
        "shapes", "3", "e1", "sha256", "0",
    ]  # fmt: skip
    assert json.loads(rows[1]["matches"])[2]["distance"] == 12
    assert json.loads(rows[1]["matches"])[1]["listed_share"] == 0.25
    assert [frame["quality"] for frame in json.loads(rows[0]["frames_upright"])] == [97, 41]
    assert json.loads(rows[0]["matches"]) == []
    assert (rows[3]["refusal"], rows[3]["pdq"], rows[3]["size"]) == ("unreadable", "", "")


def test_a_path_in_a_csv_is_never_a_formula(tmp_path: Path) -> None:
    rows = rows_of(made(tmp_path / "out.csv"))
    assert rows[1]["path"] == "'=cmd.jpg"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_parquet_names_the_digest_of_each_list(tmp_path: Path) -> None:
    metadata = pq.read_schema(made(tmp_path / "out.parquet")).metadata[module.METADATA_KEY]
    assert json.loads(metadata)["lists"] == [{"name": "shapes", "number": 3, "digest": "e" * 64}]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_without_rows_is_a_table(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"out{ending}"
    with scan_table(path):
        pass
    assert rows_of(path) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_many_rows_are_streamed_in_order(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 4)
    path = tmp_path / f"out{ending}"
    with scan_table(path) as table:
        for number in range(11):
            table.add(Finding(f"{number}.jpg", HASHED), size=1)
    assert [row["path"] for row in rows_of(path)] == [f"{number}.jpg" for number in range(11)]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError, OSError])
def test_an_interrupted_table_leaves_the_earlier_file_and_nothing_else(
    tmp_path: Path, ending: str, interruption: type[BaseException]
) -> None:
    path = tmp_path / f"out{ending}"
    path.write_text("earlier")

    def interrupted() -> None:
        with scan_table(path) as table:
            table.add(*FINDINGS[0][:1], size=1)
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert path.read_text() == "earlier"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["out", "out.txt", "out.parquet.gz"])
def test_a_name_without_a_known_ending_is_refused(name: str) -> None:
    with pytest.raises(ScanTableError, match=r"\.parquet, \.csv or \.jsonl"):
        check_ending(Path(name))
    assert check_ending(Path("OUT.CSV")) == ".csv"


def test_a_folder_that_does_not_exist_is_said(tmp_path: Path) -> None:
    with pytest.raises(ScanTableError, match="no table was kept"), scan_table(tmp_path / "no" / "out.csv"):
        pass


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module._JsonLinesSink, "write", full)
    with pytest.raises(ScanTableError, match="No space left"), scan_table(tmp_path / "out.jsonl") as table:
        table.add(*FINDINGS[0][:1], size=1)
    assert list(tmp_path.iterdir()) == []
