"""What goes back to partners: switch a source on or off, see what waits, have what was given up sent again."""

from __future__ import annotations

import datetime as dt

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from .. import gates
from ..actions.keep_feedback import FeedbackRefused, retry_feedback, stop_feedback, switch_feedback
from ..gates import Act, gate
from ..models import Person
from ..queries.feedback import letters, opinion_named, source_lines
from .layout import Notice, person_of
from .releases import Verb, done_or_told


@gate(Act.SEE_INCOMING)
def feedback(request: HttpRequest) -> HttpResponse:
    return _page(request)


@gate(Act.SEND_FEEDBACK)
def switch_on(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        against = request.POST.get("against", "").split(",")
        switch_feedback(request.POST.get("exchange", ""), against=against, by=person, at=at)

    return _verb(request, do)


@gate(Act.STOP_FEEDBACK)
def switch_off(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        stop_feedback(request.POST.get("exchange", ""), by=person, at=at)

    return _verb(request, do)


@gate(Act.SEND_FEEDBACK)
def retry(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        opinion = opinion_named(request.POST.get("opinion", ""))
        if opinion is None:
            raise FeedbackRefused("choose one of those shown; nothing was changed")
        retry_feedback(opinion, by=person, at=at)

    return _verb(request, do)


def _verb(request: HttpRequest, verb: Verb) -> HttpResponse:
    return done_or_told(request, verb, Notice.DONE, onward="feedback", page=_page)


def _page(request: HttpRequest, refused: str = "") -> HttpResponse:
    acts = gates.acts_of(person_of(request), at=timezone.now())
    page = {
        "lines": source_lines(at=timezone.now()),
        "letters": letters(),
        "may_send": Act.SEND_FEEDBACK in acts,
        "may_stop": Act.STOP_FEEDBACK in acts,
        "refused": refused,
    }
    return render(request, "havenline/feedback.html", page, status=422 if refused else 200)
