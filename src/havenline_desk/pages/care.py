"""For the welfare lead: when pauses are proposed and due, and whom everybody can talk to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ..actions.declare_care import CareRefused, declare_pace, declare_talk_to
from ..gates import Act, gate
from ..queries.shift import care_of_house
from .layout import Notice, leave_notice, person_of
from .numbers import whole_number

_PACE: dict[str, Promise] = {
    "views": _("Proposed after views"),
    "minutes": _("Proposed after minutes"),
    "most_views": _("Due after views"),
    "most_minutes": _("Due after minutes"),
    "pause_minutes": _("Minutes of a pause"),
}
_CONTACT: dict[str, Promise] = {
    "who": _("Who"),
    "telephone": _("Telephone"),
    "note": _("When, or a word more (optional)"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a form: what was typed, or what holds; `problem` stands beside it."""

    name: str
    label: Promise
    value: str
    problem: str


@gate(Act.CARE_FOR_HOUSE)
def care(request: HttpRequest) -> HttpResponse:
    return _page(request, {}, {})


@gate(Act.CARE_FOR_HOUSE)
def pace(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return redirect("care")
    typed = {name: request.POST.get(name, "").strip() for name in _PACE}
    numbers = {name: whole_number(text) or 0 for name, text in typed.items()}
    try:
        declare_pace(
            views=numbers["views"],
            minutes=numbers["minutes"],
            most_views=numbers["most_views"],
            most_minutes=numbers["most_minutes"],
            pause_minutes=numbers["pause_minutes"],
            by=person_of(request),
            at=timezone.now(),
        )
    except CareRefused as refused:
        return _page(request, typed, refused.problems)
    leave_notice(request, Notice.CARE_DECLARED)
    return redirect("care")


@gate(Act.CARE_FOR_HOUSE)
def contact(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return redirect("care")
    typed = {name: request.POST.get(name, "").strip() for name in _CONTACT}
    try:
        declare_talk_to(
            typed["who"], telephone=typed["telephone"], note=typed["note"], by=person_of(request), at=timezone.now()
        )
    except CareRefused as refused:
        return _page(request, typed, refused.problems)
    leave_notice(request, Notice.CARE_DECLARED)
    return redirect("care")


def _page(request: HttpRequest, typed: Mapping[str, str], problems: Mapping[str, str]) -> HttpResponse:
    rule, talk_to = care_of_house()

    def fields(labels: Mapping[str, Promise], holds: object) -> list[Field]:
        return [
            Field(name, label, typed.get(name, str(getattr(holds, name, ""))), problems.get(name, ""))
            for name, label in labels.items()
        ]

    page = {"rule": rule, "pace_fields": fields(_PACE, rule), "contact_fields": fields(_CONTACT, talk_to)}
    return render(request, "havenline/care.html", page, status=422 if problems else 200)
