"""Send what waits in the outbox of webhooks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.db.models import Q

from .. import factors
from ..actions.deliver_webhooks import note_attempt, take_event
from ..actions.keep_webhooks import PURPOSE
from ..models import WebhookResult, WebhookSecret
from ..webhook_post import SECONDS, Destination, Resolve, numbers_of, post


def send_next(
    *, now: Callable[[], dt.datetime], resolve: Resolve = numbers_of, seconds: float = SECONDS
) -> WebhookResult | None:
    """Send the event that has waited longest, once; how it went, None where none is due."""
    at = now()
    attempt = take_event(at=at)
    if attempt is None:
        return None
    event, endpoint = attempt.event, attempt.event.endpoint
    rows = WebhookSecret.objects.filter(Q(until=None) | Q(until__gt=at), endpoint=endpoint).order_by("-pk")
    status: int | None = None
    try:
        secrets = [factors.unseal(row.sealed, purpose=PURPOSE) for row in rows]
    except factors.FactorRefused:
        result = WebhookResult.SEALED
    else:
        result, status = post(
            Destination(endpoint.address, of_house=endpoint.partner_id is None),
            event.body.encode(),
            message=f"msg_{event.audit_id.hex}",
            second=int(at.timestamp()),
            secrets=secrets,
            resolve=resolve,
            seconds=seconds,
        )
    note_attempt(attempt, result, status, at=now())
    return result
