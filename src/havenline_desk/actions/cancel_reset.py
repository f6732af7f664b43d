"""Cancel the resets of a person's factors that wait: who signs in has a factor, so none needs to be reset."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit
from ..models import AuditAct, FactorReset, FactorResetEnd, Person


@transaction.atomic
def cancel_reset(person: Person, *, at: dt.datetime) -> int:
    """Part of every sign-in; returns how many there were. Those that lapsed are left as they are."""
    waiting = FactorReset.objects.filter(person=person, end=None, lapses_at__gt=at)
    if not waiting.exists():
        return 0
    Person.objects.select_for_update().get(pk=person.pk)  # as `reset_factors` does, so that one of both comes first
    cancelled = list(waiting.order_by("pk"))
    for reset in cancelled:
        FactorResetEnd.objects.create(reset=reset, carried_out=False, ended_at=at)
        audit.append(AuditAct.FACTOR_RESET_CANCELLED, at=at, actor=person, about=person)
    return len(cancelled)
