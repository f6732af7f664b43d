"""In which language a person reads the desk: a choice of their browser, kept in a cookie and recorded nowhere."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from ..gates import Act, gate
from .session import safe_next

_KEPT_FOR = dt.timedelta(days=365)


@gate(Act.SIGN_IN)
def choose_language(request: HttpRequest) -> HttpResponse:
    """Keep the choice and go back; a link (GET) or a language that is not offered changes nothing."""
    response = redirect(safe_next(request))
    chosen = request.POST.get("language", "")
    if chosen in dict(settings.LANGUAGES):
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            chosen,
            max_age=_KEPT_FOR,
            secure=settings.LANGUAGE_COOKIE_SECURE,
            httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
            samesite="Strict",
        )
    return response
