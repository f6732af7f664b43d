"""Place a hold on kept content: nothing destroys it until two people release it."""

from __future__ import annotations

import datetime as dt

from django.db import IntegrityError, transaction

from havenline.vocabulary import HavenlineError
from havenline_guard.keyd_wire import NAME, KeydRefused

from .. import audit, gates
from ..keys import keyd
from ..models import AuditAct, Hold, Person, StoredContent, Tombstone


class HoldRefused(HavenlineError):
    """Nothing is held that was not before; the text says why."""


def place_hold(stored: StoredContent, reference: str, *, placed_by: Person, at: dt.datetime) -> Hold:
    """Hold one kept object under `reference`. One person is enough; `keyd` enforces it from then on.

    Raises Denied without the role, HoldRefused, KeydUnreachable. Where the database fails after `keyd` has answered,
    `keyd` holds what no record shows: nothing is destroyed, and placing it again makes the record.
    """
    gates.require(placed_by, gates.Act.PLACE_HOLD, at=at)
    client = keyd()
    if client is None:
        raise HoldRefused("no key process runs here, so nothing destroys content and nothing can hold it")
    if not NAME(reference):
        raise HoldRefused("a reference is 1 to 64 letters, digits and . _ : - and begins with a letter or digit")
    if Tombstone.objects.filter(stored=stored).exists():
        raise HoldRefused("this content was destroyed already")
    try:
        with transaction.atomic():
            hold = Hold.objects.create(stored=stored, reference=reference, placed_by=placed_by, placed_at=at)
            audit.append(AuditAct.HOLD_PLACED, at=at, actor=placed_by, about=hold, record=hold)
            client.place_hold(stored.object_name, reference, by=placed_by.audit_id.hex)
            return hold
    except KeydRefused as refused:
        raise HoldRefused(str(refused)) from None
    except IntegrityError:
        raise HoldRefused(f"it is held under {reference} already") from None
