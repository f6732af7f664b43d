"""Webhooks: what was sent, what waits, what was given up; send once more, switch on, try, end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from .. import gates
from ..actions.keep_webhooks import WebhookRefused, end_webhook, replay_event, switch_on, try_webhook
from ..gates import Act, gate
from ..models import Person
from ..queries.webhooks import event_named, webhook_lines, webhook_named
from .layout import Notice, person_of
from .releases import Verb, done_or_told

_SHOWN = 10
_NONE = "choose one of those shown; nothing was done"


@gate(Act.SEE_WEBHOOKS)
def webhooks(request: HttpRequest) -> HttpResponse:
    return _page(request)


@gate(Act.KEEP_WEBHOOKS)
def replay(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        event = event_named(request.POST.get("event", ""))
        if event is None:
            raise WebhookRefused(_NONE)
        replay_event(event, by=person, at=at)

    return _verb(request, do)


@gate(Act.KEEP_WEBHOOKS)
def on(request: HttpRequest) -> HttpResponse:
    return _verb(request, _of_endpoint(request, switch_on))


@gate(Act.KEEP_WEBHOOKS)
def try_it(request: HttpRequest) -> HttpResponse:
    return _verb(request, _of_endpoint(request, try_webhook))


@gate(Act.KEEP_WEBHOOKS)
def end(request: HttpRequest) -> HttpResponse:
    return _verb(request, _of_endpoint(request, end_webhook))


def _of_endpoint(request: HttpRequest, verb: Callable[..., object]) -> Verb:
    def do(person: Person, at: dt.datetime) -> None:
        endpoint = webhook_named(request.POST.get("webhook", ""))
        if endpoint is None:
            raise WebhookRefused(_NONE)
        verb(endpoint, by=person, at=at)

    return do


def _verb(request: HttpRequest, verb: Verb) -> HttpResponse:
    return done_or_told(request, verb, Notice.DONE, onward="webhooks", page=_page)


def _page(request: HttpRequest, refused: str = "") -> HttpResponse:
    acts = gates.acts_of(person_of(request), at=timezone.now())
    page = {"lines": webhook_lines(events=_SHOWN), "refused": refused, "may_keep": Act.KEEP_WEBHOOKS in acts}
    return render(request, "havenline/webhooks.html", page, status=422 if refused else 200)
