"""Signing in and out: by a passkey, or by a password or an organisation's account together with a second factor."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import auth
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from havenline.vocabulary import HavenlineError

from .. import factors
from ..actions.end_session import begin_session, end_session
from ..actions.prove_person import (
    FactorRefused,
    SignInRefused,
    Throttled,
    prove_by_password,
    prove_by_recovery_code,
    sign_in_by_code,
    sign_in_by_passkey,
)
from ..factors import Purpose
from ..gates import Act, gate
from ..models import Ending, Person, Session, Way
from ..queries.sign_in import SESSION_KEY, session_of
from .address import address_of
from .pending import Next, keep_pending, pending_of

_SIGNED_IN_AT = "signed_in_at"
_LOOPBACK = "127.0.0.1"


@gate(Act.SIGN_IN)
@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    """The first page. A wrong name and a wrong password get the same answer after the same work."""
    onward = safe_next(request)
    if isinstance(request.user, Person):
        return redirect(onward)
    if request.method != "POST":
        return _on_localhost(request) or _sign_in_page(request, onward=onward)
    name, at = request.POST.get("name", "").strip(), timezone.now()
    password = request.POST.get("password", "")
    try:
        person = prove_by_password(request, name, password, address=address_of(request), at=at)
    except (SignInRefused, Throttled) as refused:
        return _sign_in_page(request, onward=onward, name=name, refused=refused)
    if factors.password_is_enough(person):
        session = begin_session(person, Way.PASSWORD, address=address_of(request), at=at)
        complete(request, session, at=at)
        return redirect(onward)
    return go_on(request, person, onward=onward, at=at)


@gate(Act.SIGN_IN)
@require_POST
def passkey_options(request: HttpRequest) -> HttpResponse:
    return JsonResponse(factors.begin_passkey(request, Purpose.SIGN_IN, at=timezone.now()))


@gate(Act.SIGN_IN)
@require_POST
def sign_in_passkey(request: HttpRequest) -> HttpResponse:
    onward, at = safe_next(request), timezone.now()
    try:
        session = sign_in_by_passkey(request, request.POST.get("answer", ""), address=address_of(request), at=at)
    except (FactorRefused, Throttled) as refused:
        return _sign_in_page(request, onward=onward, passkey_refused=refused)
    complete(request, session, at=at)
    return redirect(onward)


@gate(Act.SIGN_IN)
@sensitive_post_parameters("code")
def second_factor(request: HttpRequest) -> HttpResponse:
    """After a password or an organisation's account: the second factor."""
    at = timezone.now()
    pending = pending_of(request, Next.SECOND_FACTOR, at=at)
    if pending is None:
        return redirect("sign_in")
    refused: HavenlineError | None = None
    if request.method == "POST":
        try:
            code = request.POST.get("code", "")
            session = sign_in_by_code(pending.person, code, address=address_of(request), at=at)
        except (FactorRefused, Throttled) as error:
            refused = error
        else:
            complete(request, session, at=at)
            return redirect(pending.onward)
    ways = factors.ways_of(pending.person)
    page = {
        "onward": pending.onward,
        "refused": refused,
        "passkey": Way.PASSKEY in ways,
        "totp": Way.TOTP in ways,
        "name": pending.person.name,
    }
    return answered(request, "havenline/second_factor.html", page, refused)


@gate(Act.SIGN_IN)
@sensitive_post_parameters("code")
def recovery(request: HttpRequest) -> HttpResponse:
    """A recovery code opens nothing but the page on which a new factor is set up."""
    refused: HavenlineError | None = None
    name = request.POST.get("name", "").strip()
    if request.method == "POST":
        at, code = timezone.now(), request.POST.get("code", "")
        try:
            person = prove_by_recovery_code(name, code, address=address_of(request), at=at)
        except (SignInRefused, Throttled) as error:
            refused = error
        else:
            keep_pending(request, person, Next.SET_UP, onward=settings.LOGIN_REDIRECT_URL, at=at)
            return redirect("set_up")
    return answered(request, "havenline/recovery.html", {"name": name, "refused": refused}, refused)


@gate(Act.SIGN_IN)
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session and have the browser forget this site; a link (GET) cannot sign anybody out."""
    if request.method != "POST":
        return redirect("home")
    session = session_of(request)
    if session is not None:
        end_session(session, Ending.SIGNED_OUT, by=session.person, at=timezone.now())
    auth.logout(request)
    response = redirect("sign_in")
    response.headers["Clear-Site-Data"] = '"cache", "cookies", "storage"'
    return response


def go_on(request: HttpRequest, person: Person, *, onward: str, at: dt.datetime) -> HttpResponse:
    """What follows the first proof: the second factor, or setting one up; whoever proved it saw to an enrolment."""
    if factors.ways_of(person):
        keep_pending(request, person, Next.SECOND_FACTOR, onward=onward, at=at)
        return redirect("second_factor")
    keep_pending(request, person, Next.SET_UP, onward=onward, at=at)
    return redirect("set_up")


def complete(request: HttpRequest, session: Session, *, at: dt.datetime) -> None:
    """Give the browser the session that was just recorded; nothing that it held before is kept."""
    request.session.flush()
    auth.login(request, session.person)
    request.session[SESSION_KEY] = session.audit_id.hex
    request.session[_SIGNED_IN_AT] = at.isoformat()
    factors.mark_fresh(request, Way(session.way), at=at)


def session_began(request: HttpRequest) -> dt.datetime:
    """When this person signed in; now, when the session does not say."""
    began = request.session.get(_SIGNED_IN_AT)
    return dt.datetime.fromisoformat(began) if began else timezone.now()


def safe_next(request: HttpRequest) -> str:
    """Where to go afterwards: a path of this desk, or its first page."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    inside = wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    return wanted if inside else settings.LOGIN_REDIRECT_URL


def answered(request: HttpRequest, template: str, page: dict[str, Any], refused: HavenlineError | None) -> HttpResponse:
    """The page, with the status that its refusal asks for, and how long to wait where there were too many attempts."""
    status = HTTPStatus.OK if refused is None else HTTPStatus.UNPROCESSABLE_ENTITY
    if not isinstance(refused, Throttled):
        return render(request, template, page, status=status)
    response = render(request, template, page, status=HTTPStatus.TOO_MANY_REQUESTS)
    response.headers["Retry-After"] = str(max(1, round(refused.wait.total_seconds())))
    return response


def _sign_in_page(
    request: HttpRequest,
    *,
    onward: str,
    name: str = "",
    refused: HavenlineError | None = None,
    passkey_refused: HavenlineError | None = None,
) -> HttpResponse:
    page = {
        "onward": onward,
        "name": name,
        "refused": refused,
        "passkey_refused": passkey_refused,
        "password_first": factors.demonstration(),
        "organisation": settings.OIDC_NAME,
    }
    return answered(request, "havenline/sign_in.html", page, refused or passkey_refused)


def _on_localhost(request: HttpRequest) -> HttpResponse | None:
    """Browsers bind passkeys to a name, never to a number: send 127.0.0.1 to localhost."""
    host, _, port = request.get_host().partition(":")
    if host != _LOOPBACK or settings.ORIGIN or factors.demonstration():
        return None
    return redirect(f"{request.scheme}://localhost{':' if port else ''}{port}{request.get_full_path()}")
