"""Frameworks and schemes with their questions and rules, and what each says of one investigation's settled items."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ..gates import Act, gate
from ..models import Investigation
from ..queries.law import framework_lines, framework_page, law_columns


@gate(Act.SEE_FRAMEWORKS)
def frameworks(request: HttpRequest) -> HttpResponse:
    return render(request, "havenline/frameworks.html", {"lines": framework_lines()})


@gate(Act.SEE_FRAMEWORKS)
def framework(request: HttpRequest, framework_id: str, version: str) -> HttpResponse:
    page = framework_page(framework_id, version)
    if page is None:
        raise Http404
    return render(request, "havenline/framework.html", {"page": page, "framework": page.framework})


@gate(Act.SEE_FIGURES)
def law_of(request: HttpRequest, reference: str) -> HttpResponse:
    investigation = Investigation.objects.filter(reference=reference).first()
    if investigation is None:
        raise Http404
    columns = law_columns(investigation, at=timezone.now())
    return render(request, "havenline/law.html", {"reference": reference, "columns": columns})
