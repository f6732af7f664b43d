"""Enrol staff: an account, its roles, its certificate."""

from __future__ import annotations

import datetime as dt
import re

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, factors, gates
from ..agreement import Accord
from ..models import (
    CONTENT_ROLES,
    EXCLUSIVE_SETS,
    AuditAct,
    Certificate,
    Ending,
    Enrolment,
    Investigation,
    Person,
    Role,
    RoleGrant,
)
from .end_session import end_sessions
from .record_quorum import record_quorum
from .reset_factors import reset_factors
from .take_role_away import GIVERS, refuse_the_last

CONTENT_ROLE_DELAY = dt.timedelta(hours=24)


class EnrolmentRefused(HavenlineError):
    """Nothing was changed; the text says why."""


@transaction.atomic
def enrol_person(
    name: str,
    *,
    password: str | None,
    roles: tuple[Role, ...],
    secret_until: dt.datetime | None = None,
    at: dt.datetime,
) -> Person:
    """Create an account. During installation (no investigation yet) its roles count at once.

    With `secret_until` the password is a one-time secret for setting up a first factor until then. Outside a
    demonstration a password by itself signs nobody in. Without one nobody can sign in as this person: synthetic staff.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,63}", name):
        raise EnrolmentRefused(f"{name!r} is not a sign-in name: lower-case letters, digits and hyphens, 2 to 64")
    if Person.objects.filter(name=name).exists():
        raise EnrolmentRefused(f"{name} is enrolled already")
    person = Person(name=name, enrolled_at=at)
    person.set_password(password)
    person.save()
    audit.append(AuditAct.PERSON_ENROLLED, at=at, actor=None, about=person, record=person)
    if secret_until is not None:
        _open_enrolment(person, until=secret_until, at=at)
    for role in roles:
        grant_role(person, role, at=at)
    return person


@transaction.atomic
def renew_enrolment(person: Person, *, password: str, secret_until: dt.datetime, at: dt.datetime) -> None:
    """Give a new one-time secret to somebody who never set a factor up; the old one stops working.

    To whoever has, only where two people agreed a day ago to reset their factors: then all of them go. Raises
    EnrolmentRefused for everybody else.
    """
    if not person.is_active:
        raise EnrolmentRefused(f"the account of {person.name} is closed")
    if factors.set_one_up(person) and not reset_factors(person, at=at):
        raise EnrolmentRefused(
            f"{person.name} has set a factor up: only a recovery code replaces one, or a reset that two people agreed "
            "to (`havenline proposal reset-factors`), from 24 hours after until they sign in or 7 days are over"
        )
    person.set_password(password)
    person.save(update_fields=["password"])
    Enrolment.objects.filter(person=person, used_at=None).update(used_at=at)
    _open_enrolment(person, until=secret_until, at=at)


@transaction.atomic
def close_person(person: Person, *, closed_by: Person | None = None, at: dt.datetime) -> None:
    """Close an account for good: it signs in no more, and its sessions end. Nothing that it did goes away.

    `closed_by` None is whoever runs commands on the host. Another needs the role, and closes neither their own account
    nor that of the last person without whom nobody could give roles: Denied, EnrolmentRefused, RoleKept.
    """
    if closed_by is not None:
        gates.require(closed_by, gates.Act.CLOSE_PERSON, at=at)
        if gates.is_oneself(person, closed_by):
            raise EnrolmentRefused("nobody closes their own account; another administrator or lead does")
        for role in GIVERS:
            refuse_the_last(person, role, at=at)
    if not Person.objects.filter(pk=person.pk, is_active=True).update(is_active=False):
        raise EnrolmentRefused(f"the account of {person.name} is closed already")
    audit.append(AuditAct.PERSON_CLOSED, at=at, actor=closed_by, about=person)
    end_sessions(person, Ending.DISABLED, by=closed_by, at=at)


def _open_enrolment(person: Person, *, until: dt.datetime, at: dt.datetime) -> None:
    made = Enrolment.objects.create(person=person, made_at=at, expires_at=until)
    audit.append(AuditAct.ENROLMENT_MADE, at=at, actor=None, about=person, record=made)


@transaction.atomic
def grant_role(person: Person, role: Role, *, agreed: Accord | None = None, at: dt.datetime) -> RoleGrant:
    """Grant a role; a content role granted after installation takes effect 24 hours later.

    After installation (there is an investigation) two people must agree: raises EnrolmentRefused without them.
    """
    installed = Investigation.objects.exists()
    what = {"person": person.audit_id.hex, "role": role.value}
    fits = agreed is not None and agreed.act is gates.Act.GRANT_ROLE and agreed.what == what
    if installed and not fits and gates.takes_two(gates.Act.GRANT_ROLE):
        raise EnrolmentRefused(
            f"{person.name} is not made {role.label}: after installation two people give a role. Enrol the person "
            "without it, then `havenline proposal role`"
        )
    held = {Role(value) for value in person.role_grants.filter(revoked_at=None).values_list("role", flat=True)}
    for exclusive in EXCLUSIVE_SETS:
        others = held & frozenset().union(*(one for one in EXCLUSIVE_SETS if one != exclusive))
        if role in exclusive and others:
            raise EnrolmentRefused(f"{person.name} is {min(others).label}; nobody holds that and {role.label} at once")
    delayed = role in CONTENT_ROLES and installed
    grant, fresh = RoleGrant.objects.get_or_create(
        person=person,
        role=role,
        revoked_at=None,
        defaults={"granted_at": at, "effective_from": at + CONTENT_ROLE_DELAY if delayed else at},
    )
    if fresh:
        end_sessions(person, Ending.ROLES, by=None, at=at)
        if agreed is not None:
            record_quorum([grant], people=len(agreed.people))
        actor = None if agreed is None else agreed.proposal.proposer
        audit.append(AuditAct.ROLE_GRANTED, at=at, actor=actor, about=person, purpose=role.value, record=grant)
    return grant


@transaction.atomic
def certify_person(person: Person, *, until: dt.datetime, issued_by: Person | None, at: dt.datetime) -> Certificate:
    """Record that training on `demo.shapes` is done and calibration passed, in date until `until`.

    `issued_by` None is whoever runs commands on the host, for synthetic staff. Raises Denied without the role.
    """
    if until <= at:
        raise EnrolmentRefused(f"the certificate of {person.name} would have run out already")
    if issued_by is not None and issued_by.pk == person.pk:
        raise EnrolmentRefused("nobody certifies themselves")
    if issued_by is not None:
        gates.require(issued_by, gates.Act.CERTIFY_PERSON, at=at)
    certificate = Certificate.objects.create(person=person, issued_at=at, expires_at=until, issued_by=issued_by)
    audit.append(AuditAct.CERTIFICATE_RECORDED, at=at, actor=issued_by, about=person, record=certificate)
    return certificate
