"""Between the first proof and the last: who has shown a password, an account or a recovery code, and may go on.

Nobody is signed in by this; the desk knows a stranger with one open question. It lasts ten minutes.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from django.http import HttpRequest

from ..models import Person

LASTS = dt.timedelta(minutes=10)
_KEY = "pending"


class Next(StrEnum):
    """What is still to be shown."""

    SECOND_FACTOR = "second_factor"
    SET_UP = "set_up"


@dataclass(frozen=True, slots=True)
class Pending:
    person: Person
    step: Next
    onward: str


def keep_pending(request: HttpRequest, person: Person, step: Next, *, onward: str, at: dt.datetime) -> None:
    """Start anew with this person: what the browser's session held before is gone."""
    request.session.flush()
    request.session[_KEY] = {"person": person.pk, "step": step.value, "onward": onward, "at": at.isoformat()}


def pending_of(request: HttpRequest, step: Next, *, at: dt.datetime) -> Pending | None:
    """Who may take `step` in this browser now, if anybody."""
    kept = request.session.get(_KEY)
    if kept is None or kept["step"] != step.value:
        return None
    if not dt.timedelta(0) <= at - dt.datetime.fromisoformat(kept["at"]) <= LASTS:
        return None
    person = Person.objects.filter(pk=kept["person"], is_active=True).first()
    return Pending(person, step, kept["onward"]) if person is not None else None
