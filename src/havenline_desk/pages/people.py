"""Who works here, for the administrator, the lead and the auditor: roles proposed, taken away; an account closed."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from ..actions.enrol_person import EnrolmentRefused, close_person
from ..actions.propose import propose
from ..actions.take_role_away import RoleKept, take_role_away
from ..agreement import ProposalRefused
from ..gates import Act, acts_of, gate
from ..models import Person, Role
from ..queries.people import people_lines, person_page
from .layout import Notice, leave_notice, person_of


@gate(Act.SEE_PEOPLE)
def people(request: HttpRequest) -> HttpResponse:
    return render(request, "havenline/people.html", {"lines": people_lines(at=timezone.now())})


@gate(Act.SEE_PEOPLE)
def person(request: HttpRequest, name: str) -> HttpResponse:
    return _person(request, name, {}, {})


@gate(Act.GRANT_ROLE)
def propose_role(request: HttpRequest, name: str) -> HttpResponse:
    """Propose to give a role; another person agrees to it on the page of proposals."""
    if request.method != "POST":
        return redirect("person", name)
    typed = {"role": request.POST.get("role", "")}
    if typed["role"] not in Role.values:
        return _person(request, name, typed, {"role": _("choose the role")})
    what = {"person": _named(name).audit_id.hex, "role": typed["role"]}
    try:
        propose(Act.GRANT_ROLE, what, person=person_of(request), at=timezone.now())
    except ProposalRefused as refused:
        return _person(request, name, typed, {"role": str(refused)})
    leave_notice(request, Notice.PROPOSED)
    return redirect("person", name)


@gate(Act.REVOKE_ROLE)
def take_role(request: HttpRequest, name: str) -> HttpResponse:
    if request.method != "POST":
        return redirect("person", name)
    role = request.POST.get("held", "")
    if role not in Role.values:
        return _person(request, name, {}, {"held": _("that is no role; nothing was changed")})
    try:
        take_role_away(_named(name), Role(role), said_by=person_of(request), at=timezone.now())
    except RoleKept as refused:
        return _person(request, name, {}, {"held": str(refused)})
    leave_notice(request, Notice.ROLE_TAKEN)
    return redirect("person", name)


@gate(Act.CLOSE_PERSON)
def close(request: HttpRequest, name: str) -> HttpResponse:
    """Close an account for good; the name is typed once more, since nothing opens it again."""
    if request.method != "POST":
        return redirect("person", name)
    typed = {"again": request.POST.get("again", "")}
    if typed["again"].strip() != name:
        return _person(request, name, typed, {"again": _("type the sign-in name as it stands above")})
    try:
        close_person(_named(name), closed_by=person_of(request), at=timezone.now())
    except (EnrolmentRefused, RoleKept) as refused:
        return _person(request, name, typed, {"again": str(refused)})
    leave_notice(request, Notice.CLOSED)
    return redirect("person", name)


def _named(name: str) -> Person:
    found = Person.objects.filter(name=name).first()
    if found is None:
        raise Http404
    return found


def _person(request: HttpRequest, name: str, typed: Mapping[str, str], problems: Mapping[str, str]) -> HttpResponse:
    at, viewer = timezone.now(), person_of(request)
    found = person_page(name, at=at)
    if found is None:
        raise Http404
    acts = acts_of(viewer, at=at)
    page = {
        "page": found,
        "typed": typed,
        "problems": problems,
        "may_propose": Act.GRANT_ROLE in acts,
        "oneself": viewer.name == name,
        "may_take": Act.REVOKE_ROLE in acts,
        "may_close": Act.CLOSE_PERSON in acts,
    }
    return render(request, "havenline/person.html", page, status=422 if problems else 200)
