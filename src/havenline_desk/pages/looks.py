"""Samples of decisions: how far they are, the look that is open, and what it found. Who decided is on no page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from ..actions.look_over_sample import LookRefused, begin_look, record_finding
from ..gates import Act, Denied, gate
from ..models import FindingVerdict
from ..pace import PauseDue, pace_of
from ..queries.calibration import calibration_quarters
from ..queries.escalations import contacts
from ..queries.quality import open_look, sample_agreement, sample_lines
from .exposure import left_for
from .layout import Notice, leave_notice, person_of
from .numbers import whole_number
from .told import told
from .words import workspace_words


@gate(Act.LOOK_OVER_SAMPLE)
def quality(request: HttpRequest) -> HttpResponse:
    return _samples(request, "")


@gate(Act.LOOK_OVER_SAMPLE)
def begin(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return redirect("quality")
    try:
        assignment = begin_look(person_of(request), at=timezone.now())
    except Denied:
        return _samples(request, _("Nothing was assigned: a certificate in date comes first, under “Calibration”"))
    except (LookRefused, PauseDue) as refused:
        return _samples(request, told(refused))
    if assignment is None:
        return _samples(request, _("Nothing waits to be looked over"))
    return redirect("look")


@gate(Act.LOOK_OVER_SAMPLE)
def look(request: HttpRequest) -> HttpResponse:
    return _look(request, "")


@gate(Act.LOOK_OVER_SAMPLE)
def record(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return redirect("look")
    assignment_id = whole_number(request.POST.get("assignment", ""))
    verdict = request.POST.get("verdict", "")
    if assignment_id is None or verdict not in FindingVerdict.values:
        return _look(request, _("Say what you find, all in all"))
    try:
        record_finding(
            assignment_id,
            FindingVerdict(verdict),
            person=person_of(request),
            differing=request.POST.getlist("differs"),
            at=timezone.now(),
        )
    except LookRefused as refused:
        return _look(request, str(refused))
    leave_notice(request, Notice.RECORDED)
    return redirect("quality")


def _samples(request: HttpRequest, problem: str) -> HttpResponse:
    shown = {
        "samples": sample_lines(),
        "agreement": sample_agreement(),
        "quarters": calibration_quarters(seen_by=person_of(request), at=timezone.now()),
        "look": open_look(person_of(request), at=timezone.now()),
        "problem": problem,
    }
    return render(request, "havenline/quality.html", shown, status=409 if problem else 200)


def _look(request: HttpRequest, problem: str) -> HttpResponse:
    person, at = person_of(request), timezone.now()
    opened = open_look(person, at=at)
    if opened is None:
        return redirect("quality")
    shown = {
        "look": opened,
        "problem": problem,
        "differing": request.POST.getlist("differs"),
        "verdict": request.POST.get("verdict", ""),
        "verdicts": FindingVerdict.choices,
        "contacts": contacts(),
        "left": left_for(person),
        "pace": pace_of(person, at=at),
        "words": workspace_words(film=False),
    }
    return render(request, "havenline/look.html", shown, status=422 if problem else 200)
