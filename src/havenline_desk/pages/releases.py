"""Lists of this house: editions, releases that wait, withdrawing. Counts and codes; no picture, no hash."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from havenline.formats.edition import ListKind
from havenline.vocabulary import HavenlineError

from .. import gates
from ..actions.ask_for_pair import ask_for_pairs
from ..actions.publish_edition import publish_edition
from ..actions.record_deconfliction import declare_term, record_deconfliction
from ..actions.release_entries import MOST_AT_ONCE, ReleaseRefused, open_house_list, propose_release
from ..actions.withdraw_entries import withdraw_entry
from ..audit import AuditDamaged, AuditUnavailable
from ..gates import Act, gate
from ..models import DeconflictionAnswer, HouseList, Investigation, Outcome, Person, WithdrawalReason
from ..queries.release_lines import (
    batch_named,
    batched_lines,
    deconflicted,
    entry_lines,
    entry_named,
    list_lines,
    open_batches,
    ready_outcomes,
    term_in_force,
)
from ..queries.releases import list_named
from .layout import Notice, leave_notice, person_of

Verb = Callable[[Person, dt.datetime], None]


@gate(Act.SEE_RELEASES)
def releases(request: HttpRequest) -> HttpResponse:
    return _page(request)


@gate(Act.SEE_RELEASES)
def batch(request: HttpRequest, batch: str) -> HttpResponse:
    """What a batch would release, as answers and codes: what whoever agrees looks at."""
    found = batch_named(batch)
    if found is None:
        raise Http404
    page = {"batch": found, "lines": batched_lines(found, at=timezone.now())}
    return render(request, "havenline/release_batch.html", page)


@gate(Act.OPEN_HOUSE_LIST)
def open_list(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        kind = _one_of(request.POST.get("kind", ""), [each.value for each in ListKind])
        open_house_list(request.POST.get("name", ""), ListKind(kind), by=person, at=at)

    return _verb(request, do, Notice.DONE)


@gate(Act.RELEASE_HASH)
def propose(request: HttpRequest) -> HttpResponse:
    """Propose the oldest that are ready for a list."""

    def do(person: Person, at: dt.datetime) -> None:
        house_list, most = _list(request), _number(request.POST.get("most", ""))
        ready = ready_outcomes(house_list, most=min(most, MOST_AT_ONCE), at=at)
        propose_release(house_list, list(Outcome.objects.filter(pk__in=ready)), person=person, at=at)

    return _verb(request, do, Notice.PROPOSED)


@gate(Act.ASK_FOR_PAIR)
def confirm(request: HttpRequest) -> HttpResponse:
    """Ask two others for each of the oldest that wait for two in agreement."""

    def do(person: Person, at: dt.datetime) -> None:
        ask_for_pairs(_list(request), most=_number(request.POST.get("most", "")), by=person, at=at)

    return _verb(request, do, Notice.DONE)


@gate(Act.PUBLISH_EDITION)
def publish(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        publish_edition(_list(request), person=person, at=at)

    return _verb(request, do, Notice.PUBLISHED)


@gate(Act.WITHDRAW_HASH)
def withdraw(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        entry = entry_named(request.POST.get("entry", ""))
        reason = _one_of(request.POST.get("reason", ""), WithdrawalReason.values)
        if entry is None:
            raise ReleaseRefused("there is no such entry; nothing was withdrawn")
        withdraw_entry(entry, reason=WithdrawalReason(reason), person=person, at=at)

    return _verb(request, do, Notice.WITHDRAWN)


@gate(Act.RECORD_DECONFLICTION)
def police(request: HttpRequest) -> HttpResponse:
    """Record the police's answer about an investigation; about one outcome the command does."""

    def do(person: Person, at: dt.datetime) -> None:
        found = Investigation.objects.filter(reference=request.POST.get("investigation", "")).first()
        answer = _one_of(request.POST.get("answer", ""), DeconflictionAnswer.values)
        if found is None:
            raise ReleaseRefused("there is no such investigation; nothing was recorded")
        record_deconfliction(
            found, DeconflictionAnswer(answer), reference=request.POST.get("reference", ""), person=person, at=at
        )

    return _verb(request, do, Notice.DONE)


@gate(Act.DECLARE_DECONFLICTION)
def term(request: HttpRequest) -> HttpResponse:
    def do(person: Person, at: dt.datetime) -> None:
        days = request.POST.get("days", "")
        declare_term(int(days[:6]) if days.isascii() and days.isdigit() else 0, by=person, at=at)

    return _verb(request, do, Notice.DONE)


def _verb(request: HttpRequest, verb: Verb, notice: Notice) -> HttpResponse:
    return done_or_told(request, verb, notice, onward="releases", page=_page)


def done_or_told(
    request: HttpRequest,
    verb: Verb,
    notice: Notice,
    *,
    onward: str,
    page: Callable[[HttpRequest, str], HttpResponse],
) -> HttpResponse:
    """Do what was posted and go on, or show the page with what refused it; a link to it does nothing and goes on."""
    if request.method != "POST":
        return redirect(onward)
    try:
        verb(person_of(request), timezone.now())
    except (AuditUnavailable, AuditDamaged):
        raise
    except (HavenlineError, OSError) as refused:
        return page(request, str(refused) or type(refused).__name__)
    leave_notice(request, notice)
    return redirect(onward)


def _page(request: HttpRequest, refused: str = "") -> HttpResponse:
    person, at = person_of(request), timezone.now()
    acts = gates.acts_of(person, at=at)
    page: dict[str, Any] = {
        "lines": list_lines(at=at),
        "entries": entry_lines() if Act.WITHDRAW_HASH in acts else (),
        "batches": open_batches(person, at=at),
        "investigations": deconflicted() if Act.RECORD_DECONFLICTION in acts else (),
        "term": term_in_force(),
        "kinds": [each.value for each in ListKind],
        "reasons": WithdrawalReason.choices,
        "answers": DeconflictionAnswer.choices,
        "refused": refused,
        "may": {
            "open": Act.OPEN_HOUSE_LIST in acts,
            "propose": Act.RELEASE_HASH in acts,
            "confirm": Act.ASK_FOR_PAIR in acts,
            "publish": Act.PUBLISH_EDITION in acts,
            "withdraw": Act.WITHDRAW_HASH in acts,
            "term": Act.DECLARE_DECONFLICTION in acts,
        },
    }
    return render(request, "havenline/releases.html", page, status=422 if refused else 200)


def _list(request: HttpRequest) -> HouseList:
    found = list_named(request.POST.get("list", ""))
    if found is None:
        raise ReleaseRefused("there is no such list; nothing was done")
    return found


def _number(said: str) -> int:
    if not said.isascii() or not said.isdigit():
        raise ReleaseRefused("say how many; nothing was done")
    return int(said[:6])


def _one_of(word: str, words: list[str]) -> str:
    if word not in words:
        raise ReleaseRefused("choose one of those shown; nothing was done")
    return word
