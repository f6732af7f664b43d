"""How the work on an investigation stands now: a page for leads, and its part that is looked at again by itself."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from .. import gates
from ..gates import Act, gate
from ..models import Investigation
from ..queries.dashboard import dashboard_of
from .layout import person_of


@gate(Act.SEE_FIGURES)
def dashboard(request: HttpRequest, reference: str) -> HttpResponse:
    return render(request, "havenline/dashboard.html", _shown(request, reference))


@gate(Act.SEE_FIGURES)
def dashboard_part(request: HttpRequest, reference: str) -> HttpResponse:
    return render(request, "havenline/_dashboard.html", _shown(request, reference))


def _shown(request: HttpRequest, reference: str) -> dict[str, Any]:
    investigation = Investigation.objects.filter(reference=reference).first()
    if investigation is None:
        raise Http404
    at = timezone.now()
    person = person_of(request)
    exposure = gates.allowed(person, Act.SEE_TEAM_EXPOSURE, at=at)
    charts = dashboard_of(investigation, seen_by=person, exposure=exposure, at=at)
    return {"reference": reference, "charts": charts, "at": at}
