"""What a person sees of their own sign-in: factors, sessions, what is missing."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest

from .. import factors
from ..models import AuthenticatorApp, Passkey, Person, RecoveryCode, Session, Way

SESSION_KEY = "session"
"""Where a browser's session names the row of the person's session, by its random id."""
KEYS_ASKED_FOR = 2


@dataclass(frozen=True, slots=True)
class OwnSession:
    id: str
    began_at: dt.datetime
    seen_at: dt.datetime
    address: str
    way: str
    current: bool


@dataclass(frozen=True, slots=True)
class OwnSignIn:
    passkeys: list[Passkey]
    app: AuthenticatorApp | None
    totp_allowed: bool
    codes_left: int
    sessions: list[OwnSession]
    only_one_key: bool
    demonstration: bool


def session_of(request: HttpRequest) -> Session | None:
    """The person's session that this browser is in, ended or not; None where it is in none, or in another person's."""
    named = request.session.get(SESSION_KEY)
    if named is None or not isinstance(request.user, Person):
        return None
    return Session.objects.filter(audit_id=named, person=request.user).first()


def own_sign_in(request: HttpRequest, person: Person, *, at: dt.datetime) -> OwnSignIn:
    """Everything the page of one's own sign-in tells; sessions that ran out unseen are left out."""
    current = session_of(request)
    live = Session.objects.filter(
        person=person,
        ended_at=None,
        seen_at__gt=at - settings.SESSION_IDLE,
        began_at__gt=at - settings.SESSION_ABSOLUTE,
    )
    passkeys = list(Passkey.objects.filter(person=person, removed_at=None).order_by("added_at"))
    return OwnSignIn(
        passkeys=passkeys,
        app=AuthenticatorApp.objects.filter(person=person, removed_at=None).first(),
        totp_allowed=settings.ALLOW_TOTP,
        codes_left=RecoveryCode.objects.filter(person=person, used_at=None, withdrawn_at=None).count(),
        sessions=[
            OwnSession(
                id=each.audit_id.hex,
                began_at=each.began_at,
                seen_at=each.seen_at,
                address=each.address,
                way=Way(each.way).label,
                current=current is not None and each.pk == current.pk,
            )
            for each in live.order_by("-began_at")
        ],
        only_one_key=len(passkeys) < KEYS_ASKED_FOR,
        demonstration=factors.demonstration(),
    )
