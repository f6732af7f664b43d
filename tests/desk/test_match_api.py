"""The match service: who is let in, what they are told, and what of it stands in the log."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from PIL import Image
from pytest_django import Settings

from havenline.formats.edition import ListKind
from havenline.formats.merkle_tree import Frontier, leaf_hash
from havenline_desk import audit
from havenline_desk.actions.count_lookups import close_forgotten
from havenline_desk.actions.keep_api_keys import ApiKeyRefused, end_api_key, make_api_key
from havenline_desk.api import door, hashing, service
from havenline_desk.gates import Denied
from havenline_desk.models import (
    ApiKey,
    AuditAct,
    AuditEntry,
    Canary,
    Door,
    HouseList,
    KeyEnd,
    KeyScope,
    LookupCount,
    LookupWindow,
    MatchAlarm,
    Partner,
    Role,
    Subscription,
)
from havenline_guard.sandbox import close_worker
from tests.guard.conftest import Running

from . import factories
from .match_rig import LISTS, ask, key, liaison, pdq, sha256

pytestmark = [pytest.mark.django_db, pytest.mark.urls("havenline_desk.sites.match_api_urls")]


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def here(lists: Running, home: Path, settings: Settings) -> Iterator[service.Service]:
    settings.MIDDLEWARE = []
    made = service.Service(home=home, matchd=str(lists.socket), secret="of the tests", step=0)
    door.use(made)
    yield made
    door.use(None)


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True, raise_request_exception=False)


def partner(slug: str, *, at: dt.datetime, house_list: HouseList | None = None) -> Partner:
    made = Partner.objects.create(slug=slug, name=slug, purpose="matching of uploads", enrolled_at=at)
    if house_list is not None:
        Subscription.objects.create(partner=made, list=house_list, door=Door.MATCH, opened_by=liaison(at), opened_at=at)
    return made


def listed(name: str, *, at: dt.datetime) -> HouseList:
    return HouseList.objects.create(name=name, kind=ListKind.CSAM.value, made_by=liaison(at), made_at=at)


def test_one_bit_an_item_by_digest_by_likeness_and_within_the_terms_of_each_list(
    here: service.Service, client: Client, at: dt.datetime
) -> None:
    _, secret = key("platform", at=at)
    here.refresh()
    items = [sha256("a"), sha256("z"), pdq("b"), pdq("z"), pdq("b", turned=40), sha256("d"), pdq("d"), sha256("e")]
    # c's own terms: 31 bits; d's list: 2 bits, and its value lies 3 away; e is in a list that the key has not.
    said = ask(client, secret, *items)
    assert (said.status_code, said.json()) == (200, {"leads": [1, 0, 1, 0, 0, 1, 0, 0]})
    assert said.headers["Cache-Control"] == "no-store"
    each = [ask(client, secret, item) for item in items]
    assert [one.json()["leads"][0] for one in each] == said.json()["leads"]
    assert len({len(one.content) for one in each}) == 1
    assert len({tuple(sorted(one.headers.items())) for one in each}) == 1


def test_a_program_of_the_house_is_told_list_edition_entry_and_distance(
    here: service.Service, client: Client, at: dt.datetime
) -> None:
    _, secret = key("own", KeyScope.STAFF, at=at)
    here.refresh()
    said = ask(client, secret, pdq("b"), sha256("z"), sha256("e"), path="/v1/staff/match/hashes").json()
    lead = {"list": "shapes", "edition": 1, "entry": "b", "kind": "pdq", "distance": 3}
    assert said == {"leads": [[lead], [], []]}


def test_each_way_of_asking_wrongly_has_a_name_and_a_key_opens_only_its_own_door(
    here: service.Service, client: Client, at: dt.datetime
) -> None:
    _, secret = key("platform", at=at)
    _, own = key("own", KeyScope.STAFF, at=at)
    here.refresh()
    bearer = {"Authorization": f"Bearer {secret}"}
    path, item = "/v1/match/hashes", {"items": [sha256("a")]}
    cases = [
        (client.post(path, item, "application/json"), 401, "no_key"),
        (ask(client, secret + "x", sha256("a")), 401, "no_key"),
        (ask(client, own, sha256("a")), 403, "not_with_this_key"),
        (ask(client, secret, sha256("a"), path="/v1/staff/match/hashes"), 403, "not_with_this_key"),
        (client.get(path, headers=bearer), 405, "post_only"),
        (ask(client, secret, sha256("a"), path=f"{path}?sha256=a"), 400, "parameters_in_url"),
        (client.post(path, "{", "application/json", headers=bearer), 400, "malformed"),
        (client.post(path, b" " * (1 << 20) + b" ", "application/json", headers=bearer), 413, "too_large"),
        (ask(client, secret, pdq("a", quality=49)), 422, "low_quality"),
        (client.post("/v1/match/file", b"", "application/octet-stream", headers=bearer), 422, "empty"),
        (client.post("/v2/match", headers=bearer), 404, "no_such_address"),
    ]
    assert [(said.status_code, said.json()["refused"]) for said, _, _ in cases] == [each[1:] for each in cases]
    assert all(set(said.json()) <= {"refused", "item"} for said, _, _ in cases)
    assert client.get("/v1/openapi.json").json()["openapi"] == "3.1.0"
    assert client.get("/ready").json() == {"ready": True}


def drawn_picture() -> bytes:
    picture = Image.effect_mandelbrot((256, 256), (-2, -1.5, 1, 1.5), 60)
    into = io.BytesIO()
    picture.save(into, "PNG")
    return into.getvalue()


def test_a_file_is_hashed_in_a_closed_process_and_why_it_has_no_perceptual_hash_is_said(
    here: service.Service, client: Client, at: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = key("platform", at=at)
    here.refresh()

    def send(content: bytes) -> Any:
        return client.post(
            "/v1/match/file", content, "application/octet-stream", headers={"Authorization": f"Bearer {secret}"}
        ).json()

    assert send(drawn_picture()) == {"refused": "unavailable"}  # where nothing closes such a process off
    monkeypatch.setattr(hashing, "close_off", close_worker)
    flat = io.BytesIO()
    Image.new("RGB", (64, 64), "navy").save(flat, "PNG")
    assert send(drawn_picture()) == {"leads": [0], "perceptual": "hashed"}
    assert send(flat.getvalue()) == {"leads": [0], "perceptual": "low_quality"}
    assert send(b"a text card")["leads"] == [0]


def test_quotas_count_items_and_no_header_of_the_caller_changes_whose_they_are(
    here: service.Service, client: Client, at: dt.datetime
) -> None:
    _, secret = key("platform", at=at, per_minute=100, per_day=5)
    here.refresh()
    assert ask(client, secret, sha256("a"), sha256("z"), sha256("y")).status_code == 200
    assert ask(client, secret, sha256("a"), sha256("z"), sha256("y")).json() == {"refused": "quota"}
    assert [ask(client, secret, sha256(name)).status_code for name in "ab"] == [200, 200]
    said = [
        client.post(
            "/v1/match/hashes",
            {"items": [sha256("a")]},
            "application/json",
            headers={"Authorization": f"Bearer {secret}", "X-Forwarded-For": f"192.0.2.{number}"},
            REMOTE_ADDR=f"192.0.2.{number}",
        )
        for number in range(3)
    ]
    assert [each.status_code for each in said] == [429] * 3
    assert int(said[0].headers["Retry-After"]) > 0


def test_probing_freezes_the_key_with_an_alarm_at_the_twentieth_value(
    here: service.Service, client: Client, at: dt.datetime
) -> None:
    row, secret = key("platform", at=at)
    _, other = key("another", at=at)
    here.refresh()
    said = [ask(client, secret, pdq("b", turned=turned)) for turned in range(20)]
    assert [each.status_code for each in said] == [200] * 19 + [403]
    assert said[-1].json() == {"refused": "frozen"}
    row.refresh_from_db()
    assert (row.ending, MatchAlarm.objects.get().kind) == (KeyEnd.FROZEN, "probing")
    assert ask(client, other, pdq("b")).json() == {"leads": [1]}
    here.refresh()
    assert ask(client, secret, sha256("a")).json() == {"refused": "no_key"}
    assert MatchAlarm.objects.count() == 1


def test_a_batch_of_close_values_is_probing_too(here: service.Service, client: Client, at: dt.datetime) -> None:
    _, secret = key("platform", at=at)
    here.refresh()
    assert ask(client, secret, *(pdq("b", turned=turned) for turned in range(25))).json() == {"refused": "frozen"}


def test_a_key_that_was_frozen_while_the_database_was_away_ends_when_it_is_back(
    here: service.Service, client: Client, at: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, secret = key("platform", at=at)
    here.refresh()
    monkeypatch.setattr(service, "freeze_api_key", lambda *_, **__: None)
    ask(client, secret, *(pdq("b", turned=turned) for turned in range(25)))
    assert ask(client, secret, sha256("a")).json() == {"refused": "frozen"}
    monkeypatch.undo()
    here.refresh()
    row.refresh_from_db()
    assert row.ending == KeyEnd.FROZEN


def test_a_partner_is_told_of_its_subscriptions_alone_and_of_nothing_once_it_is_suspended(
    here: service.Service, client: Client, at: dt.datetime
) -> None:
    shapes, others = listed("shapes", at=at), listed("others", at=at)
    some = partner("some", at=at, house_list=shapes)
    _, secret = make_api_key("some-uploads", KeyScope.ONE_BIT, partner=some, made_by=liaison(at), at=at)
    here.refresh()
    assert ask(client, secret, sha256("a"), sha256("d")).json() == {"leads": [1, 0]}
    Subscription.objects.create(partner=some, list=others, door=Door.MATCH, opened_by=liaison(at), opened_at=at)
    Subscription.objects.filter(list=shapes).update(ended_at=at)
    here.refresh()
    assert ask(client, secret, sha256("a"), sha256("d")).json() == {"leads": [0, 1]}
    Partner.objects.update(suspended_at=at)
    here.refresh()
    assert ask(client, secret, sha256("d")).json() == {"refused": "no_key"}
    assert service.REFRESHED_EVERY + service.TOO_OLD <= 60


def test_a_value_near_a_canary_names_whose_copy_it_stands_in_and_the_answer_says_nothing(
    here: service.Service, client: Client, at: dt.datetime
) -> None:
    shapes = listed("shapes", at=at)
    careless, _other = partner("careless", at=at, house_list=shapes), partner("other", at=at, house_list=shapes)
    for whose, name in ((careless, "planted"), (_other, "planted elsewhere")):
        Canary.objects.create(
            partner=whose,
            list=shapes,
            entry=hashlib.md5(name.encode()).hexdigest(),
            values={"pdq": pdq(name)["pdq"]},
            quality=100,
            framework="demo.shapes",
            framework_version="1",
            assessments=2,
            released_at=at,
            made_at=at,
        )
    row, secret = key("platform", at=at)
    here.refresh()
    for turned in (9, 9, 2):
        assert ask(client, secret, pdq("planted", turned=turned)).json() == {"leads": [0]}
    alarm = MatchAlarm.objects.get()
    assert (alarm.kind, alarm.key, alarm.recipient, alarm.list) == ("canary", row, careless, shapes)
    entry = AuditEntry.objects.get(act=AuditAct.MATCH_ALARM_RAISED)
    assert (entry.object, entry.record) == (alarm.audit_id, audit.record_digest(alarm))


def test_two_entries_for_a_window_and_the_root_is_that_of_what_was_asked_and_answered(
    here: service.Service, client: Client, at: dt.datetime
) -> None:
    _, secret = key("platform", at=at)
    here.refresh()
    first, second = ask(client, secret, sha256("a"), sha256("z")), ask(client, secret, sha256("y"))
    client.post("/v1/match/hashes", "{", "application/json", headers={"Authorization": f"Bearer {secret}"})
    begun = AuditEntry.objects.filter(act=AuditAct.LOOKUPS_BEGUN)
    assert (begun.count(), LookupCount.objects.count()) == (1, 0)
    here._count(older_than=0.0)
    count, window = LookupCount.objects.get(), LookupWindow.objects.get()
    assert (count.requests, count.items, count.leads, count.refused) == (2, 3, 1, 1)
    bodies = [json.dumps({"items": items}).encode() for items in ([sha256("a"), sha256("z")], [sha256("y")])]
    leaves = [
        leaf_hash(bytes.fromhex(window.salt) + hashlib.sha256(body).digest() + said.content)
        for body, said in zip(bodies, (first, second), strict=True)
    ]
    assert count.root == Frontier().extended(leaves).root.hex()
    assert AuditEntry.objects.get(act=AuditAct.LOOKUPS_COUNTED).record == audit.record_digest(count)
    here._count(older_than=0.0)
    assert LookupCount.objects.count() == 1


def test_no_answer_without_an_entry_in_the_log_nor_without_the_database_for_long(
    here: service.Service, client: Client, at: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = key("platform", at=at)
    here.refresh()

    def fails(*_: object, **__: object) -> None:
        raise audit.AuditUnavailable("the disk is full")

    monkeypatch.setattr(service, "begin_lookups", fails)
    said = ask(client, secret, sha256("a"))
    assert (said.status_code, said.json()) == (503, {"refused": "unavailable"})
    monkeypatch.undo()

    def away() -> None:
        raise OperationalError

    monkeypatch.setattr(service, "keys_in_force", away)
    with pytest.raises(OperationalError):
        here.refresh()
    assert ask(client, secret, sha256("a")).json() == {"leads": [1]}
    monkeypatch.setattr(service, "TOO_OLD", -1.0)
    assert ask(client, secret, sha256("a")).json() == {"refused": "unavailable"}


def test_a_window_that_a_killed_process_left_is_closed_without_numbers(
    here: service.Service, client: Client, at: dt.datetime
) -> None:
    _, secret = key("platform", at=at)
    here.refresh()
    ask(client, secret, sha256("a"))
    later = at + dt.timedelta(hours=1)
    assert close_forgotten(before=later, at=later) == 1
    count = LookupCount.objects.get()
    assert (count.requests, count.root) == (None, "")
    assert close_forgotten(before=later, at=later) == 0


def test_who_may_make_and_end_keys_and_which_are_refused(at: dt.datetime, home: Path) -> None:
    analyst, lead = factories.make_person("analyst", Role.ANALYST, at=at), liaison(at)
    with pytest.raises(Denied):
        make_api_key("x1", KeyScope.STAFF, lists=LISTS, made_by=analyst, at=at)
    row, secret = key("platform", at=at)
    assert row.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in json.dumps(list(ApiKey.objects.values()), default=str)
    some = partner("some", at=at)
    refused: list[tuple[str, dict[str, Any]]] = [
        ("there is a key", {"name": "platform", "lists": LISTS}),
        ("no name of a key", {"name": "Platform", "lists": LISTS}),
        ("name 1 to", {"name": "x2", "lists": []}),
        ("adults", {"name": "x3", "lists": ["shapes", "ncii.drawn"]}),
        ("one bit", {"name": "x4", "partner": some, "scope": KeyScope.STAFF}),
        ("one bit", {"name": "x5", "partner": some, "lists": LISTS}),
        ("quotas", {"name": "x6", "lists": LISTS, "probe_limit": 19}),
    ]
    for said, what in refused:
        with pytest.raises(ApiKeyRefused, match=said):
            make_api_key(**{"scope": KeyScope.ONE_BIT, "made_by": lead, "at": at} | what)
    Partner.objects.update(suspended_at=at)
    some.refresh_from_db()
    with pytest.raises(ApiKeyRefused, match="suspended"):
        make_api_key("x7", KeyScope.ONE_BIT, partner=some, made_by=lead, at=at)
    with pytest.raises(Denied):
        end_api_key(row, ended_by=analyst, at=at)
    end_api_key(row, ended_by=lead, at=at)
    with pytest.raises(ApiKeyRefused, match="ended already"):
        end_api_key(row, ended_by=lead, at=at)
