"""What was acknowledged holds: for every reader at its next lookup, across folding, a crash and a restart."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from havenline.entries import Entries
from havenline.matching import Edition, live
from havenline.matching.change_log import ChangeLog, LiveListsDamaged
from havenline.matching.live import ChangeRefused, LiveLists
from havenline.matching.mapped_file import MappedFileRefused
from havenline.vocabulary import EditionRef, Fingerprint, HashKind, ListEntry, ListTerms, Match

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
KILLS = 100 if os.environ.get("HAVENLINE_SOAK") else 8


def entry(name: str, *, near: bool = True) -> ListEntry:
    """An entry whose values follow from its id, so that `asked` finds it and no other."""
    value = random.Random(name).getrandbits(256)
    return ListEntry(name, sha256=f"{value:064x}", pdq=f"{value ^ (7 if near else 0):064x}", pdq_quality=100)


def asked(name: str) -> Fingerprint:
    made = entry(name)
    return Fingerprint(
        md5="0" * 32, sha1="0" * 40, sha256=made.sha256 or "", size=1, pdq=made.pdq, pdq_quality=100, pipeline="x"
    )


def edition(*names: str, of: str = "shapes", number: int = 1, terms: ListTerms | None = None) -> Edition:
    entries = Entries.of(entry(name) for name in names)
    return Edition(EditionRef(of, number, entries.digest()), entries, terms or ListTerms())


def found(lists: LiveLists, *names: str, at: dt.datetime = NOON) -> dict[str, list[Match]]:
    answers = lists.current().lookup([asked(name) for name in names], at=at)
    return {name: list(matches) for name, matches in zip(names, answers, strict=True) if matches}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    LiveLists.create(tmp_path / "lists", [edition("a", "b", "c")])
    return tmp_path / "lists"


def test_a_change_is_seen_by_who_made_it_by_who_had_it_open_and_by_who_opens_it(folder: Path) -> None:
    writer, reader = LiveLists.open(folder), LiveLists.open(folder)
    assert set(found(reader, "a", "b", "c", "d")) == {"a", "b", "c"}
    writer.change(add={"shapes": [entry("d")]}, withdraw={"shapes": ["b"]}, at=NOON)
    for lists in (writer, reader, LiveLists.open(folder)):
        assert set(found(lists, "a", "b", "c", "d")) == {"a", "c", "d"}
        assert len(lists.current()) == 3


def test_a_match_names_the_edition_and_for_added_entries_the_file_of_changes(folder: Path) -> None:
    lists = LiveLists.open(folder)
    lists.change(add={"shapes": [entry("d")], "new": [entry("e")]}, at=NOON)
    matches = found(lists, "a", "d", "e")
    assert matches["a"][0].edition == edition("a", "b", "c").ref
    start = ChangeLog(folder / "g000001.changes").start
    assert matches["d"][0].edition == EditionRef("shapes", 1, start)
    assert matches["e"][0].edition == EditionRef("new", 0, start)
    assert {(head.ref.list_name, head.added) for head in lists.current().heads} == {
        ("shapes", False),
        ("shapes", True),
        ("new", True),
    }


@pytest.mark.parametrize("steps", [1, 3, 50])
def test_folding_changes_no_answer(folder: Path, steps: int) -> None:
    lists, reader = LiveLists.open(folder), LiveLists.open(folder)
    for step in range(steps):
        lists.change(add={"shapes": [entry(f"s{step}"), entry(f"t{step}")]}, withdraw={"shapes": [f"x{step}"]}, at=NOON)
    lists.change(withdraw={"shapes": ["a", "s0"]}, terms={"shapes": ListTerms(radius=5)}, at=NOON)
    names = ["a", "b", *(f"{letter}{step}" for step in range(steps) for letter in "st")]
    before = {name: [match.entry for match in matches] for name, matches in found(lists, *names).items()}
    assert len(before) == 2 * steps
    assert lists.fold()
    assert not lists.fold()
    for each in (lists, reader, LiveLists.open(folder)):
        assert {name: [match.entry for match in matches] for name, matches in found(each, *names).items()} == before
        assert (each.generation, each.pending) == (2, 0)
        assert {head.terms.radius for head in each.current().heads} == {5}
    assert sorted(path.name for path in folder.iterdir()) == [
        "CURRENT", "fold.lock", "g000002.changes", "g000002.snapshot", "lock",
    ]  # fmt: skip
    assert found(lists, "b")["b"][0].edition == edition("a", "b", "c").ref


def test_what_was_withdrawn_stays_withdrawn(folder: Path) -> None:
    """Before and after folding, in a later edition, and when it was withdrawn before the list had it."""
    lists = LiveLists.open(folder)
    lists.change(withdraw={"shapes": ["a", "later"], "unheard of": ["z"]}, at=NOON)
    for _ in range(2):
        lists.publish(edition("a", "b", "later", "d", number=2))
        lists.publish(edition("z", "y", of="unheard of"))
        assert set(found(lists, "a", "b", "c", "later", "d", "z", "y")) == {"b", "d", "y"}
        with pytest.raises(ChangeRefused, match="withdrawn"):
            lists.change(add={"shapes": [entry("later")]}, at=NOON)
        lists.fold()
    assert lists.current().heads[-1].count == 1


def test_a_published_edition_takes_the_place_of_the_earlier_one_and_of_what_was_added(folder: Path) -> None:
    lists = LiveLists.open(folder)
    lists.change(add={"shapes": [entry("d")], "other": [entry("o")]}, terms={"shapes": ListTerms(radius=3)}, at=NOON)
    lists.publish(edition("b", "e", number=2))
    assert set(found(lists, "a", "b", "d", "e", "o")) == {"b", "e", "o"}
    assert [(head.ref.list_name, head.ref.number, head.terms.radius) for head in lists.current().heads] == [
        ("other", 0, 31),
        ("shapes", 2, 31),
    ]


def test_terms_change_while_lists_are_in_use(folder: Path) -> None:
    lists, reader = LiveLists.open(folder), LiveLists.open(folder)
    lists.change(add={"new": [entry("n")]}, at=NOON)
    lists.change(terms={"shapes": ListTerms(enabled=False), "new": ListTerms(expires_at=NOON)}, at=NOON)
    assert found(reader, "a", "n") == {}
    assert set(found(reader, "a", "n", at=NOON - dt.timedelta(seconds=1))) == {"n"}
    lists.fold()
    assert found(LiveLists.open(folder), "a", "n") == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"add": {"shapes": [entry("a")]}}, "already"),
        ({"add": {"shapes": [entry("d"), entry("d")]}}, "already"),
        ({"add": {"shapes": [entry("d")]}, "withdraw": {"shapes": ["d"]}}, "withdrawn"),
        ({"terms": {"none": ListTerms()}}, "no list"),
        ({"add": {"shapes": [entry("d")]}, "terms": {"none": ListTerms()}}, "no list"),
    ],
)
def test_a_change_that_cannot_be_is_refused_whole(folder: Path, change: dict[str, Any], words: str) -> None:
    lists = LiveLists.open(folder)
    before = (folder / "g000001.changes").read_bytes()
    with pytest.raises(ChangeRefused, match=words):
        lists.change(**change, at=NOON)
    assert (folder / "g000001.changes").read_bytes() == before
    assert set(found(lists, "a", "b", "c", "d")) == {"a", "b", "c"}


def test_an_id_is_taken_once_also_among_the_latest(folder: Path) -> None:
    lists = LiveLists.open(folder)
    lists.change(add={"shapes": [entry("d")]}, at=NOON)
    with pytest.raises(ChangeRefused, match="'d' already"):
        LiveLists.open(folder).change(add={"shapes": [entry("d")]}, at=NOON)
    lists.change(add={"other": [entry("d")]}, at=NOON)
    assert len(found(lists, "d")["d"]) == 2


def test_very_many_additions_are_kept_cheap_and_all_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SEALED_FROM", 20)
    lists, reader = LiveLists.open(folder), LiveLists.open(folder)
    names = [f"n{row}" for row in range(130)]
    for start in range(0, 130, 7):
        lists.change(add={"shapes": [entry(name) for name in names[start : start + 7]]}, at=NOON)
        assert set(found(reader, *names)) == set(names[: start + 7])
    lists.change(withdraw={"shapes": names[::3]}, at=NOON)
    assert set(found(reader, *names)) == set(names) - set(names[::3])


def test_a_change_that_cannot_be_written_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists, reader = LiveLists.open(folder), LiveLists.open(folder)

    def full(_descriptor: int) -> None:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as failing:
        failing.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            lists.change(add={"shapes": [entry("d")]}, at=NOON)
    assert found(reader, "d") == found(lists, "d") == {}
    lists.change(add={"shapes": [entry("d")]}, at=NOON)
    assert set(found(reader, "d")) == {"d"}


@pytest.mark.parametrize("cut", [1, 30, 37, 60])
def test_a_torn_last_record_was_never_acknowledged_and_is_left_out(folder: Path, cut: int) -> None:
    lists = LiveLists.open(folder)
    lists.change(add={"shapes": [entry("d")]}, at=NOON)
    path = folder / "g000001.changes"
    whole = path.stat().st_size
    lists.change(add={"shapes": [entry("e")]}, at=NOON)
    with path.open("r+b") as file:
        file.truncate(min(whole + cut, path.stat().st_size - 1))
    again = LiveLists.open(folder)
    assert set(found(again, "d", "e")) == {"d"}
    again.change(add={"shapes": [entry("f")]}, at=NOON)
    assert set(found(LiveLists.open(folder), "d", "e", "f")) == {"d", "f"}


def test_damage_is_refused_with_the_reason(folder: Path) -> None:
    lists = LiveLists.open(folder)
    for name in "defg":
        lists.change(add={"shapes": [entry(name)]}, at=NOON)
    path = folder / "g000001.changes"
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    for content, words in [(bytes(damaged), "damaged"), (b"", "no file of changes"), (b"x" * 99, "no file of changes")]:
        path.write_bytes(content)
        with pytest.raises(LiveListsDamaged, match=words):
            LiveLists.open(folder)
    other = bytearray(whole)
    other[30] ^= 1
    path.write_bytes(other)
    with pytest.raises(LiveListsDamaged, match="belong together"):
        LiveLists.open(folder)
    path.write_bytes(whole)
    (folder / "CURRENT").write_text("one")
    with pytest.raises(LiveListsDamaged, match="names no generation"):
        LiveLists.open(folder)
    (folder / "CURRENT").write_text("7\n")
    with pytest.raises(LiveListsDamaged, match="missing"):
        LiveLists.open(folder)
    (folder / "CURRENT").write_text("1\n")
    snapshot = folder / "g000001.snapshot"
    snapshot.write_bytes(snapshot.read_bytes()[:-1])
    with pytest.raises(MappedFileRefused):
        LiveLists.open(folder)


def test_a_folder_without_live_lists_is_refused_and_one_with_them_is_not_made_again(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(LiveListsDamaged, match="no live lists"):
        LiveLists.open(tmp_path)
    with pytest.raises(ChangeRefused, match="already"):
        LiveLists.create(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_two_do_not_fold_at_once(folder: Path) -> None:
    lists = LiveLists.open(folder)
    lists.change(add={"shapes": [entry("d")]}, at=NOON)
    with live._alone(folder / "fold.lock"), pytest.raises(ChangeRefused, match="another process"):
        LiveLists.open(folder).fold()
    assert lists.fold()


def test_changes_made_while_folding_are_carried_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists, other = LiveLists.open(folder), LiveLists.open(folder)
    lists.change(add={"shapes": [entry("d")]}, at=NOON)
    make = live._folded

    def meanwhile(*arguments: Any, **named: Any) -> Any:
        made = make(*arguments, **named)
        other.change(withdraw={"shapes": ["a", "d"]}, add={"shapes": [entry("e")]}, at=NOON)
        assert set(found(other, "a", "b", "d", "e")) == {"b", "e"}
        return made

    monkeypatch.setattr(live, "_folded", meanwhile)
    lists.fold()
    for each in (lists, other, LiveLists.open(folder)):
        assert set(found(each, "a", "b", "d", "e")) == {"b", "e"}
        assert (each.generation, each.pending) == (2, 1)


def test_readers_that_never_stop_are_never_wrong(folder: Path) -> None:
    """Two threads and one writer: what is withdrawn or added stays so from the acknowledgement on."""
    lists = LiveLists.open(folder)
    acknowledged: list[tuple[str, bool]] = [("a", True)]
    wrong: list[str] = []
    asked_ = [0, 0]
    stop = threading.Event()

    def read(which: int) -> None:
        mine = LiveLists.open(folder)
        while not stop.is_set():
            known = dict(acknowledged)
            seen = found(mine, *known)
            later = dict(acknowledged)
            wrong.extend(
                name for name, there in known.items() if (name in seen) is not there and later.get(name) is there
            )
            asked_[which] += 1

    readers = [threading.Thread(target=read, args=(which,)) for which in range(2)]
    for reader in readers:
        reader.start()
    for step in range(60):
        lists.change(add={"shapes": [entry(f"n{step}")]}, at=NOON)
        acknowledged.append((f"n{step}", True))
        if step % 3 == 2:
            gone = f"n{step - 2}"
            # Between the two it may be seen or not; after the change it must be gone.
            acknowledged[:] = [each for each in acknowledged if each[0] != gone]
            lists.change(withdraw={"shapes": [gone]}, at=NOON)
            acknowledged.append((gone, False))
        if step % 20 == 19:
            lists.fold()
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert min(asked_) > 3


DRIVER = """
import datetime as dt, random, sys
from pathlib import Path
from tests.core.matching.test_live_lists import edition, entry
from havenline.matching.live import LiveLists
lists, chance, step = LiveLists.open(Path(sys.argv[1])), random.Random(int(sys.argv[2])), int(sys.argv[3])
have = sys.argv[4].split(",") if len(sys.argv) > 4 else []
while True:
    step += 1
    kind = chance.random()
    if kind < 0.6 or not have:
        name = f"k{step}"
        print("try add", name, flush=True)
        lists.change(add={"shapes": [entry(name)]}, at=dt.datetime.now(dt.UTC))
        have.append(name)
        print("did add", name, flush=True)
    elif kind < 0.9:
        name = have.pop(chance.randrange(len(have)))
        print("try withdraw", name, flush=True)
        lists.change(withdraw={"shapes": [name]}, at=dt.datetime.now(dt.UTC))
        print("did withdraw", name, flush=True)
    else:
        lists.fold()
"""


def killed(folder: Path, *, seed: int, step: int, have: list[str]) -> Iterator[tuple[str, str, str]]:
    """What a writer said until it was killed at a random moment."""
    environment = {**os.environ, "PYTHONPATH": f"{Path(__file__).parents[3]}"}
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, folder, str(seed), str(step), *([",".join(have)] if have else [])],
        stdout=subprocess.PIPE, text=True, env=environment,
    ) as writer:  # fmt: skip
        assert writer.stdout is not None
        said = [writer.stdout.readline()]
        time.sleep(random.Random(seed).random() * 0.25)
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.read().splitlines()
    for line in said:
        words = tuple(line.split())
        if len(words) == 3:
            yield words


def test_killing_the_writer_at_random_moments_loses_nothing_acknowledged(folder: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    state: dict[str, bool | None] = {}
    step = 0
    for kill in range(KILLS):
        have = [name for name, there in state.items() if there]
        for how, what, name in killed(folder, seed=seed + kill, step=step, have=have):
            step = max(step, int(name[1:]))
            state[name] = None if how == "try" else what == "add"
        lists = LiveLists.open(folder)
        seen = found(lists, *state) if state else {}
        for name, there in state.items():
            assert there is None or (name in seen) is there, (seed, kill, name)
            state[name] = name in seen
    assert HashKind.SHA256 in {match.kind for matches in seen.values() for match in matches}
    assert step > KILLS
