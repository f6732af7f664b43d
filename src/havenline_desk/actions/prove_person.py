"""Prove who somebody is, one step at a time: a password, an organisation's account, a recovery code, a second factor.

Every attempt is counted first, and every failed one is logged, by the random id of the person where there is one.
"""

from __future__ import annotations

import datetime as dt

from django.contrib.auth import authenticate
from django.db import transaction
from django.http import HttpRequest

from havenline.vocabulary import HavenlineError

from .. import audit, factors
from ..factors import FactorRefused, Purpose
from ..models import AuditAct, Ending, Enrolment, LinkedAccount, Passkey, Person, Session, Way
from .count_try import Throttled, count_try
from .end_session import begin_session, end_sessions
from .forgive_try import forgive_try

__all__ = ["FactorRefused", "SignInRefused", "Throttled"]


class SignInRefused(HavenlineError):
    """This proves nobody; the words are the same whatever was wrong."""


def prove_by_password(request: HttpRequest, name: str, password: str, *, address: str, at: dt.datetime) -> Person:
    """The person of that name and password. A wrong name and a wrong password cost the same work.

    Raises SignInRefused or Throttled. One password of somebody without a factor is good only while it is an
    enrolment secret in date, or in a demonstration.
    """
    tried = count_try(name=name, address=address, at=at)
    person = authenticate(request, username=name, password=password)
    if not isinstance(person, Person):
        _failed(Person.objects.filter(name=name).first(), "password", at=at)
        raise SignInRefused("this name and password do not belong together")
    if not factors.ways_of(person) and not factors.demonstration() and open_enrolment(person, at=at) is None:
        _failed(person, "no_enrolment", at=at)
        raise SignInRefused("this name and password do not belong together")
    forgive_try(tried, signed_in=False, at=at)
    return person


def open_enrolment(person: Person, *, at: dt.datetime) -> Enrolment | None:
    """The enrolment whose one-time secret the password of `person` is at `at`."""
    return Enrolment.objects.filter(person=person, used_at=None, expires_at__gt=at).order_by("-pk").first()


def prove_by_account(issuer: str, subject: str, *, address: str, at: dt.datetime) -> Person:
    """The enrolled person of an organisation's account. Raises SignInRefused; nobody is ever enrolled by this."""
    tried = count_try(name=None, address=address, at=at)
    linked = LinkedAccount.objects.filter(issuer=issuer, subject=subject, removed_at=None, person__is_active=True)
    found = linked.select_related("person").first()
    if found is None:
        _failed(None, "account", at=at)
        raise SignInRefused("this account belongs to nobody who is enrolled here; ask the administrator to link it")
    if not factors.ways_of(found.person) and open_enrolment(found.person, at=at) is None:
        _failed(found.person, "no_enrolment", at=at)
        raise SignInRefused("you have set no factor up, and the time for it has run out; ask the administrator")
    forgive_try(tried, signed_in=False, at=at)
    return found.person


def prove_by_recovery_code(name: str, code: str, *, address: str, at: dt.datetime) -> Person:
    """Use a recovery code up and end every session of its person, who must then set up a factor.

    Raises SignInRefused or Throttled.
    """
    tried = count_try(name=name, address=address, at=at)
    person = Person.objects.filter(name=name, is_active=True).first()
    try:
        with transaction.atomic():
            used = factors.use_recovery_code(person, code, at=at)
            audit.append(AuditAct.RECOVERY_CODE_USED, at=at, actor=used.person, about=used.person)
            end_sessions(used.person, Ending.FACTORS, by=used.person, at=at)
    except FactorRefused:
        _failed(person, "recovery_code", at=at)
        raise SignInRefused("this name and recovery code do not belong together, or the code was used") from None
    forgive_try(tried, signed_in=True, at=at)
    return used.person


def sign_in_by_passkey(request: HttpRequest, answer: str, *, address: str, at: dt.datetime) -> Session:
    """A new session of whoever's passkey answered. Raises FactorRefused or Throttled."""
    tried = count_try(name=None, address=address, at=at)
    try:
        with transaction.atomic():
            key = factors.use_passkey(request, Purpose.SIGN_IN, answer, at=at)
            session = begin_session(key.person, Way.PASSKEY, address=address, at=at)
    except FactorRefused as refused:
        _factor_failed(refused, None, at=at)
        raise
    forgive_try(tried, signed_in=True, at=at)
    return session


def sign_in_by_code(person: Person, code: str, *, address: str, at: dt.datetime) -> Session:
    """A new session of `person`, proved by something else before, with a code of the authenticator app.

    Raises FactorRefused or Throttled.
    """
    tried = count_try(name=person.name, address=address, at=at)
    try:
        with transaction.atomic():
            factors.use_totp(person, code, at=at)
            session = begin_session(person, Way.TOTP, address=address, at=at)
    except FactorRefused as refused:
        _factor_failed(refused, person, at=at)
        raise
    forgive_try(tried, signed_in=True, at=at)
    return session


def confirm_by_passkey(request: HttpRequest, person: Person, answer: str, *, address: str, at: dt.datetime) -> Passkey:
    """Prove again, inside a session, that `person` is there. Raises FactorRefused or Throttled."""
    tried = count_try(name=None, address=address, at=at)
    try:
        with transaction.atomic():
            key = factors.use_passkey(request, Purpose.CONFIRM, answer, at=at)
            audit.append(AuditAct.FACTOR_CONFIRMED, at=at, actor=person, about=key, purpose=Way.PASSKEY.value)
    except FactorRefused as refused:
        _factor_failed(refused, person, at=at)
        raise
    forgive_try(tried, signed_in=True, at=at)
    return key


def confirm_by_code(person: Person, code: str, *, address: str, at: dt.datetime) -> None:
    """The same with a code of the authenticator app. Raises FactorRefused or Throttled."""
    tried = count_try(name=person.name, address=address, at=at)
    try:
        with transaction.atomic():
            app = factors.use_totp(person, code, at=at)
            audit.append(AuditAct.FACTOR_CONFIRMED, at=at, actor=person, about=app, purpose=Way.TOTP.value)
    except FactorRefused as refused:
        _factor_failed(refused, person, at=at)
        raise
    forgive_try(tried, signed_in=True, at=at)


def record_refused_factor(refused: FactorRefused, person: Person | None, *, at: dt.datetime) -> None:
    """Log a factor that was refused elsewhere, for instance a signature over a proposal."""
    _factor_failed(refused, person, at=at)


def _factor_failed(refused: FactorRefused, person: Person | None, *, at: dt.datetime) -> None:
    whose = person or (refused.passkey.person if refused.passkey is not None else None)
    with transaction.atomic():
        about = refused.passkey or whose
        audit.append(AuditAct.FACTOR_REFUSED, at=at, actor=person, about=about, purpose=refused.why.value)


def _failed(person: Person | None, how: str, *, at: dt.datetime) -> None:
    with transaction.atomic():
        audit.append(AuditAct.SIGN_IN_FAILED, at=at, actor=None, about=person, purpose=how)
