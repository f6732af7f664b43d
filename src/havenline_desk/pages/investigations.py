"""Investigations for leads, seniors and auditors: counts and reasons."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ..gates import Act, gate
from ..queries.investigations import investigation_lines, investigation_record


@gate(Act.SEE_INVESTIGATIONS)
def investigations(request: HttpRequest) -> HttpResponse:
    return render(request, "havenline/investigations.html", {"lines": investigation_lines()})


@gate(Act.SEE_INVESTIGATIONS)
def investigation(request: HttpRequest, reference: str) -> HttpResponse:
    record = investigation_record(reference, at=timezone.now())
    if record is None:
        raise Http404
    return render(request, "havenline/investigation.html", {"record": record, "line": record.line})
