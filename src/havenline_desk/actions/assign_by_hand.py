"""The lead sets a waiting assignment aside for one person, or frees one that somebody has; never what it shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..models import Assignment, AuditAct, HandReason, Person, SetAside, SourceKind, Step
from ..waiting import open_in_the_name_of, taken_up_by, unseen_by

KEPT_FOR = dt.timedelta(hours=24)
"""How long it waits for that person alone; then it is the queue's again."""


class HandRefused(HavenlineError):
    """Nothing was changed. `problems` says by field (`item`, `person`, `reason`) why."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = dict(problems)


@transaction.atomic
def assign_by_hand(
    assignment_id: int, person: Person, *, reason: HandReason, said_by: Person, at: dt.datetime
) -> SetAside:
    """Set a free assignment aside for `person` for 24 hours: it is the first that Start hands them.

    Whatever keeps the queue from handing it to them holds here too, and one sentence says so for all of it: recusals,
    skips and what they do not want today are nobody else's matter. It widens no budget.
    Raises Denied without the role, HandRefused otherwise.
    """
    gates.require(said_by, gates.Act.ASSIGN_BY_HAND, at=at)
    if gates.is_oneself(person, said_by):
        raise HandRefused({"person": "nobody sets an item aside for themselves"})
    waiting = Assignment.objects.select_for_update(of=("self",)).filter(unseen_by(said_by), pk=assignment_id)
    of_plan = waiting.filter(done_at=None).exclude(step=Step.QUALITY)
    assignment = of_plan.select_related("revision__stack__investigation").first()
    if assignment is None:
        raise HandRefused({"item": "no such item waits any more; choose another"})
    if assignment.person_id is not None and assignment.expires_at is not None and assignment.expires_at > at:
        raise HandRefused({"item": "somebody has this item open now; free it first, or choose another"})
    step = Step(assignment.step)
    _check_person(person, step, at=at)
    if not taken_up_by(person, [step], at=at).filter(pk=assignment.pk).exists():
        raise HandRefused({"person": f"{person.name} will not take up this item now; why is not told here"})
    before = SetAside.objects.filter(assignment=assignment, ended_at=None).select_related("person").first()
    if before is not None and before.ends_at > at:
        raise HandRefused({"item": f"this item is set aside for {before.person.name} already; take that back first"})
    SetAside.objects.filter(assignment=assignment, ended_at=None).update(ended_at=at)
    made = SetAside.objects.create(
        assignment=assignment, person=person, said_by=said_by, reason=reason, made_at=at, ends_at=at + KEPT_FOR
    )
    audit.append(
        AuditAct.ASSIGNMENT_MADE_BY_HAND,
        at=at,
        actor=said_by,
        about=assignment,
        investigation=assignment.revision.stack.investigation,
        purpose=reason.value,
        record=made,
    )
    return made


@transaction.atomic
def free_assignment(assignment_id: int, *, said_by: Person, at: dt.datetime) -> None:
    """End the lease of an assignment, or else take back what was set aside; it is the queue's again.

    No answer that was typed is kept; what was viewed stays recorded. Raises Denied without the role, HandRefused where
    there is nothing to free: it was submitted meanwhile, say.
    """
    gates.require(said_by, gates.Act.FREE_ASSIGNMENT, at=at)
    rows = Assignment.objects.select_for_update(of=("self",)).filter(unseen_by(said_by), pk=assignment_id, done_at=None)
    rows = rows.exclude(revision__stack__investigation__source_kind=SourceKind.TRAINING)
    assignment = rows.select_related("person", "revision__stack__investigation").first()
    if assignment is None:
        raise HandRefused({"item": "nobody has this item any more; nothing was changed"})
    holder = assignment.person
    if holder is not None and open_in_the_name_of(holder).filter(pk=assignment.pk).exists():
        assignment.person = assignment.leased_at = assignment.expires_at = None
        assignment.save(update_fields=("person", "leased_at", "expires_at"))
        ended = "lease"
    elif SetAside.objects.filter(assignment=assignment, ended_at=None).update(ended_at=at):
        ended = "set_aside"
    else:
        raise HandRefused({"item": "nobody has this item any more; nothing was changed"})
    audit.append(
        AuditAct.ASSIGNMENT_FREED,
        at=at,
        actor=said_by,
        about=assignment,
        investigation=assignment.revision.stack.investigation,
        purpose=ended,
    )


def _check_person(person: Person, step: Step, *, at: dt.datetime) -> None:
    wanted = gates.Act.TAKE_DISPUTE if step is Step.THIRD else gates.Act.TAKE_ASSESSMENT
    if not gates.allowed(person, wanted, at=at):
        raise HandRefused({"person": f"{person.name} has no role for the {step.label}"})
    if not gates.certified(person, at=at):
        raise HandRefused({"person": f"{person.name} has no certificate in date"})
