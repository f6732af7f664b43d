"""Enrol staff: an account, its roles, its certificate."""

from __future__ import annotations

import datetime as dt
import re

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit
from ..models import (
    CONTENT_ROLES,
    EXCLUSIVE_SETS,
    AuditAct,
    Certificate,
    Investigation,
    Person,
    Role,
    RoleGrant,
    SourceKind,
)

CONTENT_ROLE_DELAY = dt.timedelta(hours=24)


class EnrolmentRefused(HavenlineError):
    """Nothing was changed; the text says why."""


@transaction.atomic
def enrol_person(name: str, *, password: str | None, roles: tuple[Role, ...], at: dt.datetime) -> Person:
    """Create an account. During installation (no investigation yet) its roles count at once.

    Without a password nobody can sign in as this person: synthetic staff of a demonstration or a study.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,63}", name):
        raise EnrolmentRefused(f"{name!r} is not a sign-in name: lower-case letters, digits and hyphens, 2 to 64")
    if Person.objects.filter(name=name).exists():
        raise EnrolmentRefused(f"{name} is enrolled already")
    person = Person(name=name, enrolled_at=at)
    person.set_password(password)
    person.save()
    audit.append(AuditAct.PERSON_ENROLLED, at=at, actor=None, about=person, record=person)
    for role in roles:
        grant_role(person, role, at=at)
    return person


@transaction.atomic
def grant_role(person: Person, role: Role, *, at: dt.datetime) -> RoleGrant:
    """Grant a role; a content role granted after installation takes effect 24 hours later."""
    held = {Role(value) for value in person.role_grants.filter(revoked_at=None).values_list("role", flat=True)}
    for exclusive in EXCLUSIVE_SETS:
        others = held & frozenset().union(*(one for one in EXCLUSIVE_SETS if one != exclusive))
        if role in exclusive and others:
            raise EnrolmentRefused(f"{person.name} is {min(others).label}; nobody holds that and {role.label} at once")
    delayed = role in CONTENT_ROLES and Investigation.objects.exclude(source_kind=SourceKind.TRAINING).exists()
    grant, fresh = RoleGrant.objects.get_or_create(
        person=person,
        role=role,
        revoked_at=None,
        defaults={"granted_at": at, "effective_from": at + CONTENT_ROLE_DELAY if delayed else at},
    )
    if fresh:
        audit.append(AuditAct.ROLE_GRANTED, at=at, actor=None, about=person, purpose=role.value, record=grant)
    return grant


@transaction.atomic
def certify_person(person: Person, *, until: dt.datetime, issued_by: Person | None, at: dt.datetime) -> Certificate:
    """Record that training on `demo.shapes` is done and calibration passed, in date until `until`."""
    if until <= at:
        raise EnrolmentRefused(f"the certificate of {person.name} would have run out already")
    if issued_by is not None and issued_by.pk == person.pk:
        raise EnrolmentRefused("nobody certifies themselves")
    certificate = Certificate.objects.create(person=person, issued_at=at, expires_at=until, issued_by=issued_by)
    audit.append(AuditAct.CERTIFICATE_RECORDED, at=at, actor=issued_by, about=person, record=certificate)
    return certificate
