"""Who may do what: one table of acts and roles, default deny.

Every view, and every action that a command line calls, names its act. `manage.py check` fails for a route without one.
Separation of duties beyond the role (nobody assesses a stack twice, the third person is not one of the first two)
stands beside the query that enforces it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import wraps
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from havenline.vocabulary import HavenlineError

from .models import Certificate, Person, Role, RoleGrant

View = Callable[..., HttpResponseBase]


class Denied(HavenlineError):
    """This person may not do this; the text says which role is missing."""


class Act(StrEnum):
    SIGN_IN = "sign_in"
    SEE_HOME = "see_home"
    TAKE_ASSESSMENT = "take_assessment"
    TAKE_DISPUTE = "take_dispute"
    WORK = "work"
    SEE_INVESTIGATIONS = "see_investigations"
    SEE_FIGURES = "see_figures"
    CREATE_INVESTIGATION = "create_investigation"
    APPROVE_IMPORT = "approve_import"
    IMPORT_COLLECTION = "import_collection"
    APPROVE_FRAMEWORK = "approve_framework"
    IMPORT_FRAMEWORK = "import_framework"
    CONFIGURE_FRAMEWORKS = "configure_frameworks"
    SEE_FRAMEWORKS = "see_frameworks"
    SEE_AGREEMENT = "see_agreement"
    DRAW_QUALITY_SAMPLE = "draw_quality_sample"
    OPEN_CALIBRATION = "open_calibration"
    EXPORT_LOG = "export_log"
    SEE_ESCALATIONS = "see_escalations"
    ESCALATE = "escalate"
    ANSWER_ESCALATION = "answer_escalation"
    COSIGN_REFERRAL = "cosign_referral"
    DECLARE_CONTACT = "declare_contact"
    SET_URGENCY = "set_urgency"
    KEEP_POOLS = "keep_pools"


EVERYONE = frozenset(Role)
ROLES: dict[Act, frozenset[Role]] = {
    Act.SEE_HOME: EVERYONE,
    Act.TAKE_ASSESSMENT: frozenset({Role.ANALYST}),
    Act.TAKE_DISPUTE: frozenset({Role.ADJUDICATOR}),
    Act.WORK: frozenset({Role.ANALYST, Role.ADJUDICATOR}),
    Act.SEE_INVESTIGATIONS: frozenset({Role.LEAD, Role.SENIOR, Role.AUDITOR}),
    Act.SEE_FIGURES: frozenset({Role.LEAD, Role.SENIOR, Role.ADJUDICATOR, Role.LIAISON, Role.AUDITOR}),
    Act.CREATE_INVESTIGATION: frozenset({Role.LEAD}),
    Act.APPROVE_IMPORT: frozenset({Role.SENIOR, Role.LEAD}),
    Act.IMPORT_COLLECTION: frozenset({Role.LEAD}),
    Act.APPROVE_FRAMEWORK: frozenset({Role.LEAD}),
    Act.IMPORT_FRAMEWORK: frozenset({Role.LEAD}),
    Act.CONFIGURE_FRAMEWORKS: frozenset({Role.LEAD}),
    Act.SEE_FRAMEWORKS: EVERYONE,
    Act.SEE_AGREEMENT: frozenset({Role.LEAD, Role.SENIOR}),
    Act.DRAW_QUALITY_SAMPLE: frozenset({Role.SENIOR}),
    Act.OPEN_CALIBRATION: frozenset({Role.ANALYST, Role.ADJUDICATOR}),
    Act.EXPORT_LOG: frozenset({Role.AUDITOR}),
    Act.SEE_ESCALATIONS: frozenset({Role.ANALYST, Role.SENIOR, Role.ADJUDICATOR, Role.LEAD}),
    Act.ESCALATE: frozenset({Role.ANALYST, Role.SENIOR, Role.ADJUDICATOR, Role.LEAD}),
    Act.ANSWER_ESCALATION: frozenset({Role.LEAD, Role.SENIOR}),
    Act.COSIGN_REFERRAL: frozenset({Role.LEAD, Role.SENIOR, Role.ADJUDICATOR}),
    Act.DECLARE_CONTACT: frozenset({Role.LEAD}),
    Act.SET_URGENCY: frozenset({Role.LEAD}),
    Act.KEEP_POOLS: frozenset({Role.LEAD}),
}


def roles_of(person: Person, *, at: dt.datetime) -> frozenset[Role]:
    """The roles in force for `person` at `at`: granted, past their delay, not revoked."""
    if not person.is_active:
        return frozenset()
    grants = RoleGrant.objects.filter(person=person, effective_from__lte=at, revoked_at=None)
    return frozenset(Role(role) for role in grants.values_list("role", flat=True))


def acts_of(person: Person, *, at: dt.datetime) -> frozenset[Act]:
    """Everything the roles of `person` in force at `at` permit."""
    roles = roles_of(person, at=at)
    return frozenset(act for act, permitted in ROLES.items() if not permitted.isdisjoint(roles))


def allowed(person: Person, act: Act, *, at: dt.datetime) -> bool:
    return act in acts_of(person, at=at)


def require(person: Person, act: Act, *, at: dt.datetime) -> None:
    """Raise Denied unless a role of `person` in force at `at` permits `act`."""
    if not allowed(person, act, at=at):
        wanted = " or ".join(sorted(role.label for role in ROLES[act]))
        raise Denied(f"{person.name} may not {act.replace('_', ' ')}: the role {wanted} is needed")


def certified(person: Person, *, at: dt.datetime) -> bool:
    """Whether a certificate (training done, calibration passed) is in date; nothing is assigned without one."""
    return Certificate.objects.filter(person=person, issued_at__lte=at, expires_at__gt=at).exists()


def gate(act: Act) -> Callable[[View], View]:
    """Let a view run only for a signed-in person whose roles permit `act`; SIGN_IN is open to everybody."""

    def decorate(view: View) -> View:
        @wraps(view)
        def gated(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if act is Act.SIGN_IN:
                return view(request, *args, **kwargs)
            if not isinstance(request.user, Person):
                return redirect(f"{settings.LOGIN_URL}?next={request.get_full_path()}")
            if not allowed(request.user, act, at=timezone.now()):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        gated.act = act  # type: ignore[attr-defined]
        return gated

    return decorate


def undeclared_routes(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    """System check: every route has a declared act."""
    return [
        checks.Error(f"the route {route!r} declares no act; decorate its view with @gate(...)", id="desk.E001")
        for route, view in _routes(get_resolver().url_patterns, "")
        if not hasattr(view, "act")
    ]


def _routes(patterns: Iterable[URLPattern | URLResolver], prefix: str) -> Iterable[tuple[str, View]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield route, pattern.callback
