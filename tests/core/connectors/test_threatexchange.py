"""ThreatExchange's threat_updates against its simulator. Each test names the clause of the protocol that it checks."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from havenline.connectors.frame import Opinion, PartnerError
from havenline.connectors.simulator import Given
from havenline.connectors.threatexchange.client import ThreatExchange
from havenline.connectors.threatexchange.simulator import ThreatExchangeSimulator

from .rig import Clock, Rig, digest

TOKEN = "123456789|not-a-secret-but-long-enough"
DAY = 86400


class Threats:
    """A simulator with a rig that asks it."""

    def __init__(self, rig: Rig, simulator: ThreatExchangeSimulator, clock: Clock) -> None:
        self.rig, self.simulator, self.clock = rig, simulator, clock

    def put(self, number: int, **more: Any) -> None:
        self.clock.go_on(1)
        self.simulator.put(str(number), more.pop("indicator", digest("pdq", number)), **more)

    def found(self) -> set[int]:
        pictures = [{"pdq": digest("pdq", number)} for number in range(12)]
        matches = self.rig.found_of(pictures, at=self.clock.now)
        return {int(match.entry.partition("~")[0]) for match in matches}

    def fetch(self, **how: bool) -> set[int]:
        self.rig.fetch(self.clock.go_on(1), **how)
        return self.found()


@pytest.fixture
def threats(tmp_path: Path) -> Iterator[Threats]:
    clock = Clock()
    simulator = ThreatExchangeSimulator(seconds=lambda: clock.seconds)
    with simulator.serving() as base:
        rig = Rig(
            tmp_path / "rig",
            base,
            connector="threatexchange",
            secrets={"access_token": TOKEN},
            settings={"privacy_group": "4711"},
        )
        yield Threats(rig, simulator, clock)
        rig.exchange.close()


@pytest.mark.parametrize(
    "gone", [{"should_delete": True}, {"descriptors": {"data": []}}, {"descriptors": None}], ids=str
)
def test_should_delete_or_no_descriptor_is_a_tombstone(threats: Threats, gone: dict[str, Any]) -> None:
    threats.put(1)
    threats.put(2)
    assert threats.fetch() == {1, 2}
    threats.put(1, **gone)
    assert threats.fetch() == {2}
    threats.put(1)
    assert threats.fetch() == {1, 2}


@pytest.mark.parametrize(
    ("kind", "value"),
    [("HASH_MD5", "md5"), ("HASH_SHA1", "sha1"), ("HASH_SHA256", "sha256"), ("HASH_VIDEO_MD5", "md5")],
)
def test_each_type_is_looked_up_by_its_value(threats: Threats, kind: str, value: str) -> None:
    threats.simulator.put("8", digest(value, 8), kind=kind)
    threats.fetch()
    (match,) = threats.rig.found(threats.clock.now, **{value: digest(value, 8)})
    assert (match.entry, match.kind.value) == ("8", value)


def _descriptor(number: int, status: str, **more: Any) -> dict[str, Any]:
    return {"id": f"d{number}", "owner": {"id": f"50{number}"}, "status": status, **more}


def test_a_descriptor_without_an_owner_is_passed_over_and_opinions_are_kept_per_member(threats: Threats) -> None:
    tags = {"data": [{"id": "1", "text": "tag-a"}]}
    reactions = [{"key": "DISAGREE_WITH_TAGS", "value": "601,602"}]
    nobody = {"id": "d9", "status": "NON_MALICIOUS"}
    threats.put(1, descriptors={"data": [_descriptor(1, "SUSPICIOUS", tags=tags, reactions=reactions), nobody]})
    assert threats.fetch() == {1}
    assert threats.rig.exchange.store.opinions("1") == (
        Opinion("501", "SUSPICIOUS", "d1", "tag-a"),
        Opinion("601", "DISAGREE_WITH_TAGS", "d1"),
        Opinion("602", "DISAGREE_WITH_TAGS", "d1"),
    )
    assert [entry.label for entry in threats.rig.exchange.store.entries()] == ["suspicious"]


def test_what_every_owner_calls_not_malicious_is_not_listed(threats: Threats) -> None:
    threats.put(1, descriptors={"data": [_descriptor(1, "NON_MALICIOUS"), _descriptor(2, "MALICIOUS")]})
    threats.put(2)
    assert threats.fetch() == {1, 2}
    threats.put(1, descriptors={"data": [_descriptor(1, "NON_MALICIOUS")]})
    assert threats.fetch() == {2}
    assert threats.rig.exchange.store.opinions("1") == (Opinion("501", "NON_MALICIOUS", "d1"),)


@pytest.mark.parametrize(
    "more",
    [
        {"descriptors": {"data": [{"id": "d1", "status": "MALICIOUS"}]}},
        {"descriptors": {"data": [_descriptor(1, "NEW")]}},
        {"descriptors": {"data": "d1"}},
        {"kind": "HASH_NEW"},
        {"new_field": 1},
        {"last_updated": None},
        {"indicator": "no hash"},
    ],
    ids=str,
)
def test_what_is_unknown_goes_to_quarantine_whole_and_the_feed_goes_on(threats: Threats, more: dict[str, Any]) -> None:
    threats.put(2)
    threats.put(1, **{name: value for name, value in more.items() if name != "last_updated"})
    item = dict(threats.simulator.items["1"])
    if "last_updated" in more:
        item["last_updated"] = None
        threats.simulator.faults.instead.append(Given(json.dumps({"data": [item]}).encode()))
        threats.rig.fetch(threats.clock.now)
        del threats.simulator.items["1"]
    assert threats.fetch() == {2}
    ((unread, _),) = threats.rig.exchange.store.quarantine()
    assert json.loads(unread.raw) == item


def test_pages_are_followed_as_the_partner_names_them_and_the_checkpoint_moves_at_the_end(threats: Threats) -> None:
    for number in range(250):
        threats.simulator.put(str(1000 + number), digest("pdq", 1000 + number))
    fetched = threats.rig.fetch(threats.clock.now)
    assert (fetched.pages, fetched.records) == (3, 250)
    assert threats.rig.exchange.store.checkpoint == {"until": threats.clock.seconds}
    threats.put(1)
    assert threats.fetch() == {1}
    assert threats.simulator.asked[-1].query["start_time"] == str(threats.clock.seconds - 3)


def test_broken_off_it_goes_on_at_the_next_page_and_from_the_beginning_where_that_is_good_no_more(
    threats: Threats,
) -> None:
    for number in range(250):
        threats.simulator.put(str(1000 + number), digest("pdq", 1000 + number))
    for last in (None, Given(status=400)):
        threats.simulator.faults.instead.extend([None, Given(status=400)])
        with pytest.raises(PartnerError, match="400"):
            threats.fetch(resync=True)
        threats.rig.reopen()
        threats.simulator.faults.instead.append(last)
        threats.fetch()
        assert len(threats.rig.listed()) == 250


def test_the_token_is_in_no_log_no_error_and_no_file(threats: Threats, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for number in range(150):
        threats.simulator.put(str(number), digest("pdq", number))
    threats.simulator.faults.instead.extend([None, Given(status=400)])
    with pytest.raises(PartnerError) as caught:
        threats.fetch()
    state = threats.rig.exchange.store.checkpoint
    assert state is not None
    assert "next" in state
    kept = b"".join(path.read_bytes() for path in threats.rig.folder.rglob("*") if path.is_file())
    for told in (caplog.text, str(caught.value), json.dumps(dict(state)), kept.decode(errors="replace")):
        assert "not-a-secret" not in told
    assert all(asked.query["access_token"] == TOKEN for asked in threats.simulator.asked)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:9/v21.0/4711/threat_updates/?a=1", "https://attacker.example/x", "/4712/threat_updates/?a=1"],
)
def test_nothing_is_asked_at_an_address_that_an_answer_names_elsewhere(threats: Threats, address: str) -> None:
    threats.simulator.faults.instead.append(Given(json.dumps({"data": [], "paging": {"next": address}}).encode()))
    with pytest.raises(PartnerError, match=r"address|another group"):
        threats.fetch()
    assert len(threats.simulator.asked) == 0


def test_after_85_days_everything_is_fetched_anew_and_what_was_forgotten_is_swept(threats: Threats) -> None:
    threats.put(1)
    threats.put(2)
    assert threats.fetch() == {1, 2}
    threats.put(1, should_delete=True)
    threats.clock.go_on(91 * DAY)
    assert threats.fetch() == {2}


def test_an_answer_of_another_form_keeps_nothing(threats: Threats) -> None:
    for body in (b'{"data": [{"id"', b"[]", b'{"data": 1}', b'{"error": {"message": "x"}}', b"\xff"):
        threats.simulator.faults.instead.append(Given(body))
        with pytest.raises(PartnerError):
            threats.fetch()
    assert threats.rig.exchange.store.checkpoint is None


def test_a_reaction_goes_to_each_descriptor_that_tells_its_owner_and_the_token_to_no_log(
    threats: Threats, caplog: pytest.LogCaptureFixture
) -> None:
    owned = [{"id": f"d{number}", "owner": {"id": "7"}, "status": "MALICIOUS"} for number in (1, 2)]
    threats.put(1, descriptors={"data": [*owned, {"id": "d3", "status": "MALICIOUS"}]})
    threats.fetch()
    raw = threats.rig.exchange.store.raw("1")
    connector = threats.rig.connector
    assert raw is not None
    assert isinstance(connector, ThreatExchange)
    with caplog.at_level(logging.DEBUG):
        connector.submit_feedback(raw, "HASH_PDQ")
        assert threats.simulator.reactions == [("d1", "HELPFUL"), ("d2", "HELPFUL")]
        connector.submit_feedback(raw, "HASH_PDQ", against=["DISAGREE_WITH_TAGS"])
    assert "not-a-secret" not in caplog.text
    votes = [("d1", "DISAGREE_WITH_TAGS"), ("d2", "DISAGREE_WITH_TAGS")]
    assert threats.simulator.reactions == votes
    for refused, words in (
        ((raw, "HASH_MD5", ()), "no value of that type"),
        ((raw, "HASH_PDQ", ("LIKED",)), "is none of"),
        ((b"{}", "HASH_PDQ", ()), "no value of that type"),
        ((b"no", "HASH_PDQ", ()), "no record of"),
    ):
        with pytest.raises(ValueError, match=words):
            connector.submit_feedback(refused[0], refused[1], against=refused[2])
    assert threats.simulator.reactions == votes
    connector.withdraw_feedback(raw, "HASH_PDQ")
    assert threats.simulator.reactions == []
