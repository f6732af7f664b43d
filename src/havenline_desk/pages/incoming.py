"""Partners' lists: how each stands, proposing that it match, and the button that ends it at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from havenline.vocabulary import HavenlineError

from ..actions.keep_incoming import let_through, propose_activation, resume_list, suspend_list
from ..actions.propose import propose
from ..gates import Act, gate
from ..incoming import IncomingRefused, place
from ..models import Person
from ..queries.incoming import incoming_lines, newest_decisions
from .layout import Notice, leave_notice, person_of

LONGEST_ENTRY = 255


@gate(Act.SEE_INCOMING)
def incoming(request: HttpRequest) -> HttpResponse:
    return _page(request)


@gate(Act.ACTIVATE_LIST)
def activate(request: HttpRequest) -> HttpResponse:
    return _verb(request, propose_activation, Notice.PROPOSED)


@gate(Act.SUSPEND_PUBLISHER)
def suspend(request: HttpRequest) -> HttpResponse:
    return _verb(request, suspend_list, Notice.LIST_SUSPENDED)


@gate(Act.SUSPEND_PUBLISHER)
def resume(request: HttpRequest) -> HttpResponse:
    return _verb(request, resume_list, Notice.LIST_RESUMED)


@gate(Act.LET_THROUGH)
def pass_entry(request: HttpRequest) -> HttpResponse:
    """Let one entry that the screen keeps out into the list, in this version of it."""

    def verb(name: str, *, by: Person, at: dt.datetime) -> None:
        let_through(name, _entry(request), by=by, at=at)

    return _verb(request, verb, Notice.DONE)


@gate(Act.WITHHOLD_ENTRY)
def withhold(request: HttpRequest) -> HttpResponse:
    """Propose to take one entry out of the list for good."""

    def verb(name: str, *, by: Person, at: dt.datetime) -> None:
        place(name)
        propose(Act.WITHHOLD_ENTRY, {"exchange": name, "entry": _entry(request)}, person=by, at=at)

    return _verb(request, verb, Notice.PROPOSED)


@gate(Act.ACCEPT_LOSS)
def accept_loss(request: HttpRequest) -> HttpResponse:
    """Propose that the next whole fetch may withdraw more than half of the list."""

    def verb(name: str, *, by: Person, at: dt.datetime) -> None:
        place(name)
        propose(Act.ACCEPT_LOSS, {"exchange": name}, person=by, at=at)

    return _verb(request, verb, Notice.PROPOSED)


def _entry(request: HttpRequest) -> str:
    entry = request.POST.get("entry", "").strip()
    if not 0 < len(entry) <= LONGEST_ENTRY:
        raise IncomingRefused("say which entry, by its id; nothing was changed")
    return entry


def _verb(request: HttpRequest, verb: Callable[..., object], notice: Notice) -> HttpResponse:
    if request.method == "POST":
        name = request.POST.get("exchange", "")
        try:
            verb(name, by=person_of(request), at=timezone.now())
        except HavenlineError as refused:
            return _page(request, refused_at=name, refused=str(refused))
        leave_notice(request, notice)
    return redirect("incoming")


def _page(request: HttpRequest, *, refused_at: str = "", refused: str = "") -> HttpResponse:
    shown = {
        "lines": incoming_lines(person_of(request), at=timezone.now()),
        "decisions": newest_decisions(),
        "refused_at": refused_at,
        "refused": refused,
    }
    return render(request, "havenline/incoming.html", shown, status=400 if refused else 200)
