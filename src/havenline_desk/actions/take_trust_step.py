"""Write down that somebody trusted a publisher, revoked one, or staged, published or renewed what partners trust."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.db import transaction

from havenline.repository.publishing import Repository

from .. import audit
from ..models import AuditAct, Person, TrustChange, TrustStep

T = TypeVar("T")
RENEW_BEFORE = dt.timedelta(hours=36)
"""A timestamp that ends within this is signed anew: twice a day, so that a day without this machine stops nobody."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a step was about: the name of an exchange or role, and which version and bytes of it."""

    name: str
    version: int | None = None
    digest: str = ""


@transaction.atomic
def take_trust_step(
    change: TrustChange, said: Said, *, do: Callable[[], T], person: Person | None = None, at: dt.datetime
) -> T:
    """Record the step, then `do` it in the files, and return what that gave; nothing is recorded where it is refused.

    Raises what `do` raises. Where the database fails after the files were changed, the step is done and not recorded.
    """
    row = TrustStep.objects.create(
        change=change, name=said.name, version=said.version, digest=said.digest, person=person, taken_at=at
    )
    audit.append(AuditAct.TRUST_CHANGED, at=at, actor=person, about=row, purpose=change.value, record=row)
    return do()


def renew_due(repository: Repository, *, at: dt.datetime) -> bool:
    """Sign the timestamp anew where it ends within 36 hours; whether that was so. Raises RepositoryRefused, OSError."""
    stands = repository.timestamp()
    if stands is None or stands[1] - at > RENEW_BEFORE:
        return False
    said = Said("timestamp", stands[0] + 1)
    return take_trust_step(TrustChange.RENEWED, said, do=lambda: repository.renew(at=at), at=at)
