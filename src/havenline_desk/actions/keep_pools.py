"""Make pools, and put people into them and out: languages read, subjects known, people who work side by side."""

from __future__ import annotations

import datetime as dt
import re

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..models import AuditAct, Person, Pool, PoolKind, PoolMember


class PoolRefused(HavenlineError):
    """Nothing was changed; the text says why."""


def pool_named(name: str) -> Pool:
    """Raises PoolRefused where there is no such pool."""
    pool = Pool.objects.filter(name=name).first()
    if pool is None:
        raise PoolRefused(f"there is no pool {name}; make it with `havenline queue pool {name} --kind …`")
    return pool


@transaction.atomic
def make_pool(name: str, kind: PoolKind, *, made_by: Person, at: dt.datetime) -> Pool:
    gates.require(made_by, gates.Act.KEEP_POOLS, at=at)
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,63}", name):
        raise PoolRefused(f"{name!r} cannot name a pool: lower-case letters, digits and hyphens, 2 to 64")
    if Pool.objects.filter(name=name).exists():
        raise PoolRefused(f"there is a pool {name} already")
    pool = Pool.objects.create(name=name, kind=kind, made_at=at)
    audit.append(AuditAct.POOL_CHANGED, at=at, actor=made_by, about=pool, purpose="made", record=pool)
    return pool


@transaction.atomic
def join_pool(pool: Pool, person: Person, *, said_by: Person, at: dt.datetime) -> None:
    """Put `person` into the pool; nothing happens where they are in it."""
    gates.require(said_by, gates.Act.KEEP_POOLS, at=at)
    member, fresh = PoolMember.objects.get_or_create(pool=pool, person=person, left_at=None, defaults={"joined_at": at})
    if fresh:
        audit.append(AuditAct.POOL_CHANGED, at=at, actor=said_by, about=member, purpose="joined", record=member)


@transaction.atomic
def leave_pool(pool: Pool, person: Person, *, said_by: Person, at: dt.datetime) -> None:
    """Take `person` out of the pool; nothing happens where they are not in it."""
    gates.require(said_by, gates.Act.KEEP_POOLS, at=at)
    member = PoolMember.objects.select_for_update().filter(pool=pool, person=person, left_at=None).first()
    if member is not None:
        member.left_at = at
        member.save(update_fields=("left_at",))
        audit.append(AuditAct.POOL_CHANGED, at=at, actor=said_by, about=member, purpose="left")
