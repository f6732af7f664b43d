"""Webhooks: what is put out and to whom, where it may go, how it is sent, sent again and given up."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django import Settings

from havenline.formats.edition import ListKind
from havenline_client import NotVerified, verify_webhook
from havenline_desk.actions.announce import tell_lists_changed
from havenline_desk.actions.deliver_webhooks import FAILING_FOR, LEASE, PAUSES, note_attempt, take_event
from havenline_desk.actions.keep_api_keys import end_api_key, freeze_api_key
from havenline_desk.actions.keep_match_alarms import AlarmRefused, close_match_alarm, note_quota_near
from havenline_desk.actions.keep_partners import subscribe_partner, suspend_partner
from havenline_desk.actions.keep_webhooks import (
    MOST,
    OVERLAP,
    WebhookRefused,
    change_secret,
    end_webhook,
    make_webhook,
    replay_event,
    switch_on,
    try_webhook,
)
from havenline_desk.gates import Denied
from havenline_desk.jobs import webhooks
from havenline_desk.jobs.webhooks import send_next
from havenline_desk.models import (
    AuditAct,
    AuditEntry,
    Door,
    HouseList,
    KeyScope,
    MatchAlarm,
    MatchAlarmKind,
    Partner,
    Person,
    Role,
    WebhookEndpoint,
    WebhookEvent,
    WebhookResult,
    WebhookSecret,
)
from havenline_desk.queries.webhooks import event_lines, event_named, webhook_lines
from havenline_desk.webhook_post import AddressRefused, Destination, check_address, post, signature

from . import factories
from .match_rig import key, liaison
from .webhook_rig import Receiver, certificate, receiving

pytestmark = pytest.mark.django_db
SECOND = dt.timedelta(seconds=1)
PUBLIC = ["93.184.215.14"]


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def partner(slug: str, *, at: dt.datetime) -> Partner:
    return Partner.objects.create(slug=slug, name=slug, purpose="matching of uploads", enrolled_at=at)


def of_partner(name: str, whose: Partner, *, at: dt.datetime) -> WebhookEndpoint:
    address = "https://hooks.example.org/in"
    return make_webhook(name, address, partner=whose, made_by=liaison(at), at=at, resolve=lambda *_: PUBLIC)[0]


def of_house(receiver: Receiver, *, at: dt.datetime, name: str = "own") -> tuple[WebhookEndpoint, str]:
    return make_webhook(name, receiver.address, made_by=liaison(at), at=at)


def told(endpoint: WebhookEndpoint) -> list[tuple[str, dict[str, Any]]]:
    rows = WebhookEvent.objects.filter(endpoint=endpoint).order_by("pk")
    return [(row.kind, json.loads(row.body)["data"]) for row in rows]


def sent(at: dt.datetime) -> WebhookResult | None:
    return send_next(now=lambda: at)


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The vector of the reference implementations, which they all share.
    made = signature(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        message="msg_p5jXN8AQM9LWM0D4loKWxJek",
        second=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_client_believes_what_is_whole_signed_and_fresh_and_nothing_else() -> None:
    old, new = "whsec_" + "b2xkIHNlY3JldCBvZiBhIHRlc3Q=", "whsec_" + "bmV3IHNlY3JldCBvZiBhIHRlc3Q="
    body = b'{"type": "ping", "timestamp": "2026-01-01T00:00:00Z", "data": {}}'
    both = signature([new, old], message="msg_1", second=1000, body=body)
    headers = {"Webhook-Id": "msg_1", "webhook-timestamp": "1000", "webhook-signature": both}
    event = verify_webhook(body, headers, old, now=1000 + 300)
    assert (event.id, event.type, event.what) == ("msg_1", "ping", {})
    assert verify_webhook(body, headers, [new], now=1000 - 300).id == "msg_1"
    wrong: list[tuple[bytes, dict[str, str], str, float]] = [
        (body + b" ", headers, old, 1000),
        (body, headers | {"Webhook-Id": "msg_2"}, old, 1000),
        (body, headers | {"webhook-timestamp": "1001"}, old, 1000),
        (body, headers | {"webhook-timestamp": "soon"}, old, 1000),
        (body, headers | {"webhook-signature": both.replace("v1,", "v2,")}, old, 1000),
        (body, headers | {"webhook-signature": ""}, old, 1000),
        (body, headers | {"webhook-signature": "v1,ä"}, old, 1000),
        (body, headers, "whsec_" + "b3RoZXI=", 1000),
        (body, headers, old, 1301),
        (body, headers, old, 699),
        (body, {}, old, 1000),
    ]
    for said, given, secret, now in wrong:
        with pytest.raises(NotVerified):
            verify_webhook(said, given, secret, now=now)
    no_event = {**headers, "webhook-signature": signature([old], message="msg_1", second=1000, body=b"[]")}
    with pytest.raises(NotVerified, match="no event"):
        verify_webhook(b"[]", no_event, old, now=1000)


@pytest.mark.parametrize(
    "address",
    [
        *("http://hooks.example.org/", "ftp://hooks.example.org/", "https://", "hooks.example.org", "https://a b/"),
        *("https://user:secret@hooks.example.org/", "https://hooks.example.org/?token=secret", "https://h.example/#x"),
        *("https://hooks.example.org:0/", "https://hooks.example.org:99999/", "https://[::1/", "https://ä.example/"),
        "https://hooks.example.org/" + "x" * 500,
    ],
)
def test_an_address_is_https_without_anything_secret(address: str) -> None:
    for of_house in (True, False):
        with pytest.raises(AddressRefused):
            check_address(Destination(address, of_house=of_house), resolve=lambda *_: PUBLIC)


@pytest.mark.parametrize(
    "number",
    [
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1"),
        *("255.255.255.255", "fe80::1", "fc00::1", "::", "ff02::1", "::ffff:10.0.0.1", "2002:a00:1::1"),
        *("64:ff9b::a00:1", "2001:0:a00:1::1", "192.0.2.1", "240.0.0.1", "fe80::1%eth0", "not a number"),
    ],
)
def test_a_name_that_leads_into_a_private_network_is_refused_when_configured_and_when_connected_to(
    number: str,
) -> None:
    for of_house in (True, False):
        to = Destination("https://hooks.example.org/", of_house=of_house)
        for numbers in ([number], [*PUBLIC, number]):
            with pytest.raises(AddressRefused):
                check_address(to, resolve=lambda *_, numbers=numbers: numbers)
            came = post(to, b"{}", message="m", second=1, secrets=[], resolve=lambda *_, numbers=numbers: numbers)
            assert came == (WebhookResult.ADDRESS, None)


def test_loopback_is_for_programs_of_this_house_alone(receiver: Receiver) -> None:
    own, other = (Destination(receiver.address, of_house=of_house) for of_house in (True, False))
    check_address(own)
    for to in (other, Destination("https://127.0.0.1/", of_house=False), Destination("https://[::1]/", of_house=False)):
        with pytest.raises(AddressRefused):
            check_address(to)
    for number in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        with pytest.raises(AddressRefused):
            check_address(
                Destination("https://hooks.example.org/", of_house=False), resolve=lambda *_, number=number: [number]
            )
    assert post(other, b"{}", message="m", second=1, secrets=[]) == (WebhookResult.ADDRESS, None)
    assert receiver.got == []


def test_a_partner_learns_that_it_may_ask_again_and_not_what_changed(receiver: Receiver, at: dt.datetime) -> None:
    house_list = HouseList.objects.create(name="house-csam", kind=ListKind.CSAM.value, made_by=liaison(at), made_at=at)
    north, south = partner("north", at=at), partner("south", at=at)
    there, apart = of_partner("north-hook", north, at=at), of_partner("south-hook", south, at=at)
    own, _ = of_house(receiver, at=at)
    subscribe_partner(north, house_list, Door.MATCH, by=liaison(at), at=at)
    assert told(there) == [("lists.changed", {})]
    with transaction.atomic():
        tell_lists_changed(house_list, at=at)
        tell_lists_changed(house_list, at=at)
    assert told(there) == [("lists.changed", {})], "one that waits is enough"
    assert told(apart) == []
    assert told(own) == [("lists.changed", {"list": "house-csam"})] * 2
    assert take_event(at=at) is not None
    with transaction.atomic():
        tell_lists_changed(house_list, at=at)
    assert told(there) == [("lists.changed", {})] * 2, "one that is being sent may come too early"


def test_nothing_is_put_out_where_its_cause_is_undone(receiver: Receiver, at: dt.datetime) -> None:
    row, _ = key("uploads", at=at)
    own, _ = of_house(receiver, at=at)
    with transaction.atomic():
        end_api_key(row, ended_by=liaison(at), at=at)
        transaction.set_rollback(True)
    assert told(own) == []
    end_api_key(row, ended_by=liaison(at), at=at)
    assert told(own) == [("key.ended", {"key": "uploads", "ending": "revoked"})]


def test_a_partner_is_told_of_its_own_keys_and_of_no_alarm(receiver: Receiver, at: dt.datetime) -> None:
    north, south = partner("north", at=at), partner("south", at=at)
    there, apart = of_partner("north-hook", north, at=at), of_partner("south-hook", south, at=at)
    own, _ = of_house(receiver, at=at)
    made = key("n-one", at=at)[0]
    type(made).objects.filter(pk=made.pk).update(partner=north)
    made.refresh_from_db()
    note_quota_near(made, at=at)
    freeze_api_key(made, at=at)
    near, ended = ("quota.near", {"key": "n-one"}), ("key.ended", {"key": "n-one", "ending": "frozen"})
    assert told(there) == [near, ended]
    assert told(apart) == []
    alarms = [("alarm.raised", {"alarm": name, "key": "n-one"}) for name in ("quota", "probing")]
    assert told(own) == [near, alarms[0], ended, alarms[1]]
    note_quota_near(made, at=at)
    assert MatchAlarm.objects.filter(kind=MatchAlarmKind.QUOTA).count() == 1


def test_what_arrives_is_signed_and_has_the_id_of_the_log(receiver: Receiver, at: dt.datetime) -> None:
    endpoint, secret = of_house(receiver, at=at)
    try_webhook(endpoint, by=liaison(at), at=at)
    assert sent(at) is WebhookResult.DELIVERED
    assert sent(at) is None
    ((body, headers),) = receiver.got
    event = verify_webhook(body, headers, secret, now=at.timestamp())
    assert (event.type, event.what, event.timestamp) == ("ping", {}, f"{at:%Y-%m-%dT%H:%M:%SZ}")
    (line,) = event_lines(endpoint)
    assert (f"msg_{line.id}", line.state) == (event.id, "delivered")
    assert [(each.result, each.status) for each in line.attempts] == [("delivered", 200)]
    assert secret.removeprefix("whsec_") not in str(list(WebhookSecret.objects.values()))


def test_an_event_is_tried_again_after_longer_pauses_and_then_given_up_with_an_alarm(
    receiver: Receiver, at: dt.datetime
) -> None:
    endpoint, _ = of_house(receiver, at=at)
    try_webhook(endpoint, by=liaison(at), at=at)
    receiver.answers = [500, 503, 404, 302, 500, 500, 500, 500, 500, 500]
    moment = at
    for pause in PAUSES:
        assert sent(moment) in (WebhookResult.STATUS, WebhookResult.REDIRECT)
        assert sent(moment + pause - SECOND) is None
        moment += pause
    assert MatchAlarm.objects.count() == 0
    assert sent(moment) is WebhookResult.STATUS
    assert sent(moment + dt.timedelta(days=2)) is None
    (line,) = event_lines(endpoint)
    statuses = [each.status for each in line.attempts]
    assert (line.state, statuses) == ("dead", [500, 503, 404, 302, 500, 500, 500, 500, 500, 500])
    assert len(set(receiver.ids)) == 1
    assert len(receiver.ids) == 10, "no redirect was followed"
    alarm = MatchAlarm.objects.get()
    assert (alarm.kind, alarm.endpoint) == (MatchAlarmKind.WEBHOOK, endpoint)
    event = event_named(receiver.ids[0])
    assert event is not None
    replay_event(event, by=liaison(at), at=moment)
    with pytest.raises(WebhookRefused, match="waits"):
        replay_event(event, by=liaison(at), at=moment)
    assert sent(moment) is WebhookResult.DELIVERED
    assert receiver.ids == [receiver.ids[0]] * 11
    assert WebhookEndpoint.objects.get().failing_since is None
    replay_event(event, by=liaison(at), at=moment)
    assert (sent(moment), len(receiver.got)) == (WebhookResult.DELIVERED, 12)


def test_after_days_without_one_delivery_it_is_switched_off_and_a_person_switches_it_on(
    receiver: Receiver, at: dt.datetime
) -> None:
    endpoint, _ = of_house(receiver, at=at)
    receiver.answers = [500, 500]
    try_webhook(endpoint, by=liaison(at), at=at)
    sent(at)
    late = at + FAILING_FOR
    try_webhook(endpoint, by=liaison(at), at=late)
    sent(late)
    assert WebhookEndpoint.objects.get().off_at == late
    assert MatchAlarm.objects.get().kind == MatchAlarmKind.WEBHOOK
    try_webhook(endpoint, by=liaison(at), at=late)
    assert sent(late + FAILING_FOR) is None
    switch_on(endpoint, by=liaison(at), at=late)
    with pytest.raises(WebhookRefused, match="on already"):
        switch_on(endpoint, by=liaison(at), at=late)
    results = [sent(late + FAILING_FOR) for _ in range(4)]
    assert results == [WebhookResult.DELIVERED] * 3 + [None]
    assert len(set(receiver.ids)) == 3


def test_a_receiver_that_says_gone_is_switched_off_at_once(receiver: Receiver, at: dt.datetime) -> None:
    endpoint, _ = of_house(receiver, at=at)
    receiver.answers = [410]
    try_webhook(endpoint, by=liaison(at), at=at)
    sent(at)
    assert WebhookEndpoint.objects.get().off_at == at


def test_a_certificate_that_is_not_good_gets_nothing(
    tmp_path: Path, at: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = certificate(tmp_path / "other.pem", name="127.0.0.2")
    for name, good in (("own", certificate(tmp_path / "own.pem")), ("wrong-name", other)):
        with receiving(certificate=good) as there:
            to = Destination(there.address, of_house=True)
            monkeypatch.delenv("SSL_CERT_FILE", raising=False)
            assert post(to, b"{}", message="m", second=1, secrets=[]) == (WebhookResult.CERTIFICATE, None)
            monkeypatch.setenv("SSL_CERT_FILE", str(good))
            came = post(to, b"{}", message="m", second=1, secrets=[])
            assert came == ((WebhookResult.DELIVERED, 200) if name == "own" else (WebhookResult.CERTIFICATE, None))
            assert len(there.got) == (name == "own")


def test_a_slow_receiver_and_one_that_is_not_there_are_told_apart(receiver: Receiver) -> None:
    to, free = Destination(receiver.address, of_house=True), threading.Event()
    receiver.first = lambda: free.wait(60)
    assert post(to, b"{}", message="m", second=1, secrets=[], seconds=0.3) == (WebhookResult.SLOW, None)
    free.set()
    with receiving() as gone:
        pass
    to = Destination(gone.address, of_house=True)
    assert post(to, b"{}", message="m", second=1, secrets=[]) == (WebhookResult.UNREACHABLE, None)


@pytest.mark.parametrize("step", ["taken", "sent", "noting"])
def test_killed_at_any_step_it_is_sent_again_under_the_same_id(
    receiver: Receiver, at: dt.datetime, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, _ = of_house(receiver, at=at)
    try_webhook(endpoint, by=liaison(at), at=at)
    posted = post

    def dies(*given: Any, **named: Any) -> Any:
        if step == "sent":
            posted(*given, **named)
        if step == "noting":
            with transaction.atomic():
                note_attempt(*given, **named)
                raise KeyboardInterrupt
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(webhooks, "note_attempt" if step == "noting" else "post", dies)
        with pytest.raises(KeyboardInterrupt):
            sent(at)
    before = 0 if step == "taken" else 1
    assert len(receiver.got) == before
    assert sent(at + LEASE - SECOND) is None
    assert sent(at + LEASE) is WebhookResult.DELIVERED
    assert len(receiver.got) == before + 1
    assert len(set(receiver.ids)) == 1
    (line,) = event_lines(endpoint)
    assert (line.state, [each.result for each in line.attempts]) == ("delivered", ["", "delivered"])


def test_while_one_process_sends_no_other_sends_to_the_same_webhook(receiver: Receiver, at: dt.datetime) -> None:
    endpoint, _ = of_house(receiver, at=at)
    for _ in range(2):
        try_webhook(endpoint, by=liaison(at), at=at)
    first = take_event(at=at)
    assert first is not None
    assert take_event(at=at + LEASE - SECOND) is None
    second = take_event(at=at + LEASE)
    assert second is not None
    note_attempt(second, WebhookResult.DELIVERED, 200, at=at + LEASE)
    note_attempt(first, WebhookResult.UNREACHABLE, None, at=at + LEASE)
    assert sorted(line.state for line in event_lines(endpoint)) == ["delivered", "waits"]


def test_of_two_secrets_both_sign_for_a_day_and_then_the_new_one_alone(receiver: Receiver, at: dt.datetime) -> None:
    endpoint, old = of_house(receiver, at=at)
    new = change_secret(endpoint, by=liaison(at), at=at)
    for moment in (at, at + OVERLAP):
        try_webhook(endpoint, by=liaison(at), at=moment)
        sent(moment)
    (first, after) = receiver.got
    for secret in (old, new):
        verify_webhook(*first, secret, now=at.timestamp())
    verify_webhook(*after, new, now=(at + OVERLAP).timestamp())
    with pytest.raises(NotVerified, match="no signature"):
        verify_webhook(*after, old, now=(at + OVERLAP).timestamp())


def test_under_another_secret_key_of_the_installation_nothing_goes_out_unsigned(
    receiver: Receiver, at: dt.datetime, settings: Settings
) -> None:
    endpoint, _ = of_house(receiver, at=at)
    try_webhook(endpoint, by=liaison(at), at=at)
    settings.SECRET_KEY = "another one"
    assert sent(at) is WebhookResult.SEALED
    assert receiver.got == []


def test_nothing_goes_to_a_suspended_partner_nor_to_a_webhook_that_ended(receiver: Receiver, at: dt.datetime) -> None:
    north = partner("north", at=at)
    there = of_partner("north-hook", north, at=at)
    own, _ = of_house(receiver, at=at)
    for endpoint in (there, own):
        try_webhook(endpoint, by=liaison(at), at=at)
    suspend_partner(north, by=liaison(at), at=at)
    end_webhook(own, by=liaison(at), at=at)
    assert sent(at) is None
    north.refresh_from_db()
    with pytest.raises(WebhookRefused, match="suspended"):
        of_partner("another", north, at=at)
    for verb in (end_webhook, try_webhook, change_secret, switch_on):
        with pytest.raises(WebhookRefused, match="has ended"):
            verb(own, by=liaison(at), at=at)
    assert [(line.owner, line.waiting) for line in webhook_lines()] == [("north", 1), ("", 1)]


def test_who_may_not_makes_no_webhook_and_a_name_stands_once(receiver: Receiver, at: dt.datetime) -> None:
    of_house(receiver, at=at)
    for name, said in (("own", "already"), ("Own", "no name"), ("x", "no name")):
        with pytest.raises(WebhookRefused, match=said):
            of_house(receiver, at=at, name=name)
    analyst = factories.make_person("analyst-one", Role.ANALYST, at=at)
    with pytest.raises(Denied):
        make_webhook("theirs", receiver.address, made_by=analyst, at=at)
    for number in range(MOST - 1):
        of_house(receiver, at=at, name=f"own-{number}")
    with pytest.raises(WebhookRefused, match="end one first"):
        of_house(receiver, at=at, name="one-more")


def test_an_alarm_is_closed_with_a_reason_and_may_be_raised_again(at: dt.datetime) -> None:
    row, _ = key("uploads", KeyScope.ONE_BIT, at=at)
    note_quota_near(row, at=at)
    alarm = MatchAlarm.objects.get()
    for reason in ("", "  ", "x" * 201):
        with pytest.raises(AlarmRefused, match="say in at most"):
            close_match_alarm(alarm, reason=reason, by=liaison(at), at=at)
    close_match_alarm(alarm, reason="spoke with them", by=liaison(at), at=at)
    entry = AuditEntry.objects.order_by("-seq")[0]
    assert (entry.act, entry.purpose, entry.actor) == (AuditAct.MATCH_ALARM_CLOSED, "quota", liaison(at).audit_id)
    with pytest.raises(AlarmRefused, match="closed already"):
        close_match_alarm(alarm, reason="again", by=liaison(at), at=at)
    auditor: Person = factories.make_person("auditor", Role.AUDITOR, at=at, certified=False)
    with pytest.raises(Denied):
        close_match_alarm(alarm, reason="looked at it", by=auditor, at=at)
    note_quota_near(row, at=at)
    assert MatchAlarm.objects.filter(closed_at=None).count() == 1
