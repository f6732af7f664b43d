"""The pages of the match service: alarms closed with a reason, keys ended, webhooks and their events."""

from __future__ import annotations

import datetime as dt
import html

import pytest
from django.utils import timezone

from havenline_desk.actions.keep_match_alarms import note_quota_near
from havenline_desk.actions.keep_webhooks import make_webhook, try_webhook
from havenline_desk.models import ApiKey, MatchAlarm, Role, WebhookEndpoint, WebhookEvent

from . import factories
from .match_rig import key, liaison

pytestmark = pytest.mark.django_db
ADDRESS = "http://127.0.0.1:9/"


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now()


def test_an_alarm_is_closed_with_a_reason_and_its_key_ended_on_the_page(at: dt.datetime) -> None:
    client = factories.client_of(liaison(at))
    assert b"No alarm is open" in client.get("/match-alarms").content
    row, _ = key("uploads", at=at)
    note_quota_near(row, at=at)
    alarm = MatchAlarm.objects.get()
    shown = client.get("/match-alarms").content.decode()
    assert "A key has used up most of what it may ask in a day." in shown
    refused = client.post("/match-alarms/close", {"alarm": alarm.pk, "reason": " "})
    assert refused.status_code == 422
    assert "Say in at most 200 characters why it is closed" in html.unescape(refused.content.decode())
    for wrong in ("", "x", "9" * 16, str(alarm.pk + 1)):
        assert client.post("/match-alarms/close", {"alarm": wrong, "reason": "spoke"}).status_code == 422
    assert client.post("/match-alarms/end-key", {"key": "nobody"}).status_code == 422
    assert client.post("/match-alarms/end-key", {"key": "uploads"}).status_code == 302
    assert ApiKey.objects.get().ended_at is not None
    assert client.post("/match-alarms/end-key", {"key": "uploads"}).status_code == 422
    assert b"the key has ended" in client.get("/match-alarms").content
    assert client.post("/match-alarms/close", {"alarm": alarm.pk, "reason": "spoke with them"}).status_code == 302
    shown = client.get("/match-alarms").content.decode()
    assert "No alarm is open" in shown
    assert "spoke with them" in shown


@pytest.mark.parametrize(("language", "said"), [("ar", "إنذارات المطابقة"), ("es", "Alarmas de consultas")])
def test_the_page_of_alarms_is_in_the_language_of_its_reader(at: dt.datetime, language: str, said: str) -> None:
    client = factories.client_of(liaison(at))
    assert said in client.get("/match-alarms", headers={"Accept-Language": language}).content.decode()


def test_who_looks_at_alarms_and_may_not_close_them_is_shown_no_button(at: dt.datetime) -> None:
    note_quota_near(key("uploads", at=at)[0], at=at)
    auditor = factories.make_person("auditor", Role.AUDITOR, at=at, certified=False)
    shown = factories.client_of(auditor).get("/match-alarms").content.decode()
    assert "uploads" in shown
    assert "Close this alarm" not in shown
    assert "End the key" not in shown


def test_webhooks_and_their_events_stand_on_a_page_without_their_secrets(at: dt.datetime) -> None:
    client = factories.client_of(liaison(at))
    assert b"No webhook" in client.get("/webhooks").content
    endpoint, secret = make_webhook("own", ADDRESS, made_by=liaison(at), at=at)
    try_webhook(endpoint, by=liaison(at), at=at)
    shown = client.get("/webhooks").content.decode()
    assert ADDRESS in shown
    assert "waits" in shown
    assert secret not in shown
    event = WebhookEvent.objects.get()
    WebhookEvent.objects.update(next_try_at=None, dead_at=at)
    assert "Send once more" in client.get("/webhooks").content.decode()
    assert client.post("/webhooks/replay", {"event": event.audit_id.hex}).status_code == 302
    event.refresh_from_db()
    assert event.dead_at is None
    assert client.post("/webhooks/replay", {"event": "nothing"}).status_code == 422
    assert client.post("/webhooks/on", {"webhook": "own"}).status_code == 422
    assert client.post("/webhooks/try", {"webhook": "own"}).status_code == 302
    assert client.post("/webhooks/end", {"webhook": "own"}).status_code == 302
    assert WebhookEndpoint.objects.get().ended_at is not None
    assert client.post("/webhooks/try", {"webhook": "nobody"}).status_code == 422
