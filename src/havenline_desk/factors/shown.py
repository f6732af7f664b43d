"""What a browser session has shown of its person, and what a person could show."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest

from ..models import AuthenticatorApp, FactorResetEnd, InstallationKind, Passkey, Person, Policy, Way

FRESH_FOR = dt.timedelta(minutes=5)
_FACTOR_KEY = "factor"


def fresh(request: HttpRequest, *, at: dt.datetime) -> bool:
    """Whether a second factor was used in this very session within the five minutes before `at`.

    In a demonstration the password counts for people without a factor. Not checked: that the session is in force;
    the middleware of `sites/` has ended it otherwise.
    """
    if not isinstance(request.user, Person):
        return False
    used = request.session.get(_FACTOR_KEY)
    if used is None:
        return False
    age = at - dt.datetime.fromisoformat(used["at"])
    return dt.timedelta(0) <= age <= FRESH_FOR


def mark_fresh(request: HttpRequest, way: Way, *, at: dt.datetime) -> None:
    """Remember in this session that `way` was used at `at`."""
    request.session[_FACTOR_KEY] = {"way": way.value, "at": at.isoformat()}


def ways_of(person: Person) -> frozenset[Way]:
    """The factors that `person` has set up and may use here; recovery codes are none, they only replace one."""
    ways = set()
    if Passkey.objects.filter(person=person, removed_at=None).exists():
        ways.add(Way.PASSKEY)
    if settings.ALLOW_TOTP and AuthenticatorApp.objects.filter(person=person, removed_at=None).exists():
        ways.add(Way.TOTP)
    return frozenset(ways)


def set_one_up(person: Person) -> bool:
    """Whether `person` has set a factor up since they were enrolled or their factors were reset, kept or not."""
    reset = FactorResetEnd.objects.filter(reset__person=person, carried_out=True).order_by("-pk").first()
    since = {} if reset is None else {"added_at__gt": reset.ended_at}
    return any(kind.objects.filter(person=person, **since).exists() for kind in (Passkey, AuthenticatorApp))


def demonstration() -> bool:
    """Whether this is a demonstration by both its data folder and its declared policy; never true of a real desk."""
    try:
        kind = (Path(settings.HOME) / "kind").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return False
    policy = Policy.objects.order_by("-pk").first()
    return kind == InstallationKind.DEMO.value and policy is not None and policy.kind == InstallationKind.DEMO


def password_is_enough(person: Person) -> bool:
    """In a demonstration, for people who have set no factor up; nowhere else."""
    return demonstration() and not ways_of(person)


def totp_allowed(person: Person) -> bool:
    """Whether `person` may set an authenticator app up here: the installation allows it, and there is none yet."""
    return settings.ALLOW_TOTP and not AuthenticatorApp.objects.filter(person=person, removed_at=None).exists()
