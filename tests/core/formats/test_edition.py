"""An edition is read as it was written, to the byte, or refused by file, line and reason."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from havenline.formats import edition
from havenline.formats.edition import (
    CHANGES,
    ENTRIES,
    HEAD,
    LONGEST_LINE,
    Added,
    Edition,
    EditionRefused,
    Entry,
    Line,
    ListKind,
    Withdrawn,
    head_of,
    parse_entry,
    parse_line,
    place_edition,
    read_changes,
    read_edition,
    stage_edition,
    write_edition,
)
from havenline.formats.merkle_tree import Frontier, leaf_hash

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)


def drawn(number: int, *, pdq: bool = True) -> Entry:
    """An entry of values that no picture has."""
    values = {"sha256": hashlib.sha256(b"%d" % number).hexdigest()}
    if pdq:
        values |= {"pdq": hashlib.sha256(b"p%d" % number).hexdigest(), "md5": hashlib.md5(b"%d" % number).hexdigest()}
    return Entry(
        entry=hashlib.md5(b"id%d" % number).hexdigest(),
        values=values,
        quality=80 if pdq else None,
        kind=ListKind.CSAM,
        framework="demo.shapes",
        version="1",
        code="A",
        assessments=2,
        mark="",
        released=AT,
    )


def written(folder: Path, entries: Iterable[Entry], *, after: int | None = None) -> Edition:
    previous = None if after is None else folder / str(after)
    return write_edition(
        folder, list_name="house-csam", kind=ListKind.CSAM, entries=entries, previous=previous, made_at=AT
    )


def entries_of(folder: Path) -> list[Entry]:
    return list(read_edition(folder)[1])


def test_an_edition_is_read_as_it_was_written_and_the_next_says_what_changed(tmp_path: Path) -> None:
    first = written(tmp_path, [drawn(1), drawn(2), drawn(3, pdq=False)])
    second = written(tmp_path, [drawn(3, pdq=False), drawn(1), drawn(4)], after=1)
    assert (first.number, first.previous, first.entries, first.added, first.withdrawn) == (1, None, 3, 3, 0)
    assert (second.number, second.previous, second.withdrawn_total) == (2, first.digest, 1)
    assert {each.entry: each for each in entries_of(tmp_path / "2")} == {
        each.entry: each for each in (drawn(1), drawn(3, pdq=False), drawn(4))
    }
    assert [each.entry for each in entries_of(tmp_path / "2")] == sorted(drawn(n).entry for n in (1, 3, 4))
    changes = list(read_changes(tmp_path / "2")[1])
    assert changes == [Withdrawn(drawn(2).entry), Added(drawn(4))]
    assert first.digest == hashlib.sha256((tmp_path / "1" / HEAD).read_bytes()).hexdigest()
    lines = (tmp_path / "2" / ENTRIES).read_bytes().splitlines()
    assert second.root == Frontier().extended(map(leaf_hash, lines)).root.hex()
    assert [path.stat().st_mode & 0o77 for path in tmp_path.rglob("*")] == [0] * len(list(tmp_path.rglob("*")))


def test_any_history_of_editions_follows_from_its_changes(tmp_path: Path) -> None:
    seed = int(os.environ.get("HAVENLINE_SEED", "20261128"))
    print(f"HAVENLINE_SEED={seed}")
    chance = random.Random(seed)
    force: dict[str, Entry] = {}
    gone: set[str] = set()
    told: dict[str, Entry] = {}
    for number in range(1, 31):
        for entry in [drawn(chance.randrange(60), pdq=True) for _ in range(6)]:
            if entry.entry not in gone:
                force[entry.entry] = entry
        for name in chance.sample(sorted(force), min(3, len(force))):
            gone.add(name)
            del force[name]
        made = written(tmp_path, force.values(), after=number - 1 or None)
        for change in read_changes(tmp_path / str(number))[1]:
            if isinstance(change, Added):
                assert change.entry.entry not in told
                told[change.entry.entry] = change.entry
            else:
                del told[change.entry]
        assert told == force == {each.entry: each for each in entries_of(tmp_path / str(number))}
        assert made.entries == len(force)


def test_an_entry_becomes_what_matching_knows() -> None:
    listed = drawn(1).listed()
    assert (listed.entry, listed.pdq_quality, listed.label) == (drawn(1).entry, 80, "A")
    assert (listed.sha256, listed.pdq, listed.sha1) == (drawn(1).values["sha256"], drawn(1).values["pdq"], None)
    assert replace(drawn(2, pdq=False), code="").listed().label is None


def _told(line: bytes, read: Callable[[bytes], Line]) -> Line | str:
    """What was read, or why nothing was."""
    try:
        return read(line)
    except EditionRefused as refused:
        return str(refused)


def test_lines_are_read_alike_by_pattern_and_by_member() -> None:
    chance = random.Random(2026)
    whole = [drawn(1), replace(drawn(2, pdq=False), code="", mark="small-quorum"), replace(drawn(3), quality=100)]
    days = [dt.datetime(2024, 2, day, 23, 59, 59, tzinfo=dt.UTC) for day in (28, 29)] + [AT.replace(month=12, day=31)]
    whole += [replace(drawn(number), released=day) for number, day in enumerate(days, start=4)]
    lines = [each.line() for each in whole]
    assert [parse_line(line, path=Path("x"), number=1) for line in lines] == [each.brief() for each in whole]
    lines += [line.replace(b"2024-02-29", b"2026-02-29") for line in lines]
    lines += [b'{"assessments":2}', b"", b"\xff", lines[0] + b"\n", lines[0].replace(b'"demo', b'"\\u0064emo')]
    lines += [
        lines[0].replace(b":80,", b":null,"),
        lines[1].replace(b":null,", b":80,"),
        lines[0].replace(b":80", b":080"),
    ]
    signs = b'"{}:,0123456789abcdefAZn. \\\xe9'
    for _ in range(4000):
        damaged = bytearray(chance.choice(lines[:6]))
        place = chance.randrange(len(damaged))
        damaged[place : place + chance.randrange(3)] = bytes(chance.choices(signs, k=chance.randrange(3)))
        lines.append(bytes(damaged))
    accepted = 0
    for line in lines:
        by_member = _told(line, lambda line: parse_entry(line, path=Path("x"), number=1).brief())
        by_pattern = _told(line, lambda line: parse_line(line, path=Path("x"), number=1))
        assert by_pattern == by_member
        accepted += not isinstance(by_member, str)
    assert len(lines) // 4 > accepted > 6


@pytest.mark.parametrize(
    "change",
    [
        {"entry": "f" * 64},
        {"values": {}},
        {"values": {"sha256": "f" * 64, "photodna": "x"}},
        {"values": {"sha256": "F" * 64}, "quality": None},
        {"quality": None},
        {"quality": 101},
        {"values": {"sha256": "f" * 64}},
        {"framework": "../law"},
        {"version": ""},
        {"code": "two words"},
        {"assessments": 0},
        {"mark": "large"},
        {"released": AT.replace(tzinfo=None)},
        {"released": AT.replace(microsecond=1)},
    ],
)
def test_an_entry_that_is_none_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        replace(drawn(1), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "A", "../x", "a/b", "x" * 65, "ncii-adults", ".hidden"])
def test_no_list_has_such_a_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name"):
        write_edition(tmp_path, list_name=name, kind=ListKind.CSAM, entries=[], previous=None, made_at=AT)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_an_edition_is_not_written(tmp_path: Path) -> None:
    written(tmp_path, [drawn(1)])
    for entries in ([drawn(2), drawn(2)], [replace(drawn(1), code="B")], [replace(drawn(2), kind=ListKind.PROHIBITED)]):
        with pytest.raises(EditionRefused):
            written(tmp_path, entries, after=1)
    with pytest.raises(EditionRefused, match="is of the list house-csam"):
        write_edition(tmp_path, list_name="other", kind=ListKind.CSAM, entries=[], previous=tmp_path / "1", made_at=AT)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_what_was_staged_is_placed_once_and_a_number_never_names_anything_else(tmp_path: Path) -> None:
    def staged(*entries: Entry) -> Edition:
        return stage_edition(
            tmp_path, list_name="house-csam", kind=ListKind.CSAM, entries=entries, previous=None, made_at=AT
        )

    lost = staged(drawn(1))
    kept = staged(drawn(2))
    with pytest.raises(EditionRefused, match="was not staged"):
        place_edition(tmp_path, 1, lost.digest)
    assert place_edition(tmp_path, 1, kept.digest) == place_edition(tmp_path, 1, kept.digest) == tmp_path / "1"
    staged(drawn(1))
    with pytest.raises(EditionRefused, match="another edition"):
        place_edition(tmp_path, 1, lost.digest)
    assert entries_of(tmp_path / "1") == [drawn(2)]


def _changed_line(path: Path, change: dict[str, object]) -> bytes:
    lines = path.read_bytes().splitlines()
    said = json.loads(lines[0]) | change
    lines[0] = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    return b"".join(line + b"\n" for line in lines)


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        (ENTRIES, lambda path: path.read_bytes()[:-1], "line 2: longer than"),
        (ENTRIES, lambda path: path.read_bytes().splitlines(keepends=True)[0], "another SHA-256"),
        (ENTRIES, lambda path: path.read_bytes().replace(b":", b": ", 1), "line 1: not one canonical"),
        (ENTRIES, lambda path: b"[" * 3000 + b"\n", "line 1: not one canonical"),
        (ENTRIES, lambda path: b"x" * (LONGEST_LINE + 1) + b"\n", "line 1: longer than"),
        (ENTRIES, lambda path: _changed_line(path, {"code": "B"}), "another SHA-256"),
        (ENTRIES, lambda path: _changed_line(path, {"more": 1}), "line 1: .*or with members"),
        (ENTRIES, lambda path: _changed_line(path, {"quality": True}), "line 1: 'quality' is no number"),
        (ENTRIES, lambda path: _changed_line(path, {"kind": "prohibited"}), "line 1: out of order"),
        (ENTRIES, lambda path: _changed_line(path, {"values": []}), "line 1"),
        (ENTRIES, lambda path: _changed_line(path, {"released": "today"}), "line 1"),
        (ENTRIES, lambda path: path.read_bytes().replace(b'"mark":"",', b"", 1), "line 1: has no 'mark'"),
        (HEAD, lambda path: _changed_line(path, {"root": "0" * 64}), "not the entries that edition 1 names"),
        (HEAD, lambda path: _changed_line(path, {"entries": 3}), "not the entries that edition 1 names"),
        (HEAD, lambda path: _changed_line(path, {"form": "havenline-edition/2"}), "is no havenline-edition/1"),
        (HEAD, lambda path: _changed_line(path, {"list": "../x"}), "name"),
        (HEAD, lambda path: _changed_line(path, {"number": -1}), "'number' is no number"),
        (HEAD, lambda path: _changed_line(path, {"previous": "0" * 64}), "names no edition before it"),
        (HEAD, lambda path: _changed_line(path, {"more": 1}), "members that no edition has"),
        (HEAD, lambda path: path.read_bytes()[:-1], "cut off"),
        (HEAD, lambda path: path.read_bytes().replace(b'"added":2,', b""), "has no 'added'"),
    ],
)
def test_a_damaged_edition_is_refused_by_line_and_reason(
    name: str, damage: object, reason: str, tmp_path: Path
) -> None:
    written(tmp_path, [drawn(1), drawn(2)])
    path = tmp_path / "1" / name
    path.write_bytes(damage(path))  # type: ignore[operator]
    with pytest.raises(EditionRefused, match=reason):
        entries_of(tmp_path / "1")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"entry":"0","op":"withdraw"}\n', "line 1: neither"),
        (b'{"entry":"00000000000000000000000000000000","op":"keep"}\n', "line 1: neither"),
        (b"", "another SHA-256"),
    ],
)
def test_damaged_changes_are_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    written(tmp_path, [drawn(1)])
    (tmp_path / "1" / CHANGES).write_bytes(content)
    with pytest.raises(EditionRefused, match=reason):
        list(read_changes(tmp_path / "1")[1])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    written(tmp_path, [drawn(1)])
    (tmp_path / "1" / ENTRIES).unlink()
    with pytest.raises(EditionRefused, match=r"entries\.ndjson: cannot be read"):
        entries_of(tmp_path / "1")
    shutil.rmtree(tmp_path / "1")
    with pytest.raises(EditionRefused, match=r"edition\.json: cannot be read"):
        head_of(tmp_path / "1")


def test_every_step_of_writing_that_fails_leaves_the_editions_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, [drawn(1)])
    real = edition.flush_folder
    for step in range(1, 4):
        calls = iter(range(1, 10))

        def failing(folder: Path, step: int = step, calls: object = calls) -> None:
            if next(calls) == step:  # type: ignore[call-overload]
                raise OSError("no space")
            real(folder)

        monkeypatch.setattr(edition, "flush_folder", failing)
        with pytest.raises(OSError, match="no space"):
            written(tmp_path, [drawn(1), drawn(step + 1)], after=1)
        monkeypatch.setattr(edition, "flush_folder", real)
        if step < 3:
            assert not (tmp_path / "2").exists()
            assert entries_of(tmp_path / "1") == [drawn(1)]
    assert head_of(tmp_path / "2").entries == 2
