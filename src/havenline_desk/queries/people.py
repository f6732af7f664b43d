"""Who works here: roles, certificates, whether factors exist. Nothing of what anybody did, or of when they are here."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass

from django.db.models import Max

from .. import gates
from ..agreement import Standing, standing_of, what_of
from ..models import (
    CONTENT_ROLES,
    EXCLUSIVE_SETS,
    AuthenticatorApp,
    Certificate,
    Enrolment,
    Passkey,
    Person,
    Proposal,
    RecoveryCode,
    Role,
    RoleGrant,
)


@dataclass(frozen=True, slots=True)
class HeldRole:
    """`begins` is None once it counts; before that, when it will."""

    role: Role
    begins: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Factors:
    """What somebody could sign in with: how many, never what. `secret_until`: a one-time secret is still good."""

    passkeys: int
    app: bool
    codes_left: int
    secret_until: dt.datetime | None

    @property
    def none(self) -> bool:
        return not self.passkeys and not self.app


@dataclass(frozen=True, slots=True)
class PersonLine:
    """`certified_until` is None without a certificate; one that ran out is named with `in_date` false."""

    name: str
    active: bool
    enrolled_at: dt.datetime
    roles: tuple[HeldRole, ...]
    needs_certificate: bool
    certified_until: dt.datetime | None
    in_date: bool
    factors: Factors


@dataclass(frozen=True, slots=True)
class ProposedRole:
    """An open proposal to give a role."""

    role: str
    proposer: str
    until: dt.datetime
    agreed: bool


@dataclass(frozen=True, slots=True)
class PersonPage:
    """`can_be_given`: what they do not hold and what nothing that they hold excludes."""

    line: PersonLine
    can_be_given: tuple[Role, ...]
    proposed: tuple[ProposedRole, ...]
    last_of: tuple[Role, ...]


def people_lines(*, at: dt.datetime) -> tuple[PersonLine, ...]:
    """Everybody enrolled, closed accounts last, by name; a fixed number of queries however many there are."""
    return _lines(at=at)


def person_page(name: str, *, at: dt.datetime) -> PersonPage | None:
    """One person; None where nobody of that name is enrolled."""
    found = _lines(at=at, name=name)
    if not found:
        return None
    line = found[0]
    held = {each.role for each in line.roles}
    shut = {
        role
        for one in EXCLUSIVE_SETS
        for role in one
        if held & frozenset().union(*(other for other in EXCLUSIVE_SETS if other != one))
    }
    return PersonPage(
        line=line,
        can_be_given=tuple(role for role in Role if role not in held and role not in shut) if line.active else (),
        proposed=_proposed(Person.objects.get(name=name), at=at),
        last_of=tuple(role for role in (Role.ADMIN, Role.LEAD) if _holders(role, at=at) == {name}),
    )


def _lines(*, at: dt.datetime, name: str | None = None) -> tuple[PersonLine, ...]:
    rows = Person.objects.order_by("-is_active", "name")
    people = list(rows.filter(name=name) if name is not None else rows)
    ids = [person.pk for person in people]
    roles = defaultdict[int, list[HeldRole]](list)
    live = RoleGrant.objects.filter(person__in=ids, revoked_at=None).order_by("effective_from", "pk")
    for person, role, begins in live.values_list("person_id", "role", "effective_from"):
        roles[person].append(HeldRole(Role(role), begins if begins > at else None))
    certificates = dict(
        Certificate.objects.filter(person__in=ids, issued_at__lte=at)
        .values_list("person_id")
        .annotate(Max("expires_at"))
    )
    passkeys = Counter(Passkey.objects.filter(person__in=ids, removed_at=None).values_list("person_id", flat=True))
    apps = set(AuthenticatorApp.objects.filter(person__in=ids, removed_at=None).values_list("person_id", flat=True))
    codes = Counter(
        RecoveryCode.objects.filter(person__in=ids, used_at=None, withdrawn_at=None).values_list("person_id", flat=True)
    )
    secrets = dict(
        Enrolment.objects.filter(person__in=ids, used_at=None, expires_at__gt=at)
        .values_list("person_id")
        .annotate(Max("expires_at"))
    )
    return tuple(
        PersonLine(
            name=person.name,
            active=person.is_active,
            enrolled_at=person.enrolled_at,
            roles=tuple(roles[person.pk]),
            needs_certificate=any(each.role in CONTENT_ROLES for each in roles[person.pk]),
            certified_until=certificates.get(person.pk),
            in_date=certificates.get(person.pk, at) > at,
            factors=Factors(passkeys[person.pk], person.pk in apps, codes[person.pk], secrets.get(person.pk)),
        )
        for person in people
    )


def _holders(role: Role, *, at: dt.datetime) -> set[str]:
    live = RoleGrant.objects.filter(role=role, revoked_at=None, effective_from__lte=at, person__is_active=True)
    return set(live.values_list("person__name", flat=True))


def _proposed(person: Person, *, at: dt.datetime) -> tuple[ProposedRole, ...]:
    rows = Proposal.objects.filter(act=gates.Act.GRANT_ROLE.value, end=None, expires_at__gt=at).select_related(
        "proposer"
    )
    open_ = []
    for row in rows.order_by("pk"):
        what, standing = what_of(row), standing_of(row, at=at)
        if what["person"] == person.audit_id.hex and what["role"] in Role.values:
            open_.append(
                ProposedRole(Role(what["role"]).label, row.proposer.name, row.expires_at, standing is Standing.AGREED)
            )
    return tuple(open_)
