"""Say how urgent an investigation is: its open assignments move in the queue, every reason stays visible."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.judgement import Urgency

from .. import audit, gates
from ..models import Assignment, AuditAct, Investigation, InvestigationUrgency, Person
from .open_assignments import put_in_order

_BATCH = 1000


@transaction.atomic
def set_urgency(investigation: Investigation, urgency: Urgency, *, set_by: Person, at: dt.datetime) -> None:
    """Raises Denied without the role. Assignments that somebody holds keep their holder."""
    gates.require(set_by, gates.Act.SET_URGENCY, at=at)
    said = InvestigationUrgency.objects.create(investigation=investigation, urgency=urgency, set_by=set_by, set_at=at)
    waiting = list(
        Assignment.objects.select_for_update(of=("self",))
        .filter(revision__stack__investigation=investigation, done_at=None)
        .order_by("pk")
    )
    put_in_order(waiting)
    Assignment.objects.bulk_update(waiting, ["waits_as_if_since"], batch_size=_BATCH)
    audit.append(
        AuditAct.URGENCY_SET,
        at=at,
        actor=set_by,
        about=investigation,
        investigation=investigation,
        purpose=urgency.value,
        record=said,
    )
