"""Give an open assignment back to the queue; nothing that was answered is kept, what was viewed stays recorded."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit
from ..models import Assignment, AuditAct, Person


@transaction.atomic
def give_back(assignment_id: int, *, person: Person, at: dt.datetime) -> bool:
    """Release the lease when `person` holds it; True when something was released."""
    held = Assignment.objects.filter(pk=assignment_id, person=person, done_at=None)
    if held.update(person=None, leased_at=None, expires_at=None) != 1:
        return False
    assignment = Assignment.objects.select_related("revision__stack__investigation").get(pk=assignment_id)
    audit.append(
        AuditAct.ASSIGNMENT_GIVEN_BACK,
        at=at,
        actor=person,
        about=assignment,
        investigation=assignment.revision.stack.investigation,
        purpose=f"{assignment.step}_assessment",
    )
    return True
