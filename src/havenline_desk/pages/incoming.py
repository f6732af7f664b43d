"""Partners' lists: how each stands, proposing that it match, and the button that ends it at once."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from havenline.vocabulary import HavenlineError

from ..actions.keep_incoming import propose_activation, resume_list, suspend_list
from ..gates import Act, gate
from ..queries.incoming import incoming_lines, newest_decisions
from .layout import Notice, leave_notice, person_of


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
