"""This house as a publisher: recipients, editions, ends, and which roots its signers compare. Nothing is done here."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from havenline.vocabulary import HavenlineError

from ..gates import Act, gate
from ..queries.repository import repository_page


@gate(Act.SEE_RELEASES)
def repository(request: HttpRequest) -> HttpResponse:
    try:
        shown = {"page": repository_page(at=timezone.now()), "fault": ""}
    except (HavenlineError, OSError) as fault:
        shown = {"page": None, "fault": str(fault) or type(fault).__name__}
    return render(request, "havenline/repository.html", shown)
