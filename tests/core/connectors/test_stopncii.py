"""StopNCII's FetchHashes against its simulator. Each test names the clause of the protocol that it checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from havenline.connectors.exchange import ExchangeError
from havenline.connectors.frame import Opinion, PartnerError
from havenline.connectors.simulator import Given
from havenline.connectors.stopncii.client import StopNcii
from havenline.connectors.stopncii.simulator import StopNciiSimulator
from havenline.matching.lists import KindsMixed, keep_apart
from havenline.matching.live import ChangeRefused
from havenline.vocabulary import ListEntry

from .rig import Clock, Rig, digest

SECRETS = {"fetch_key": "fetch-not-a-secret", "subscription_key": "subscription-not-a-secret"}
DAY = 86400


class StopNciis:
    """A simulator with a rig that asks it."""

    def __init__(self, rig: Rig, simulator: StopNciiSimulator, clock: Clock) -> None:
        self.rig, self.simulator, self.clock = rig, simulator, clock

    def put(self, number: int, **more: Any) -> None:
        self.clock.go_on(1)
        kind = "md5" if more.get("signal") == "VideoMD5" else "pdq"
        self.simulator.put(digest(kind, number), **more)

    def found(self) -> set[int]:
        return {
            number
            for number in range(12)
            if self.rig.found_of([{"pdq": digest("pdq", number)}, {"md5": digest("md5", number)}], at=self.clock.now)
        }

    def fetch(self, **how: bool) -> set[int]:
        self.rig.fetch(self.clock.go_on(1), **how)
        return self.found()


@pytest.fixture
def ncii(tmp_path: Path) -> Iterator[StopNciis]:
    clock = Clock()
    simulator = StopNciiSimulator(seconds=lambda: clock.seconds)
    with simulator.serving() as base:
        rig = Rig(tmp_path / "rig", base, connector="stopncii", secrets=SECRETS, list_name="ncii.stopncii")
        yield StopNciis(rig, simulator, clock)
        rig.exchange.close()


@pytest.mark.parametrize("status", ["Withdrawn", "Deleted"])
def test_withdrawn_and_deleted_remove_by_the_status_and_active_comes_back(ncii: StopNciis, status: str) -> None:
    ncii.put(1, status="Received")
    ncii.put(2)
    ncii.put(3, signal="VideoMD5")
    assert ncii.fetch() == {1, 2, 3}
    ncii.put(1, status=status)
    ncii.put(3, signal="VideoMD5", status=status)
    assert ncii.fetch() == {2}
    ncii.put(1, status="Active")
    assert ncii.fetch() == {1, 2}


def test_a_record_of_a_first_fetch_that_is_withdrawn_was_never_listed(ncii: StopNciis) -> None:
    ncii.put(1, status="Withdrawn")
    assert ncii.fetch() == set()


def test_no_id_tells_a_hash_and_every_entry_says_that_it_is_ncii(ncii: StopNciis) -> None:
    ncii.put(1)
    ncii.fetch()
    (match,) = ncii.rig.found(ncii.clock.now, pdq=digest("pdq", 1))
    assert digest("pdq", 1) not in match.entry
    assert match.edition.list_name == "ncii.stopncii"
    assert [entry.label for entry in ncii.rig.exchange.store.entries()] == ["ncii"]


@pytest.mark.parametrize(
    "more",
    [
        {"status": "Retracted"},
        {"status": "Unknown"},
        {"signal": "ImageNew"},
        {"signal": "Unknown"},
        {"newField": 1},
        {"caseNumbers": {"c": "New"}},
        {"CSPFeedbacks": [{"source": "s", "feedbackValue": "New", "tags": []}]},
        {"lastModtimestamp": "yesterday"},
    ],
    ids=str,
)
def test_what_is_unknown_goes_to_quarantine_whole_and_the_feed_goes_on(ncii: StopNciis, more: dict[str, Any]) -> None:
    ncii.put(2)
    ncii.put(1)
    record = ncii.simulator.records["ImagePDQ", digest("pdq", 1)]
    names = {"status": "hashStatus", "signal": "signalType"}
    record.update({names.get(name, name): value for name, value in more.items()})
    if more.get("lastModtimestamp"):
        page = {"count": 1, "nextSetTimestamp": 10, "nextPageToken": None, "hasMoreRecords": False}
        ncii.simulator.faults.instead.append(Given(json.dumps({**page, "hashRecords": [record]}).encode()))
        ncii.rig.fetch(ncii.clock.now)
        del ncii.simulator.records["ImagePDQ", digest("pdq", 1)]
    assert ncii.fetch() == {2}
    ((unread, _),) = ncii.rig.exchange.store.quarantine()
    assert json.loads(unread.raw) == record
    assert digest("pdq", 1) not in unread.reason


@pytest.mark.parametrize("value", ["0" * 32, "0" * 64, "", "zz" * 32])
def test_corrupt_values_go_to_quarantine(ncii: StopNciis, value: str) -> None:
    ncii.put(1)
    ncii.simulator.put(value)
    assert ncii.fetch() == {1}
    assert len(ncii.rig.exchange.store.quarantine()) == 1


def test_cases_as_an_empty_array_regions_and_undefined_feedback_are_read(ncii: StopNciis) -> None:
    feedback = [{"source": "csp-1", "feedbackValue": "Undefined", "tags": ["a", "b"]}]
    ncii.put(1, caseNumbers=[], hashRegions=["EU"], CSPFeedbacks=feedback)
    assert ncii.fetch() == {1}
    (entry,) = ncii.rig.exchange.store.entries()
    assert ncii.rig.exchange.store.opinions(entry.entry) == (Opinion("csp-1", "Undefined", reason="a, b"),)


def test_known_kinds_that_are_not_compared_are_carried_or_left_out(ncii: StopNciis) -> None:
    ncii.simulator.put("tmk-value", signal="VideoTMK")
    ncii.simulator.put("https-value", signal="URL")
    ncii.fetch()
    (entry,) = ncii.rig.exchange.store.entries()
    assert entry.opaque == (("VideoTMK", "tmk-value"),)
    assert ncii.rig.exchange.store.standing().withdrawn == 1


@pytest.mark.parametrize("falls", [False, True])
def test_all_pages_with_one_start_time_and_the_last_ones_time_counts(ncii: StopNciis, falls: bool) -> None:
    ncii.simulator.timestamps_fall = falls
    for number in range(1700):
        ncii.simulator.put(digest("pdq", number))
    fetched = ncii.rig.fetch(ncii.clock.now)
    assert (fetched.pages, fetched.records) == (3, 1700)
    assert {asked.query["startTimestamp"] for asked in ncii.simulator.asked} == {"10"}
    checkpoint = ncii.rig.exchange.store.checkpoint
    assert checkpoint == {"since": ncii.clock.seconds - (100 if falls else 0)}
    ncii.put(5000)
    assert ncii.rig.fetch(ncii.clock.now).records > 0
    assert len(ncii.rig.listed()) == 1701


def test_broken_off_between_pages_it_begins_again_where_the_last_whole_fetch_ended(ncii: StopNciis) -> None:
    for number in range(900):
        ncii.simulator.put(digest("pdq", number))
    ncii.simulator.faults.instead.extend([None, Given(status=400)])
    with pytest.raises(PartnerError, match="400"):
        ncii.fetch()
    assert len(ncii.rig.listed()) == 800
    assert ncii.rig.exchange.store.checkpoint == {"since": 10}
    ncii.rig.reopen()
    ncii.fetch()
    assert len(ncii.rig.listed()) == 900


def test_a_truncated_page_or_one_that_lacks_records_keeps_nothing(ncii: StopNciis) -> None:
    ncii.put(1)
    short = {"count": 2, "nextSetTimestamp": 1, "nextPageToken": None, "hasMoreRecords": False, "hashRecords": []}
    for answer in (Given(b'{"count": 1, "hashRecords": [{"hashSta'), Given(b"[]"), Given(json.dumps(short).encode())):
        ncii.simulator.faults.instead.append(answer)
        with pytest.raises(PartnerError):
            ncii.fetch()
    assert ncii.rig.exchange.store.checkpoint is None
    assert ncii.fetch() == {1}


def test_after_30_days_everything_is_fetched_anew_and_what_was_forgotten_is_swept(ncii: StopNciis) -> None:
    ncii.put(1)
    ncii.put(2)
    assert ncii.fetch() == {1, 2}
    ncii.put(1, status="Withdrawn")
    ncii.clock.go_on(31 * DAY)
    assert ncii.fetch() == {2}, "the withdrawal was no longer told, and the entry stayed"
    assert ncii.rig.exchange.store.standing().resyncing is False


# kept apart


def test_an_ncii_list_has_its_kind_in_its_name_and_no_other_list_has(tmp_path: Path) -> None:
    for connector, name, secrets in (
        ("stopncii", "stopncii", SECRETS),
        ("ncmec", "ncii.ncmec", {"user": "u", "password": "p"}),
    ):
        with pytest.raises(ExchangeError, match="ncii"):
            Rig(tmp_path / connector, "http://127.0.0.1:9", connector=connector, secrets=secrets, list_name=name)


def test_ncii_and_other_lists_share_no_lookup_and_no_folder(ncii: StopNciis) -> None:
    ncii.put(1)
    ncii.fetch()
    keep_apart(["ncii.a", "ncii.b"])
    keep_apart(["a", "b"])
    with pytest.raises(KindsMixed, match="kept apart"):
        keep_apart(["a", "ncii.b"])
    with pytest.raises(ChangeRefused, match="kept apart"):
        ncii.rig.exchange.live.change(add={"other": [ListEntry("e", md5=digest("md5", 1))]}, at=ncii.clock.now)
    assert ncii.found() == {1}


def test_feedback_is_sent_with_a_key_of_its_own_and_says_blocked_or_not(tmp_path: Path, ncii: StopNciis) -> None:
    ncii.put(1)
    ncii.fetch()
    (key,) = ncii.rig.listed()
    raw = ncii.rig.exchange.store.raw(key)
    assert raw is not None
    assert isinstance(ncii.rig.connector, StopNcii)
    with pytest.raises(PartnerError, match="needs the secret feedback_key"):
        ncii.rig.connector.submit_feedback(raw, "ImagePDQ")
    base = ncii.rig.exchange.configured.base_url
    secrets = SECRETS | {"feedback_key": "feedback-not-a-secret"}
    rig = Rig(tmp_path / "sends", base, connector="stopncii", secrets=secrets, list_name="ncii.stopncii")
    assert isinstance(rig.connector, StopNcii)
    rig.connector.submit_feedback(raw, "ImagePDQ")
    rig.connector.submit_feedback(raw, "ImagePDQ", against=["adult"])
    with pytest.raises(ValueError, match="no value of that type"):
        rig.connector.submit_feedback(raw, "VideoMD5")
    said = [(each["feedbackValue"], each["tags"]) for each in ncii.simulator.feedback]
    assert said == [("Blocked", []), ("NotBlocked", ["adult"])]
    assert {each["hashValue"] for each in ncii.simulator.feedback} == {digest("pdq", 1)}
    assert rig.fetch(ncii.clock.now).records == 1
    rig.exchange.close()
