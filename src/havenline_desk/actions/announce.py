"""Put events for webhooks into the outbox, in the transaction of what brought them about.

A partner is told that it may ask again, or what it learns from its own refusals in any case: never an entry, a value, a
list, or which way something changed. This house is told more.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping

from django.db.models import Q

from ..models import ApiKey, Door, HouseList, Partner, Subscription, WebhookEndpoint, WebhookEvent, WebhookKind

_IN_USE = Q(ended_at=None)


def tell_lists_changed(house_list: HouseList, *, at: dt.datetime) -> None:
    """Whoever is looked up in that list through the match service may ask again."""
    open_to = Subscription.objects.filter(list=house_list, door=Door.MATCH, ended_at=None).values("partner")
    for endpoint in WebhookEndpoint.objects.filter(_IN_USE, partner__in=open_to):
        _put_once(endpoint, at=at)
    tell_house(WebhookKind.LISTS_CHANGED, {"list": house_list.name}, at=at)


def tell_partner_lists_changed(partner: Partner, *, at: dt.datetime) -> None:
    """What that partner's keys are looked up in is not what it was."""
    for endpoint in WebhookEndpoint.objects.filter(_IN_USE, partner=partner):
        _put_once(endpoint, at=at)


def tell_owner(key: ApiKey, kind: WebhookKind, what: Mapping[str, str], *, at: dt.datetime) -> None:
    """Every endpoint of whom the key is of; this house is told of partners' keys too."""
    put_out(WebhookEndpoint.objects.filter(_IN_USE, Q(partner=key.partner_id) | Q(partner=None)), kind, what, at=at)


def tell_house(
    kind: WebhookKind, what: Mapping[str, str], *, but: WebhookEndpoint | None = None, at: dt.datetime
) -> None:
    """The endpoints of this house, without the one that it is about."""
    rows = WebhookEndpoint.objects.filter(_IN_USE, partner=None)
    put_out(rows if but is None else rows.exclude(pk=but.pk), kind, what, at=at)


def put_out(
    endpoints: Iterable[WebhookEndpoint], kind: WebhookKind, what: Mapping[str, str], *, at: dt.datetime
) -> None:
    """One event for each, which is sent at once, and again until it was taken or given up."""
    for endpoint in endpoints:
        WebhookEvent.objects.create(
            endpoint=endpoint,
            kind=kind,
            body=json.dumps({"type": kind.value, "timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}", "data": dict(what)}),
            caused_at=at,
            next_try_at=at,
        )


def _put_once(endpoint: WebhookEndpoint, *, at: dt.datetime) -> None:
    """Not a second time while the first waits to be sent. It is locked: one that is just being sent does not count."""
    waits = WebhookEvent.objects.select_for_update().filter(
        endpoint=endpoint, kind=WebhookKind.LISTS_CHANGED, tries=0, next_try_at__isnull=False
    )
    if not list(waits[:1]):
        put_out([endpoint], WebhookKind.LISTS_CHANGED, {}, at=at)
