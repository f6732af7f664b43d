"""The stages of a list: what each lets it do, which step leads where, and what a crash between two leaves."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from havenline.connectors.ncmec.simulator import NcmecSimulator, Shared
from havenline.connectors.stages import FROM, Stage, Staged, StageRefused, check_step, terms_at
from havenline.connectors.store import Store
from havenline.connectors.store_forms import FIRST, SINCE_2
from havenline.list_files import ListsTogether, open_lists
from havenline.matching.lists import Together, count_in_shadow
from havenline.matching.live import LiveLists
from havenline.vocabulary import Fingerprint, ListTerms

from .rig import LIST, Clock, Rig, digest

SECRETS = {"user": "member-one", "password": "not-a-secret"}
AT = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)


class New:
    """A publisher that is new here: its list is at no stage that a test chose."""

    def __init__(self, folder: Path, base: str, partner: NcmecSimulator, clock: Clock) -> None:
        self.rig = Rig(folder, base, connector="ncmec", secrets=SECRETS, stage=None)
        self.partner, self.clock = partner, clock

    @property
    def stage(self) -> Stage:
        return self.rig.exchange.store.staged.stage

    def put(self, number: int, **more: Any) -> None:
        self.clock.go_on()
        prints = {} if more else {"md5": digest("md5", number)}
        self.partner.put(Shared("9", f"e{number}", self.clock.seconds - 10, prints, **more))

    def fetch(self) -> None:
        self.rig.fetch(self.clock.go_on())

    def matches(self, number: int) -> int:
        return len(self.rig.found(self.clock.now, md5=digest("md5", number)))

    def counted(self, number: int) -> dict[str, int]:
        asked = _asked(number)
        lists = ListsTogether([open_lists(str(self.rig.folder / "live"))])
        assert count_in_shadow(Together([lists]), [asked], at=self.clock.now) == count_in_shadow(
            lists, [asked], at=self.clock.now
        )
        return count_in_shadow(lists, [asked], at=self.clock.now)


def _asked(number: int) -> Fingerprint:
    values = {"md5": digest("md5", number), "sha1": "5e" * 20, "sha256": "5e" * 32, "pdq": "c3" * 32}
    return Fingerprint(**values, size=1, width=8, height=8, pdq_quality=100, pipeline="pdq-full/1")


@pytest.fixture
def new(tmp_path: Path) -> Iterator[New]:
    clock = Clock()
    partner = NcmecSimulator(clock=clock)
    with partner.serving() as base:
        yield New(tmp_path, base, partner, clock)


def test_a_new_list_is_counted_and_never_matches_until_it_is_active(new: New) -> None:
    assert new.stage is Stage.STAGED
    new.put(1)
    new.fetch()
    assert new.stage is Stage.SHADOW
    assert (new.matches(1), new.counted(1), new.counted(2)) == (0, {LIST: 1}, {LIST: 0})
    with pytest.raises(StageRefused, match="in shadow until 2026-07-08"):
        new.rig.exchange.set_stage(Stage.ACTIVE, at=new.clock.go_on(6 * 86400))
    new.rig.exchange.set_stage(Stage.ACTIVE, at=new.clock.go_on(86400), agreed="two people")
    assert (new.matches(1), new.counted(1)) == (1, {})
    assert new.rig.exchange.store.staged.agreed == "two people"


def test_a_suspended_list_gives_nothing_from_that_moment_and_after_every_opening(new: New) -> None:
    new.put(1)
    new.fetch()
    new.rig.exchange.set_stage(Stage.ACTIVE, at=new.clock.go_on(8 * 86400))
    holds = LiveLists.open(new.rig.folder / "live")  # as another process that has it open
    asked = _asked(1)
    assert holds.current().lookup([asked], at=new.clock.now) != [()]
    new.rig.exchange.set_stage(Stage.SUSPENDED, at=new.clock.now)
    assert holds.current().lookup([asked], at=new.clock.now) == [()]
    new.put(2)
    new.fetch()
    new.rig.reopen()
    new.rig.fetch(new.clock.go_on(), resync=True)
    new.rig.exchange.live.fold()
    assert (new.matches(1), new.matches(2), new.counted(1)) == (0, 0, {})
    with pytest.raises(StageRefused, match="suspended does not become active"):
        new.rig.exchange.set_stage(Stage.ACTIVE, at=new.clock.go_on(30 * 86400))
    new.rig.exchange.set_stage(Stage.SHADOW, at=new.clock.now)
    assert (new.matches(2), new.counted(2)) == (0, {LIST: 1})


@pytest.mark.parametrize("stage", list(Stage))
def test_a_withdrawal_applies_at_once_at_every_stage(new: New, stage: Stage) -> None:
    new.put(1)
    new.fetch()
    new.rig.exchange.store.set_stage(stage, at=new.clock.now)
    new.put(1, deleted=True)
    new.fetch()
    new.rig.exchange.store.set_stage(Stage.ACTIVE, at=new.clock.now)
    new.rig.exchange.enforce(at=new.clock.now)
    assert new.matches(1) == 0


def test_killed_between_the_state_and_the_list_the_next_one_finishes(new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    new.put(1)
    new.fetch()
    new.rig.exchange.set_stage(Stage.ACTIVE, at=new.clock.go_on(8 * 86400))
    monkeypatch.setattr(new.rig.exchange.live, "change", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        new.rig.exchange.set_stage(Stage.SUSPENDED, at=new.clock.now)
    monkeypatch.undo()
    new.rig.reopen()
    assert new.rig.exchange.enforce(at=new.clock.now)
    assert not new.rig.exchange.enforce(at=new.clock.now)
    assert new.matches(1) == 0


def test_suspended_while_a_whole_edition_is_built_it_stays_suspended(new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havenline.connectors.feeding.PUBLISHED_FROM", 1)
    new.put(1)
    new.fetch()
    new.rig.exchange.set_stage(Stage.ACTIVE, at=new.clock.go_on(8 * 86400))
    publish = LiveLists.publish

    def late(live: LiveLists, *args: Any, **how: Any) -> Any:
        new.rig.exchange.set_stage(Stage.SUSPENDED, at=new.clock.now)
        return publish(live, *args, **how)

    monkeypatch.setattr(LiveLists, "publish", late)
    new.put(2)
    new.fetch()
    assert (new.matches(1), new.matches(2)) == (0, 0)


def test_a_first_whole_edition_is_in_shadow_too(new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havenline.connectors.feeding.PUBLISHED_FROM", 1)
    new.put(1)
    new.fetch()
    assert (new.matches(1), new.counted(1)) == (0, {LIST: 1})


def test_every_step_is_in_the_table_or_refused() -> None:
    for now in Stage:
        for to in Stage:
            standing = Staged(now, AT, "")
            if now in FROM.get(to, ()):
                check_step(standing, to, shadow_days=0, at=AT)
            else:
                with pytest.raises(StageRefused, match="does not become"):
                    check_step(standing, to, shadow_days=0, at=AT)


def test_the_stage_decides_whether_it_matches_and_the_house_all_else() -> None:
    said = ListTerms(radius=20, quality_floor=60)
    for stage in Stage:
        terms = terms_at(stage, said)
        assert (terms.enabled, terms.shadow) == (stage is Stage.ACTIVE, stage is Stage.SHADOW)
        assert (terms.radius, terms.quality_floor) == (20, 60)
    with pytest.raises(ValueError, match="not enabled"):
        ListTerms(shadow=True)


_BY_KEY = """
CREATE TABLE record (
    key TEXT PRIMARY KEY, changed REAL NOT NULL, seen INTEGER NOT NULL, revision INTEGER NOT NULL,
    entry TEXT, raw BLOB NOT NULL
) WITHOUT ROWID;
INSERT INTO record VALUES ('b', 2, 0, 1, NULL, x''), ('a', 1, 0, 3, '{"md5":"%s"}', CAST('as sent' AS BLOB));
"""


@pytest.mark.parametrize("form", [1, 2])
def test_a_state_of_an_earlier_form_keeps_its_records_and_a_list_without_stages_goes_on_matching(
    tmp_path: Path, form: int
) -> None:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as base:
        for statement in (_BY_KEY % ("0a" * 16) + FIRST + (SINCE_2 if form == 2 else "")).split(";\n"):
            base.execute(statement)
        base.execute(f"PRAGMA user_version={form}")
    for _ in range(2):
        store = Store(path)
        assert store.staged == (Staged(Stage.ACTIVE, None, "") if form == 1 else Staged(Stage.STAGED, None, ""))
        assert [(entry.entry, entry.md5) for entry in store.entries()] == [("a~3", "0a" * 16)]
        assert store.raw("a") == b"as sent"
        assert (store.standing().live, store.standing().withdrawn) == (1, 1)
        store.close()


def test_an_accepted_loss_is_good_for_one_resync(new: New) -> None:
    for number in range(102):
        new.put(number)
    new.fetch()
    new.partner.entries.clear()
    with pytest.raises(Exception, match="no longer serves"):
        new.rig.fetch(new.clock.go_on(), resync=True, accept_loss=False)
    new.rig.exchange.store.accept_loss()
    new.rig.fetch(new.clock.go_on(), accept_loss=False)
    assert new.rig.listed() == set()
    assert not new.rig.exchange.store.loss_accepted
