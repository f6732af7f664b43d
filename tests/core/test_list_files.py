"""What an argument names answers lookups, whatever it is kept as, or is refused with one clear line."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from havenline import list_files
from havenline.entries import Entries
from havenline.formats.hash_list import ListError, write_list
from havenline.list_files import Kept, ListsTogether, check_whole, kept_as, live_lists, open_lists, write_snapshot
from havenline.matching import Edition, Snapshot
from havenline.matching.live import LiveLists
from havenline.vocabulary import EditionRef, Fingerprint, ListEntry, ListTerms, Refusal, Refused

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def asked(content: str) -> Fingerprint:
    return Fingerprint("0" * 32, "0" * 40, digest(content), 1, refusal=Refused(Refusal.BROKEN, "cut short"))


def listed(*contents: str) -> Entries:
    return Entries.of(ListEntry(f"of {content}", sha256=digest(content)) for content in contents)


def written(path: Path, entries: Entries, **options: Any) -> EditionRef:
    return write_snapshot(path, entries, **{"name": "shapes", "number": 1, "made_by": "test", **options})


def found(lists: Any, *contents: str) -> list[list[tuple[str, str]]]:
    looked = lists.lookup([asked(content) for content in contents], at=NOON)
    return [[(match.edition.list_name, match.entry) for match in matches] for matches in looked]


@pytest.fixture
def kept(tmp_path: Path) -> dict[Kept, str]:
    """The same list in three ways."""
    entries = listed("circle", "square")
    written(tmp_path / "shapes.snapshot", entries)
    write_list(tmp_path / "shapes.csv", entries)
    live = LiveLists.create(tmp_path / "live")
    live.publish(Edition(EditionRef("shapes", 1, entries.digest()), entries))
    return {
        Kept.SNAPSHOT: str(tmp_path / "shapes.snapshot"),
        Kept.FILE: str(tmp_path / "shapes.csv"),
        Kept.LIVE: str(tmp_path / "live"),
    }


@pytest.mark.parametrize("how", Kept)
def test_a_list_answers_alike_however_it_is_kept(kept: dict[Kept, str], how: Kept) -> None:
    opened = open_lists(kept[how])
    assert (kept_as(kept[how]), opened.kept) == (how, how)
    assert found(opened.lists, "circle", "triangle") == [[("shapes", "of circle")], []]
    assert [(head.ref.digest, head.count) for head in opened.heads] == [(listed("circle", "square").digest(), 2)]


def test_several_arguments_are_one_lookup_on_the_terms_of_each(tmp_path: Path) -> None:
    written(tmp_path / "a", listed("circle"), name="a")
    written(tmp_path / "b", listed("circle"), name="b", terms=ListTerms(enabled=False))
    write_list(tmp_path / "c.csv", listed("circle", "square"))
    together = ListsTogether([open_lists(str(tmp_path / name)) for name in ("a", "b", "c.csv")])
    assert found(together, "circle", "square") == [[("a", "of circle"), ("c", "of circle")], [("c", "of square")]]
    assert [head.terms.enabled for head in together.heads] == [True, False, True]


def test_no_argument_is_no_match() -> None:
    assert found(ListsTogether([]), "circle") == [[]]


def test_one_name_and_number_twice_is_refused(kept: dict[Kept, str], tmp_path: Path) -> None:
    opened = [open_lists(kept[Kept.SNAPSHOT]), open_lists(kept[Kept.LIVE])]
    with pytest.raises(ListError, match="both named 'shapes' number 1"):
        ListsTogether(opened)
    written(tmp_path / "next", listed("circle"), number=2)
    ListsTogether([open_lists(str(tmp_path / "next")), opened[1], open_lists(kept[Kept.FILE])])


def test_a_withdrawal_holds_from_the_next_lookup_on(kept: dict[Kept, str], tmp_path: Path) -> None:
    write_list(tmp_path / "other.csv", listed("circle"))
    together = ListsTogether([open_lists(kept[Kept.LIVE]), open_lists(str(tmp_path / "other.csv"))])
    assert found(together, "circle") == [[("other", "of circle"), ("shapes", "of circle")]]
    elsewhere = live_lists(Path(kept[Kept.LIVE]))
    elsewhere.change(withdraw={"shapes": ["of circle"]}, at=NOON)
    assert found(together, "circle") == [[("other", "of circle")]]
    elsewhere.change(add={"shapes": [ListEntry("late", sha256=digest("late"))]}, at=NOON)
    assert found(together, "late") == [[("shapes", "late")]]


def test_a_snapshot_is_opened_without_reading_its_entries(
    kept: dict[Kept, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("entries were read")

    monkeypatch.setattr(Snapshot, "entries", never)
    monkeypatch.setattr(list_files, "read_list", never)
    assert found(open_lists(kept[Kept.SNAPSHOT]).lists, "square") == [[("shapes", "of square")]]


def test_nothing_is_replaced_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "x"
    written(path, listed("circle"))
    before = path.read_bytes()
    with pytest.raises(ListError, match="exists already"):
        written(path, listed("square"), number=2)
    assert path.read_bytes() == before
    assert written(path, listed("square"), number=2, replace=True).number == 2
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(("entries", "number", "reason"), [(["a", "a"], 1, "one id"), (["a"], 0, "numbered from 1")])
def test_editions_that_contradict_themselves_are_not_written(
    tmp_path: Path, entries: list[str], number: int, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        written(tmp_path / "x", listed(*entries), number=number)
    assert list(tmp_path.iterdir()) == []


def refusals(paths: Iterable[Path]) -> list[str]:
    said = []
    for path in paths:
        with pytest.raises(ListError) as refused:
            open_lists(str(path))
        assert str(refused.value).startswith(str(path))
        assert "\n" not in str(refused.value)
        said.append(str(refused.value))
    return said


def test_what_cannot_be_opened_is_said_in_one_line_that_names_it(kept: dict[Kept, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    torn = tmp_path / "torn"
    torn.write_bytes(Path(kept[Kept.SNAPSHOT]).read_bytes()[:-1])
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        said = refusals([tmp_path / "none", tmp_path / "empty", torn, tmp_path / "s"])
    assert "No such file" in said[0]
    assert "CURRENT" in said[1]
    assert "torn" in said[2]
    assert "cannot be read" in said[3]
    (Path(kept[Kept.LIVE]) / "CURRENT").write_text("no number")
    assert "restore it from a backup" in refusals([Path(kept[Kept.LIVE])])[0]


def test_checking_finds_every_flipped_bit_of_a_large_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "large"
    rng = random.Random(3)
    written(path, Entries.of(ListEntry(f"e{n}", sha1=f"{n:040x}", pdq=rng.randbytes(32).hex()) for n in range(30_000)))
    whole = path.read_bytes()
    assert len(whole) > 1 << 22
    check_whole(open_lists(str(path)))
    for _ in range(12):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ListError, match=str(path)):
            check_whole(open_lists(str(path)))


def test_a_digest_that_is_not_that_of_the_entries_is_found(tmp_path: Path) -> None:
    wrong = Edition(EditionRef("shapes", 1, "0" * 64), listed("circle"))
    Snapshot.build([wrong]).save(tmp_path / "x")
    opened = open_lists(str(tmp_path / "x"))
    with pytest.raises(ListError, match="do not give the digest"):
        check_whole(opened)


def test_live_lists_are_checked_whole_after_withdrawals_too(kept: dict[Kept, str]) -> None:
    live = live_lists(Path(kept[Kept.LIVE]))
    live.change(withdraw={"shapes": ["of circle"]}, at=NOON)
    live.fold()
    opened = open_lists(kept[Kept.LIVE])
    check_whole(opened)
    snapshot = next(Path(kept[Kept.LIVE]).glob("g*.snapshot"))
    damaged = bytearray(snapshot.read_bytes())
    damaged[-4000] ^= 1
    snapshot.write_bytes(damaged)
    with pytest.raises(ListError, match=snapshot.name):
        check_whole(opened)
