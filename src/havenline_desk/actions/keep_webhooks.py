"""Make a webhook and end it, change its secret, switch it on again, send an event once more: by a person."""

from __future__ import annotations

import base64
import datetime as dt
import re
import secrets

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, factors, gates
from ..models import AuditAct, Partner, Person, WebhookEndpoint, WebhookEvent, WebhookKind, WebhookSecret
from ..webhook_post import SECRET_BEGINS, Destination, Resolve, check_address, numbers_of
from .announce import put_out

OVERLAP = dt.timedelta(hours=24)
"""For which events are signed with the secret before the newest too."""
PURPOSE = "secrets of webhooks"
MOST = 20
"""Webhooks of one owner."""


class WebhookRefused(HavenlineError):
    """Nothing was made or changed; the text says why."""


def make_webhook(
    name: str,
    address: str,
    *,
    partner: Partner | None = None,
    made_by: Person,
    at: dt.datetime,
    resolve: Resolve = numbers_of,
) -> tuple[WebhookEndpoint, str]:
    """The endpoint, and the secret that its owner checks events with, which is shown this once.

    Raises Denied, AddressRefused, WebhookRefused. Not checked: that anybody answers there.
    """
    gates.require(made_by, gates.Act.KEEP_WEBHOOKS, at=at)
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,63}", name):
        raise WebhookRefused(f"{name!r} is no name of a webhook: lower-case letters, digits and hyphens, 2 to 64")
    check_address(Destination(address, of_house=partner is None), resolve=resolve)
    with transaction.atomic():
        if WebhookEndpoint.objects.filter(name=name).exists():
            raise WebhookRefused(f"there is a webhook {name} already, or was; take another name")
        if partner is not None and partner.suspended_at is not None:
            raise WebhookRefused(f"{partner.slug} is suspended; no webhook was made")
        if WebhookEndpoint.objects.filter(partner=partner, ended_at=None).count() >= MOST:
            raise WebhookRefused(f"there are {MOST} webhooks of this owner; end one first")
        endpoint = WebhookEndpoint.objects.create(
            name=name, partner=partner, address=address, made_by=made_by, made_at=at
        )
        secret = _new_secret(endpoint, at=at)
        audit.append(AuditAct.WEBHOOK_MADE, at=at, actor=made_by, about=endpoint, record=endpoint)
    return endpoint, secret


@transaction.atomic
def change_secret(endpoint: WebhookEndpoint, *, by: Person, at: dt.datetime) -> str:
    """A new secret, shown this once; for 24 hours events are signed with the one before too.

    Raises Denied, WebhookRefused.
    """
    gates.require(by, gates.Act.KEEP_WEBHOOKS, at=at)
    _held(endpoint)
    # Of two changes within the overlap the oldest secret is not given more time.
    WebhookSecret.objects.filter(endpoint=endpoint, until=None).update(until=at + OVERLAP)
    secret = _new_secret(endpoint, at=at)
    audit.append(AuditAct.WEBHOOK_CHANGED, at=at, actor=by, about=endpoint, purpose="secret")
    return secret


@transaction.atomic
def end_webhook(endpoint: WebhookEndpoint, *, by: Person, at: dt.datetime) -> None:
    """For good; what waits is not sent. Raises Denied, WebhookRefused where it has ended already."""
    gates.require(by, gates.Act.KEEP_WEBHOOKS, at=at)
    _held(endpoint)
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(ended_at=at)
    audit.append(AuditAct.WEBHOOK_CHANGED, at=at, actor=by, about=endpoint, purpose="ended")


@transaction.atomic
def switch_on(endpoint: WebhookEndpoint, *, by: Person, at: dt.datetime) -> None:
    """Send to it again, what waits too; what was given up is replayed one by one. Raises Denied, WebhookRefused."""
    gates.require(by, gates.Act.KEEP_WEBHOOKS, at=at)
    _held(endpoint)
    if not WebhookEndpoint.objects.filter(pk=endpoint.pk).exclude(off_at=None).update(off_at=None, failing_since=None):
        raise WebhookRefused("this webhook is on already")
    audit.append(AuditAct.WEBHOOK_CHANGED, at=at, actor=by, about=endpoint, purpose="on")


@transaction.atomic
def replay_event(event: WebhookEvent, *, by: Person, at: dt.datetime) -> None:
    """Send an event once more under the same id, delivered or given up. Raises Denied, WebhookRefused."""
    gates.require(by, gates.Act.KEEP_WEBHOOKS, at=at)
    _held(event.endpoint)
    rows = WebhookEvent.objects.filter(pk=event.pk, next_try_at=None)
    if not rows.update(tries=0, next_try_at=at, dead_at=None, delivered_at=None):
        raise WebhookRefused("this event waits to be sent in any case")
    audit.append(AuditAct.WEBHOOK_REPLAYED, at=at, actor=by, about=event, purpose=event.kind)


@transaction.atomic
def try_webhook(endpoint: WebhookEndpoint, *, by: Person, at: dt.datetime) -> None:
    """Put out an event that says nothing. Raises Denied, WebhookRefused."""
    gates.require(by, gates.Act.KEEP_WEBHOOKS, at=at)
    _held(endpoint)
    put_out([endpoint], WebhookKind.PING, {}, at=at)
    audit.append(AuditAct.WEBHOOK_CHANGED, at=at, actor=by, about=endpoint, purpose="tried")


def _held(endpoint: WebhookEndpoint) -> None:
    """Lock its row. Raises WebhookRefused where it has ended."""
    if WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk).ended_at is not None:
        raise WebhookRefused("this webhook has ended; make another")


def _new_secret(endpoint: WebhookEndpoint, *, at: dt.datetime) -> str:
    secret = SECRET_BEGINS + base64.b64encode(secrets.token_bytes(32)).decode()
    WebhookSecret.objects.create(endpoint=endpoint, sealed=factors.seal(secret, purpose=PURPOSE), made_at=at)
    return secret
