"""Alarms of the match service: look, close one with a reason, end the key that it is about."""

from __future__ import annotations

import datetime as dt

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from .. import gates
from ..actions.keep_api_keys import ApiKeyRefused, end_api_key
from ..actions.keep_match_alarms import LONGEST_REASON, AlarmRefused, close_match_alarm
from ..gates import Act, gate
from ..models import Person
from ..queries.api_keys import key_named
from ..queries.match_alarms import alarm_named, closed_alarms, open_alarms
from .layout import Notice, person_of
from .releases import Verb, done_or_told


@gate(Act.SEE_MATCH_ALARMS)
def match_alarms(request: HttpRequest) -> HttpResponse:
    return _page(request)


@gate(Act.CLOSE_MATCH_ALARM)
def close(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        alarm = alarm_named(request.POST.get("alarm", ""))
        if alarm is None:
            raise AlarmRefused("choose one of those shown; nothing was done")
        close_match_alarm(alarm, reason=request.POST.get("reason", ""), by=person, at=at)

    return _verb(request, do)


@gate(Act.END_API_KEY)
def end_key(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        key = key_named(request.POST.get("key", ""))
        if key is None:
            raise ApiKeyRefused("choose one of those shown; nothing was done")
        if key.ended_at is not None:
            raise ApiKeyRefused("this key has ended already; nothing was done")
        end_api_key(key, ended_by=person, at=at)

    return _verb(request, do)


def _verb(request: HttpRequest, verb: Verb) -> HttpResponse:
    return done_or_told(request, verb, Notice.DONE, onward="match_alarms", page=_page)


def _page(request: HttpRequest, refused: str = "") -> HttpResponse:
    acts = gates.acts_of(person_of(request), at=timezone.now())
    page = {
        "open": open_alarms(),
        "closed": closed_alarms(),
        "refused": refused,
        "longest": LONGEST_REASON,
        "may_close": Act.CLOSE_MATCH_ALARM in acts,
        "may_end": Act.END_API_KEY in acts,
    }
    return render(request, "havenline/match_alarms.html", page, status=422 if refused else 200)
