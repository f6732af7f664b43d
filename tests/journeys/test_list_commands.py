"""`havenline list import`, `show` and `live` as a person runs them, down to exit codes and what is left on disk."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from havenline.formats.hash_list import read_list
from havenline.matching import Snapshot
from havenline_cli import main

MD5, SHA256, PDQ = "0a" * 16, "2c" * 32, "3d" * 32


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
        captured = capsys.readouterr()
        assert all(value not in captured.err + captured.out for value in (MD5, PDQ)), "a hash value was printed"
        return Ran(code, captured)

    return run


def written(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def drawn(folder: str = "pictures", seed: int = 1) -> tuple[str, str]:
    """A folder with one drawn picture, and its SHA-256."""
    Path(folder).mkdir()
    noise = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    path = Path(folder) / "drawn.png"
    Image.fromarray(noise).resize((480, 360), Image.Resampling.BICUBIC).save(path)
    return folder, hashlib.sha256(path.read_bytes()).hexdigest()


PARTNER = f"hash_id,PDQ hash,q,photoDnaHash\np1,{PDQ},80,c29tZXRoaW5n\np2,{PDQ[1:]},80,\np3,{PDQ},,\np1,{PDQ[::-1]},,\n"
MAPPED = [
    "--map",
    "entry=hash_id",
    "--map",
    "pdq=PDQ hash",
    "--map",
    "pdq_quality=q",
    "--carry",
    "photodna=photoDnaHash",
]


def test_a_partners_list_becomes_an_edition_with_its_terms(havenline: Any) -> None:
    written("partner.csv", PARTNER)
    ran = havenline(
        "list", "import", "partner.csv", "-o", "p.snapshot", *MAPPED, "--name", "Partner", "--number", 7,
        "--radius", 20, "--quality-floor", 60, "--expires", "2030-01-31", "--label", "theirs",
        "--problems", "bad.csv", "--json",
    )  # fmt: skip
    assert ran.code == 3
    summary = ran.summary
    assert (summary["name"], summary["number"], summary["entries"]) == ("Partner", 7, 2)
    assert (summary["hashes"]["pdq"], summary["carried"], summary["alike"]) == (2, {"photodna": 1}, 1)
    assert (summary["lines_refused"], summary["files"][0]["repeated_ids"]) == (2, 1)
    assert summary["terms"] == {
        "radius": 20, "quality_floor": 60, "allow": False, "enabled": True, "expires_at": "2030-01-31T00:00:00+00:00",
        "asked_share": 0.8, "listed_share": 0.0,
    }  # fmt: skip
    assert summary["bytes"] == Path("p.snapshot").stat().st_size
    with Path("bad.csv").open(newline="") as file:
        assert [(row["file"], row["line"]) for row in csv.DictReader(file)] == [
            ("partner.csv", "3"),
            ("partner.csv", "5"),
        ]
    (edition,) = Snapshot.open("p.snapshot", verify=True).editions()
    assert edition.entries.digest() == summary["digest"] == edition.ref.digest
    assert [(entry.entry, entry.label, entry.opaque) for entry in edition.entries] == [
        ("p1", "theirs", (("photodna", "c29tZXRoaW5n"),)),
        ("p3", "theirs", ()),
    ]
    assert "line 3 passed over" in ran.err


def test_the_import_tells_people_what_came_in_and_what_did_not(havenline: Any) -> None:
    written("partner.csv", PARTNER)
    ran = havenline("list", "import", "partner.csv", "-o", "p.snapshot", *MAPPED)
    assert ran.code == 3
    said = {" ".join(line.split()) for line in ran.out.splitlines()}
    assert "name p" in said
    assert "number 1" in said
    assert "terms within 31 bits, quality 50 or more" in said
    assert "photodna 1" in said
    assert "with the values of another entry, kept 1" in said
    assert "lines passed over 2, 1 of them for an id that came before" in said


def test_every_form_is_imported_and_several_files_are_one_list(havenline: Any) -> None:
    written("a.tsv", f"md5\tnote\n{MD5}\tx\n")
    written("b.jsonl", json.dumps({"md5": "1" * 32}) + "\n")
    pq.write_table(pa.table({"md5": ["2" * 32]}), "c.parquet")
    written("d.txt", "3" * 32 + "\n")
    ran = havenline("list", "import", "a.tsv", "b.jsonl", "c.parquet", "md5:d.txt", "-o", "all.csv", "--json")
    assert (ran.code, ran.summary["entries"], ran.summary["number"]) == (0, 4, 0)
    assert "columns not used: 'note'" in ran.err
    assert [entry.entry for entry in read_list("all.csv").entries] == [
        "file-1-line-2", "file-2-line-1", "file-3-line-1", "file-4-line-1",
    ]  # fmt: skip
    shown = havenline("list", "show", "all.csv", "--json")
    assert (shown.code, shown.summary["digest"]) == (0, ran.summary["digest"])


def test_strict_keeps_nothing_where_one_line_is_bad(havenline: Any) -> None:
    written("partner.csv", PARTNER)
    ran = havenline("list", "import", "partner.csv", "-o", "p.snapshot", *MAPPED, "--strict")
    assert (ran.code, Path("p.snapshot").exists()) == (1, False)
    assert "line 3" in ran.err
    written("1.csv", f"entry,md5\na,{MD5}\n")
    written("2.csv", f"entry,md5\na,{'1' * 32}\n")
    ran = havenline("list", "import", "1.csv", "2.csv", "-o", "p.snapshot", "--strict")
    assert (ran.code, Path("p.snapshot").exists()) == (1, False)
    assert "2.csv: line 2" in ran.err


def test_nothing_is_replaced_unless_forced(havenline: Any) -> None:
    written("p.csv", f"md5\n{MD5}\n")
    written("there", "mine")
    for options in (["-o", "there"], ["-o", "new", "--problems", "there"]):
        ran = havenline("list", "import", "p.csv", *options)
        assert (ran.code, Path("there").read_text(), Path("new").exists()) == (1, "mine", False)
        assert "--force" in ran.err
    assert havenline("list", "import", "p.csv", "-o", "there", "--force").code == 0
    assert havenline("list", "show", "there").code == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--map", "md5"],
        ["--map", "sha512=x"],
        ["--carry", "md5=x"],
        ["--format", "xlsx"],
        ["--radius", "65"],
        ["--quality-floor", "101"],
        ["--expires", "soon"],
        ["--number", "0"],
        ["--name", "a\tb"],
    ],
)
def test_wrong_usage_is_code_2(havenline: Any, options: list[str]) -> None:
    written("p.csv", f"md5\n{MD5}\n")
    assert havenline("list", "import", "p.csv", "-o", "x", *options).code == 2
    assert not Path("x").exists()


@pytest.mark.parametrize("options", [["--radius", "5"], ["--allow"], ["--carry", "photodna=p"]])
def test_a_csv_does_not_pretend_to_keep_terms_or_carried_values(havenline: Any, options: list[str]) -> None:
    written("p.csv", f"md5,p\n{MD5},x\n")
    ran = havenline("list", "import", "p.csv", "-o", "x.csv", *options)
    assert (ran.code, Path("x.csv").exists()) == (2, False)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("empty.csv", "", "empty"),
        ("other.csv", "a,b\n1,2\n", "--map"),
        ("none.csv", "md5\nx\ny\n", "none of its 2 lines"),
        ("hex.txt", PDQ + "\n", "pdq:hex.txt"),
    ],
)
def test_a_file_without_one_usable_line_is_refused(havenline: Any, name: str, text: str, said: str) -> None:
    ran = havenline("list", "import", written(name, text), "-o", "x")
    assert (ran.code, Path("x").exists()) == (1, False)
    assert said in ran.err


def test_show_says_the_same_of_a_snapshot_as_of_its_source_and_verifies(havenline: Any) -> None:
    written("p.csv", f"entry,md5,pdq,pdq_quality\na,{MD5},{PDQ},49\nb,,{PDQ},\n")
    havenline("list", "import", "p.csv", "-o", "p.snapshot")
    one, two = (havenline("list", "show", name, "--json").summary for name in ("p.csv", "p.snapshot"))
    for key in ("digest", "entries", "hashes", "pdq_below_quality_floor"):
        assert one[key] == two[key]
    assert (two["kept_as"], two["verified"], two["lists"][0]["made_by"][:9]) == ("snapshot", False, "havenline")
    assert two["lists"][0]["pipeline"] is None
    ran = havenline("list", "show", "p.snapshot", "--verify")
    assert ran.code == 0
    assert "verified" in ran.out
    damaged = bytearray(Path("p.snapshot").read_bytes())
    damaged[-1] ^= 1
    Path("p.snapshot").write_bytes(damaged)
    ran = havenline("list", "show", "p.snapshot", "--verify")
    assert ran.code == 1
    assert "damaged" in ran.err


def test_an_allow_list_sets_near_matches_aside_and_exact_ones_stay(havenline: Any) -> None:
    pictures, _ = drawn()
    havenline("list", "make", pictures, "-o", "made.csv")
    (entry,) = read_list("made.csv").entries
    written("near.csv", f"pdq\n{entry.pdq}\n")
    written("exact.csv", f"md5\n{entry.md5}\n")
    written("good.csv", f"sha256\n{entry.sha256}\n")
    assert havenline("list", "import", "good.csv", "-o", "good", "--allow").code == 0
    ran = havenline("scan", pictures, "-l", "near.csv", "-l", "good", "-o", "t.jsonl", "--json")
    assert (ran.summary["matched_files"], ran.summary["allowed_files"], ran.summary["matches"]) == (0, 1, [])
    (row,) = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    assert [match["allowed"] for match in row["matches"]] == [True]
    ran = havenline("scan", pictures, "-l", "near.csv", "-l", "good")
    assert "allowed          1" in ran.out
    ran = havenline("scan", pictures, "-l", "near.csv", "-l", "good", "-l", "exact.csv", "--json")
    assert (ran.summary["matched_files"], ran.summary["allowed_files"]) == (1, 0)
    assert [match["kind"] for match in ran.summary["matches"]] == ["md5"]


def test_entries_that_are_not_told_one_by_one_are_counted(havenline: Any) -> None:
    pictures, sha256 = drawn()
    written("many.csv", "entry,sha256\n" + "".join(f"e{number},{sha256}\n" for number in range(1200)))
    ran = havenline("scan", pictures, "-l", "many.csv", "--json")
    assert (ran.summary["match_count"], ran.summary["entries_not_told"]) == (1000, 200)
    assert "200 entries more" in havenline("scan", pictures, "-l", "many.csv").out


def test_live_lists_from_their_making_to_a_withdrawal(havenline: Any) -> None:
    pictures, sha256 = drawn()
    assert havenline("list", "live", "create", "live").code == 0
    assert havenline("list", "live", "create", "live").code == 1
    written("one.csv", f"entry,sha256\na,{sha256}\nb,{SHA256}\n")
    havenline("list", "import", "one.csv", "-o", "one", "--name", "P", "--number", 1, "--radius", 5)
    ran = havenline("list", "live", "publish", "live", "one", "--json")
    assert (ran.code, ran.summary["published"][0]["entries"]) == (0, 2)

    def matches() -> list[str]:
        ran = havenline("scan", pictures, "-l", "live", "--json")
        assert ran.code == 0
        return [match["entry"] for match in ran.summary["matches"]]

    assert matches() == ["a"]
    written("late.csv", f"entry,sha256\nlate,{sha256}\n")
    assert havenline("list", "live", "add", "live", "P", "late.csv").code == 0
    assert matches() == ["a", "late"]
    ran = havenline("list", "live", "withdraw", "live", "P", "late", "never-there", "--json")
    assert (ran.summary["withdrawn"], ran.summary["entries_gone"]) == (2, 1)
    assert matches() == ["a"]
    refused = havenline("list", "live", "add", "live", "P", "late.csv")
    assert (refused.code, "withdrawn" in refused.err) == (1, True)
    written("ids.txt", "a\n\nb\n")
    assert havenline("list", "live", "withdraw", "live", "P", "--from", "ids.txt").code == 0
    assert matches() == []
    assert havenline("list", "live", "fold", "live", "--json").summary["folded"] is True
    assert havenline("list", "live", "fold", "live", "--json").summary["folded"] is False
    ran = havenline("list", "live", "publish", "live", "one", "--json")
    assert (ran.summary["published"][0]["entries"], ran.summary["published"][0]["withdrawn_left_out"]) == (0, 2)
    assert matches() == []
    shown = havenline("list", "live", "show", "live", "--verify", "--json")
    assert (shown.code, shown.summary["kept_as"], shown.summary["entries"]) == (0, "live", 0)
    assert shown.summary["lists"][0]["terms"]["radius"] == 5


def test_the_terms_of_a_live_list_can_change(havenline: Any) -> None:
    pictures, sha256 = drawn()
    havenline("list", "live", "create", "live")
    written("one.csv", f"entry,sha256\na,{sha256}\n")
    assert havenline("list", "live", "publish", "live", "one.csv", "--name", "P", "--number", 2).code == 0
    unchanged = havenline("list", "live", "terms", "live", "P", "--json")
    assert (unchanged.summary["changed"], unchanged.summary["terms"]["radius"]) == (False, 31)
    ran = havenline(
        "list", "live", "terms", "live", "P", "--radius", 7, "--disable", "--expires", "2040-01-01", "--json"
    )
    assert ran.summary["terms"] == {
        "radius": 7, "quality_floor": 50, "allow": False, "enabled": False, "expires_at": "2040-01-01T00:00:00+00:00",
        "asked_share": 0.8, "listed_share": 0.0,
    }  # fmt: skip
    assert havenline("scan", pictures, "-l", "live", "--json").summary["matches"] == []
    ran = havenline("list", "live", "terms", "live", "P", "--enable", "--never-expires")
    assert ran.out.strip() == "P: within 7 bits, quality 50 or more"
    assert len(havenline("scan", pictures, "-l", "live", "--json").summary["matches"]) == 1
    havenline("list", "live", "terms", "live", "P", "--expires", "2020-01-01")
    assert havenline("scan", pictures, "-l", "live", "--json").summary["matches"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["add", "none", "P", "p.csv"], 1, "CURRENT"),
        (["add", "live", "P", "none.csv"], 1, "none.csv"),
        (["add", "live", "P\t", "p.csv"], 2, "printable"),
        (["publish", "live", "none"], 1, "none"),
        (["publish", "live", "live"], 1, "a folder"),
        (["publish", "live", "snapshot", "--name", "x"], 2, "a snapshot says itself"),
        (["withdraw", "live", "P"], 2, "--from"),
        (["withdraw", "live", "Q", "a"], 1, "--ahead"),
        (["withdraw", "live", "P", "--from", "none"], 1, "none"),
        (["terms", "live", "Q", "--radius", "1"], 1, "no list 'Q'"),
        (["terms", "live", "P", "--radius", "99"], 2, "64"),
        (["fold", "."], 1, "CURRENT"),
        (["show", "."], 1, "CURRENT"),
    ],
)
def test_what_cannot_be_changed_is_said_and_leaves_everything(
    havenline: Any, arguments: list[str], code: int, said: str
) -> None:
    written("p.csv", f"entry,md5\na,{MD5}\n")
    havenline("list", "import", "p.csv", "-o", "snapshot", "--name", "S")
    havenline("list", "live", "create", "live")
    havenline("list", "live", "publish", "live", "p.csv", "--name", "P", "--number", 1)
    before = {each.name: each.read_bytes() for each in Path("live").iterdir()}
    ran = havenline("list", "live", *arguments)
    assert ran.code == code
    assert said in ran.err
    assert {each.name: each.read_bytes() for each in Path("live").iterdir()} == before


def test_a_list_can_be_withdrawn_from_before_it_comes(havenline: Any) -> None:
    havenline("list", "live", "create", "live")
    assert havenline("list", "live", "withdraw", "live", "P", "a", "--ahead").code == 0
    written("p.csv", f"entry,md5\na,{MD5}\nb,{MD5}\n")
    ran = havenline("list", "live", "publish", "live", "p.csv", "--name", "P", "--number", 1)
    assert "1 entries published, 1 left out" in ran.out


@pytest.mark.parametrize("command", [["import"], ["show"], ["live"], ["live", "withdraw"], ["live", "publish"]])
def test_help_tells_the_exit_codes(havenline: Any, command: list[str]) -> None:
    ran = havenline("list", *command, "--help")
    assert ran.code == 0
    assert "130 interrupted" in " ".join(ran.out.split())


def test_how_far_a_large_file_is_read_is_told(havenline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havenline_cli.progress._WORTH_A_BAR", 0)
    monkeypatch.setattr("havenline_cli.progress._SECONDS_BETWEEN_LINES", 0)
    written("p.csv", f"md5\n{MD5}\n")
    ran = havenline("list", "import", "p.csv", "-o", "x")
    assert (ran.code, ran.err) == (0, "havenline: p.csv: 0 of 0 MB read\n")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    ran = havenline("list", "import", "p.csv", "-o", "x", "--force")
    assert (ran.code, "0 of 0 MB read" in ran.err) == (0, False)


def test_an_edition_says_which_pipeline_made_its_values_as_far_as_is_known(havenline: Any) -> None:
    written("p.csv", f"entry,pdq\na,{PDQ}\n")
    ran = havenline("list", "import", "p.csv", "-o", "p.snapshot", "--pipeline", "pdq-512/1")
    assert ran.code == 0
    assert "PDQ by   pdq-512/1" in havenline("list", "show", "p.snapshot").out
    for refused in (
        ("p.csv", "-o", "q.snapshot", "--pipeline", "pdq"),
        ("p.csv", "-o", "q.csv", "--pipeline", "pdq-512/1"),
    ):
        assert havenline("list", "import", *refused).code == 2
    Path("in").mkdir()
    noise = np.random.default_rng(3).integers(0, 256, (90, 90, 3)).astype(np.uint8)
    Image.fromarray(noise).resize((360, 360)).save("in/noise.png")
    assert havenline("list", "make", "in", "-o", "made.snapshot").code == 0
    assert havenline("list", "show", "made.snapshot", "--json").summary["lists"][0]["pipeline"] == "pdq-full/1"


def test_a_mapping_is_kept_under_a_name_and_used_by_it(
    havenline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAVENLINE_MAPPINGS", str(tmp_path / "mappings"))
    assert havenline("list", "mapping", "list").out == "no mapping is kept\n"
    kinds = ["--kind-column", "what", "--value-column", "value", "--kind", "P=pdq", "--kind", "T=tmk"]
    assert havenline("list", "mapping", "save", "partner", *kinds, "--map", "entry=n", "--format", "csv").code == 0
    assert havenline("list", "mapping", "save", "partner", *kinds).code == 1
    assert havenline("list", "mapping", "save", "partner", *kinds, "--map", "entry=n", "--force").code == 0
    assert havenline("list", "mapping", "list").out == "partner\n"
    assert json.loads(havenline("list", "mapping", "show", "partner").out)["kinds"] == {"P": "pdq", "T": "tmk"}
    written("partner.txt", f"n,what,value\na,P,{PDQ}\nb,T,abc\nc,Q,abc\n")
    ran = havenline("list", "import", "partner.txt", "-o", "p.snapshot", "--mapping", "partner", "--json")
    assert (ran.code, ran.summary["entries"], ran.summary["carried"]) == (3, 2, {"tmk": 1})
    assert havenline("list", "import", "partner.txt", "-o", "p.csv", "--mapping", "partner").code == 2
    twice = havenline("list", "import", "partner.txt", "-o", "q.snapshot", "--mapping", "partner", *MAPPED)
    assert twice.code == 2
    assert (tmp_path / "mappings" / "partner.json").stat().st_mode & 0o077 == 0
    assert havenline("list", "mapping", "remove", "partner").code == 0
    gone = havenline("list", "import", "partner.txt", "-o", "q.snapshot", "--mapping", "partner")
    assert gone.code == 1
    assert "no mapping is kept as partner" in gone.err
    assert havenline("list", "mapping", "show", "../x").code == 2
