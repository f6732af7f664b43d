"""A list of this house in NCMEC's form: who gets it, what of it, and that our own client keeps exactly what stands."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import io
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
from django.db import connections

from havenline.connectors.ncmec.client import Ncmec
from havenline.connectors.one_host import Credentials, OneHost
from havenline.connectors.simulator import Asked, Faults, Given, served
from havenline.formats.vics import VicsRecord, read_vics
from havenline_desk import editions
from havenline_desk.actions.export_list_file import ExportRefused, export_list_file
from havenline_desk.actions.keep_feed_credentials import (
    CredentialRefused,
    end_feed_credential,
    make_feed_credential,
)
from havenline_desk.api.ncmec_feed import GUIDS, NcmecFeed
from havenline_desk.gates import Denied
from havenline_desk.models import (
    AuditAct,
    AuditEntry,
    Canary,
    Door,
    ExportedFile,
    FeedCredential,
    FeedVote,
    HouseList,
    Partner,
    Person,
    Subscription,
    VoteReason,
)
from havenline_desk.queries.feeds import standing_votes
from tests.core.connectors.rig import Clock, Rig

from . import factories as make
from . import feeds

pytestmark = pytest.mark.django_db
START = "2026-07-01T12:00:00Z"
MINUTE = dt.timedelta(minutes=1)
NS = "{https://hashsharing.ncmec.org/hashsharing/v2}"
WHOLE = {"from": "2000-01-01T00:00:00Z", "to": "2026-07-01T12:30:00Z"}


class House:
    """A house with one list, one partner, one subscription, and a clock."""

    def __init__(self, people: Mapping[str, Person]) -> None:
        self.clock, self.people = Clock(START), people
        self.listed = feeds.house_list("house-csam", made_by=people["liaison"], at=self.clock.now)
        self.partner = feeds.partner("north", at=self.clock.now)
        self.subscription = feeds.subscribe(self.partner, self.listed, at=self.clock.now)
        self.secret = make_feed_credential(self.partner, made_by=people["liaison"], at=self.clock.now)
        self.feed = NcmecFeed(now=self.clock)

    def ask(
        self,
        path: str,
        query: str = "",
        *,
        method: str = "GET",
        body: bytes = b"",
        user: str = "north",
        secret: str | None = None,
    ) -> tuple[int, str]:
        """Status and body of one request."""
        basic = base64.b64encode(f"{user}:{self.secret if secret is None else secret}".encode()).decode()
        status: list[str] = []
        answered = self.feed(
            {
                "REQUEST_METHOD": method,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "HTTP_AUTHORIZATION": f"Basic {basic}",
                "CONTENT_LENGTH": str(len(body)),
                "wsgi.input": io.BytesIO(body),
            },
            lambda line, _headers: status.append(line),
        )
        return int(status[0][:3]), b"".join(answered).decode()

    def entries(self, *, begin: str = WHOLE["from"], end: str | None = None) -> list[ElementTree.Element]:
        """All elements of a window, over all its pages."""
        end = end or f"{self.clock.now:%Y-%m-%dT%H:%M:%SZ}"
        query, found = f"from={begin}&to={end}", list[ElementTree.Element]()
        while query:
            status, body = self.ask("/house-csam/v2/entries", query)
            assert status == 200, body
            root = ElementTree.fromstring(body)
            found += list(root.find(f"{NS}images") or ())
            following = root.find(f"{NS}paging/{NS}next")
            query = following.text.partition("?")[2] if following is not None and following.text else ""
        return found

    def ids(self, **window: str) -> set[str]:
        return {each.find(f"{NS}id").text or "" for each in self.entries(**window)}  # type: ignore[union-attr]

    @contextmanager
    def online(self) -> Iterator[str]:
        """The feed over HTTP, answered in this thread's transaction by turns; gives the list's base URL."""

        here = connections["default"]
        here.inc_thread_sharing()

        def answer(asked: Asked) -> Given:
            connections["default"] = here
            query = "&".join(f"{name}={value}" for name, value in asked.query.items())
            token = asked.headers.get("Authorization", "").partition(" ")[2]
            user, _, secret = base64.b64decode(token).decode().partition(":")
            status, body = self.ask(asked.path, query, method=asked.method, body=asked.body, user=user, secret=secret)
            return Given(body.encode(), status, {"Date": f"{self.clock.now:%a, %d %b %Y %H:%M:%S} GMT"})

        with served(answer, Faults()) as base:
            yield f"{base}/house-csam"
        here.dec_thread_sharing()


@pytest.fixture
def house() -> House:
    at = dt.datetime.fromisoformat(START) - dt.timedelta(days=1)
    people = make.world(at=at)
    make.assess(people["analyst-one"], make.TRIANGLE, at=at + MINUTE)
    make.assess(people["analyst-two"], make.TRIANGLE, at=at + 3 * MINUTE)
    return House(people)


def canaries(house: House) -> set[str]:
    return set(Canary.objects.filter(partner=house.partner).values_list("entry", flat=True))


def test_an_edition_is_served_with_the_recipients_canaries_and_with_nobody_elses(house: House) -> None:
    other = feeds.partner("south", at=house.clock.now)
    feeds.subscribe(other, house.listed, at=house.clock.now)
    feeds.release(house.listed, range(3), at=house.clock.now)
    feeds.publish(house.listed, at=house.clock.now)
    feeds.release(house.listed, [9], at=house.clock.now)  # not yet in an edition
    house.clock.go_on(30)
    elements = house.entries()
    assert house.ids() == {feeds.name_of(number) for number in range(3)} | canaries(house)
    first = next(each for each in elements if each.find(f"{NS}id").text == feeds.name_of(0))  # type: ignore[union-attr]
    prints = {each.tag.removeprefix(NS): each.text for each in first.find(f"{NS}fingerprints") or ()}
    assert prints == {kind: feeds.value(kind, 0) for kind in ("md5", "sha1", "pdq")}
    assert first.find(f"{NS}classification") is None  # of another scheme no class is made one of NCMEC's


def test_a_class_of_ncmecs_own_scheme_is_told(house: House) -> None:
    feeds.release(house.listed, [1], at=house.clock.now, framework="ncmec.industry", code="B2")
    feeds.publish(house.listed, at=house.clock.now)
    house.clock.go_on(30)
    assert [each.findtext(f"{NS}classification") for each in house.entries()].count("B2") == 1


def test_an_entry_of_which_the_sha256_alone_goes_out_is_not_in_the_feed(house: House) -> None:
    feeds.release(house.listed, [1], at=house.clock.now, algorithms=["sha256"])
    feeds.publish(house.listed, at=house.clock.now)
    house.clock.go_on(30)
    assert house.ids() == canaries(house)


def test_pages_hold_a_thousand_and_lead_to_each_other(house: House) -> None:
    feeds.release(house.listed, range(1003), at=house.clock.now, algorithms=["sha256", "md5"])
    feeds.publish(house.listed, at=house.clock.now)
    house.clock.go_on(30)
    status, body = house.ask("/house-csam/v2/entries", "&".join(f"{k}={v}" for k, v in WHOLE.items()))
    assert (status, body) == (400, "the window ends in the future: compare the clocks, and their zones")
    elements = house.entries()
    assert len(elements) == 1003 + 2
    assert len(house.ids()) == 1003 + 2


def test_what_is_published_later_lies_in_no_window_that_was_over_before(house: House) -> None:
    feeds.release(house.listed, range(3), at=house.clock.now)
    feeds.publish(house.listed, at=house.clock.now)
    house.clock.go_on(600)
    until = f"{house.clock.now:%Y-%m-%dT%H:%M:%SZ}"
    before = house.ids(end=until)
    published = house.clock.now - dt.timedelta(seconds=60)  # another process was slow to commit
    feeds.withdraw(house.listed.released.get(entry=feeds.name_of(1)), at=published)
    feeds.release(house.listed, [7], at=published)
    feeds.publish(house.listed, at=published)
    assert house.ids(end=until) == before - {feeds.name_of(1)}
    house.clock.go_on(60)
    new = {each.findtext(f"{NS}id"): each.tag.removeprefix(NS) for each in house.entries(begin=until)}
    assert new == {feeds.name_of(1): "deletedImage", feeds.name_of(7): "image"}


def test_a_withdrawal_is_told_before_any_edition_tells_it(house: House) -> None:
    feeds.release(house.listed, range(2), at=house.clock.now)
    feeds.publish(house.listed, at=house.clock.now)
    house.clock.go_on(30)
    assert feeds.name_of(0) in house.ids()
    feeds.withdraw(house.listed.released.get(entry=feeds.name_of(0)), at=house.clock.now)
    house.entries()
    house.clock.go_on(30)
    tags = {each.findtext(f"{NS}id"): each.tag.removeprefix(NS) for each in house.entries()}
    assert (tags[feeds.name_of(0)], tags[feeds.name_of(1)]) == ("deletedImage", "image")


def test_before_the_first_edition_nothing_is_answered_that_could_move_a_checkpoint(house: House) -> None:
    assert house.ask("/house-csam/v2/entries", "from=2000-01-01T00:00:00Z&to=2026-07-01T11:00:00Z")[0] == 503
    feeds.release(house.listed, [1], at=house.clock.now)
    feeds.publish(house.listed, at=house.clock.now)
    assert house.ask("/house-csam/v2/entries", "from=2000-01-01T00:00:00Z&to=2026-07-01T11:00:00Z")[0] == 200
    without = feeds.partner("west", at=house.clock.now)
    feeds.subscribe(without, house.listed, at=house.clock.now, canaries=0)
    secret = make_feed_credential(without, made_by=house.people["liaison"], at=house.clock.now)
    asked = ("/house-csam/v2/entries", "from=2000-01-01T00:00:00Z&to=2026-07-01T11:00:00Z")
    assert house.ask(*asked, user="west", secret=secret)[0] == 503


def test_only_who_is_enrolled_subscribed_and_not_suspended_gets_anything(house: House) -> None:
    feeds.release(house.listed, [1], at=house.clock.now)
    feeds.publish(house.listed, at=house.clock.now)
    assert house.ask("/house-csam/v2/status", secret="wrong")[0] == 401
    assert house.ask("/house-csam/v2/status", user="nobody")[0] == 401
    assert house.ask("/house-csam/v2/status")[0] == 200
    assert house.ask("/other/v2/status")[0] == 404
    exchange_only = feeds.partner("east", at=house.clock.now)
    feeds.subscribe(exchange_only, house.listed, at=house.clock.now, door=Door.EXCHANGE)
    secret = make_feed_credential(exchange_only, made_by=house.people["liaison"], at=house.clock.now)
    assert house.ask("/house-csam/v2/status", user="east", secret=secret)[0] == 404
    Subscription.objects.filter(pk=house.subscription.pk).update(ended_at=house.clock.now)
    assert house.ask("/house-csam/v2/status")[0] == 404
    Partner.objects.filter(pk=house.partner.pk).update(suspended_at=house.clock.now)
    assert house.ask("/house-csam/v2/status")[0] == 403
    end_feed_credential(house.partner, ended_by=house.people["liaison"], at=house.clock.now)
    assert house.ask("/house-csam/v2/status")[0] == 401


def test_credentials_are_the_liaisons_business_and_only_their_digest_is_kept(house: House) -> None:
    with pytest.raises(Denied):
        make_feed_credential(house.partner, made_by=house.people["analyst-one"], at=house.clock.now)
    again = make_feed_credential(house.partner, made_by=house.people["liaison"], at=house.clock.now)
    assert house.ask("/house-csam/v2/status")[0] == 401
    assert house.ask("/house-csam/v2/status", secret=again)[0] == 200
    assert not FeedCredential.objects.filter(digest__contains=again[:8]).exists()
    Partner.objects.filter(pk=house.partner.pk).update(suspended_at=house.clock.now)
    with pytest.raises(CredentialRefused, match="is suspended"):
        make_feed_credential(house.partner, made_by=house.people["liaison"], at=house.clock.now)


def test_a_vote_becomes_a_record_for_review_and_changes_nothing(house: House) -> None:
    feeds.release(house.listed, [1], at=house.clock.now)
    feeds.publish(house.listed, at=house.clock.now)
    house.clock.go_on(30)
    before = house.ids()
    canary = sorted(canaries(house))[0]
    with house.online() as base:
        asking = Ncmec(OneHost(base, Credentials(base, basic=("north", house.secret))))
        reasons = {each.name: each.guid for each in asking.reasons("PDQ")}
        assert set(reasons.values()) == set(GUIDS)
        asking.give_feedback(f"1/{feeds.name_of(1)}", "PDQ", against=[reasons[VoteReason.ADULT.label]])
        asking.give_feedback(f"1/{canary}", "PDQ", against=[reasons[VoteReason.ADULT.label]])
        asking.give_feedback(f"1/{feeds.name_of(1)}", "MD5")
    assert [(vote.entry, vote.reason) for vote in standing_votes()] == [
        (feeds.name_of(1), VoteReason.ADULT),
        (canary, VoteReason.ADULT),
    ]
    assert FeedVote.objects.count() == AuditEntry.objects.filter(act=AuditAct.FEED_VOTE_RECEIVED).count() == 3
    assert house.ids() == before
    path = f"/house-csam/v2/entries/1/{feeds.name_of(4)}/PDQ/feedback"
    assert house.ask(path, method="PUT", body=b"<x/>")[0] == 404
    path = path.replace(feeds.name_of(4), feeds.name_of(1))
    assert house.ask(path, method="PUT", body=b"<!DOCTYPE x><x/>")[0] == 400
    assert house.ask(path, method="PUT", body=b" " * 70_000)[0] == 413


@pytest.mark.parametrize("zone", ["Europe/London", "Asia/Tokyo", "UTC"])
def test_our_own_client_keeps_exactly_what_stands_in_every_zone(
    house: House, tmp_path: Path, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        feeds.release(house.listed, range(20), at=house.clock.now)
        feeds.publish(house.listed, at=house.clock.now)
        house.clock.go_on(600)
        with house.online() as base:
            rig = Rig(tmp_path, base, connector="ncmec", secrets={"user": "north", "password": house.secret})
            rig.fetch(house.clock.now)
            house.clock.go_on(60)
            feeds.withdraw(house.listed.released.get(entry=feeds.name_of(3)), at=house.clock.now)
            feeds.release(house.listed, [40], at=house.clock.now)
            feeds.publish(house.listed, at=house.clock.now)
            rig.fetch(house.clock.now)
            rig.fetch(house.clock.go_on(60))
            wanted = {feeds.name_of(number) for number in (*range(20), 40) if number != 3} | canaries(house)
            assert rig.listed() == {f"1/{name}" for name in wanted}
            assert rig.found(house.clock.now, pdq=feeds.value("pdq", 40))
            assert not rig.found(house.clock.now, pdq=feeds.value("pdq", 3))
            rig.exchange.close()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_nothing_of_a_request_is_logged(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    feeds.release(house.listed, [1], at=house.clock.now)
    edition = feeds.publish(house.listed, at=house.clock.now)
    (editions.folder_of(edition) / "entries.ndjson").write_bytes(b"")
    with caplog.at_level(logging.DEBUG, logger="havenline"):
        assert house.ask("/house-csam/v2/entries", "from=2001-01-01T00:00:00Z&to=2026-07-01T11:00:00Z")[0] == 503
    assert [record.getMessage() for record in caplog.records if record.name.startswith("havenline")] == [
        "the feed cannot answer: EditionRefused"
    ]


def test_lists_of_another_partner_look_like_lists_that_are_not_there(house: House) -> None:
    HouseList.objects.create(name="secret", kind="csam", made_by=house.people["liaison"], made_at=house.clock.now)
    assert house.ask("/secret/v2/status") == house.ask("/nothing/v2/status")


def test_a_file_in_the_form_of_project_vic_goes_through_the_same_gate(house: House, tmp_path: Path) -> None:
    liaison, path = house.people["liaison"], tmp_path / "out" / "given.json"
    path.parent.mkdir()

    def export(*, by: Person = liaison, model: str = "UK") -> ExportedFile:
        return export_list_file(
            house.partner,
            "house-csam",
            path,
            version="2.0",
            model=model,
            categories={"A": 1},
            by=by,
            at=house.clock.now,
        )

    feeds.release(house.listed, range(3), at=house.clock.now)
    with pytest.raises(ExportRefused, match="is not open to north by the door 'file'"):
        export()
    feeds.subscribe(house.partner, house.listed, at=house.clock.now, door=Door.FILE)
    with pytest.raises(ExportRefused, match="was published yet"):
        export()
    feeds.publish(house.listed, at=house.clock.now)
    feeds.withdraw(house.listed.released.get(entry=feeds.name_of(1)), at=house.clock.now)
    with pytest.raises(Denied):
        export(by=house.people["lead"])
    with pytest.raises(ValueError, match="are written"):
        export(model="../x")
    assert not list(path.parent.iterdir())
    made = export()
    assert made.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    _, records = read_vics(path)
    found = {(each.category, each.entry.md5, each.entry.pdq) for each in records if isinstance(each, VicsRecord)}
    told = {(1, feeds.value("md5", number), feeds.value("pdq", number)) for number in (0, 2)}
    mine = Canary.objects.filter(partner=house.partner)
    assert found == told | {(1, None, each.values["pdq"]) for each in mine}
    assert made.entries == len(found)
    with pytest.raises(FileExistsError):
        export()
    Partner.objects.filter(pk=house.partner.pk).update(suspended_at=house.clock.now)
    with pytest.raises(ExportRefused, match="suspended"):
        export()
