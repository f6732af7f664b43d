"""A bank of a Hasher-Matcher-Actioner against its simulator. Each test names what of its behaviour it checks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from havenline.connectors.exchange import ExchangeError
from havenline.connectors.frame import PartnerError
from havenline.connectors.hma.simulator import HmaSimulator
from havenline.connectors.simulator import Given
from havenline.connectors.store import StateRefused

from .rig import Clock, Rig, digest


class Hmas:
    """A simulator with a rig that asks it for the bank MINE, with a gap of five."""

    def __init__(self, folder: Path, base: str, simulator: HmaSimulator) -> None:
        self.simulator, self.clock = simulator, Clock()
        self.rig = Rig(
            folder, base, connector="hma", secrets={}, settings={"bank": "MINE", "gap": "5"}, list_name="bank"
        )

    def put(self, number: int, bank: str = "MINE", **more: int) -> None:
        self.simulator.put(number, bank, pdq=digest("pdq", number), **more)

    def fetch(self, *, accept_loss: bool = True) -> set[str]:
        self.rig.fetch(self.clock.go_on(60), accept_loss=accept_loss)
        return {name.partition("~")[0] for name in self.rig.listed()}


@pytest.fixture
def hma(tmp_path: Path) -> Iterator[Hmas]:
    simulator = HmaSimulator(banks={"MINE": 1.0})
    with simulator.serving() as base:
        made = Hmas(tmp_path / "rig", base, simulator)
        yield made
        made.rig.exchange.close()


@pytest.mark.parametrize("zone", ["Europe/London", "Asia/Tokyo", "UTC"])
def test_ids_are_asked_one_by_one_past_gaps_and_what_is_gone_is_swept(
    hma: Hmas, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for number in (1, 2, 6, 11):
            hma.put(number)
        assert hma.fetch() == {"1", "2", "6", "11"}
        del hma.simulator.contents[2]
        hma.put(12)
        assert hma.fetch() == {"1", "6", "11", "12"}
        assert not hma.rig.found(hma.clock.now, pdq=digest("pdq", 2))
        assert hma.rig.found(hma.clock.now, pdq=digest("pdq", 12))
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_gap_that_is_too_long_hides_what_is_behind_it_as_the_documents_say(hma: Hmas) -> None:
    hma.put(1)
    hma.put(7)
    assert hma.fetch() == {"1"}


def test_a_content_of_another_bank_is_answered_and_not_listed(hma: Hmas) -> None:
    hma.put(1)
    hma.put(2, "OTHER")
    hma.put(3)
    assert hma.fetch() == {"1", "3"}


def test_what_is_disabled_leaves_and_comes_back(hma: Hmas) -> None:
    hma.put(1)
    hma.put(2)
    hma.put(3, disable_until_ts=1)
    assert hma.fetch() == {"1", "2"}
    hma.put(2, disable_until_ts=hma.clock.seconds + 90)
    hma.put(3)
    assert hma.fetch() == {"1", "3"}
    assert hma.fetch() == {"1", "2", "3"}
    assert hma.rig.found(hma.clock.now, pdq=digest("pdq", 2))


def test_a_bank_that_is_off_keeps_its_list_and_is_not_fetched(hma: Hmas) -> None:
    hma.put(1)
    assert hma.fetch() == {"1"}
    hma.simulator.banks["MINE"] = 0.0
    with pytest.raises(PartnerError, match="matches nothing now"):
        hma.fetch()
    assert hma.rig.listed() == {"1"}


def test_a_fetch_that_breaks_off_goes_on_where_it_was(hma: Hmas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havenline.connectors.hma.client._PAGE", 2)
    for number in range(1, 8):
        hma.put(number)
    hma.simulator.faults.instead.extend([None, None, None, None, Given(status=500)])
    hma.simulator.faults.instead.extend([Given(status=500)] * 4)
    with pytest.raises(PartnerError, match="500"):
        hma.fetch()
    asked = len(hma.simulator.asked)
    assert hma.fetch() == {str(number) for number in range(1, 8)}
    first = hma.simulator.asked[asked + 1]
    assert first.path == "/c/bank/MINE/content/3"


def test_more_than_half_is_not_swept_unless_a_person_says_so(hma: Hmas) -> None:
    for number in range(1, 202):
        hma.put(number)
    assert len(hma.fetch()) == 201
    for number in range(50, 202):
        del hma.simulator.contents[number]
    with pytest.raises(StateRefused, match="no longer serves"):
        hma.fetch(accept_loss=False)
    assert len(hma.fetch()) == 49


def test_signals_by_kind_or_by_id_and_other_kinds_are_read(hma: Hmas) -> None:
    md5, text = digest("md5", 1), "x"
    hma.simulator.put(1, "MINE", video_md5=md5, raw_text=text, vpdq="[1]")
    hma.simulator.by_id = True
    assert hma.fetch() == {"1"}
    (entry,) = hma.rig.exchange.store.entries()
    assert (entry.md5, entry.opaque, entry.label) == (md5, (("vpdq", "[1]"),), "mine")


def test_what_is_unknown_goes_to_quarantine_and_no_address_of_a_picture_is_kept(hma: Hmas) -> None:
    hma.put(1)
    hma.put(2)
    hma.put(3)
    hma.simulator.contents[1]["surprise"] = 1
    hma.simulator.contents[2]["signals"] = {"pdq": "00" * 32}
    hma.simulator.contents[3]["original_media_uri"] = "https://pictures.invalid/3"
    assert hma.fetch() == {"3"}
    assert sorted(unread.reason for unread, _ in hma.rig.exchange.store.quarantine()) == [
        "a field that is unknown",
        "a pdq value that no picture has",
    ]
    assert b"pictures.invalid" not in (hma.rig.exchange.store.raw("3") or b"pictures.invalid")
    hma.simulator.contents[1].pop("surprise")
    assert hma.fetch() == {"1", "3"}


def test_a_bank_or_a_gap_that_cannot_be_is_refused(tmp_path: Path, hma: Hmas) -> None:
    base = hma.rig.exchange.configured.base_url
    for settings, error in (({"bank": "../x"}, PartnerError), ({"bank": "B", "gap": "0"}, PartnerError)):
        with pytest.raises(error):
            Rig(tmp_path / settings["bank"].strip("./"), base, connector="hma", secrets={}, settings=settings)
    with pytest.raises(ExchangeError, match="needs each setting"):
        Rig(tmp_path / "z", base, connector="hma", secrets={}, settings={"bank": "B", "more": "1"})
