"""Signing in and out."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters

from ..gates import Act, gate
from ..models import Person

_SIGNED_IN_AT = "signed_in_at"


@gate(Act.SIGN_IN)
@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    """A wrong name and a wrong password get the same answer after the same work."""
    onward = _safe_next(request)
    if isinstance(request.user, Person):
        return redirect(onward)
    name = request.POST.get("name", "").strip()
    refused = False
    if request.method == "POST":
        person = auth.authenticate(request, username=name, password=request.POST.get("password", ""))
        if person is not None:
            auth.login(request, person)
            request.session[_SIGNED_IN_AT] = timezone.now().isoformat()
            return redirect(onward)
        refused = True
    page = {"name": name, "refused": refused, "onward": onward}
    return render(request, "havenline/sign_in.html", page, status=422 if refused else 200)


@gate(Act.SIGN_IN)
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session and have the browser forget this site; a link (GET) cannot sign anybody out."""
    if request.method != "POST":
        return redirect("home")
    auth.logout(request)
    response = redirect("sign_in")
    response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
    return response


def session_began(request: HttpRequest) -> dt.datetime:
    """When this person signed in; now, when the session does not say."""
    began = request.session.get(_SIGNED_IN_AT)
    return dt.datetime.fromisoformat(began) if began else timezone.now()


def _safe_next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    inside = wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    return wanted if inside else settings.LOGIN_REDIRECT_URL
