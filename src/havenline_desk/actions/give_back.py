"""Give an open assignment back to the queue; nothing that was answered is kept, what was viewed stays recorded."""

from __future__ import annotations

from ..models import Assignment, Person


def give_back(assignment_id: int, *, person: Person) -> bool:
    """Release the lease when `person` holds it; True when something was released."""
    held = Assignment.objects.filter(pk=assignment_id, person=person, done_at=None)
    return held.update(person=None, leased_at=None, expires_at=None) == 1
