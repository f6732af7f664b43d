"""Exchanges that are fetched by themselves, by a clock that only the test moves."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from havenline.connectors import sealed
from havenline.connectors.exchange import Configured, Exchange, Fetched, set_up
from havenline.connectors.frame import Page, PartnerError, PartnerRecord
from havenline.connectors.keeping import JITTER, Keeper
from havenline.connectors.stages import Stage
from havenline.vocabulary import ListEntry

AT = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
SEED = 7


class Partners:
    """Counts who was asked when, and fails while told to."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked, self.fails = folder, list[tuple[str, dt.datetime]](), False
        self.keeper = Keeper(folder, self.fetch, chance=Random(SEED))

    def add(self, name: str, *, every: int) -> Exchange:
        key = self.folder / "key"
        if not key.exists():
            sealed.make_key(key)
        told = Configured("ncmec", "https://partner.example/x", name, every_minutes=every)
        set_up(self.folder / name, told, {"user": "member", "password": "not-a-secret"}, key=key)
        return Exchange(self.folder / name)

    def fetch(self, exchange: Exchange, at: dt.datetime) -> Fetched:
        self.asked.append((exchange.folder.name, at))
        if self.fails:
            raise PartnerError("the partner does not answer")
        return Fetched(1, 0, 0, 0, False)

    def run(self, first: dt.datetime, minutes: int) -> list[dt.datetime]:
        before = len(self.asked)
        for minute in range(minutes):
            list(self.keeper.step(first + minute * MINUTE))
        return [at for _, at in self.asked[before:]]


@pytest.fixture
def partners(tmp_path: Path) -> Partners:
    return Partners(tmp_path)


def test_each_is_fetched_as_often_as_it_says_give_or_take_a_tenth(partners: Partners) -> None:
    partners.add("hourly", every=60).close()
    partners.add("never", every=0).close()
    times = partners.run(AT, 60 * 7)
    assert {name for name, _ in partners.asked} == {"hourly"}
    gaps = [(after - before) / MINUTE for before, after in pairwise(times)]
    assert all(60 * (1 - JITTER) <= gap <= 60 * (1 + JITTER) + 1 for gap in gaps), f"seed {SEED}: {gaps}"
    assert len(set(gaps)) > 3, "no jitter"


def test_after_failures_it_is_asked_less_and_less_often_and_then_as_usual(partners: Partners) -> None:
    partners.add("p", every=60).close()
    partners.fails = True
    times = partners.run(AT, 180)
    gaps = [(after - before) / MINUTE for before, after in pairwise(times)]
    assert gaps[0] < 3
    assert max(gaps) <= 60 * (1 + JITTER) + 1
    assert len(times) < 12, f"seed {SEED}: {gaps}"
    partners.fails = False
    later = partners.run(AT + 180 * MINUTE, 180)
    assert 2 <= len(later) <= 4


def test_what_was_fetched_before_the_start_counts_and_a_new_one_is_noticed(partners: Partners) -> None:
    exchange = partners.add("p", every=60)
    exchange.store.keep(Page([], [], {}, complete=True), at=AT - 30 * MINUTE)
    exchange.close()
    assert partners.run(AT, 20) == []
    partners.add("q", every=60).close()
    assert partners.run(AT + 20 * MINUTE, 1) == [AT + 20 * MINUTE]


def test_a_damaged_one_keeps_no_other_from_it(partners: Partners) -> None:
    partners.add("a", every=60).close()
    (partners.folder / "a" / "exchange.json").write_text("{")
    partners.add("b", every=60).close()
    told = list(partners.keeper.step(AT))
    assert [(each.name, bool(each.fault), each.fetched is not None) for each in told] == [
        ("a", True, False),
        ("b", False, True),
    ]


def test_a_suspension_that_did_not_come_to_the_list_does_within_one_look(partners: Partners) -> None:
    exchange = partners.add("p", every=0)
    record = PartnerRecord("e", 1.0, b"", ListEntry("e", md5="ab" * 16))
    exchange.store.keep(Page([record], [], {}, complete=True), at=AT)
    exchange.store.set_stage(Stage.ACTIVE, at=AT)
    exchange._apply(at=AT, threads=1)
    assert [head.terms.enabled for head in exchange.live.current().heads] == [True]
    exchange.store.set_stage(Stage.SUSPENDED, at=AT)
    exchange.close()
    assert [each.enforced for each in partners.keeper.step(AT)] == [True]
    again = Exchange(partners.folder / "p")
    assert [head.terms.enabled for head in again.live.current().heads] == [False]
    again.close()
    assert list(partners.keeper.step(AT)) == []
