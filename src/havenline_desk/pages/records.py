"""Settled records for leads and seniors: facts, and what the file says of its origin. No picture, no search."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from ..gates import Act, gate
from ..queries.origin import NEWEST, origin_trends, record_lines, record_page


@gate(Act.SEE_RECORDS)
def records(request: HttpRequest, reference: str) -> HttpResponse:
    lines = record_lines(reference)
    if lines is None:
        raise Http404
    return render(request, "havenline/records.html", {"reference": reference, "lines": lines, "newest": NEWEST})


@gate(Act.SEE_RECORDS)
def record_of(request: HttpRequest, record: str) -> HttpResponse:
    page = record_page(record)
    if page is None:
        raise Http404
    return render(request, "havenline/record.html", {"page": page})


@gate(Act.SEE_RECORDS)
def origin(request: HttpRequest, reference: str) -> HttpResponse:
    trends = origin_trends(reference)
    if trends is None:
        raise Http404
    return render(request, "havenline/origin.html", {"trends": trends})
