"""Webhooks, and what became of their events: ids, kinds, times and statuses; no secret, and nothing of an answer."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, Q

from ..models import WebhookEndpoint, WebhookEvent, row_named

SHOWN = 50
"""Events of one webhook that are shown, the newest first."""


@dataclass(frozen=True, slots=True)
class AttemptLine:
    """`result` is empty where the process ended at it, or is at it now."""

    begun_at: dt.datetime
    result: str
    status: int | None


@dataclass(frozen=True, slots=True)
class EventLine:
    """`state`: delivered, waits, or dead."""

    id: str
    kind: str
    caused_at: dt.datetime
    state: str
    next_try_at: dt.datetime | None
    attempts: tuple[AttemptLine, ...]


@dataclass(frozen=True, slots=True)
class WebhookLine:
    """One endpoint. `owner`: the partner's short name, empty for this house."""

    endpoint: WebhookEndpoint
    owner: str
    waiting: int
    dead: int
    events: tuple[EventLine, ...]


def webhook_lines(*, events: int = SHOWN) -> tuple[WebhookLine, ...]:
    """Those in use first, by name, each with so many of its newest events."""
    rows = WebhookEndpoint.objects.select_related("partner").annotate(
        waiting=Count("events", filter=Q(events__next_try_at__isnull=False)),
        dead=Count("events", filter=Q(events__dead_at__isnull=False)),
    )
    found = [
        WebhookLine(
            row,
            "" if row.partner is None else row.partner.slug,
            row.waiting,
            row.dead,
            event_lines(row, most=events),
        )
        for row in rows.order_by("name")
    ]
    return tuple(sorted(found, key=lambda line: line.endpoint.ended_at is not None))


def event_lines(endpoint: WebhookEndpoint, *, most: int = SHOWN) -> tuple[EventLine, ...]:
    """The newest first, each with its attempts from the first."""
    rows = WebhookEvent.objects.filter(endpoint=endpoint).prefetch_related("attempts").order_by("-pk")[:most]
    return tuple(
        EventLine(
            row.audit_id.hex,
            row.kind,
            row.caused_at,
            "delivered" if row.delivered_at else "dead" if row.dead_at else "waits",
            row.next_try_at,
            tuple(
                AttemptLine(each.begun_at, each.result, each.status)
                for each in sorted(row.attempts.all(), key=lambda each: each.pk)
            ),
        )
        for row in rows
    )


def webhook_named(name: str) -> WebhookEndpoint | None:
    return WebhookEndpoint.objects.filter(name=name).select_related("partner").first()


def event_named(name: str) -> WebhookEvent | None:
    """By its id, with or without what stands before it in the header."""
    return row_named(WebhookEvent.objects.select_related("endpoint"), name.removeprefix("msg_"))
