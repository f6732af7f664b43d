"""Lists whose entries are films: made from drawn films, kept, taken in, withdrawn, and found by `havenline scan`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from havenline.testing import films
from havenline_cli import main

Match = dict[str, Any]


@pytest.fixture
def havenline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a command in this process, within an empty folder: what it printed, as JSON where it was asked for."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, code: int = 0) -> Any:
        assert main.run([str(argument) for argument in arguments]) == code
        out = capsys.readouterr().out
        return json.loads(out) if "--json" in arguments else out

    return run


@pytest.fixture(scope="module")
def coded() -> dict[str, bytes]:
    """A film of six seconds, a cut of it coded anew, and another film."""
    return {
        "listed/film.mp4": films.film(seconds=6),
        "asked/cut.webm": films.film("webm", "libvpx", seconds=3, draw=lambda number: films.still(number + 20)),
        "asked/other.mp4": films.film(seconds=3, draw=lambda number: films.still(number + 990)),
    }


@pytest.fixture
def drawn(tmp_path: Path, coded: dict[str, bytes]) -> Path:
    """In `listed` the film and a picture; in `asked` the cut and the other film."""
    for name in ("listed", "asked"):
        (tmp_path / name).mkdir()
    for path, content in coded.items():
        (tmp_path / path).write_bytes(content)
    Image.fromarray(films.still(555)).save(tmp_path / "listed/picture.png")
    return tmp_path


def found(summary: dict[str, Any]) -> list[tuple[str, str, str, float, float]]:
    return [
        (each["path"], each["entry"], each["kind"], each["asked_share"], each["listed_share"])
        for each in summary["matches"]
    ]


CUT = ("cut.webm", "e000001", "film", 1.0, 0.5)


@pytest.mark.parametrize("kept", ["films", "films.csv"])
def test_a_cut_is_found_in_a_list_of_films_with_the_seconds_of_both_sides(
    havenline: Any, drawn: Path, kept: str
) -> None:
    made = havenline("list", "make", "listed", "-o", kept, "--json")
    assert (made["entries"], made["films"], made["digests_only"]) == (2, 1, 0)
    shown = havenline("list", "show", kept, "--json")
    assert (shown["hashes"]["film"], shown["hashes"]["pdq"], shown["digest"]) == (1, 1, made["digest"])
    scanned = havenline("scan", "asked", "--list", kept, "-o", "table.parquet", "--json")
    assert found(scanned) == [CUT]
    first, second = pq.read_table("table.parquet").to_pylist()
    assert second["matches"] == []
    (match,) = first["matches"]
    assert [(each["asked_second"], each["listed_second"]) for each in match["moments"]] == [(0, 2), (1, 3), (2, 4)]
    assert match["seconds"] == [0, 1, 2]
    assert match["distance"] == min(each["distance"] for each in match["moments"])
    assert "100% of its frames, 50% of the entry's" in havenline("scan", "asked", "--list", kept)


def test_each_list_says_which_shares_it_wants(havenline: Any, drawn: Path) -> None:
    havenline("list", "make", "listed", "-o", "whole", "--listed-share", "0.6")
    assert found(havenline("scan", "asked", "--list", "whole", "--json")) == []
    assert "60% of the entry's" in havenline("list", "show", "whole")
    havenline("list", "make", "asked", "-o", "cuts", "--asked-share", "0.5")
    scanned = havenline("scan", "listed", "--list", "cuts", "--json")
    assert found(scanned) == [("film.mp4", "e000001", "film", 0.5, 1.0)]
    havenline("list", "make", "asked", "-o", "usual")
    assert found(havenline("scan", "listed", "--list", "usual", "--json")) == []
    havenline("list", "make", "listed", "-o", "no.csv", "--asked-share", "0.5", code=2)


def test_a_byte_identical_film_is_found_by_its_digest_first(havenline: Any, drawn: Path) -> None:
    havenline("list", "make", "listed", "-o", "films")
    scanned = havenline("scan", "listed", "--list", "films", "--json")
    assert [(each["kind"], each["asked_share"]) for each in scanned["matches"]] == [("sha256", None)] * 2


def test_frames_from_another_program_are_imported_and_found(havenline: Any, drawn: Path) -> None:
    havenline("list", "make", "listed", "-o", "made")
    havenline("scan", "listed", "--list", "made", "-o", "table.jsonl")
    rows = [json.loads(line) for line in Path("table.jsonl").read_text().splitlines()]
    partner = [
        {"id": row["path"], "vpdq": [f"{each['pdq']},{each['quality']},{each['second']:.3f}" for each in row["frames"]]}
        for row in rows
        if row["frames"]
    ]
    Path("partner.jsonl").write_text("".join(json.dumps(each) + "\n" for each in partner) + '{"vpdq": ["x"]}\n')
    columns = ("--map", "entry=id", "--map", "frames=vpdq")
    taken = havenline("list", "import", "partner.jsonl", *columns, "-o", "partner", "--json", code=3)
    assert (taken["entries"], taken["hashes"]["film"], taken["lines_refused"]) == (1, 1, 1)
    assert found(havenline("scan", "asked", "--list", "partner", "--json")) == [("cut.webm", "film.mp4", *CUT[2:])]


def test_films_of_live_lists_are_withdrawn_for_good(havenline: Any, drawn: Path) -> None:
    havenline("list", "make", "listed", "-o", "first", "--name", "films")
    havenline("list", "live", "create", "live")
    havenline("list", "live", "publish", "live", "first")
    assert found(havenline("scan", "asked", "--list", "live", "--json")) == [CUT]
    havenline("list", "live", "terms", "live", "films", "--listed-share", "0.75")
    assert found(havenline("scan", "asked", "--list", "live", "--json")) == []
    havenline("list", "live", "terms", "live", "films", "--listed-share", "0.5")
    assert found(havenline("scan", "asked", "--list", "live", "--json")) == [CUT]
    gone = havenline("list", "live", "withdraw", "live", "films", "e000001", "--json")
    assert gone["entries_gone"] == 1
    assert found(havenline("scan", "asked", "--list", "live", "--json")) == []
    havenline("list", "make", "listed", "-o", "second", "--name", "films", "--number", "2")
    again = havenline("list", "live", "publish", "live", "second", "--json")
    assert again["published"][0]["withdrawn_left_out"] == 1
    havenline("list", "live", "fold", "live")
    assert found(havenline("scan", "asked", "--list", "live", "--json")) == []
    havenline("list", "make", "listed", "-o", "more.csv")
    Path("more.csv").write_text(Path("more.csv").read_text().replace("e000001", "again"))
    havenline("list", "live", "add", "live", "others", "more.csv")
    assert found(havenline("scan", "asked", "--list", "live", "--json")) == [("cut.webm", "again", *CUT[2:])]
    assert havenline("list", "live", "show", "live", "--verify", "--json")["hashes"]["film"] == 1


def test_a_listed_film_with_a_turning_mark_is_found_without_it_and_turned(havenline: Any, tmp_path: Path) -> None:
    for name in ("listed", "asked"):
        (tmp_path / name).mkdir()
    (tmp_path / "listed/marked.mp4").write_bytes(films.film(seconds=3, degrees=-90))
    (tmp_path / "asked/a.mp4").write_bytes(films.film(seconds=3, every_key=9))
    turned = films.film(seconds=3, draw=lambda number: np.rot90(films.still(number), -1))
    (tmp_path / "asked/b.mp4").write_bytes(turned)
    assert havenline("list", "make", "listed", "-o", "marked", "--json")["entries"] == 2
    scanned = havenline("scan", "asked", "--list", "marked", "--json")
    assert [each[:3] for each in found(scanned)] == [
        ("a.mp4", "e000001", "film"),
        ("b.mp4", "e000001-shown", "film"),
    ]
    havenline("list", "make", "asked", "-o", "plain")
    scanned = havenline("scan", "listed", "--list", "plain", "-o", "table.jsonl", "--json")
    assert {(each["entry"], each["upright"]) for each in scanned["matches"]} == {("e000001", False), ("e000002", True)}
    (row,) = map(json.loads, Path("table.jsonl").read_text().splitlines())
    assert [each["second"] for each in row["frames_upright"]] == [each["second"] for each in row["frames"]]
    assert row["frames_upright"] != row["frames"]


def test_an_entry_of_a_picture_is_still_found_in_a_film_with_its_seconds(havenline: Any, drawn: Path) -> None:
    Image.fromarray(films.still(30)).save(drawn / "listed/still.png")
    havenline("list", "make", "listed", "-o", "both")
    scanned = havenline("scan", "asked", "--list", "both", "--json")
    assert {(each["kind"], *each["seconds"]) for each in scanned["matches"]} == {("film", 0, 1, 2), ("pdq", 1)}
    lane = havenline("scan", "asked", "--list", "both", "--lane", "screening", "--json")
    assert lane["matches"] == scanned["matches"]
