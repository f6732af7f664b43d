"""The end of one's shift: what was submitted is recorded, what is open goes back to the queue, and nobody asks why."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit, gates
from ..models import Assignment, AuditAct, Person, SourceKind
from ..waiting import open_in_the_name_of
from .hold_submission import record_held


def end_shift(person: Person, *, at: dt.datetime) -> None:
    """Record what `person` submitted and free what they have open; no answer that was only typed is kept.

    It counts as no skip: they may be handed it again. A calibration stays open. Raises Denied without assessment work.
    """
    gates.require(person, gates.Act.KEEP_SHIFT, at=at)
    record_held(person=person, at=at)
    with transaction.atomic():
        held = open_in_the_name_of(person).exclude(revision__stack__investigation__source_kind=SourceKind.TRAINING)
        rows = Assignment.objects.select_for_update(of=("self",)).filter(pk__in=list(held.values_list("pk", flat=True)))
        for assignment in rows.select_related("revision__stack__investigation").order_by("pk"):
            assignment.person = assignment.leased_at = assignment.expires_at = None
            assignment.save(update_fields=("person", "leased_at", "expires_at"))
            audit.append(
                AuditAct.ASSIGNMENT_FREED,
                at=at,
                actor=person,
                about=assignment,
                investigation=assignment.revision.stack.investigation,
                purpose="end_of_shift",
            )
