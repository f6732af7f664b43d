"""Set factors up and take them away. Whoever takes one away ends the person's other sessions with it."""

from __future__ import annotations

import datetime as dt

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from havenline.vocabulary import HavenlineError

from .. import audit, factors
from ..factors import FactorRefused, Why
from ..models import AuditAct, AuthenticatorApp, Ending, Enrolment, Passkey, Person, RecoveryCode, Session, Way
from .end_session import end_sessions

LONGEST_LABEL = 40


class FactorsUnchanged(HavenlineError):
    """Nothing was changed; the text says why."""


@transaction.atomic
def add_passkey(request: HttpRequest, person: Person, answer: str, *, label: str, at: dt.datetime) -> Passkey:
    """Record the key that a browser just registered. Raises FactorRefused.

    An open enrolment is used up by it, and the one-time secret with it: from then on no password signs in.
    """
    made = factors.finish_registration(request, person, answer, at=at)
    try:
        with transaction.atomic():
            key = Passkey.objects.create(
                person=person,
                label=" ".join(label.split())[:LONGEST_LABEL] or f"key {at:%Y-%m-%d}",
                credential_id=made.credential_id,
                public_key=made.public_key,
                added_at=at,
                counter=made.counter,
            )
    except IntegrityError:
        raise FactorRefused(Why.WRONG_ANSWER, "this passkey is registered already") from None
    audit.append(AuditAct.FACTOR_ADDED, at=at, actor=person, about=key, purpose=Way.PASSKEY.value, record=key)
    _enrolled(person, password=None, at=at)
    return key


@transaction.atomic
def add_authenticator_app(
    person: Person, secret: str, code: str, *, password: str, at: dt.datetime
) -> AuthenticatorApp:
    """Record an authenticator app that has just shown a right code, and the password that goes with it.

    Raises FactorsUnchanged for a weak password or where an app is set up, FactorRefused for a wrong code.
    """
    if AuthenticatorApp.objects.filter(person=person, removed_at=None).exists():
        raise FactorsUnchanged("an authenticator app is set up already; remove it first")
    step = factors.totp_step(secret, code, after=0, at=at)
    if step is None:
        raise FactorRefused(Why.WRONG_CODE, "this code does not fit: check that the clock of the device is right")
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise FactorsUnchanged(" ".join(error.messages)) from None
    app = AuthenticatorApp.objects.create(
        person=person, sealed_secret=factors.seal(secret), added_at=at, last_step=step
    )
    audit.append(AuditAct.FACTOR_ADDED, at=at, actor=person, about=app, purpose=Way.TOTP.value, record=app)
    _enrolled(person, password=password, at=at)
    return app


@transaction.atomic
def make_recovery_codes(person: Person, *, at: dt.datetime) -> tuple[str, ...]:
    """New codes, returned this once; those from before are withdrawn."""
    codes = factors.new_recovery_codes()
    RecoveryCode.objects.filter(person=person, used_at=None, withdrawn_at=None).update(withdrawn_at=at)
    RecoveryCode.objects.bulk_create(
        RecoveryCode(person=person, digest=factors.recovery_digest(person, code), made_at=at) for code in codes
    )
    audit.append(AuditAct.RECOVERY_CODES_MADE, at=at, actor=person, about=person)
    return codes


@transaction.atomic
def remove_factor(factor: Passkey | AuthenticatorApp, *, by: Person, keeping: Session | None, at: dt.datetime) -> None:
    """Take a factor of one's own away, and end one's other sessions. The last one stays, outside a demonstration.

    Raises FactorsUnchanged.
    """
    if factor.person_id != by.pk:
        raise FactorsUnchanged("this is not yours")
    Person.objects.select_for_update().get(pk=by.pk)  # two at once must not each leave the other for last
    live = type(factor)._default_manager.filter(pk=factor.pk, removed_at=None)
    if not live.exists():
        raise FactorsUnchanged("this was removed already")
    live.update(removed_at=at)
    if not factors.ways_of(by) and not factors.demonstration():
        raise FactorsUnchanged("this is your last way to sign in: set another up first")
    way = Way.PASSKEY if isinstance(factor, Passkey) else Way.TOTP
    if way is Way.TOTP and not factors.demonstration():
        by.set_unusable_password()  # a password signs in only beside a second factor of its own
        by.save(update_fields=["password"])
    audit.append(AuditAct.FACTOR_REMOVED, at=at, actor=by, about=factor, purpose=way.value)
    end_sessions(by, Ending.FACTORS, by=by, but=keeping, at=at)


def _enrolled(person: Person, *, password: str | None, at: dt.datetime) -> None:
    """The one-time secret of an enrolment is used up; a passkey needs no password, an authenticator app has its own."""
    used = Enrolment.objects.filter(person=person, used_at=None).update(used_at=at)
    if used or password is not None:
        person.set_password(password)
        person.save(update_fields=["password"])
