"""Take a role away from a person, at once and by one person: it protects, so it waits for nobody."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..models import AuditAct, Ending, Person, Role, RoleGrant
from .end_session import end_sessions

GIVERS = (Role.ADMIN, Role.LEAD)
"""Without one of each in force, no role could be given any more."""


class RoleKept(HavenlineError):
    """Nothing was changed; the text says why."""


@transaction.atomic
def take_role_away(person: Person, role: Role, *, said_by: Person, at: dt.datetime) -> None:
    """End the grant of `role`, in force or not yet, and the sessions of `person`.

    What they have open stays leased until its time runs out, and submits no more. Raises Denied without the role that
    may, RoleKept where there is nothing to take, or where nobody could give roles any more.
    """
    gates.require(said_by, gates.Act.REVOKE_ROLE, at=at)
    refuse_the_last(person, role, at=at)
    live = RoleGrant.objects.select_for_update().filter(person=person, role=role, revoked_at=None)
    if not live.update(revoked_at=at):
        raise RoleKept(f"{person.name} does not hold the role {role.label}; nothing was changed")
    audit.append(AuditAct.ROLE_REVOKED, at=at, actor=said_by, about=person, purpose=role.value)
    end_sessions(person, Ending.ROLES, by=said_by, at=at)


def refuse_the_last(person: Person, role: Role, *, at: dt.datetime) -> None:
    """Raise RoleKept where `person` is the last whose `role` is in force and it is one that gives roles."""
    if role not in GIVERS:
        return
    # The rows are locked, so that two of them cannot take each other's role away at once.
    live = RoleGrant.objects.select_for_update().filter(
        role=role, revoked_at=None, effective_from__lte=at, person__is_active=True
    )
    holders = set(live.order_by("pk").values_list("person_id", flat=True))
    if holders == {person.pk}:
        raise RoleKept(
            f"{person.name} is the last {role.label}, without whom nobody could give a role any more; "
            "give it to another person first. Nothing was changed"
        )
