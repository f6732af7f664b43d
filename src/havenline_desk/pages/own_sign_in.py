"""One's own factors and sessions, and the page that asks for a factor again."""

from __future__ import annotations

import uuid
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from havenline.vocabulary import HavenlineError

from .. import factors
from ..actions.change_factors import FactorsUnchanged, make_recovery_codes, remove_factor
from ..actions.end_session import end_session, end_sessions
from ..actions.prove_person import (
    FactorRefused,
    SignInRefused,
    Throttled,
    confirm_by_code,
    confirm_by_passkey,
    prove_by_password,
)
from ..factors import Purpose
from ..gates import Act, View, gate
from ..models import AuthenticatorApp, Ending, Passkey, Session, Way
from ..queries.sign_in import own_sign_in as own_sign_in_of
from ..queries.sign_in import session_of
from .address import address_of
from .layout import person_of
from .session import answered, safe_next
from .told import told

_DIGEST_LENGTH = 64


def confirmed_first(view: View) -> View:
    """Ask for a factor again unless one was used within five minutes; a form that was sent meanwhile is not kept."""

    @wraps(view)
    def confirmed(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if factors.fresh(request, at=timezone.now()):
            return view(request, *args, **kwargs)
        onward = request.get_full_path() if request.method == "GET" else reverse("own_sign_in")
        return redirect(f"{reverse('confirm')}?{urlencode({'next': onward})}")

    return confirmed


@gate(Act.OWN_SIGN_IN)
def own_sign_in(request: HttpRequest) -> HttpResponse:
    return _page(request, None)


@gate(Act.OWN_SIGN_IN)
@sensitive_post_parameters("code", "password")
def confirm(request: HttpRequest) -> HttpResponse:
    """Show a factor again; then go on to where that was asked for."""
    person, onward, at = person_of(request), safe_next(request), timezone.now()
    refused: HavenlineError | None = None
    if request.method == "POST":
        try:
            if "answer" in request.POST:
                answer = request.POST["answer"]
                confirm_by_passkey(request, person, answer, address=address_of(request), at=at)
                way = Way.PASSKEY
            elif "code" in request.POST:
                confirm_by_code(person, request.POST["code"], address=address_of(request), at=at)
                way = Way.TOTP
            else:
                way = _confirm_by_password(request, request.POST.get("password", ""))
        except (FactorRefused, SignInRefused, Throttled) as error:
            refused = error
        else:
            factors.mark_fresh(request, way, at=at)
            return redirect(onward)
    ways = factors.ways_of(person)
    page = {
        "onward": onward,
        "refused": refused,
        "passkey": Way.PASSKEY in ways,
        "totp": Way.TOTP in ways,
        "password": factors.password_is_enough(person),
    }
    return answered(request, "havenline/confirm.html", page, refused)


@gate(Act.OWN_SIGN_IN)
@require_POST
def confirm_options(request: HttpRequest) -> HttpResponse:
    return _options(lambda: factors.begin_passkey(request, Purpose.CONFIRM, at=timezone.now()))


@gate(Act.OWN_SIGN_IN)
@require_POST
def step_up_options(request: HttpRequest) -> HttpResponse:
    """A question for a passkey over one act, whose SHA-256 the form names. Which act that is, its own page checks."""
    said = request.POST.get("digest", "")
    try:
        digest = bytes.fromhex(said) if len(said) == _DIGEST_LENGTH else b""
        return _options(lambda: factors.begin_step_up(request, digest, at=timezone.now()))
    except ValueError:
        return JsonResponse({"error": told("the form names no act")}, status=400)


@gate(Act.OWN_SIGN_IN)
@require_POST
@confirmed_first
def remove(request: HttpRequest) -> HttpResponse:
    person, at = person_of(request), timezone.now()
    named = _id(request.POST.get("factor", ""))
    found: Passkey | AuthenticatorApp | None = Passkey.objects.filter(audit_id=named, person=person).first()
    if found is None:
        found = AuthenticatorApp.objects.filter(audit_id=named, person=person).first()
    if found is None:
        raise Http404
    try:
        remove_factor(found, by=person, keeping=session_of(request), at=at)
    except FactorsUnchanged as refused:
        return _page(request, refused)
    return redirect("own_sign_in")


@gate(Act.OWN_SIGN_IN)
@require_POST
@confirmed_first
def new_codes(request: HttpRequest) -> HttpResponse:
    codes = make_recovery_codes(person_of(request), at=timezone.now())
    return render(request, "havenline/recovery_codes.html", {"codes": codes, "onward": reverse("own_sign_in")})


@gate(Act.OWN_SIGN_IN)
@require_POST
def end(request: HttpRequest) -> HttpResponse:
    """End one of one's own sessions, or all but this one."""
    person, at = person_of(request), timezone.now()
    if "others" in request.POST:
        end_sessions(person, Ending.BY_ONESELF, by=person, but=session_of(request), at=at)
        return redirect("own_sign_in")
    found = Session.objects.filter(audit_id=_id(request.POST.get("session", "")), person=person).first()
    if found is None:
        raise Http404
    end_session(found, Ending.BY_ONESELF, by=person, at=at)
    return redirect("own_sign_in")


def _page(request: HttpRequest, refused: HavenlineError | None) -> HttpResponse:
    at = timezone.now()
    page = {"own": own_sign_in_of(request, person_of(request), at=at), "refused": refused}
    return answered(request, "havenline/own_sign_in.html", page, refused)


def _confirm_by_password(request: HttpRequest, password: str) -> Way:
    """Only in a demonstration; there the password is all that there is."""
    person = person_of(request)
    if not factors.password_is_enough(person):
        raise SignInRefused("a second factor is asked for, not a password")
    prove_by_password(request, person.name, password, address=address_of(request), at=timezone.now())
    return Way.PASSWORD


def _options(begin: Any) -> HttpResponse:
    try:
        return JsonResponse(begin())
    except FactorRefused as refused:
        return JsonResponse({"error": told(refused)}, status=422)


def _id(said: str) -> uuid.UUID:
    try:
        return uuid.UUID(said)
    except ValueError:
        raise Http404 from None
