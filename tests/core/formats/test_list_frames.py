"""Films in lists of other programs: every form of their frames is read alike, and bad ones are bad lines."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from havenline.entries import Entries
from havenline.formats.hash_list import ColumnMap, ListError, read_list, write_list
from havenline.formats.list_frames import frames_of, frames_text
from havenline.formats.list_lines import LONGEST_LINE
from havenline.formats.scan_table import scan_table
from havenline.vocabulary import MOST_FRAMES, Finding, Fingerprint, FrameHash, ListEntry, listed_frames

MD5, A, B = "0a" * 16, "a1" * 32, "b2" * 32
FRAMES = (FrameHash(0.25, B, 90), FrameHash(3.0, A, 51))
FILM = ListEntry("film", md5=MD5, label="drawn", frames=FRAMES)
FORMS: dict[str, Any] = {
    "vPDQ": [f"{A},51,3.000", f"{B.upper()},90,0.25"],
    "objects": [{"second": 3, "pdq": A, "quality": 51}, {"second": 0.25, "pdq": B, "quality": 90.0, "more": 1}],
    "objects as vPDQ names them": [
        {"timestamp": 0.25, "hash": B, "quality": 90},
        {"timestamp": 3.0001, "hash": A, "quality": 51},
    ],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("as_text", [False, True])
def test_json_lines_bring_films_beside_pictures(tmp_path: Path, form: str, as_text: bool) -> None:
    frames = json.dumps(FORMS[form]) if as_text else FORMS[form]
    records = [
        {"entry": "picture", "pdq": A, "frames": None},
        {"entry": "film", "md5": MD5, "label": "drawn", "frames": frames},
        {"entry": "frames alone", "frames": frames},
        {"entry": "none", "md5": MD5, "frames": []},
    ]
    path = tmp_path / "list.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    read = read_list(str(path))
    assert not read.problems
    assert list(read.entries) == [
        ListEntry("picture", pdq=A),
        FILM,
        ListEntry("frames alone", frames=FRAMES),
        ListEntry("none", md5=MD5),
    ]
    assert read.ref.digest == Entries.of(read.entries).digest()


@pytest.mark.parametrize(
    "frames",
    [
        120,
        "120",
        "{}",
        "[" * 100_000,
        ["x"],
        [f"{A},51"],
        [f"{A},51,soon"],
        [f"{A},5.5,1"],
        [f"{A},51,nan"],
        [{"pdq": A, "quality": 51}],
        [{"pdq": A, "second": 1, "quality": True}],
        [{"pdq": A, "second": True, "quality": 3}],
        [{"pdq": 7, "second": 1, "quality": 3}],
        [{"pdq": A[:-1], "second": 1, "quality": 3}],
        [{"pdq": A, "second": -1, "quality": 3}],
        [{"pdq": A, "second": 1, "quality": 101}],
        [[1, A, 3]],
    ],
)
def test_bad_frames_are_a_bad_line_and_their_values_are_not_told(tmp_path: Path, frames: Any) -> None:
    path = tmp_path / "list.jsonl"
    records = [{"entry": "bad", "md5": MD5, "frames": frames}, {"entry": "good", "md5": MD5}]
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    read = read_list(str(path))
    assert list(read.entries) == [ListEntry("good", md5=MD5)]
    (problem,) = read.problems
    assert problem.line == 1
    assert A[:-1] not in problem.reason
    without = read_list(str(path), mapping=ColumnMap.of(["frames="]))
    assert len(without.entries) == 2


def test_a_film_has_at_most_so_many_frames_in_a_list() -> None:
    most = [f"{number:064x},90,{number}" for number in range(MOST_FRAMES + 1)]
    assert len(frames_of(json.dumps(most[:-1]))) == MOST_FRAMES
    with pytest.raises(ValueError, match="at most"):
        frames_of(json.dumps(most))


def test_a_csv_with_films_comes_back_as_it_was_written(tmp_path: Path) -> None:
    entries = [ListEntry("p", pdq=A, pdq_quality=3), FILM, ListEntry("alone", frames=FRAMES[:1])]
    ref = write_list(tmp_path / "films.csv", Entries.of(entries))
    read = read_list(str(tmp_path / "films.csv"))
    assert (list(read.entries), read.ref, len(read.problems)) == (entries, ref, 0)
    write_list(tmp_path / "plain.csv", Entries.of(entries[:1]))
    with (tmp_path / "plain.csv").open(newline="") as file:
        assert "frames" not in next(csv.reader(file))


def test_a_film_that_fits_into_no_line_is_not_written_as_csv(tmp_path: Path) -> None:
    many = listed_frames(FrameHash(float(number), f"{number:064x}", 100) for number in range(LONGEST_LINE // 70))
    with pytest.raises(ListError, match="name a snapshot"):
        write_list(tmp_path / "films.csv", Entries.of([ListEntry("long", frames=many)]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_a_scan_table_can_be_taken_in_as_a_list_with_its_films(tmp_path: Path, ending: str) -> None:
    film = Fingerprint(MD5, "1b" * 20, "2c" * 32, 7, pipeline="pdq-full/1", frames=FRAMES)
    still = Fingerprint(MD5, "1b" * 20, "3d" * 32, 7, pipeline="pdq-full/1", pdq=A, pdq_quality=77)
    path = tmp_path / f"scan{ending}"
    with scan_table(path) as table:
        for name, each in (("film.mp4", film), ("still.png", still)):
            table.add(Finding(name, each), size=7)
    first, second = read_list(str(path), mapping=ColumnMap.of(["entry=path"])).entries
    assert (first.entry, first.frames, first.sha256) == ("film.mp4", FRAMES, film.sha256)
    assert (second.frames, second.pdq) == ((), A)


def test_parquet_whose_frames_are_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"md5": [MD5], "frames": [120]}), path)
    with pytest.raises(ListError, match="'frames' is of type int64"):
        read_list(str(path))
    assert len(read_list(str(path), mapping=ColumnMap.of(["frames="])).entries) == 1
    pq.write_table(pa.table({"md5": [MD5, MD5], "frames": [[1, 2], None]}), path)
    assert [problem.line for problem in read_list(str(path)).problems] == [1]


@given(
    st.lists(
        st.builds(
            FrameHash,
            st.integers(0, (1 << 32) - 1).map(lambda milliseconds: milliseconds / 1000),
            st.integers(0, (1 << 256) - 1).map(lambda value: f"{value:064x}"),
            st.integers(0, 100),
        ),
        max_size=5,
    )
)
def test_frames_come_back_from_their_text_without_loss(frames: list[FrameHash]) -> None:
    assert frames_of(frames_text(listed_frames(frames))) == listed_frames(frames)


@given(
    st.text(max_size=40) | st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists).map(json.dumps)
)
def test_any_text_is_frames_or_is_refused(text: str) -> None:
    try:
        frames = frames_of(text)
    except ValueError:
        return
    assert frames == listed_frames(frames)
