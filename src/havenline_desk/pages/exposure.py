"""What people are exposed to: one's own page, the welfare lead's of persons, and the leads' of whole weeks."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from havenline_guard.keyd_client import KeydUnreachable

from ..actions.see_exposure import see_exposure
from ..actions.set_budget import BudgetRefused, lower_budget, lower_own_budget
from ..gates import Act, gate
from ..models import Person
from ..queries.exposure import (
    DAYS,
    FEWEST_PEOPLE,
    BudgetLeft,
    budget_left,
    exposure_of_people,
    own_exposure,
    team_exposure,
)
from ..queries.shift import talk_to
from .layout import Notice, leave_notice, person_of
from .numbers import whole_number

_LIMITS = ("per_hour", "per_day", "per_week", "minutes")


@gate(Act.SEE_OWN_EXPOSURE)
def own(request: HttpRequest) -> HttpResponse:
    return _own(request)


@gate(Act.LOWER_OWN_BUDGET)
def lower(request: HttpRequest) -> HttpResponse:
    """Set a stricter limit for oneself, alone; what the form leaves empty stays as it is."""
    if request.method != "POST":
        return redirect("exposure")
    try:
        lower_own_budget(person_of(request), _limits(request), at=timezone.now())
    except BudgetRefused as refused:
        return _own(request, str(refused))
    leave_notice(request, Notice.LIMIT_LOWERED)
    return redirect("exposure")


@gate(Act.SEE_EXPOSURE)
def people(request: HttpRequest) -> HttpResponse:
    """The entry of the log comes first: where it cannot be written, nobody's figures are shown."""
    return _people(request, {}, {})


@gate(Act.SEE_EXPOSURE)
def lower_of(request: HttpRequest) -> HttpResponse:
    """Lower somebody's budget, alone and at once; the page that a refusal stands on is the welfare lead's."""
    if request.method != "POST":
        return redirect("exposure_people")
    typed = {name: request.POST.get(name, "").strip() for name in ("person", *_LIMITS)}
    problems = {}
    whose = Person.objects.filter(name=typed["person"]).first() if typed["person"].isprintable() else None
    if whose is None:
        problems["person"] = _("choose whose limit it is")
    for name in _LIMITS:
        if typed[name] and not whole_number(typed[name]):
            problems[name] = _("a whole number of at least 1")
    if whose is None or problems:
        return _people(request, typed, problems)
    limits = {name: number for name in _LIMITS if (number := whole_number(typed[name]))}
    try:
        lower_budget(whose, limits, set_by=person_of(request), at=timezone.now())
    except BudgetRefused as refused:
        return _people(request, typed, {"per_hour": str(refused)})
    leave_notice(request, Notice.BUDGET_LOWERED)
    return redirect("exposure_people")


@gate(Act.SEE_TEAM_EXPOSURE)
def team(request: HttpRequest) -> HttpResponse:
    page = {"weeks": team_exposure(seen_by=person_of(request), at=timezone.now()), "fewest": FEWEST_PEOPLE}
    return render(request, "havenline/exposure_team.html", page)


def left_for(person: Person) -> BudgetLeft | None:
    """What the workspace warns of, to its own person alone; None where `keyd` is not there, which it says elsewhere."""
    try:
        return budget_left(person, at=timezone.now())
    except KeydUnreachable:
        return None


def _people(request: HttpRequest, typed: Mapping[str, str], problems: Mapping[str, str]) -> HttpResponse:
    at = timezone.now()
    see_exposure(seen_by=person_of(request), at=at)
    page = {"people": exposure_of_people(at=at), "days": DAYS, "typed": typed, "problems": problems}
    return render(request, "havenline/exposure_people.html", page, status=422 if problems else 200)


def _limits(request: HttpRequest) -> dict[str, int]:
    """What was typed. Nothing at all is not offered: by a slip it would take two others to undo."""
    limits = {}
    for name in _LIMITS:
        text = request.POST.get(name, "").strip()
        number = whole_number(text)
        if text and not number:
            raise BudgetRefused(_("a limit is a whole number of at least 1; nothing was changed"))
        if number:
            limits[name] = number
    return limits


def _own(request: HttpRequest, refused: str = "") -> HttpResponse:
    own = own_exposure(person_of(request), at=timezone.now())
    page = {"own": own, "refused": refused, "days": DAYS, "talk_to": talk_to()}
    return render(request, "havenline/exposure.html", page, status=422 if refused else 200)
