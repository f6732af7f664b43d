"""Pass an open assignment on, with a reason that is remembered; no answer is kept, what was viewed stays recorded."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit
from ..models import Assignment, AuditAct, Person, Pool, PoolKind, PoolNeed, Skip, SkipReason
from ..waiting import open_in_the_name_of

_KIND_OF = {SkipReason.LANGUAGE: PoolKind.LANGUAGE, SkipReason.SPECIALIST: PoolKind.SPECIALIST}


@transaction.atomic
def skip_assignment(
    assignment_id: int, *, person: Person, reason: SkipReason, pool: str = "", at: dt.datetime
) -> Skip | None:
    """Release the lease when `person` holds it, and remember why; None when it is not theirs.

    A pool of the reason's kind (a language, a specialist) keeps the stack for its members from now on; the name of no
    such pool is passed over, since the skip itself must never fail.
    """
    held = open_in_the_name_of(person).filter(pk=assignment_id)
    if held.update(person=None, leased_at=None, expires_at=None) != 1:
        return None
    assignment = Assignment.objects.select_related("revision__stack__investigation").get(pk=assignment_id)
    skip = Skip.objects.create(assignment=assignment, person=person, reason=reason, skipped_at=at)
    stack = assignment.revision.stack
    wanted = Pool.objects.filter(name=pool, kind=_KIND_OF[reason]).first() if pool and reason in _KIND_OF else None
    if wanted is not None:
        PoolNeed.objects.get_or_create(stack=stack, pool=wanted, defaults={"said_by": person, "said_at": at})
    audit.append(
        AuditAct.ASSIGNMENT_GIVEN_BACK,
        at=at,
        actor=person,
        about=assignment,
        investigation=stack.investigation,
        purpose=f"{assignment.step}_assessment.{reason}",
        record=skip,
    )
    return skip
