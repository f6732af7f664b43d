"""The first page, and the probe that says whether the desk can answer."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ..gates import Act, gate
from ..queries.home import home_of
from .layout import person_of
from .session import session_began


@gate(Act.SEE_HOME)
def home(request: HttpRequest) -> HttpResponse:
    found = home_of(person_of(request), since=session_began(request), at=timezone.now())
    return render(request, "havenline/home.html", {"home": found})


@gate(Act.SIGN_IN)
def ready(request: HttpRequest) -> HttpResponse:
    """200 exactly when the database answers; says nothing else."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("the database does not answer\n", status=503, content_type="text/plain")
    return HttpResponse("ready\n", content_type="text/plain")
