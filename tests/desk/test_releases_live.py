"""What was withdrawn is found no more: whatever breaks off, restarts, or is read again from an older edition."""

from __future__ import annotations

import datetime as dt
import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from havenline.formats.edition import read_edition
from havenline.matching.lists import ListLookup
from havenline.matching.live import LiveLists
from havenline.vocabulary import PDQ_FULL, Fingerprint, Refusal, Refused
from havenline_desk import editions
from havenline_desk.actions.publish_edition import publish_edition
from havenline_desk.actions.release_entries import ReleaseRefused
from havenline_desk.actions.withdraw_entries import follow_lists, withdraw_entry
from havenline_desk.models import (
    HouseList,
    Person,
    PublishedEdition,
    ReleasedEntry,
    Withdrawal,
    WithdrawalReason,
)
from havenline_guard.client import MatchClient
from tests.guard.conftest import Running

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
SOAK = os.environ.get("HAVENLINE_SOAK") == "1"


@pytest.fixture
def people() -> dict[str, Person]:
    made = make.world(at=AT)
    make.settle(made, make.TEXTURED, at=AT)
    return made


@pytest.fixture
def csam(people: dict[str, Person]) -> HouseList:
    return make.house_list(people, at=AT)


def fingerprint(row: ReleasedEntry) -> Fingerprint:
    whole = row.file.perceptual_hash
    return Fingerprint(
        sha256=row.file.sha256,
        sha1="0" * 40,
        md5="0" * 32,
        size=1,
        pdq=whole.pdq if whole else None,
        pdq_quality=whole.quality if whole else None,
        pipeline=PDQ_FULL if whole else None,
        refusal=None if whole else Refused(Refusal.BROKEN, "drawn by no one"),
    )


def found(lookup: ListLookup) -> set[str]:
    """Which released entries a lookup of every released file finds."""
    rows = list(ReleasedEntry.objects.select_related("file").order_by("pk"))
    answers = lookup.lookup([fingerprint(row) for row in rows], at=AT)
    return {match.entry for matches in answers for match in matches}


def published() -> set[str]:
    """In force, and told by an edition."""
    rows = ReleasedEntry.objects.filter(withdrawal=None).exclude(first_number=None)
    return set(rows.values_list("entry", flat=True))


def withdrawn() -> set[str]:
    return set(Withdrawal.objects.values_list("entry__entry", flat=True))


def test_no_history_of_releases_restarts_and_older_editions_brings_a_withdrawn_entry_back(
    people: dict[str, Person], csam: HouseList
) -> None:
    seed = int(os.environ.get("HAVENLINE_SEED", "20261128"))
    print(f"HAVENLINE_SEED={seed}")
    chance, number = random.Random(seed), 0
    folder = editions.live_folder()
    reader: LiveLists | None = None
    for _ in range(600 if SOAK else 60):
        step = chance.choice(("release", "publish", "withdraw", "broken_off", "restart", "older", "lost"))
        newest = PublishedEdition.objects.order_by("-number").first()
        in_force = list(ReleasedEntry.objects.filter(withdrawal=None).order_by("pk"))
        if step == "release":
            for _ in range(chance.randint(1, 3)):
                number += 1
                make.released_row(csam, number, pdq=chance.random() < 0.7)
        elif step == "publish":
            try:
                publish_edition(csam, person=people["liaison"], at=AT)
            except ReleaseRefused:
                assert not ReleasedEntry.objects.filter(withdrawal=None, first_number=None).exists()
        elif step == "withdraw" and in_force:
            row = chance.choice(in_force)
            assert withdraw_entry(row, reason=WithdrawalReason.ERROR, person=people["lead"], at=AT)
        elif step == "broken_off" and in_force:
            # Killed after the commit and before the tombstone: the duty of each minute goes on with it.
            Withdrawal.objects.create(entry=chance.choice(in_force), reason="error", withdrawn_at=AT)
            follow_lists(at=AT)
        elif step == "restart":
            reader = None
        elif step == "older" and newest is not None:
            editions.bring_up(csam, at=AT, number=chance.randint(1, newest.number))
            assert not found(LiveLists.open(folder).current()) & withdrawn()
            follow_lists(at=AT)
        elif step == "lost" and newest is not None:
            shutil.rmtree(folder, ignore_errors=True)
            reader = None
            editions.bring_up(csam, at=AT, number=chance.randint(1, newest.number))
        if (folder / "CURRENT").exists():
            reader = reader or LiveLists.open(folder)
            for lookup in (reader.current(), LiveLists.open(folder).current()):
                assert not found(lookup) & withdrawn(), (seed, step)
    editions.bring_up(csam, at=AT, number=PublishedEdition.objects.order_by("-number")[0].number)
    assert found(LiveLists.open(folder).current()) == published()
    assert len(withdrawn()) > 3


class Killed(BaseException):
    """Stands for kill -9: nothing catches it, and what was not committed is gone."""


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """From the `step`th flush, rename or link on, nothing is done any more."""
    done = 0

    def counting(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            nonlocal done
            done += 1
            if done >= step:
                raise Killed
            return real(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for owner, name in ((os, "fsync"), (os, "link"), (Path, "rename"), (Path, "replace")):
            patch.setattr(owner, name, counting(getattr(owner, name)))
        yield lambda: done


def test_publishing_killed_at_every_step_is_finished_or_done_anew(
    people: dict[str, Person], csam: HouseList, monkeypatch: pytest.MonkeyPatch
) -> None:
    make.released_row(csam, 1)
    publish_edition(csam, person=people["liaison"], at=AT)
    step = 0
    while True:
        step += 1
        gone = ReleasedEntry.objects.filter(withdrawal=None).order_by("pk")[0]
        make.released_row(csam, 1 + step)
        withdraw_entry(gone, reason=WithdrawalReason.ERROR, person=people["lead"], at=AT)
        before = PublishedEdition.objects.count()
        with killed_at(step, monkeypatch):
            try:
                publish_edition(csam, person=people["liaison"], at=AT)
                whole = True
            except Killed:
                whole = False
        follow_lists(at=AT)
        if PublishedEdition.objects.count() == before:
            publish_edition(csam, person=people["liaison"], at=AT)
        rows = list(PublishedEdition.objects.order_by("number"))
        assert [row.number for row in rows] == list(range(1, before + 2))
        (edition, entries) = read_edition(editions.folder_of(rows[-1]))
        assert edition.digest == rows[-1].digest
        assert {each.entry for each in entries} == published()
        live = LiveLists.open(editions.live_folder())
        assert found(live.current()) == published()
        assert not found(live.current()) & withdrawn()
        assert not list(editions.folder_of_list(csam).glob(".*.part"))
        if whole:
            break
    assert step > 8


def test_a_tombstone_reaches_a_running_matchd_at_once_and_outlives_it(
    people: dict[str, Person], csam: HouseList, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [make.released_row(csam, number) for number in (1, 2, 3)]
    publish_edition(csam, person=people["liaison"], at=AT)
    served = Running(editions.live_folder(), tmp_path_factory.mktemp("m") / "s", "--workers", "1")
    try:
        with MatchClient(served.socket) as client:
            assert found(client) == {row.entry for row in rows}
            assert withdraw_entry(rows[0], reason=WithdrawalReason.AUTHORITY, person=people["lead"], at=AT)
            assert found(client) == {row.entry for row in rows[1:]}
        served.kill()
        shutil.rmtree(editions.live_folder())
        assert editions.bring_up(csam, at=AT, number=1)  # the edition that still has it
        served.start()
        with MatchClient(served.socket) as client:
            assert found(client) == {row.entry for row in rows[1:]}
    finally:
        served.kill()


def test_what_cannot_follow_is_said_and_tried_again(
    people: dict[str, Person], csam: HouseList, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = (make.released_row(csam, 1),)
    publish_edition(csam, person=people["liaison"], at=AT)

    def full(*_arguments: object, **_named: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(LiveLists, "change", full)
        assert not withdraw_entry(row, reason=WithdrawalReason.ERROR, person=people["lead"], at=AT)
        with pytest.raises(OSError, match="no space"):
            follow_lists(at=AT)
    assert withdrawn() == {row.entry}
    assert follow_lists(at=AT) == 1
    assert found(LiveLists.open(editions.live_folder()).current()) == set()
