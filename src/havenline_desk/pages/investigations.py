"""Investigations for leads, seniors and auditors: counts and reasons."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ..gates import Act, allowed, gate
from ..queries.investigations import investigation_lines, investigation_record
from .layout import person_of


@gate(Act.SEE_INVESTIGATIONS)
def investigations(request: HttpRequest) -> HttpResponse:
    return render(request, "havenline/investigations.html", {"lines": investigation_lines()})


@gate(Act.SEE_INVESTIGATIONS)
def investigation(request: HttpRequest, reference: str) -> HttpResponse:
    at = timezone.now()
    record = investigation_record(reference, at=at)
    if record is None:
        raise Http404
    person = person_of(request)
    shown = {
        "record": record,
        "line": record.line,
        "sees_agreement": allowed(person, Act.SEE_AGREEMENT, at=at),
        "imports": allowed(person, Act.SEE_IMPORTS, at=at),
        "sees_records": allowed(person, Act.SEE_RECORDS, at=at),
    }
    return render(request, "havenline/investigation.html", shown)
