"""Setting factors up: the first one after enrolment or recovery, and more of them when signed in."""

from __future__ import annotations

import datetime as dt

import segno
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from havenline.vocabulary import HavenlineError

from .. import factors
from ..actions.change_factors import FactorsUnchanged, add_authenticator_app, add_passkey, make_recovery_codes
from ..actions.end_session import begin_session
from ..factors import FactorRefused, Why
from ..gates import Act, gate
from ..models import Person, Way
from ..queries.sign_in import own_sign_in
from .address import address_of
from .layout import person_of
from .own_sign_in import confirmed_first
from .pending import Next, pending_of
from .session import answered, complete
from .told import told

ISSUER = "Havenline"


@gate(Act.SIGN_IN)
@sensitive_post_parameters("code", "password", "sealed")
def set_up(request: HttpRequest) -> HttpResponse:
    """The first factor of somebody enrolled, or a new one after a recovery code; then the session begins."""
    at = timezone.now()
    pending = pending_of(request, Next.SET_UP, at=at)
    if pending is None:
        return redirect("sign_in")
    refused: HavenlineError | None = None
    if request.method == "POST":
        try:
            way = _add(request, pending.person, at=at)
        except (FactorRefused, FactorsUnchanged) as error:
            refused = error
        else:
            codes = make_recovery_codes(pending.person, at=at)
            session = begin_session(pending.person, way, address=address_of(request), at=at)
            complete(request, session, at=at)
            return render(request, "havenline/recovery_codes.html", {"codes": codes, "onward": pending.onward})
    page = _page(request, pending.person, refused) | {"name": pending.person.name}
    return answered(request, "havenline/set_up.html", page, refused)


@gate(Act.SIGN_IN)
@require_POST
def set_up_options(request: HttpRequest) -> HttpResponse:
    at = timezone.now()
    pending = pending_of(request, Next.SET_UP, at=at)
    if pending is None:
        return JsonResponse({"error": told("this page is too old: sign in once more")}, status=403)
    return JsonResponse(factors.begin_registration(request, pending.person, at=at))


@gate(Act.OWN_SIGN_IN)
@confirmed_first
@sensitive_post_parameters("code", "password", "sealed")
def add_factor(request: HttpRequest) -> HttpResponse:
    """One more factor for somebody who has just shown the one they have."""
    person, at = person_of(request), timezone.now()
    refused: HavenlineError | None = None
    if request.method == "POST":
        try:
            _add(request, person, at=at)
        except (FactorRefused, FactorsUnchanged) as error:
            refused = error
        else:
            if own_sign_in(request, person, at=at).codes_left:
                return redirect("own_sign_in")
            codes = make_recovery_codes(person, at=at)
            return render(request, "havenline/recovery_codes.html", {"codes": codes, "onward": "/own-sign-in"})
    return answered(request, "havenline/add_factor.html", _page(request, person, refused), refused)


@gate(Act.OWN_SIGN_IN)
@require_POST
def add_options(request: HttpRequest) -> HttpResponse:
    at = timezone.now()
    if not factors.fresh(request, at=at):
        return JsonResponse({"error": told("show your factor once more first")}, status=403)
    return JsonResponse(factors.begin_registration(request, person_of(request), at=at))


def _add(request: HttpRequest, person: Person, *, at: dt.datetime) -> Way:
    if "answer" in request.POST:
        add_passkey(request, person, request.POST["answer"], label=request.POST.get("label", ""), at=at)
        return Way.PASSKEY
    secret = _opened(person, request.POST.get("sealed", ""))
    code, password = request.POST.get("code", ""), request.POST.get("password", "")
    add_authenticator_app(person, secret, code, password=password, at=at)
    return Way.TOTP


def _page(request: HttpRequest, person: Person, refused: HavenlineError | None) -> dict[str, object]:
    """A new secret for each showing of the page. It goes to the browser sealed, so that no session keeps it."""
    page: dict[str, object] = {
        "refused": refused,
        "tried_app": refused is not None and "answer" not in request.POST,
        "totp_allowed": factors.totp_allowed(person),
    }
    if page["totp_allowed"]:
        secret = factors.new_totp_secret()
        address = factors.totp_address(secret, name=person.name, issuer=ISSUER)
        page |= {
            "sealed": factors.seal(f"{person.audit_id.hex} {secret}"),
            "secret": " ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
            "qr": segno.make(address, micro=False).svg_inline(
                scale=4, border=2, svgclass="qr", lineclass=None, omitsize=True
            ),
        }
    return page


def _opened(person: Person, sealed: str) -> str:
    whose, _, secret = factors.unseal(sealed).partition(" ")
    if whose != person.audit_id.hex:
        raise FactorRefused(Why.MALFORMED, "this page was made for somebody else: open it once more")
    return secret
