"""The queue for its lead: backlog and age, setting an item aside by hand, who has what open, what two differed on."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from ..actions.assign_by_hand import HandRefused, assign_by_hand, free_assignment
from ..gates import Act, gate
from ..models import HandReason, Person
from ..queries.queue import OLDER_THAN, SHOWN, disputes_page, leases_page, queue_page
from .layout import Notice, leave_notice, person_of
from .numbers import whole_number

_FIELDS = ("item", "person", "reason")


@gate(Act.SEE_QUEUE)
def queue(request: HttpRequest) -> HttpResponse:
    return _queue(request, {}, {})


@gate(Act.ASSIGN_BY_HAND)
def assign(request: HttpRequest) -> HttpResponse:
    """Set one item aside for one person; a refusal stands beside its field and keeps what was chosen."""
    if request.method != "POST":
        return redirect("queue")
    typed = {name: request.POST.get(name, "").strip() for name in _FIELDS}
    number = whole_number(typed["item"])
    person = Person.objects.filter(name=typed["person"]).first() if typed["person"].isprintable() else None
    problems = {}
    if number is None:
        problems["item"] = _("choose the item")
    if person is None:
        problems["person"] = _("choose for whom it is")
    if typed["reason"] not in HandReason.values:
        problems["reason"] = _("choose why")
    if number is None or person is None or problems:
        return _queue(request, typed, problems)
    try:
        reason = HandReason(typed["reason"])
        assign_by_hand(number, person, reason=reason, said_by=person_of(request), at=timezone.now())
    except HandRefused as refused:
        return _queue(request, typed, refused.problems)
    leave_notice(request, Notice.SET_ASIDE)
    return redirect("queue")


@gate(Act.SEE_QUEUE)
def leases(request: HttpRequest) -> HttpResponse:
    return _leases(request)


@gate(Act.FREE_ASSIGNMENT)
def free(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return redirect("leases")
    try:
        number = whole_number(request.POST.get("item", ""))
        free_assignment(number or 0, said_by=person_of(request), at=timezone.now())
    except HandRefused as refused:
        return _leases(request, str(refused))
    leave_notice(request, Notice.FREED)
    return redirect("leases")


@gate(Act.SEE_QUEUE)
def disagreements(request: HttpRequest) -> HttpResponse:
    page = disputes_page(person_of(request), at=timezone.now())
    return render(request, "havenline/disagreements.html", {"page": page, "here": "disagreements"})


def _queue(request: HttpRequest, typed: Mapping[str, str], problems: Mapping[str, str]) -> HttpResponse:
    page = {
        "page": queue_page(person_of(request), at=timezone.now()),
        "reasons": HandReason.choices,
        "typed": typed,
        "problems": problems,
        "days": OLDER_THAN,
        "shown": SHOWN,
        "here": "queue",
    }
    return render(request, "havenline/queue.html", page, status=422 if problems else 200)


def _leases(request: HttpRequest, refused: str = "") -> HttpResponse:
    page = {"page": leases_page(person_of(request), at=timezone.now()), "refused": refused, "here": "leases"}
    return render(request, "havenline/leases.html", page, status=422 if refused else 200)
