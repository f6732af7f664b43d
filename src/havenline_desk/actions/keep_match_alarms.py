"""Raise an alarm of the match service, and close one: what a key asked for, or a webhook that does not arrive."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..models import (
    ApiKey,
    AuditAct,
    HouseList,
    MatchAlarm,
    MatchAlarmKind,
    Partner,
    Person,
    WebhookEndpoint,
    WebhookKind,
)
from .announce import tell_house, tell_owner

LONGEST_REASON = 200


class AlarmRefused(HavenlineError):
    """No alarm was closed; the text says why."""


def raise_match_alarm(
    kind: MatchAlarmKind,
    *,
    key: ApiKey | None = None,
    endpoint: WebhookEndpoint | None = None,
    recipient: Partner | None = None,
    house_list: HouseList | None = None,
    at: dt.datetime,
) -> bool:
    """Part of the act that found it, in its transaction. False where the same alarm is open already."""
    alarm, fresh = MatchAlarm.objects.get_or_create(
        kind=kind,
        key=key,
        endpoint=endpoint,
        recipient=recipient,
        list=house_list,
        closed_at=None,
        defaults={"raised_at": at},
    )
    if fresh:
        about = {"key": key.name} if key is not None else {"webhook": "" if endpoint is None else endpoint.name}
        tell_house(WebhookKind.ALARM_RAISED, {"alarm": kind.value, **about}, but=endpoint, at=at)
        audit.append(AuditAct.MATCH_ALARM_RAISED, at=at, actor=None, about=alarm, purpose=kind.value, record=alarm)
    return fresh


@transaction.atomic
def note_quota_near(key: ApiKey, *, at: dt.datetime) -> None:
    """Tell the owner of the key, and the liaison where no such alarm is open; once a day, as the ledger sees to."""
    tell_owner(key, WebhookKind.QUOTA_NEAR, {"key": key.name}, at=at)
    raise_match_alarm(MatchAlarmKind.QUOTA, key=key, at=at)


@transaction.atomic
def close_match_alarm(alarm: MatchAlarm, *, reason: str, by: Person, at: dt.datetime) -> None:
    """What it was about may raise another. Raises Denied, AlarmRefused without a reason or where it is closed."""
    gates.require(by, gates.Act.CLOSE_MATCH_ALARM, at=at)
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise AlarmRefused("say in at most 200 characters why it is closed; nothing was closed")
    closed = MatchAlarm.objects.filter(pk=alarm.pk, closed_at=None)
    if not closed.update(closed_at=at, closed_by=by, reason=reason):
        raise AlarmRefused("this alarm is closed already")
    audit.append(AuditAct.MATCH_ALARM_CLOSED, at=at, actor=by, about=alarm, purpose=alarm.kind)
