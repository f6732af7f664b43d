"""Take the next event that is due, and note how sending it went; what is sent in between stands in no transaction.

Killed at any moment, an event is sent again once its time has run out: under the same id, so that who was told already
can know. So it arrives once or more, or is given up after ten tries over three days.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit
from ..models import AuditAct, MatchAlarmKind, WebhookAttempt, WebhookEndpoint, WebhookEvent, WebhookResult
from .keep_match_alarms import raise_match_alarm

LEASE = dt.timedelta(seconds=60)
"""After which an event whose process said nothing is sent again; longer than one attempt may take."""
PAUSES = tuple(
    dt.timedelta(seconds=seconds)
    for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)  # as Standard Webhooks proposes
)
FAILING_FOR = dt.timedelta(days=5)
"""Without one delivery in so long an endpoint is switched off."""
_GONE = 410
"""The status by which a receiver says that it wants no more of them."""


@transaction.atomic
def take_event(*, at: dt.datetime) -> WebhookAttempt | None:
    """The attempt that begins now, on the event that has waited longest; one at a time for each endpoint."""
    being_sent = WebhookAttempt.objects.filter(ended_at=None, begun_at__gt=at - LEASE).values("event__endpoint")
    event = (
        WebhookEvent.objects.select_for_update(skip_locked=True, of=("self", "endpoint"))
        .filter(next_try_at__lte=at, endpoint__off_at=None, endpoint__ended_at=None)
        .filter(endpoint__partner__suspended_at=None)
        .exclude(endpoint__in=being_sent)
        .select_related("endpoint")
        .order_by("next_try_at", "pk")
        .first()
    )
    if event is None:
        return None
    WebhookEvent.objects.filter(pk=event.pk).update(tries=event.tries + 1, next_try_at=at + LEASE)
    return WebhookAttempt.objects.create(event=event, begun_at=at)


@transaction.atomic
def note_attempt(attempt: WebhookAttempt, result: WebhookResult, status: int | None, *, at: dt.datetime) -> None:
    """Where it failed: when it is tried again, or that it is given up, with an alarm."""
    event = WebhookEvent.objects.select_for_update().get(pk=attempt.event_id)
    endpoint = WebhookEndpoint.objects.select_for_update().get(pk=event.endpoint_id)
    WebhookAttempt.objects.filter(pk=attempt.pk).update(ended_at=at, result=result, status=status)
    this, there = WebhookEvent.objects.filter(pk=event.pk), WebhookEndpoint.objects.filter(pk=endpoint.pk)
    if result is WebhookResult.DELIVERED:
        this.update(delivered_at=at, next_try_at=None, dead_at=None)
        there.update(failing_since=None)
        return
    if event.delivered_at is not None:  # another process was quicker, after this one's time had run out
        return
    given_up = event.tries > len(PAUSES)
    if given_up:
        this.update(next_try_at=None, dead_at=at)
    else:
        this.update(next_try_at=at + PAUSES[max(0, event.tries - 1)])
    since = endpoint.failing_since or at
    there.update(failing_since=since)
    switched_off = endpoint.off_at is None and (since <= at - FAILING_FOR or status == _GONE)
    if switched_off:
        there.update(off_at=at)
        audit.append(AuditAct.WEBHOOK_CHANGED, at=at, actor=None, about=endpoint, purpose="off")
    if given_up or switched_off:
        raise_match_alarm(MatchAlarmKind.WEBHOOK, endpoint=endpoint, at=at)
