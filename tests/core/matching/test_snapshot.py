"""A snapshot is the editions it was built from, in memory and from its file, or is refused with the reason."""

from __future__ import annotations

import datetime as dt
import json
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.core.matching.test_index_file import rewritten
from tests.core.test_entries import drawn

from havenline.entries import Entries
from havenline.matching import Edition, HammingIndex, Lists, Snapshot
from havenline.matching.mapped_file import Flaw, MappedFileRefused
from havenline.matching.sources import Source
from havenline.texts import Texts
from havenline.vocabulary import PDQ_512, EditionRef, Fingerprint, HashKind, ListTerms

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
TERMS = ListTerms(radius=20, quality_floor=60, allow=True, enabled=False, expires_at=NOON)


def editions(*counts: int) -> list[Edition]:
    made = []
    for number, count in enumerate(counts, start=1):
        entries = Entries.of(drawn(count, seed=number))
        terms = TERMS if number == 2 else ListTerms()
        ref = EditionRef(f"list {number} ü", number, entries.digest())
        made.append(Edition(ref, entries, terms, made_by="a test", added=number == 3, pipeline=PDQ_512 * (number == 2)))
    return made


@pytest.mark.parametrize("counts", [(), (0,), (1,), (40,), (30, 0, 50), (9000,)])
@pytest.mark.parametrize("filed", [False, True])
def test_a_snapshot_gives_its_editions_back(counts: tuple[int, ...], filed: bool, tmp_path: Path) -> None:
    given = editions(*counts)
    made = Snapshot.build(given, withdrawn={"a": Texts.of(["x", "y"]), "b": Texts.of(["ö"])})
    if filed:
        digest = made.save(tmp_path / "lists")
        made = Snapshot.open(tmp_path / "lists", verify=True)
        assert made.digest == digest
    assert len(made) == sum(counts)
    assert {name: ids.strings() for name, ids in made.withdrawn.items()} == {"a": ["x", "y"], "b": ["ö"]}
    back = made.editions()
    assert [replace(each, entries=one.entries) for each, one in zip(back, given, strict=True)] == given
    for one, other in zip(back, given, strict=True):
        assert list(one.entries) == list(other.entries)
        assert one.entries.digest() == one.ref.digest
    assert [head.count for head in made.heads] == list(counts)


def test_one_made_again_from_what_it_gives_back_is_the_same_file(tmp_path: Path) -> None:
    made = Snapshot.build(editions(30, 50), withdrawn={"a": Texts.of(["x"])})
    made.save(tmp_path / "one")
    opened = Snapshot.open(tmp_path / "one")
    Snapshot.build(opened.editions(), withdrawn=opened.withdrawn, threads=3).save(tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_ids_are_found_in_their_list_alone() -> None:
    given = editions(300, 300)
    given[1] = Edition(given[1].ref, given[0].entries)
    made = Snapshot.build(given)
    ids = given[0].entries.ids
    some = np.array([5, 17, 299])
    sought = Texts.joined([ids.take(some), Texts.of(["none", ""])])
    assert made.rows_of_ids(given[0].ref.list_name, sought).tolist() == [5, 17, 299]
    assert made.rows_of_ids(given[1].ref.list_name, sought).tolist() == [305, 317, 599]
    assert made.rows_of_ids("no such list", sought).tolist() == []
    assert made.rows_of_ids(given[0].ref.list_name, Texts.of([])).tolist() == []


@pytest.mark.parametrize("kind", [HashKind.MD5, HashKind.SHA1, HashKind.SHA256])
def test_digests_with_a_common_beginning_are_told_apart(kind: HashKind) -> None:
    width = {HashKind.MD5: 16, HashKind.SHA1: 20, HashKind.SHA256: 32}[kind]
    values = [bytes(8) + bytes([last]) + bytes(width - 9) for last in (1, 2, 1, 3)]
    entries = Entries.of(
        [
            type(one)(f"e{row}", **{kind.value: value.hex()})
            for row, (one, value) in enumerate(zip(drawn(4), values, strict=True))
        ]
    )
    made = Snapshot.build([Edition(EditionRef("x", 1, "0" * 64), entries)])
    asked = np.frombuffer(b"".join([values[0], values[3], bytes(width)]), np.uint8).reshape(3, width)
    places, rows = made.by_digest(kind, asked)
    assert sorted(zip(places.tolist(), rows.tolist(), strict=True)) == [(0, 0), (0, 2), (1, 3)]


def head_changed(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(head: dict[str, Any]) -> None:
        head["says"][key] = value

    return change


def list_changed(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(head: dict[str, Any]) -> None:
        head["says"]["lists"][0][key] = value

    return change


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        (head_changed("entries", 29), Flaw.HEAD),
        (head_changed("lists", []), Flaw.HEAD),
        (head_changed("lists", [1]), Flaw.HEAD),
        (head_changed("form", 2), Flaw.HEAD),
        (head_changed("form", 3), Flaw.VERSION),
        (list_changed("entries", 31), Flaw.HEAD),
        (list_changed("terms", {}), Flaw.HEAD),
        (list_changed("terms", {"radius": 900}), Flaw.HEAD),
        (lambda head: head.update(kind="hamming-index"), Flaw.FOREIGN),
    ],
)
def test_a_snapshot_that_contradicts_itself_is_refused(
    change: Callable[[dict[str, Any]], None], flaw: Flaw, tmp_path: Path
) -> None:
    path = tmp_path / "lists"
    Snapshot.build(editions(30)).save(path)
    path.write_bytes(rewritten(path.read_bytes(), change))
    with pytest.raises(MappedFileRefused) as caught:
        Snapshot.open(path)
    assert caught.value.flaw is flaw


def test_a_snapshot_from_before_editions_named_their_pipeline_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "lists"
    Snapshot.build(editions(30)).save(path)

    def without(head: dict[str, Any]) -> None:
        del head["says"]["lists"][0]["pipeline"]

    path.write_bytes(rewritten(path.read_bytes(), without))
    assert [head.pipeline for head in Snapshot.open(path).heads] == [""]


def test_any_turned_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "lists"
    Snapshot.build(editions(30, 5), withdrawn={"a": Texts.of(["x"])}).save(path)
    whole = path.read_bytes()
    chance = random.Random(1)
    for place in [*chance.sample(range(len(whole)), 300), *range(0, len(whole), 4096)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(MappedFileRefused):
            Snapshot.open(path)


def test_an_index_is_no_snapshot_and_a_snapshot_no_index(tmp_path: Path) -> None:
    HammingIndex.build(np.zeros((3, 32), np.uint8)).save(tmp_path / "index")
    Snapshot.build(editions(3)).save(tmp_path / "lists")
    for opening, name in [(Snapshot.open, "index"), (HammingIndex.open, "lists")]:
        with pytest.raises(MappedFileRefused) as caught:
            opening(tmp_path / name)
        assert caught.value.flaw is Flaw.FOREIGN


def test_several_files_answer_as_one(tmp_path: Path) -> None:
    given = editions(40, 0, 60)
    for at, edition in enumerate(given):
        Snapshot.build([edition]).save(tmp_path / str(at))
    asked = [
        Fingerprint(
            entry.md5 or "0" * 32, entry.sha1 or "0" * 40, entry.sha256 or "0" * 64, 1, pdq=entry.pdq,
            pdq_quality=100, pipeline="x",
        )
        for edition in given for entry in edition.entries if entry.pdq
    ]  # fmt: skip
    apart = Lists.open(tmp_path / str(at) for at in range(3))
    assert apart.lookup(asked, at=NOON) == Lists([Source(Snapshot.build(given))]).lookup(asked, at=NOON)
    assert len(apart) == 100


def test_a_second_process_shares_the_copy_and_opening_reads_no_section(tmp_path: Path) -> None:
    path = tmp_path / "lists"
    Snapshot.build(editions(9000)).save(path)
    code = (
        "import sys; from havenline.matching import Snapshot;"
        "made = Snapshot.open(sys.argv[1]); assert len(made) == 9000;"
        "lines = open('/proc/self/smaps').read().split(sys.argv[1])[1].splitlines();"
        "kept = {line.split(':')[0]: int(line.split()[1]) for line in lines[1:20] if line.endswith('kB')};"
        "assert kept['Private_Dirty'] == 0, kept; assert kept['Rss'] < 2048, kept"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)
    with path.open("rb") as file:
        length = struct.unpack_from("<I", file.read(56), 12)[0]
        assert json.loads(file.read(length))["kind"] == "snapshot"
