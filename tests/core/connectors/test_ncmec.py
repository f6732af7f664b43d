"""NCMEC hash sharing v2 against its simulator. Each test names the clause of the protocol that it checks."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from havenline.connectors.exchange import Exchange, ExchangeError
from havenline.connectors.frame import Opinion, PartnerError
from havenline.connectors.ncmec.client import FeedbackReason, Ncmec
from havenline.connectors.ncmec.simulator import NcmecSimulator, Shared
from havenline.connectors.one_host import Credentials, OneHost
from havenline.connectors.simulator import Given
from havenline.connectors.store import StateRefused, key_of

from .rig import Clock, Rig, digest

SECRETS = {"user": "member-one", "password": "not-a-secret"}


@pytest.fixture(params=["Europe/London", "Asia/Tokyo"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Runs the test in a time zone, in summer."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


class Ncmecs:
    """A simulator with a rig that asks it."""

    def __init__(self, rig: Rig, simulator: NcmecSimulator, clock: Clock) -> None:
        self.rig, self.simulator, self.clock = rig, simulator, clock

    @property
    def client(self) -> Ncmec:
        assert isinstance(self.rig.connector, Ncmec)
        return self.rig.connector

    def put(self, number: int, *, ago: int = 100, member: str = "9", **more: object) -> Shared:
        prints = {"md5": digest("md5", number), "pdq": digest("pdq", number)}
        said = {"fingerprints": prints, **more}
        shared = Shared(member, f"e{number}", self.clock.seconds - ago, **said)  # type: ignore[arg-type]
        self.simulator.put(shared)
        return shared

    def fetch(self, **how: bool) -> set[str]:
        """Fetch until there is no more; the ids that are then in the live list by lookup of each entry's MD5."""
        self.rig.fetch(self.clock.now, **how)
        return self.found()

    def found(self) -> set[str]:
        pictures = [{"md5": digest("md5", number)} for number in range(40)]
        return {match.entry for match in self.rig.found_of(pictures, at=self.clock.now)}


@pytest.fixture
def ncmec(tmp_path: Path) -> Iterator[Ncmecs]:
    clock = Clock()
    simulator = NcmecSimulator(clock=clock)
    with simulator.serving() as base:
        rig = Rig(tmp_path / "rig", base, connector="ncmec", secrets=SECRETS)
        yield Ncmecs(rig, simulator, clock)
        rig.exchange.close()


# GET /v2/entries: what a record holds


def test_an_entry_is_looked_up_by_every_value_that_is_compared_and_keeps_the_others(ncmec: Ncmecs) -> None:
    prints = {
        "md5": digest("md5", 1).upper(),
        "sha1": digest("sha1", 1),
        "pdq": digest("pdq", 1),
        "pdna": "12,0,255",
        "netclean": "n-1",
    }
    ncmec.put(1, fingerprints=prints)
    ncmec.fetch()
    for kind in ("md5", "sha1", "pdq"):
        (match,) = ncmec.rig.found(ncmec.clock.now, **{kind: digest(kind, 1)})
        assert (match.entry, match.kind.value, match.distance) == ("9/e1", kind, 0)
    (entry,) = ncmec.rig.exchange.store.entries()
    assert entry.label == "A1"
    assert entry.opaque == (("netclean", "n-1"), ("pdna", "12,0,255"))


def test_the_record_is_kept_as_it_was_sent(ncmec: Ncmecs) -> None:
    ncmec.put(1)
    ncmec.fetch()
    raw = ncmec.rig.exchange.store.raw("9/e1")
    assert raw is not None
    assert raw.startswith(b'<image><member id="9">')
    assert raw.endswith(b"</fingerprints></image>")
    assert digest("md5", 1).encode() in raw


def test_large_fingerprint_addresses_are_not_kept(ncmec: Ncmecs) -> None:
    ncmec.put(1, kind="video", fingerprints={"md5": digest("md5", 1), "tmk-pdqf": "", "videntifier": ""})
    assert ncmec.fetch() == {"9/e1"}
    raw = ncmec.rig.exchange.store.raw("9/e1")
    assert raw is not None
    assert b"tmk-pdqf" in raw
    assert b"href" not in raw
    assert b"/v2/" not in raw


def test_an_unknown_fingerprint_tag_is_carried_and_costs_no_other(ncmec: Ncmecs) -> None:
    ncmec.put(1, fingerprints={"md5": digest("md5", 1), "newhash": "what-it-says"})
    assert ncmec.fetch() == {"9/e1"}
    (entry,) = ncmec.rig.exchange.store.entries()
    assert entry.opaque == (("newhash", "what-it-says"),)


def test_two_members_may_use_one_id(ncmec: Ncmecs) -> None:
    ncmec.put(1, member="9")
    other = Shared("8", "e1", ncmec.clock.seconds - 50, {"md5": digest("md5", 2)})
    ncmec.simulator.put(other)
    assert ncmec.fetch() == {"9/e1", "8/e1"}


def test_feedback_is_kept_per_member_with_its_reason(ncmec: Ncmecs) -> None:
    feedback = (
        '<feedback lastUpdateTimestamp="2026-06-30T10:00:00Z"><affirmativeFeedback type="Md5" '
        'lastUpdateTimestamp="2026-06-30T10:00:00Z"><members timestamp="2026-06-30T10:00:00Z"><member id="7">Seven'
        '</member></members></affirmativeFeedback><negativeFeedback type="Sha1"><reasons>'
        '<reason guid="g-1" name="Wrong" type="Sha1"/><members><member id="4">Four</member></members>'
        '<reason guid="g-2" name="Flat" type="Sha1"/><members><member id="5">Five</member></members>'
        "</reasons></negativeFeedback></feedback>"
    )
    ncmec.put(1, more=feedback)
    ncmec.fetch()
    assert ncmec.rig.exchange.store.opinions("9/e1") == (
        Opinion("4", "negative", "SHA1", "Wrong"),
        Opinion("5", "negative", "SHA1", "Flat"),
        Opinion("7", "affirmative", "MD5"),
    )
    ncmec.clock.go_on()
    ncmec.put(1, ago=10)
    ncmec.fetch()
    assert ncmec.rig.exchange.store.opinions("9/e1") == ()


# unknown enum values: quarantine with the raw bytes, and the feed goes on


@pytest.mark.parametrize(
    "change",
    [
        {"classification": "C9"},
        {"more": "<severity>3</severity>"},
        {"more": "<feedback><neutralFeedback/></feedback>"},
        {"fingerprints": {"md5": "not hex"}},
        {"fingerprints": {"md5": "d41d8cd98f00b204e9800998ecf8427e"}},
        {"fingerprints": {"pdq": "00" * 32}},
        {"id": ""},
        {"member": ""},
    ],
    ids=str,
)
def test_what_is_unknown_goes_to_quarantine_whole_and_the_feed_goes_on(
    ncmec: Ncmecs, change: dict[str, object]
) -> None:
    said = {"member": "9", "id": "e1", "timestamp": ncmec.clock.seconds - 90, "fingerprints": {"md5": digest("md5", 1)}}
    ncmec.simulator.put(Shared(**{**said, **change}))  # type: ignore[arg-type]
    ncmec.put(2)
    assert ncmec.fetch() == {"9/e2"}
    ((unread, since),) = ncmec.rig.exchange.store.quarantine()
    assert unread.raw.startswith(b"<image>")
    assert unread.raw.endswith(b"</image>")
    assert digest("md5", 1) not in unread.reason
    assert since.endswith("+00:00")


def test_an_update_that_is_not_understood_leaves_the_version_that_was(ncmec: Ncmecs) -> None:
    ncmec.put(1)
    assert ncmec.fetch() == {"9/e1"}
    ncmec.clock.go_on()
    ncmec.put(1, ago=10, classification="Z")
    assert ncmec.fetch() == {"9/e1"}
    assert len(ncmec.rig.exchange.store.quarantine()) == 1
    assert ncmec.fetch(resync=True) == {"9/e1"}, "a resync swept what is only not understood"
    ncmec.clock.go_on()
    ncmec.put(1, ago=10, classification="B2")
    assert ncmec.fetch() == {"9/e1~2"}
    assert ncmec.rig.exchange.store.quarantine() == []


# tombstones


def test_a_tombstone_withdraws_and_an_entry_that_comes_back_has_a_new_id(ncmec: Ncmecs) -> None:
    ncmec.put(1)
    ncmec.put(2)
    assert ncmec.fetch() == {"9/e1", "9/e2"}
    ncmec.clock.go_on()
    ncmec.put(1, ago=10, deleted=True)
    assert ncmec.fetch() == {"9/e2"}
    ncmec.clock.go_on()
    ncmec.put(1, ago=10)
    assert ncmec.fetch() == {"9/e1~2", "9/e2"}


def test_a_tombstone_before_its_create_across_pages_stays_one(ncmec: Ncmecs) -> None:
    simulator = ncmec.simulator
    simulator.page_size = 1
    ncmec.put(1, ago=50, deleted=True)
    ncmec.put(2, ago=60)
    simulator.seed = next(seed for seed in range(50) if _first_is(simulator, seed, "e1"))
    # Behind the page with the tombstone the server still serves the create, with its older time.
    simulator.between_pages = lambda: ncmec.put(1, ago=90) and None
    assert "9/e1" not in ncmec.fetch()


def _first_is(simulator: NcmecSimulator, seed: int, id_: str) -> bool:
    simulator.seed = seed
    return min(simulator.entries.values(), key=simulator.place).id == id_


def test_an_entry_updated_between_two_pages_ends_in_its_latest_state(ncmec: Ncmecs) -> None:
    ncmec.simulator.page_size = 2
    for number in range(6):
        ncmec.put(number)
    done: list[int] = []

    def update() -> None:
        if not done:
            done.append(1)
            ncmec.put(0, ago=0, classification="B1")

    ncmec.simulator.between_pages = update
    ncmec.fetch()
    ncmec.clock.go_on()
    ncmec.fetch()
    labels = {key_of(entry.entry): entry.label for entry in ncmec.rig.exchange.store.entries()}
    assert labels == {f"9/e{number}": "B1" if number == 0 else "A1" for number in range(6)}, "an entry was lost"


# windows, pages, checkpoint


def test_an_empty_range_is_complete_and_moves_the_checkpoint(ncmec: Ncmecs) -> None:
    fetched = ncmec.rig.fetch(ncmec.clock.now)
    assert (fetched.pages, fetched.records) == (1, 0)
    assert ncmec.rig.exchange.store.checkpoint == {"until": ncmec.clock.seconds - 5}


@pytest.mark.parametrize("ends", ["(]", "[)"])
def test_more_than_a_thousand_entries_in_one_second_and_neither_end_of_a_window_is_lost(
    ncmec: Ncmecs, ends: str
) -> None:
    ncmec.simulator.ends = ends
    second = ncmec.clock.seconds - 500
    for number in range(2500):
        prints = {"md5": digest("md5", number)}
        ncmec.simulator.put(Shared("9", f"e{number}", second, prints))
    for number in range(2500, 2540):
        ncmec.simulator.put(Shared("9", f"e{number}", second + number - 2510, {"md5": digest("md5", number)}))
    fetched = ncmec.rig.fetch(ncmec.clock.now)
    assert len(ncmec.rig.listed()) == 2540
    assert fetched.unread == 0


def test_windows_shrink_to_what_fits_and_every_second_is_asked_for(ncmec: Ncmecs) -> None:
    simulator = ncmec.simulator
    simulator.page_size = 5
    for number in range(40):
        ncmec.put(number, ago=10 + number * 1000)
    client = Ncmec(OneHost(ncmec.rig.exchange.configured.base_url, _credentials(ncmec)), most_per_window=10)
    seen = {each.key for page in client.pages(None, at=ncmec.clock.now) for each in page.records}
    assert seen == {f"9/e{number}" for number in range(40)}
    windows = [(asked.query["from"], asked.query["to"]) for asked in simulator.asked if asked.path == "/v2/entries"]
    assert len(set(windows)) > 4


def _credentials(ncmec: Ncmecs) -> Credentials:
    return Credentials(ncmec.rig.exchange.configured.base_url, basic=("member-one", "not-a-secret"))


@pytest.mark.parametrize("tells", [True, False])
def test_pages_out_of_order_are_all_kept_and_their_times_move_no_checkpoint(ncmec: Ncmecs, tells: bool) -> None:
    ncmec.simulator.page_size, ncmec.simulator.tells_most = 3, tells
    for number in range(20):
        ncmec.put(number, ago=10 + number)
    checkpoints = []
    for page in ncmec.client.pages(None, at=ncmec.clock.now):
        checkpoints.append(page.checkpoint["until"])
        ncmec.rig.exchange.store.keep(page, at=ncmec.clock.now)
    assert len(ncmec.rig.listed()) == 20
    assert checkpoints == sorted(checkpoints)
    assert checkpoints[-1] == ncmec.clock.seconds - 5


def test_broken_off_between_pages_it_goes_on_there_and_asks_the_same_window(ncmec: Ncmecs) -> None:
    ncmec.simulator.page_size = 5
    for number in range(18):
        ncmec.put(number)
    ncmec.simulator.faults.instead.extend([None, None, None, *[Given(status=500)] * 5])
    with pytest.raises(PartnerError, match="status 500"):
        ncmec.fetch()
    assert len(ncmec.found()) == 10, "what was kept is in the live list"
    ncmec.simulator.asked.clear()
    ncmec.rig.reopen()
    ncmec.clock.go_on(3600)
    ncmec.put(30)
    assert len(ncmec.fetch()) == 19
    first = next(asked for asked in ncmec.simulator.asked if asked.path == "/v2/entries")
    assert first.query["start"] == "11"


def test_a_page_address_older_than_twelve_hours_is_not_used_again(ncmec: Ncmecs) -> None:
    ncmec.simulator.page_size = 5
    for number in range(18):
        ncmec.put(number)
    ncmec.simulator.faults.instead.extend([None, None, *[Given(status=503)] * 5])
    with pytest.raises(PartnerError):
        ncmec.fetch()
    ncmec.clock.go_on(13 * 3600)
    ncmec.simulator.asked.clear()
    assert len(ncmec.fetch()) == 18
    first = next(asked for asked in ncmec.simulator.asked if asked.path == "/v2/entries")
    assert "start" not in first.query


def test_a_page_address_of_another_window_is_refused(ncmec: Ncmecs) -> None:
    other = "/v2/entries?from=2020-01-01T00:00:00Z&amp;to=2020-01-02T00:00:00Z&amp;start=1001&amp;size=1000&amp;max=9"
    body = (
        '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images count="0"/>'
        f"<paging><next>{other}</next></paging></queryResult>"
    )
    ncmec.simulator.faults.instead.extend([None, Given(body.encode())])
    with pytest.raises(PartnerError, match="another window"):
        ncmec.fetch()


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.2:1/hashsharing/v2/entries?from=a",
        "https://attacker.example/v2/entries",
        "//attacker.example/v2/entries",
        "/../v2/entries",
        "/v2/../../admin",
        "v2/entries",
    ],
)
def test_nothing_is_asked_at_an_address_that_an_answer_names_elsewhere(ncmec: Ncmecs, address: str) -> None:
    body = (
        f'<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><paging><next>{address}</next></paging>'
        "</queryResult>"
    )
    ncmec.simulator.faults.instead.extend([None, Given(body.encode())])
    with pytest.raises(PartnerError, match=r"address|another window"):
        ncmec.fetch()


# time


def test_windows_are_asked_for_in_utc_whatever_the_machine_says(zone: str, ncmec: Ncmecs) -> None:
    ncmec.put(1, ago=10)
    assert ncmec.fetch() == {"9/e1"}
    last = [asked for asked in ncmec.simulator.asked if asked.path == "/v2/entries"][-1]
    assert last.query["to"] == "2026-07-01T11:59:55Z"
    for number in range(2, 12):
        ncmec.clock.go_on(60)
        ncmec.put(number, ago=30)
        ncmec.fetch()
    assert len(ncmec.found()) == 11, "an entry was created in a window that had been asked for before"


@pytest.mark.parametrize("wrong_by", [dt.timedelta(hours=9), dt.timedelta(hours=-1)])
def test_a_clock_of_ours_that_is_wrong_passes_over_no_entry(ncmec: Ncmecs, wrong_by: dt.timedelta) -> None:
    for number in range(5):
        ncmec.clock.go_on(600)
        ncmec.put(number, ago=30)
        ncmec.rig.fetch(ncmec.clock.now + wrong_by)
    ncmec.clock.go_on(3700)
    assert len(ncmec.fetch()) == 5


# bodies and statuses


def test_a_truncated_body_keeps_nothing_of_its_page_and_moves_no_checkpoint(ncmec: Ncmecs) -> None:
    ncmec.put(1)
    ncmec.simulator.faults.instead.append(None)
    ncmec.fetch()
    before = ncmec.rig.exchange.store.checkpoint
    ncmec.clock.go_on()
    ncmec.put(2, ago=10)
    whole = ncmec.simulator._page({"from": "2026-07-01T11:00:00Z", "to": "2026-07-01T12:10:00Z"})
    for cut in (Given(whole, cut=len(whole) // 2), Given(whole[: len(whole) // 2]), Given(b"")):
        ncmec.simulator.faults.instead.extend([None, cut])
        with pytest.raises(PartnerError, match=r"broke off|cannot be read"):
            ncmec.fetch()
        assert ncmec.rig.exchange.store.checkpoint == before
        assert ncmec.found() == {"9/e1"}
    assert ncmec.fetch() == {"9/e1", "9/e2"}


def test_429_waits_as_long_as_the_partner_says_and_other_faults_ever_longer(ncmec: Ncmecs) -> None:
    ncmec.put(1)
    slow = Given(status=429, headers={"Retry-After": "7"})
    late = Given(status=429, headers={"Retry-After": "Wed, 01 Jul 2026 12:00:30 GMT"})
    ncmec.simulator.faults.instead.extend([slow, Given(status=503), Given(status=502), late])
    assert ncmec.fetch() == {"9/e1"}
    assert ncmec.rig.waits == [7.0, 0.8, 1.6, 120.0]


def test_a_redirect_is_not_followed(ncmec: Ncmecs) -> None:
    ncmec.simulator.faults.instead.append(Given(status=302, headers={"Location": "http://127.0.0.1:9/"}))
    with pytest.raises(PartnerError, match="redirect"):
        ncmec.fetch()


def test_entities_and_document_types_are_refused(ncmec: Ncmecs) -> None:
    bomb = (
        '<!DOCTYPE q [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
        '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">&b;</queryResult>'
    )
    for encoding in ("utf-8", "utf-16"):
        ncmec.simulator.faults.instead.extend([None, Given(bomb.encode(encoding))])
        with pytest.raises(PartnerError, match="document type"):
            ncmec.fetch()


def test_credentials_appear_in_no_error_and_no_log(ncmec: Ncmecs, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ncmec.simulator.password = "another"
    with pytest.raises(PartnerError, match="check the credentials") as caught:
        ncmec.fetch()
    told = str(caught.value) + caplog.text + repr(_credentials(ncmec))
    assert "not-a-secret" not in told
    assert "member-one" not in told


# the other operations


def test_status_members_reasons_and_feedback(ncmec: Ncmecs) -> None:
    client = ncmec.client
    assert (client.whoami().id, client.whoami().name) == ("7", "Member member-one")
    assert [member.id for member in client.members()] == ["7", "9"]
    assert client.reasons("PDQ") == (FeedbackReason("g-1", "Wrong", "PDQ"),)
    client.give_feedback("9/e/1 x", "PDQ")
    client.give_feedback("9/e2", "MD5", against=["g-1", "g&2"])
    (for_it, against) = ncmec.simulator.feedback
    assert for_it[0] == "/v2/entries/9/e%2F1%20x/PDQ/feedback"
    assert b"<affirmative/>" in for_it[1]
    assert against[0] == "/v2/entries/9/e2/MD5/feedback"
    assert b"<negative><reasonIds><guid>g-1</guid><guid>g&amp;2</guid></reasonIds></negative>" in against[1]
    with pytest.raises(ValueError, match="fingerprint type"):
        client.reasons("../status")
    raw = b'<image><member id="9">Two</member><timestamp>2026-06-30T10:00:00Z</timestamp><id>e3</id></image>'
    client.submit_feedback(raw, "SHA1", against=["g-1"])
    assert ncmec.simulator.feedback[-1][0] == "/v2/entries/9/e3/SHA1/feedback"
    with pytest.raises(ValueError, match="no key"):
        client.submit_feedback(b"<image/>", "SHA1")


def test_feedback_is_sent_once_even_where_the_partner_fails(ncmec: Ncmecs) -> None:
    ncmec.simulator.faults.instead.append(Given(status=503))
    with pytest.raises(PartnerError, match="503"):
        ncmec.client.give_feedback("9/e1", "PDQ")
    assert ncmec.rig.waits == []
    assert ncmec.simulator.feedback == []


# one at a time, and what was not understood before


def test_two_fetches_at_once_are_refused_and_change_nothing(ncmec: Ncmecs) -> None:
    ncmec.put(1)
    refused: list[str] = []

    def second() -> None:
        other = Exchange(ncmec.rig.folder)
        with pytest.raises(ExchangeError, match="another process") as caught:
            other.fetch(ncmec.client, at=ncmec.clock.now)
        refused.append(str(caught.value))
        other.close()

    ncmec.simulator.between_pages = second
    assert ncmec.fetch() == {"9/e1"}
    assert refused


def test_a_newer_program_reads_the_quarantine_again(ncmec: Ncmecs, monkeypatch: pytest.MonkeyPatch) -> None:
    ncmec.put(1, classification="A7")
    ncmec.put(2, classification="Z")
    assert ncmec.fetch() == set()
    exchange = ncmec.rig.exchange
    assert exchange.retry(ncmec.client, at=ncmec.clock.now) == 0
    monkeypatch.setattr("havenline.connectors.ncmec.mapping.CLASSIFICATIONS", frozenset({"A7"}))
    assert exchange.retry(ncmec.client, at=ncmec.clock.now) == 1
    assert ncmec.found() == {"9/e1"}
    assert len(exchange.store.quarantine()) == 1


# what this house withholds


def test_what_the_house_withholds_stays_out_whatever_the_partner_sends(ncmec: Ncmecs) -> None:
    ncmec.put(1)
    ncmec.put(2)
    ncmec.fetch()
    assert ncmec.rig.exchange.withhold(["9/e1"], at=ncmec.clock.now) == 1
    assert ncmec.found() == {"9/e2"}
    ncmec.clock.go_on()
    ncmec.put(1, ago=10, classification="B1")
    assert ncmec.fetch() == {"9/e2"}
    assert ncmec.fetch(resync=True) == {"9/e2"}


def test_a_resync_that_would_empty_the_list_waits_for_a_person(ncmec: Ncmecs) -> None:
    for number in range(300):
        ncmec.simulator.put(Shared("9", f"e{number}", ncmec.clock.seconds - 100, {"md5": digest("md5", number)}))
    ncmec.fetch()
    ncmec.simulator.entries.clear()
    with pytest.raises(StateRefused, match="300 of 300"):
        ncmec.fetch(resync=True, accept_loss=False)
    assert len(ncmec.rig.listed()) == 300
    assert ncmec.fetch(accept_loss=True) == set()
