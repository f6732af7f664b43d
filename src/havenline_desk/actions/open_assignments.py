"""Open the assignments that stack revisions need under their investigation's review plan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from ..models import Assignment, MemberPlace, Plan, StackMember, StackRevision, Step


def open_assignments(revisions: Iterable[StackRevision], *, at: dt.datetime) -> None:
    """One for a single plan, two for a double one; none where the shown file's content is not kept here."""
    viewable = StackMember.objects.filter(
        revision__in=list(revisions), place=MemberPlace.SHOWN, file__stored__isnull=False
    ).order_by("pk")
    Assignment.objects.bulk_create(
        (
            Assignment(revision_id=revision, step=step, opened_at=at)
            for revision, plan in viewable.values_list("revision_id", "revision__stack__investigation__plan")
            for step in ((Step.FIRST, Step.SECOND) if plan == Plan.DOUBLE else (Step.FIRST,))
        ),
        ignore_conflicts=True,
    )
