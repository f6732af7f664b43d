"""Promise 20: held is never destroyed, due is destroyed within a day, destroyed stays destroyed."""

from __future__ import annotations

import datetime as dt
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from havenline.judgement.retention import RetentionFacts, due_at, retention_classes
from havenline_guard.keyd_state import SECOND
from havenline_guard.keyd_wire import KeydRefused
from havenline_guard.retention_run import RetentionRun, run_retention
from havenline_guard.vault import Kept, Vault
from havenline_guard.vault_store import FolderStore
from tests.guard.keyd_rig import AMPLE, Rig, bound, refused, unlike_its_log

SOAK = os.environ.get("HAVENLINE_SOAK") == "1"
CLASSES = retention_classes()
DAY = dt.timedelta(days=1)
AT = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def vault(rig: Rig) -> Vault:
    return Vault(FolderStore(rig.folder / "store"), rig.keys)


def test_a_dry_run_says_and_destroys_nothing_and_the_run_does_what_it_said(vault: Vault) -> None:
    facts = {
        vault.keep(b"x", kind="original").name: RetentionFacts(CLASSES["cleared"], AT - day * DAY) for day in range(12)
    }
    dry = run_retention(vault, facts, at=AT, dry=True)
    assert (len(dry.due), dry.destroyed) == (5, ())
    assert run_retention(vault, facts, at=AT) == RetentionRun(dry.due, dry.due, (), stopped=False)
    assert run_retention(vault, facts, at=AT).destroyed == dry.due


def test_where_too_much_is_due_at_once_nothing_is_destroyed_until_a_person_looked(rig: Rig, vault: Vault) -> None:
    facts = {vault.keep(b"x", kind="original").name: RetentionFacts(CLASSES["cleared"], AT) for _ in range(12)}
    stopped = run_retention(vault, facts, at=AT + 400 * DAY)
    assert (len(stopped.due), stopped.destroyed, stopped.stopped) == (12, (), True)
    assert rig.keys.status()["destroyed"] == 0
    assert len(run_retention(vault, facts, at=AT + 400 * DAY, looked_at=True).destroyed) == 12


def test_a_hold_that_only_keyd_knows_holds(rig: Rig, vault: Vault) -> None:
    kept = vault.keep(b"x", kind="original")
    rig.keys.place_hold(kept.name, "court", by="lead")
    done = run_retention(vault, {kept.name: RetentionFacts(CLASSES["cleared"], AT)}, at=AT + 9 * DAY)
    assert (done.destroyed, done.refused) == ((), (kept.name,))


@pytest.mark.timeout(1_800 if SOAK else 300)
def test_any_order_of_decisions_holds_receipts_restores_and_restarts(rig: Rig) -> None:
    steps, seed = 10_000 if SOAK else 700, 20
    print(f"seed {seed}, {steps} steps")
    House(rig, random.Random(seed)).live(steps)


class House:
    """What the records of a house say of its kept objects, and what must therefore hold of them."""

    def __init__(self, rig: Rig, chance: random.Random) -> None:
        self.rig, self.chance = rig, chance
        self.vault = Vault(FolderStore(rig.folder / "store"), rig.keys)
        self.kept: dict[str, Kept] = {}
        self.facts: dict[str, RetentionFacts] = {}
        self.held_until_now: dict[str, dt.datetime] = {}
        self.gone: set[str] = set()
        self.backup: tuple[bytes, set[str]] | None = None
        rig.keys.set_budget("p1", replace(AMPLE, per_hour=1 << 40, minutes=1 << 40), by="lead", second="welfare")

    @property
    def now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.rig.state.now() / SECOND, dt.UTC)

    def live(self, steps: int) -> None:
        acts = [self.keep] * 4 + [self.decide] * 4 + [self.refer, self.receive, self.dispute, self.hold, self.release]
        acts += [self.restart, self.set_wall, self.look, self.back_up, self.restore]
        for _ in range(steps):
            self.chance.choice(acts)()
            self.rig.clocks.run(self.chance.randrange(12 * 3600))
            self.seal()
        assert len(self.gone) > steps / 20
        for name in self.gone:
            refused("exists", self.rig.keys.mint, name, kind="original", size=1)
        # Grants and exposures are forgotten after days; the rest is for good.
        wrong = [each for each in unlike_its_log(self.rig) if each.startswith(("keys", "holds", "budgets"))]
        assert wrong == []

    def pick(self) -> str | None:
        return self.chance.choice(sorted(self.kept)) if self.kept else None

    def change(self, **change: object) -> None:
        name = self.pick()
        if name:
            self.facts[name] = replace(self.facts[name], **change)  # type: ignore[arg-type]

    def keep(self) -> None:
        made = self.vault.keep(self.chance.randbytes(50), kind="original")
        self.kept[made.name] = made
        self.facts[made.name] = RetentionFacts(CLASSES[self.chance.choice(("cleared", "decided"))], None)

    def decide(self) -> None:
        name = self.pick()
        if name and self.facts[name].decided_at is None:
            self.facts[name] = replace(self.facts[name], decided_at=self.now)

    def refer(self) -> None:
        self.change(referred=True)

    def receive(self) -> None:
        self.change(receipt_at=self.now)

    def dispute(self) -> None:
        self.change(disputable_until=self.now + self.chance.randrange(40) * DAY)

    def hold(self) -> None:
        name = self.pick()
        if name:
            self.rig.keys.place_hold(name, "h", by="lead")
            # The records of the desk may lag behind: half of the holds are known to keyd alone.
            self.facts[name] = replace(self.facts[name], held=self.chance.random() < 0.5)
            self.held_until_now[name] = self.now

    def release(self) -> None:
        for name in list(self.held_until_now):
            if self.chance.random() < 0.5:
                self.rig.keys.release_hold(name, "h", by="lead", second="senior")
                self.facts[name] = replace(self.facts[name], held=False)
                del self.held_until_now[name]

    def restart(self) -> None:
        if self.chance.random() < 0.3:
            self.rig.clocks.start_again()
        self.again()

    def again(self) -> None:
        self.rig.start_again()
        self.vault = Vault(FolderStore(self.rig.folder / "store"), self.rig.keys)

    def set_wall(self) -> None:
        self.rig.clocks.wall += self.chance.choice((-86_400, -600, 86_400)) * SECOND

    def back_up(self) -> None:
        self.rig.state.close()
        self.backup = ((self.rig.folder / "keyd.sqlite").read_bytes(), set(self.kept))
        self.again()

    def restore(self) -> None:
        """Bring an older database back, as after a disaster: what was kept since is lost, what was destroyed stays."""
        if self.backup is None or self.held_until_now or self.chance.random() < 0.7:
            return
        database, then = self.backup
        self.rig.state.close()
        (self.rig.folder / "keyd.sqlite").write_bytes(database)
        self.again()
        for name in set(self.kept) - then:
            del self.kept[name], self.facts[name]
        for name in self.kept:
            for reference in ("h",):
                try:
                    self.rig.keys.release_hold(name, reference, by="lead", second="senior")
                except KeydRefused:
                    continue
            self.facts[name] = replace(self.facts[name], held=False)

    def look(self) -> None:
        for name in sorted(self.gone)[:3]:
            with pytest.raises(KeydRefused, match=r"destroyed|no key was ever"):
                self.rig.keys.grant(bound(name))
        name = self.pick()
        if name:
            token = self.rig.keys.grant(bound(name))
            assert len(self.vault.open(self.kept[name], token, bound(name))) == 50

    def seal(self) -> None:
        done = run_retention(self.vault, self.facts, at=self.now, looked_at=True)
        assert not set(done.destroyed) & self.held_until_now.keys()
        assert set(done.refused) <= self.held_until_now.keys()
        for name in done.destroyed:
            del self.kept[name], self.facts[name]
            self.gone.add(name)
        for name, facts in self.facts.items():
            due = due_at(facts)
            assert name in self.held_until_now or facts.held or due is None or self.now < due + DAY
