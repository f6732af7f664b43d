"""Open the assignments that a stack revision needs under its investigation's review plan."""

from __future__ import annotations

import datetime as dt

from ..models import Assignment, MemberPlace, Plan, StackRevision, Step, StoredContent


def open_assignments(revision: StackRevision, *, at: dt.datetime) -> None:
    """One for a single plan, two for a double one; none where the shown file's content is not kept here."""
    shown = revision.members.get(place=MemberPlace.SHOWN)
    if not StoredContent.objects.filter(file_id=shown.file_id).exists():
        return
    double = revision.stack.investigation.plan == Plan.DOUBLE
    for step in (Step.FIRST, Step.SECOND) if double else (Step.FIRST,):
        Assignment.objects.get_or_create(revision=revision, step=step, defaults={"opened_at": at})
