"""An index file opens whole and answers as the index that wrote it, or is refused with the reason."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from havenline.matching import HammingIndex, hamming, mapped_file, tables
from havenline.matching.mapped_file import Flaw, MappedFileRefused
from havenline.matching.search_twin import Found

SIZES = {"none": 0, "one": 1, "few": 50, "repeats": 51, "tabled": 9000}


def made(kind: str) -> HammingIndex:
    codes = np.random.default_rng(1).integers(0, 256, (SIZES[kind], 32), dtype=np.uint8)
    if kind == "repeats":
        codes[10:30] = codes[0]
    if kind == "tabled":
        codes[8900:] = codes[:100] ^ 1
    return HammingIndex.build(codes)


def arrays(index: HammingIndex) -> list[bytes]:
    return [getattr(index._tables, name).tobytes() for name in tables.Tables.__slots__]


@pytest.mark.parametrize("kind", SIZES)
def test_an_opened_file_is_the_index_that_was_saved(kind: str, tmp_path: Path) -> None:
    index = made(kind)
    index.save(tmp_path / "index")
    opened = HammingIndex.open(tmp_path / "index", verify=True)
    assert arrays(opened) == arrays(index)
    assert (len(opened), opened.code_count) == (len(index), index.code_count)
    queries = np.random.default_rng(1).integers(0, 256, (40, 32), dtype=np.uint8)
    found, expected = opened.search(queries), index.search(queries)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
    assert all(np.array_equal(one, other) for one, other in zip(opened.pairs(), index.pairs(), strict=True))


def test_equal_codes_make_equal_files_whatever_the_threads(tmp_path: Path) -> None:
    codes = np.random.default_rng(2).integers(0, 256, (9000, 32), dtype=np.uint8)
    codes[500:700] = codes[:200]
    for threads in (1, 3):
        HammingIndex.build(codes, threads=threads).save(tmp_path / str(threads))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "3").read_bytes()


def test_a_saved_file_replaces_the_earlier_one_which_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "index"
    made("few").save(path)
    earlier = HammingIndex.open(path)
    made("tabled").save(path)
    assert (len(earlier), len(HammingIndex.open(path))) == (50, 9000)
    assert len(earlier.search(np.zeros((1, 32), np.uint8))[0]) == 0
    assert [each.name for each in tmp_path.iterdir()] == ["index"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_save_that_fails_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "index"
    made("few").save(path)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        made("one").save(path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["index"]


def refusal(path: Path, *, verify: bool = False) -> Flaw:
    with pytest.raises(MappedFileRefused) as caught:
        HammingIndex.open(path, verify=verify)
    assert "\n" not in str(caught.value)
    return caught.value.flaw


@pytest.mark.parametrize("content", [b"", b"\x89HVLNM", b"PK\x03\x04" + bytes(9000), b"\0" * 8192])
def test_a_foreign_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(content)
    assert refusal(tmp_path / "index") is Flaw.FOREIGN


@pytest.mark.parametrize("keep", [8, 40, 100, 4095, 8192, 12288, -4096, -1])
def test_a_torn_file_is_refused(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "index"
    made("repeats").save(path)
    path.write_bytes(path.read_bytes()[:keep])
    assert refusal(path) is Flaw.SIZE


def test_a_file_with_something_behind_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index"
    made("few").save(path)
    with path.open("ab") as file:
        file.write(b"\0")
    assert refusal(path) is Flaw.SIZE


def sections(path: Path) -> tuple[int, dict[str, tuple[int, int]]]:
    """Where the head ends, and where each section starts and ends."""
    with path.open("rb") as file:
        start = file.read(56)
        length = struct.unpack_from("<I", start, 12)[0]
        head = json.loads(file.read(length))
    placed = head["sections"]
    ends = [each["offset"] for each in placed[1:]] + [path.stat().st_size]
    return 56 + length, {each["name"]: (each["offset"], end) for each, end in zip(placed, ends, strict=True)}


def test_any_turned_bit_of_a_small_file_is_found_at_once(tmp_path: Path) -> None:
    path = tmp_path / "index"
    made("repeats").save(path)
    whole = path.read_bytes()
    end, _ = sections(path)
    for place in [*range(8, 600, 7), *range(600, len(whole), 61), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        if place < 12:
            assert refusal(path) is Flaw.VERSION
        else:
            assert refusal(path) in (
                (Flaw.HEAD, Flaw.SIZE) if place < 16 else (Flaw.HEAD if place < end else Flaw.SECTION,)
            )


def test_a_turned_bit_in_any_section_of_a_large_file_is_found_by_verifying(tmp_path: Path) -> None:
    path = tmp_path / "index"
    made("tabled").save(path)
    whole = path.read_bytes()
    assert len(whole) > mapped_file._SMALL_FILE
    for offset, end in sections(path)[1].values():
        for place in {offset, (offset + end) // 2, end - 1} if end > offset else ():
            with path.open("r+b") as file:
                file.seek(place)
                file.write(bytes([whole[place] ^ 0x10]))
            assert refusal(path, verify=True) is Flaw.SECTION
            with path.open("r+b") as file:
                file.seek(place)
                file.write(whole[place : place + 1])
    assert len(HammingIndex.open(path, verify=True)) == 9000


@pytest.mark.parametrize(("section", "place"), [("directory", 5), ("postings", 3)])
def test_an_unverified_search_that_meets_the_impossible_says_so(section: str, place: int, tmp_path: Path) -> None:
    path = tmp_path / "index"
    index = made("tabled")
    index.save(path)
    with path.open("r+b") as file:
        file.seek(sections(path)[1][section][0])
        length = 4 * (16 * 65537 if section == "directory" else 16 * index.code_count)
        file.write(b"\xff" * length)
    opened = HammingIndex.open(path)
    with pytest.raises(MappedFileRefused, match="damaged"):
        opened.search(np.zeros((place, 32), np.uint8) if section == "directory" else _stored(index, place))
    for _ in range(2):
        with pytest.raises(MappedFileRefused, match="damaged"):
            opened.search(np.zeros((1, 32), np.uint8) if section == "directory" else _stored(index, 1))
    with pytest.raises(MappedFileRefused, match="damaged"):
        opened.pairs()


def _stored(index: HammingIndex, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Codes that the index of `made` holds."""
    assert len(index) == 9000
    return np.random.default_rng(1).integers(0, 256, (9000, 32), dtype=np.uint8)[:count]


def rewritten(whole: bytes, change: Callable[[dict[str, Any]], None], *, form: int = 2, size: int = 0) -> bytes:
    """The file with another head, and the digest that fits it: as a program with another idea of the form writes."""
    length = struct.unpack_from("<I", whole, 12)[0]
    head = json.loads(whole[56 : 56 + length])
    change(head)
    text = json.dumps(head).encode().ljust(length)
    assert len(text) == length
    start = struct.pack("<8sIIQ", whole[:8], form, length, len(whole) + size)
    return start + hashlib.sha256(start + text).digest() + text + whole[56 + length :]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_stands_in_the_tables_a_search_refuses_or_finds_what_is_true(seed: int, tmp_path: Path) -> None:
    path, draw = tmp_path / "index", np.random.default_rng(seed)
    index = made("tabled")
    index.save(path)
    layout = sections(path)[1]
    with path.open("r+b") as file:
        for _ in range(1 << seed):
            offset, end = layout[("directory", "postings")[int(draw.integers(2))]]
            file.seek(offset + 4 * int(draw.integers((end - offset) // 4)))
            file.write(draw.integers(0, 1 << int(draw.integers(1, 33)), 1, dtype=np.uint32).tobytes())
    opened, queries = HammingIndex.open(path), _stored(index, 9)
    asks: list[Callable[[HammingIndex], Found]] = [
        lambda searched: searched.search(queries),
        lambda searched: searched.search(queries[:1]),
        lambda searched: searched.search(queries, radius=47),
        lambda searched: searched.pairs(),
    ]
    for ask in asks:
        truth = set(zip(*(part.tolist() for part in ask(index)), strict=True))
        try:
            found = set(zip(*(part.tolist() for part in ask(opened)), strict=True))
        except MappedFileRefused:
            continue
        assert found <= truth


def shortened(head: dict[str, Any]) -> None:
    head["sections"][0]["shape"] = [49, 4]


def grown(head: dict[str, Any]) -> None:
    head["sections"][0]["shape"] = [1 << 40, 4]


def moved(head: dict[str, Any]) -> None:
    head["sections"][2]["offset"] += 4096


def negative(head: dict[str, Any]) -> None:
    head["sections"][0]["shape"] = [-50, 4]


def unknown_type(head: dict[str, Any]) -> None:
    head["sections"][0]["type"] = "f8"


def other_type(head: dict[str, Any]) -> None:
    head["sections"][4]["type"] = "u8"


def other_name(head: dict[str, Any]) -> None:
    head["sections"][0]["name"] = "kodes"


def twice(head: dict[str, Any]) -> None:
    head["sections"][1]["name"] = head["sections"][2]["name"]


def fewer(head: dict[str, Any]) -> None:
    head["says"]["entries"] = 49


def more(head: dict[str, Any]) -> None:
    head["says"]["entries"] = 1 << 40


def words(head: dict[str, Any]) -> None:
    head["says"] = "50"


@pytest.mark.parametrize(
    "change",
    [shortened, grown, moved, negative, unknown_type, other_type, other_name, twice, fewer, more, words],
)
def test_a_head_that_contradicts_itself_is_refused(change: Callable[[dict[str, Any]], None], tmp_path: Path) -> None:
    path = tmp_path / "index"
    made("few").save(path)
    path.write_bytes(rewritten(path.read_bytes(), change))
    assert refusal(path) is Flaw.HEAD


def test_another_form_another_kind_and_another_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "index"
    made("few").save(path)
    whole = path.read_bytes()
    for changed, flaw in [
        (rewritten(whole, lambda head: None, form=3), Flaw.VERSION),
        (rewritten(whole, lambda head: head.update(kind="snapshot")), Flaw.FOREIGN),
        (rewritten(whole, lambda head: None, size=4096), Flaw.SIZE),
    ]:
        path.write_bytes(changed)
        assert refusal(path) is flaw
    path.write_bytes(rewritten(whole, lambda head: None))
    assert len(HammingIndex.open(path)) == 50


def test_opening_reads_the_head_and_not_the_sections(tmp_path: Path) -> None:
    """A file of a few pages on the disk whose head speaks of ten million codes is opened at once."""
    path = tmp_path / "index"
    made("tabled").save(path)
    with path.open("rb") as file:
        length = struct.unpack_from("<I", file.read(56), 12)[0]
        head = json.loads(file.read(length))
    shapes = {"codes": [10**7, 4], "partners": [16 * 10**7 + 32], "postings": [16 * 10**7]}
    widths = {"codes": 8, "partners": 2}
    head["says"]["entries"], offset = 10**7, 56 + length
    for each in head["sections"]:
        name = each["name"]
        each["shape"] = [0] if name.startswith("repeat") else shapes.get(name, each["shape"])
        each["offset"] = offset
        offset += -(-math.prod(each["shape"]) * widths.get(name, 4) // 4096) * 4096
    text = json.dumps(head).encode().ljust(length)
    start = struct.pack("<8sIIQ", mapped_file.MAGIC, 2, length, offset)
    with path.open("wb") as file:
        file.write(start + hashlib.sha256(start + text).digest() + text)
        file.truncate(offset)
    code = (
        "import sys; from havenline.matching import HammingIndex;"
        "read = lambda: int(open('/proc/self/io').read().split()[1]); before = read();"
        "index = HammingIndex.open(sys.argv[1]); assert len(index) == 10**7; assert read() - before < 1 << 16;"
        "lines = open('/proc/self/smaps').read().split(sys.argv[1])[1].splitlines();"
        "kept = {line.split(':')[0]: int(line.split()[1]) for line in lines[1:20] if line.endswith('kB')};"
        "assert kept['Rss'] < 2048, kept"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True)
    assert offset / 10**7 < 132


def test_small_sets_have_no_tables_in_their_file() -> None:
    assert made("tabled")._tables.tabled
    assert not made("few")._tables.tabled
    assert hamming._TABLED_FROM <= 9000
