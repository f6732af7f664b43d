"""The audit log for its auditor: read on a page, narrowed by act, person and day; that it was opened is logged."""

from __future__ import annotations

import datetime as dt

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from ..actions.see_log import see_log
from ..gates import Act, gate
from ..models import AuditAct, Person
from ..queries.audit_view import HOST, SIGNS_OF_DAYS, VIEWS, Narrowed, checkpoints, log_page, signs
from .layout import person_of
from .numbers import whole_number

FIELDS = ("act", "person", "day")
"""By what the log can be narrowed. Nothing of an item is among it."""


@gate(Act.READ_LOG)
def audit_log(request: HttpRequest) -> HttpResponse:
    """The entry of the log comes first: where it cannot be written, nothing of it is shown."""
    at = timezone.now()
    typed = {name: request.GET.get(name, "").strip() for name in FIELDS}
    narrowed, problems = _read(typed, request.GET.get("before", ""))
    see_log(seen_by=person_of(request), narrowed_by=[name for name in FIELDS if typed[name]], at=at)
    page = {
        "log": log_page(narrowed),
        "checkpoints": checkpoints(),
        "signs": signs(at=at),
        "days": SIGNS_OF_DAYS,
        "acts": sorted(((code, _(label)) for code, label in AuditAct.choices), key=lambda choice: choice[1]),
        "host": HOST,
        "typed": typed,
        "problems": problems,
        "narrowed": any(typed.values()),
        "from_the_end": narrowed.before is None,
    }
    return render(request, "havenline/audit.html", page, status=422 if problems else 200)


def _read(typed: dict[str, str], before: str) -> tuple[Narrowed, dict[str, str]]:
    """What is asked for, and by field what of it cannot be; a field that is wrong narrows nothing."""
    problems = {}
    act = AuditAct(typed["act"]) if typed["act"] in AuditAct.values else None
    if typed["act"] and act is None:
        problems["act"] = _("choose an act from the list")
    person = typed["person"]
    if person and person != HOST and not (person.isprintable() and Person.objects.filter(name=person).exists()):
        problems["person"] = _("nobody of that name is enrolled here")
        person = ""
    if person and person != HOST and act in VIEWS:
        problems["act"] = _("what one person looked at is theirs and the welfare lead's: leave the person out")
        act = None
    day = None
    if typed["day"]:
        try:
            day = dt.date.fromisoformat(typed["day"])
        except ValueError:
            problems["day"] = _("write the day as 2026-03-31")
    return Narrowed(act, person, day, whole_number(before)), problems
