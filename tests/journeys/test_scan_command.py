"""`havenline list make` and `havenline scan` as a person runs them, down to what is left on disk."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from PIL import Image

from havenline.entries import Entries
from havenline.matching.live import LiveLists
from havenline.matching.snapshot import Edition
from havenline.testing import films
from havenline.vocabulary import EditionRef, ListEntry, ListTerms
from havenline_cli import main

REFERENCE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "pdq"
needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason=f"the reference data is absent: {REFERENCE} does not exist"
)


class Ran:
    """What a command said."""

    def __init__(self, code: int, captured: Any) -> None:
        self.code, self.out, self.err = code, captured.out, captured.err

    @property
    def summary(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.out)
        return read


@pytest.fixture
def havenline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Run a command in this process, within an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ran:
        code = main.run([str(argument) for argument in arguments])
        return Ran(code, capsys.readouterr())

    return run


def drawn(seed: int) -> Image.Image:
    """Smooth noise: high PDQ quality, and far from every other seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((480, 360), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collection")
    (folder / "near").mkdir()
    drawn(1).save(folder / "original.png")
    drawn(1).save(folder / "near" / "again.jpg", quality=70)
    drawn(1).resize((240, 180)).save(folder / "near" / "small.webp")
    drawn(2).save(folder / "other.png")
    Image.new("RGB", (200, 200), (0, 90, 0)).save(folder / "=flat.png")
    (folder / "note.txt").write_text("a note")
    (folder / "empty.jpg").touch()
    (folder / "broken.jpg").write_bytes((folder / "near" / "again.jpg").read_bytes()[:3000])
    return folder


@needs_reference
def test_the_bar_a_list_of_one_bridge_finds_every_bridge_and_nothing_else(havenline: Any) -> None:
    made = havenline("list", "make", REFERENCE / "bridge-mods" / "aaa-orig.jpg", "-o", "t.parquet")
    assert made.code == 0
    ran = havenline("scan", REFERENCE, "--list", "t.parquet", "-o", "out.parquet", "--json")
    bridges = {f"bridge-mods/{each.name}" for each in (REFERENCE / "bridge-mods").iterdir()}
    assert {match["path"] for match in ran.summary["matches"]} == bridges
    assert {match["kind"] for match in ran.summary["matches"]} == {"sha256", "pdq"}
    assert list(ran.summary["refusals"]) == ["unknown_kind"]
    assert ran.code == 3
    rows = {row["path"]: row for row in pq.read_table("out.parquet").to_pylist()}
    assert {path for path, row in rows.items() if row["matches"]} == bridges
    for path, row in rows.items():
        assert len(row["sha256"]) == 64
        assert (row["refusal"] == "unknown_kind") == (not path.endswith(".jpg"))
        assert (row["pdq"] is None) == (row["refusal"] is not None)
    assert ran.summary["files"] == len(rows) == sum(each.is_file() for each in REFERENCE.rglob("*"))


@needs_reference
def test_raw_needles_are_a_list(havenline: Any) -> None:
    shown = havenline("list", "show", f"pdq:{REFERENCE / 'needles.txt'}", "--json")
    assert (shown.code, shown.summary["hashes"]["pdq"]) == (0, 100)
    refused = havenline("list", "show", REFERENCE / "needles.txt")
    assert refused.code == 1
    assert "pdq:" in refused.err
    assert len(refused.err.splitlines()) == 1


def test_what_a_list_in_shadow_would_match_is_counted_and_nothing_of_it_is_told(
    havenline: Any, collection: Path, tmp_path: Path
) -> None:
    assert havenline("list", "make", collection / "original.png", "-o", "known.parquet").code == 0
    digest = hashlib.sha256((collection / "original.png").read_bytes()).hexdigest()
    entries = Entries.of([ListEntry("e", sha256=digest)])
    live = LiveLists.create(tmp_path / "live")
    terms = ListTerms(enabled=False, shadow=True)
    live.publish(Edition(EditionRef("north", 1, entries.digest()), entries, terms))
    ran = havenline("scan", collection, "--list", "live", "-o", "out.csv", "--json")
    assert (ran.summary["in_shadow"], ran.summary["matches"], ran.summary["matched_files"]) == ({"north": 1}, [], 0)
    assert "north" not in (tmp_path / "out.csv").read_text()
    told = havenline("scan", collection, "--list", "live")
    assert "that north would have matched" in told.out
    assert havenline("scan", collection, "--list", "known.parquet", "--json").summary["in_shadow"] == {}


def test_a_drawn_collection_is_scanned_and_every_file_accounted_for(havenline: Any, collection: Path) -> None:
    assert havenline("list", "make", collection / "original.png", "-o", "known.parquet").code == 0
    ran = havenline("scan", collection, "--list", "known.parquet", "-o", "out.csv", "--json")
    assert ran.code == 3
    summary = ran.summary
    assert {(match["path"], match["kind"]) for match in summary["matches"]} == {
        ("original.png", "sha256"),
        ("near/again.jpg", "pdq"),
        ("near/small.webp", "pdq"),
    }
    assert summary["files"] == 8
    assert (summary["hashed"], summary["below_quality_floor"], summary["refused"]) == (5, 1, 3)
    assert {reason: each["count"] for reason, each in summary["refusals"].items()} == {
        "broken": 1, "empty": 1, "unknown_kind": 1,
    }  # fmt: skip
    assert summary["lists"][0]["name"] == "known"
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"'=flat.png"} | {
        "original.png", "near/again.jpg", "near/small.webp", "other.png", "note.txt", "empty.jpg",
        "broken.jpg",
    }  # fmt: skip
    assert rows["original.png"]["match_best_distance"] == "0"
    assert rows["other.png"]["match_count"] == "0"


def test_the_summary_for_people_names_matches_and_refused_files(havenline: Any, collection: Path) -> None:
    havenline("list", "make", collection / "original.png", "-o", "known.parquet", "--name", "Drawn", "--number", 3)
    ran = havenline("scan", collection, "--list", "known.parquet", "--workers", 1)
    assert ran.code == 3
    assert "8 files" in ran.out
    assert any(
        line.split() == ["original.png", "Drawn", "3", "e000001", "sha256", "exact"] for line in ran.out.splitlines()
    )
    assert "broken.jpg: " in ran.out
    assert not Path("-").exists()


def test_a_zip_gives_what_its_folder_gives(havenline: Any, collection: Path) -> None:
    havenline("list", "make", collection / "original.png", "-o", "known.parquet")
    with zipfile.ZipFile("collection.zip", "w") as archive:
        for each in sorted(collection.rglob("*")):
            if each.is_file():
                archive.write(each, each.relative_to(collection))
    for source, table in ((collection, "folder.jsonl"), ("collection.zip", "zip.jsonl")):
        assert havenline("scan", source, "--list", "known.parquet", "-o", table).code == 3
    folder, packed = (sorted(Path(name).read_text().splitlines()) for name in ("folder.jsonl", "zip.jsonl"))
    assert folder == packed


def test_several_lists_and_kinds_are_matched_together(havenline: Any, collection: Path) -> None:
    havenline("list", "make", collection, "-o", "all.csv")
    with Path("all.csv").open(newline="") as file:
        entries = list(csv.DictReader(file))
    Path("raw.txt").write_text("\n".join(entry["md5"] for entry in entries))
    Path("sha.csv").write_text("sha1\n" + "\n".join(entry["sha1"] for entry in entries))
    ran = havenline("scan", collection, "-l", "md5:raw.txt", "-l", "sha.csv", "--json")
    found = {(match["path"], match["list"], match["kind"]) for match in ran.summary["matches"]}
    assert ("broken.jpg", "raw", "md5") in found
    assert ("broken.jpg", "sha", "sha1") in found
    assert not {path for path, _, _ in found} & {"note.txt", "empty.jpg"}


def test_a_list_counts_what_it_leaves_out_and_what_came_twice(havenline: Any, collection: Path) -> None:
    ran = havenline("list", "make", collection, "-o", "all.parquet", "--label", "drawn", "--json")
    assert ran.code == 3
    assert (ran.summary["entries"], ran.summary["digests_only"], ran.summary["refused"]) == (6, 1, 3)
    shown = havenline("list", "show", "all.parquet", "--json")
    assert shown.code == 0
    assert shown.summary["digest"] == ran.summary["digest"]
    assert shown.summary["hashes"] == {"md5": 6, "sha1": 6, "sha256": 6, "pdq": 5}
    assert shown.summary["pdq_below_quality_floor"] == 1
    Path("twice").mkdir()
    for name in ("a", "b"):
        drawn(2).save(f"twice/{name}.png")
    assert havenline("list", "make", "twice", "-o", "twice.parquet", "--json").summary["repeated"] == 1


def test_a_list_is_not_replaced_unless_forced(havenline: Any, collection: Path) -> None:
    assert havenline("list", "make", collection / "other.png", "-o", "x.parquet").code == 0
    before = Path("x.parquet").read_bytes()
    refused = havenline("list", "make", collection / "original.png", "-o", "x.parquet")
    assert (refused.code, Path("x.parquet").read_bytes()) == (1, before)
    assert "--force" in refused.err
    assert havenline("list", "make", collection / "original.png", "-o", "x.parquet", "--force").code == 0
    assert Path("x.parquet").read_bytes() != before


def test_nothing_to_list_writes_nothing(havenline: Any, collection: Path) -> None:
    ran = havenline("list", "make", collection / "note.txt", "-o", "x.parquet")
    assert (ran.code, Path("x.parquet").exists()) == (1, False)
    assert "nothing to list" in ran.err


def test_bad_lines_of_a_list_are_named_and_the_scan_goes_on(havenline: Any, collection: Path) -> None:
    Path("partner.csv").write_text("md5,source\nnonsense,x\n" + "0" * 32 + ",x\n")
    ran = havenline("scan", collection / "other.png", "--list", "partner.csv", "--json")
    assert ran.code == 3
    assert "line 2" in ran.err
    assert "'source'" in ran.err
    assert ran.summary["lists"][0]["lines_refused"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scan", "nowhere", "--list", "ok.csv"], "nowhere"),
        (["scan", ".", "--list", "none.csv"], "none.csv"),
        (["scan", ".", "--list", "ok.csv", "-o", "out.xlsx"], ".parquet"),
        (["scan", ".", "--list", "ok.csv", "-o", "no/out.csv"], "no/out.csv"),
        (["scan", ".", "--list", "ok.csv", "--list", "ok.csv"], "rename"),
        (["list", "show", "."], "cannot be read"),
        (["list", "make", "nowhere", "-o", "x.parquet"], "nowhere"),
        (["list", "make", "ok.csv", "-o", "no/x.parquet"], "no/x.parquet"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line_and_code_1(havenline: Any, arguments: list[str], said: str) -> None:
    Path("ok.csv").write_text("md5\n" + "0" * 32 + "\n")
    ran = havenline(*arguments)
    assert ran.code == 1
    lines = [line for line in ran.err.splitlines() if "compiling" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("havenline: ")
    assert said in lines[0] or "nothing to list" in lines[0]
    assert {each.name for each in Path().iterdir()} == {"ok.csv"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan"],
        ["scan", "."],
        ["scan", ".", "--list", "x", "--workers", "0"],
        ["list", "make", ".", "-o", "x", "--number", "0"],
        ["list", "make", ".", "-o", "x", "--name", "a\tb"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_code_2(havenline: Any, arguments: list[str]) -> None:
    assert havenline(*arguments).code == 2


@pytest.mark.parametrize("arguments", [["--help"], ["scan", "--help"], ["list", "--help"], ["list", "make", "-h"]])
def test_help_tells_the_exit_codes(havenline: Any, arguments: list[str]) -> None:
    ran = havenline(*arguments)
    assert ran.code == 0
    assert "130 interrupted" in " ".join(ran.out.split())


def test_help_loads_nothing_heavy() -> None:
    script = "import sys; from havenline_cli.main import run; run(['-h']); sys.stderr.write(' '.join(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {"numpy", "numba", "pyarrow", "PIL", "django", "multiprocessing"}
    assert heavy.isdisjoint(ended.stderr.split())


def test_workers_import_nothing_of_the_command_line(tmp_path: Path) -> None:
    script = tmp_path / "havenline"
    script.write_text(
        "import sys\n"
        "from multiprocessing.spawn import get_preparation_data\n"
        "from havenline_cli import main\n"
        "main.run = lambda: print(sorted(get_preparation_data('worker')))\n"
        "main.main()\n"
    )
    told = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert "sys_path" in told
    assert "init_main" not in told


def test_an_interrupt_ends_the_command_with_130_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    picture = tmp_path / "drawn.png"
    drawn(5).resize((1600, 1200)).save(picture)
    for number in range(400):
        os.link(picture, folder / f"{number}.png")
    (tmp_path / "x.csv").write_text("md5\n" + "0" * 32 + "\n")
    (tmp_path / "out.csv").write_text("earlier")
    with subprocess.Popen(
        [sys.executable, "-c", "from havenline_cli.main import main; main()", "scan", folder,
         "--list", tmp_path / "x.csv", "-o", tmp_path / "out.csv"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    ) as command:  # fmt: skip
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob(".out.csv.*.part"))) == 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=30)
    assert command.returncode == 130
    assert said.splitlines()[-1] == "havenline: interrupted; nothing unfinished was kept"
    assert "Traceback" not in said
    assert (tmp_path / "out.csv").read_text() == "earlier"
    assert list(tmp_path.glob(".out.csv*")) == []


def test_what_the_screening_lane_finds_is_told_as_the_exact_lane_sees_it(havenline: Any, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for seed in range(4):
        drawn(seed).save(tmp_path / f"{seed}.png")
        drawn(seed).resize((1600, 1200)).save(folder / f"{seed}.jpg", quality=60)
    (tmp_path / "listed").mkdir()
    for seed in range(2):
        (tmp_path / f"{seed}.png").rename(tmp_path / "listed" / f"{seed}.png")
    assert havenline("list", "make", tmp_path / "listed", "-o", "some.parquet").code == 0
    tables = {}
    for lane in ("exact", "screening"):
        ran = havenline("scan", folder, "--list", "some.parquet", "--lane", lane, "-o", f"{lane}.jsonl", "--json")
        assert (ran.code, ran.summary["lane"], ran.summary["matched_files"]) == (0, lane, 2)
        tables[lane] = [json.loads(line) for line in Path(f"{lane}.jsonl").read_text().splitlines()]
    exact, screened = tables["exact"], tables["screening"]
    assert [row["pipeline"] for row in screened] == ["pdq-full/1", "pdq-full/1", "pdq-screen/1", "pdq-screen/1"]
    assert screened[:2] == exact[:2]
    assert [row["sha256"] for row in screened] == [row["sha256"] for row in exact]


def test_a_film_is_scanned_by_its_frames_as_asked(havenline: Any, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "film.mp4").write_bytes(films.film(seconds=4))
    (tmp_path / "listed").mkdir()
    Image.fromarray(films.still(20)).save(tmp_path / "listed" / "still.png")
    assert havenline("list", "make", tmp_path / "listed", "-o", "some.csv").code == 0
    ran = havenline("scan", folder, "--list", "some.csv", "-o", "out.parquet", "--json")
    assert (ran.code, ran.summary["films"], ran.summary["matched_files"]) == (0, 1, 1)
    (row,) = pq.read_table("out.parquet").to_pylist()
    assert [frame["second"] for frame in row["frames"]] == [0.0, 1.0, 2.0, 3.0]
    assert row["matches"][0]["kind"] == "pdq"
    ran = havenline("scan", folder, "--list", "some.csv", "-o", "out.csv", "--every", "2", "--json")
    with Path("out.csv").open(newline="") as table:
        assert len(json.loads(next(csv.DictReader(table))["frames"])) == 2
    ran = havenline("scan", folder, "--list", "some.csv", "--films", "none", "--json")
    assert (ran.code, ran.summary["hashed"], ran.summary["refusals"]["unsupported_kind"]["count"]) == (3, 0, 1)


def test_a_cut_of_a_film_is_found_by_shares_both_ways_with_its_seconds(havenline: Any, tmp_path: Path) -> None:
    (tmp_path / "long.mp4").write_bytes(films.film(seconds=8))
    (tmp_path / "short.webm").write_bytes(films.film("webm", "libvpx", seconds=4))
    Image.fromarray(films.still(3)).save(tmp_path / "still.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "flat.png")
    ran = havenline("film", "compare", "short.webm", "long.mp4", "--json")
    assert ran.code == 0
    (match,) = ran.summary["matches"]
    assert (match["film"], match["share_of_asked"], match["share_of_other"]) == ("long.mp4", 1.0, 0.5)
    assert [moment["asked_second"] for moment in match["moments"]] == [0.0, 1.0, 2.0, 3.0]
    assert all(moment["asked_second"] == moment["other_second"] for moment in match["moments"])
    told = havenline("film", "compare", "short.webm", "long.mp4").out
    assert "100 % of its frames match, 50 % of the other's" in told
    assert "2 s ~ 2 s" in told
    back = havenline("film", "compare", "long.mp4", "short.webm", "--share", "0.6", "--json")
    assert (back.code, back.summary["matches"]) == (0, [])
    refused = havenline("film", "compare", "short.webm", "still.png", "--json")
    assert (refused.code, refused.summary["refused"], refused.summary["compared_with"]) == (3, 1, 0)
    assert "no frames" in json.dumps(refused.summary["refusals"])
    for wrong in (("short.webm", "short.webm"), (".", "long.mp4")):
        assert havenline("film", "compare", *wrong).code == 2


def test_a_scan_says_at_which_seconds_a_film_lies_near_an_entry(havenline: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/film.mp4").write_bytes(films.film(seconds=4))
    (tmp_path / "listed").mkdir()
    Image.fromarray(films.still(20)).save(tmp_path / "listed/still.png")
    assert havenline("list", "make", "listed", "-o", "l").code == 0
    ran = havenline("scan", "in", "--list", "l", "-o", "t.jsonl", "--json")
    (row,) = map(json.loads, Path("t.jsonl").read_text().splitlines())
    assert [match["seconds"] for match in row["matches"]] == [[2.0]]
    assert [match["seconds"] for match in ran.summary["matches"]] == [[2.0]]


def test_a_film_with_a_turning_mark_is_found_as_it_is_stored_and_as_it_is_shown(havenline: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/film.mp4").write_bytes(films.film(seconds=4, degrees=-90))
    (tmp_path / "listed").mkdir()
    Image.fromarray(films.still(10)).save(tmp_path / "listed/stored.png")
    Image.fromarray(films.still(20)).transpose(Image.Transpose.ROTATE_270).save(tmp_path / "listed/shown.png")
    assert havenline("list", "make", "listed", "-o", "l").code == 0
    havenline("scan", "in", "--list", "l", "-o", "t.jsonl", "--json")
    (row,) = map(json.loads, Path("t.jsonl").read_text().splitlines())
    assert row["orientation"] == 6
    assert sorted(match["seconds"] for match in row["matches"]) == [[1.0], [2.0]]
    (tmp_path / "turned.mp4").write_bytes(films.film(draw=lambda number: np.rot90(films.still(number), -1)))
    (tmp_path / "unmarked.mp4").write_bytes(films.film(seconds=4))
    for asked, others in (
        ("in/film.mp4", ("turned.mp4", "unmarked.mp4")),
        ("turned.mp4", ("in/film.mp4",)),
        ("unmarked.mp4", ("in/film.mp4",)),
    ):
        ran = havenline("film", "compare", asked, *others, "--json")
        assert [match["film"] for match in ran.summary["matches"]] == list(others)
        assert {match["share_of_asked"] for match in ran.summary["matches"]} == {1.0}


def test_an_upload_of_a_listed_model_is_found_whatever_its_header_says(havenline: Any, tmp_path: Path) -> None:
    drawn_tensors = {"one": np.arange(5000, dtype=np.float32), "two": np.arange(3000, dtype=np.float32)}
    renamed = {"b": drawn_tensors["one"], "a": drawn_tensors["two"]}
    for folder in ("listed", "in"):
        (tmp_path / folder).mkdir()
    files = {
        "listed/m.safetensors": safetensors.numpy.save(drawn_tensors, metadata={"title": "one"}),
        "in/same.jpg": safetensors.numpy.save(drawn_tensors, metadata={"title": "one"}),
        "in/new-header.safetensors": safetensors.numpy.save(drawn_tensors, metadata={"title": "two"}),
        "in/new-names.safetensors": safetensors.numpy.save(renamed, metadata={"title": "three"}),
        "in/other.safetensors": safetensors.numpy.save({"one": np.arange(5001, dtype=np.float32)}),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / "in/checkpoint.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\0.")
        for place, each in enumerate(drawn_tensors.values()):
            archive.writestr(f"archive/data/{place}", each.tobytes())
    made = havenline("list", "make", "listed", "-o", "models.csv", "--json")
    assert (made.code, made.summary["model_files"], made.summary["entries"]) == (0, 1, 3)
    ran = havenline("scan", "in", "--list", "models.csv", "-o", "t.jsonl", "--json")
    assert (ran.code, ran.summary["model_files"], ran.summary["refused"]) == (0, 5, 0)
    rows = {row["path"]: row for row in map(json.loads, Path("t.jsonl").read_text().splitlines())}
    found = {path: {match["entry"] for match in row["matches"]} for path, row in rows.items()}
    assert found == {
        "same.jpg": {"e000001", "e000001-body", "e000001-tensors"},
        "new-header.safetensors": {"e000001-body", "e000001-tensors"},
        "new-names.safetensors": {"e000001-tensors"},
        "checkpoint.pt": {"e000001-tensors"},
        "other.safetensors": set(),
    }
    assert {row["refusal"] for row in rows.values()} == {"model_file"}
    assert rows["same.jpg"]["media_type"] == "application/x-safetensors"
    assert havenline("scan", "in/checkpoint.pt", "--list", "models.csv", "--json").summary["matched_files"] == 1
