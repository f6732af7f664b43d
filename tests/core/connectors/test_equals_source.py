"""Over any history of adding, changing, withdrawing, breaking off and fetching anew, our list is the partner's.

Compared is what a lookup finds in the live list, opened anew as another process would, with what the simulator holds.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from havenline.connectors.frame import PartnerError, digested_key
from havenline.connectors.ncmec.simulator import NcmecSimulator, Shared
from havenline.connectors.simulator import Faults, Given
from havenline.connectors.stopncii.simulator import StopNciiSimulator
from havenline.connectors.store import Store, key_of
from havenline.connectors.threatexchange.simulator import ThreatExchangeSimulator

from .rig import Clock, Rig, digest

SOAK = bool(os.environ.get("HAVENLINE_SOAK"))
NUMBERS = st.integers(0, 7)
DAY = 86400


class Killed(BaseException):
    """Stands for the end of the process at that place."""


class Histories(RuleBasedStateMachine):
    """One partner, one exchange. A subclass says what the partner is."""

    connector = ""
    list_name = "partner"
    secrets: Mapping[str, str] = MappingProxyType({})
    settings_: Mapping[str, str] = MappingProxyType({})

    def __init__(self) -> None:
        super().__init__()
        self.stack, self.folder = ExitStack(), Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.truth: dict[int, int] = {}
        """By number of a record, the number of its value."""
        self.faults: Faults
        self.rig: Rig
        self.values = 0
        self.whole = False

    @initialize()
    def begin(self) -> None:
        base = self.stack.enter_context(self.serving())
        self.rig = Rig(
            self.folder,
            base,
            connector=self.connector,
            secrets=self.secrets,
            settings=self.settings_,
            list_name=self.list_name,
        )

    def serving(self) -> Any:
        raise NotImplementedError

    def tell(self, number: int, value: int | None) -> None:
        """The partner's record of that number has that value now, or is withdrawn."""
        raise NotImplementedError

    def forget(self, number: int) -> None:
        """The partner has never heard of it, and tells nobody."""
        raise NotImplementedError

    @rule(number=NUMBERS)
    def add_or_change(self, number: int) -> None:
        self.clock.go_on(1)
        self.values += 1
        self.truth[number] = self.values
        self.tell(number, self.values)
        self.whole = False

    @rule(number=NUMBERS)
    def withdraw(self, number: int) -> None:
        self.clock.go_on(1)
        self.truth.pop(number, None)
        self.tell(number, None)
        self.whole = False

    @rule(seconds=st.sampled_from([0, 7, 3600, 13 * 3600]))
    def time_goes_on(self, seconds: int) -> None:
        self.clock.go_on(seconds)

    @rule(number=NUMBERS)
    def vanish(self, number: int) -> None:
        """Gone without a word, as after a partner's own restore: only a resync can show it."""
        self.clock.go_on(1)
        self.truth.pop(number, None)
        self.forget(number)
        self.rig.exchange.store.begin_resync()
        self.whole = False

    @rule(answers=st.integers(0, 3), how=st.sampled_from(["status", "cut"]))
    def fetch_breaks_off(self, answers: int, how: str) -> None:
        self.clock.go_on(7)
        broken = Given(status=400) if how == "status" else Given(b"<queryResult", cut=4)
        self.faults.instead.extend([*[None] * answers, broken])
        try:
            self.rig.fetch(self.clock.now)
        except PartnerError:
            self.whole = False
        else:
            self.whole = True
        self.faults.instead.clear()

    @rule(place=st.sampled_from(["before", "after"]), payments=st.integers(0, 2))
    def killed_between_state_and_list(self, place: str, payments: int) -> None:
        """The process ends before or after the live list has a change, and before the state says so."""
        self.clock.go_on(7)
        left = [payments]

        def paid(store: Store, number: int) -> None:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            Store.paid(store, number)

        store = self.rig.exchange.store
        with pytest.MonkeyPatch.context() as patch:
            if place == "after":
                patch.setattr(store, "paid", lambda number: paid(store, number), raising=True)
            else:
                patch.setattr(self.rig.exchange.live, "change", _killed, raising=True)
            try:
                self.rig.fetch(self.clock.now)
            except Killed:
                self.whole = False
            else:
                self.whole = True
        self.rig.reopen()

    @rule()
    def resync(self) -> None:
        self.clock.go_on(7)
        self.rig.fetch(self.clock.now, resync=True)
        self.whole = True

    @rule()
    def fetch(self) -> None:
        self.clock.go_on(7)
        self.rig.fetch(self.clock.now)
        self.whole = True

    @rule()
    def fetch_after_a_long_time(self) -> None:
        self.clock.go_on(100 * DAY)
        self.rig.fetch(self.clock.now)
        self.whole = True

    @precondition(lambda self: self.whole)
    @invariant()
    def the_list_is_the_partners(self) -> None:
        pictures = [{"md5": digest("md5", value)} for value in range(self.values + 1)]
        found = self.rig.found_of(pictures, at=self.clock.now)
        assert sorted(key_of(match.entry) for match in found) == sorted(map(self.key, self.truth))
        current = [{"md5": digest("md5", value)} for value in self.truth.values()]
        assert len(self.rig.found_of(current, at=self.clock.now)) == len(self.truth)
        assert self.rig.exchange.store.count_owed() == 0

    def key(self, number: int) -> str:
        return str(number)

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.rig.exchange.close()
        self.stack.close()
        shutil.rmtree(self.folder)


def _killed(**_: object) -> None:
    raise Killed


class NcmecHistories(Histories):
    connector = "ncmec"
    secrets = MappingProxyType({"user": "member-one", "password": "not-a-secret"})

    def serving(self) -> Any:
        self.simulator = NcmecSimulator(clock=self.clock, page_size=2)
        self.faults = self.simulator.faults
        return self.simulator.serving()

    @rule(ends=st.sampled_from(["(]", "[)"]), seed=st.integers(0, 9), tells=st.booleans())
    def another_server(self, ends: str, seed: int, tells: bool) -> None:
        # Where the number of entries is not told, what changes between two pages cannot be noticed: see the README.
        self.simulator.ends, self.simulator.seed, self.simulator.tells_most = ends, seed, tells

    @rule(number=NUMBERS, pages=st.integers(0, 2))
    def changes_between_two_pages(self, number: int, pages: int) -> None:
        left = [pages]

        def change() -> None:
            left[0] -= 1
            if left[0] == -1:
                self.add_or_change(number)

        self.simulator.tells_most = True
        self.simulator.between_pages = change
        self.fetch()
        self.simulator.between_pages = None
        self.fetch()

    def tell(self, number: int, value: int | None) -> None:
        prints = {} if value is None else {"md5": digest("md5", value)}
        self.simulator.put(Shared("9", f"e{number}", self.clock.seconds, prints, deleted=value is None))

    def forget(self, number: int) -> None:
        self.simulator.entries.pop(("9", f"e{number}"), None)

    def key(self, number: int) -> str:
        return f"9/e{number}"


class ThreatHistories(Histories):
    connector = "threatexchange"
    secrets = MappingProxyType({"access_token": "123456789|not-a-secret-but-long-enough"})
    settings_ = MappingProxyType({"privacy_group": "4711"})

    def serving(self) -> Any:
        self.simulator = ThreatExchangeSimulator(seconds=lambda: self.clock.seconds, limit=2)
        self.faults = self.simulator.faults
        return self.simulator.serving()

    def tell(self, number: int, value: int | None) -> None:
        gone = {"should_delete": True} if value is None else {}
        self.simulator.put(str(number), digest("md5", value or 0), kind="HASH_MD5", **gone)

    def forget(self, number: int) -> None:
        self.simulator.items.pop(str(number), None)


class NciiHistories(Histories):
    """A record's key is its value there, so each number has one value for good."""

    connector = "stopncii"
    list_name = "ncii.stopncii"
    secrets = MappingProxyType({"fetch_key": "fetch-not-a-secret", "subscription_key": "subscription-not-a-secret"})

    def serving(self) -> Any:
        self.simulator = StopNciiSimulator(seconds=lambda: self.clock.seconds, page_size=2)
        self.faults = self.simulator.faults
        self.values = 8
        return self.simulator.serving()

    @rule(number=NUMBERS)
    def add_or_change(self, number: int) -> None:
        self.clock.go_on(1)
        self.truth[number] = number
        self.tell(number, number)
        self.whole = False

    @rule(number=NUMBERS)
    def withdraw(self, number: int) -> None:
        self.clock.go_on(1)
        self.truth.pop(number, None)
        self.tell(number, None)
        self.whole = False

    def tell(self, number: int, value: int | None) -> None:
        status = "Withdrawn" if value is None else "Active"
        self.simulator.put(digest("md5", number), signal="VideoMD5", status=status)

    def forget(self, number: int) -> None:
        self.simulator.records.pop(("VideoMD5", digest("md5", number)), None)

    def key(self, number: int) -> str:
        return digested_key("VideoMD5", digest("md5", number))


@pytest.mark.parametrize("histories", [NcmecHistories, ThreatHistories, NciiHistories])
def test_our_state_equals_the_partners_over_any_history(histories: type[Histories]) -> None:
    run_state_machine_as_test(
        histories,
        settings=settings(
            max_examples=100 if SOAK else 8,
            stateful_step_count=30 if SOAK else 15,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
