"""Disputed entries of this house: what partners say, and the buttons of who ends a review. No picture, no hash."""

from __future__ import annotations

import datetime as dt

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from .. import gates
from ..actions.review_entries import ReviewRefused, dispute_entry, record_entry_finding
from ..gates import Act, gate
from ..models import EntryVerdict, Partner, Person, VoteReason
from ..queries.disputes import ended_disputes, open_disputes, review_named
from ..queries.release_lines import entry_named
from ..queries.releases import partner_named
from .layout import Notice, person_of
from .releases import Verb, done_or_told


@gate(Act.SEE_RELEASES)
def disputes(request: HttpRequest) -> HttpResponse:
    return _page(request)


@gate(Act.REVIEW_ENTRY)
def end_review(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        review, verdict = review_named(request.POST.get("review", "")), request.POST.get("verdict", "")
        if review is None or verdict not in EntryVerdict.values:
            raise ReviewRefused("choose one of those shown; nothing was recorded")
        record_entry_finding(review, EntryVerdict(verdict), person=person, at=at)

    return _verb(request, do)


@gate(Act.DISPUTE_ENTRY)
def note_dispute(request: HttpRequest) -> HttpResponse:
    """Note what a partner says of an entry by letter or telephone."""

    def do(person: Person, at: dt.datetime) -> None:
        entry = entry_named(request.POST.get("entry", "").strip())
        partner, reason = partner_named(request.POST.get("partner", "")), request.POST.get("reason", "")
        if entry is None:
            raise ReviewRefused("there is no such entry; nothing was recorded")
        if partner is None or reason not in VoteReason.values:
            raise ReviewRefused("choose one of those shown; nothing was recorded")
        dispute_entry(entry, partner=partner, reason=VoteReason(reason), by=person, at=at)

    return _verb(request, do)


def _verb(request: HttpRequest, verb: Verb) -> HttpResponse:
    return done_or_told(request, verb, Notice.DONE, onward="disputes", page=_page)


def _page(request: HttpRequest, refused: str = "") -> HttpResponse:
    person, at = person_of(request), timezone.now()
    page = {
        "lines": open_disputes(person, at=at),
        "ended": ended_disputes(at=at),
        "partners": Partner.objects.order_by("slug"),
        "reasons": VoteReason.choices,
        "may_note": gates.allowed(person, Act.DISPUTE_ENTRY, at=at),
        "may_find": gates.allowed(person, Act.REVIEW_ENTRY, at=at),
        "refused": refused,
    }
    return render(request, "havenline/disputes.html", page, status=422 if refused else 200)
