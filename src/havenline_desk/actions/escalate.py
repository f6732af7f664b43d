"""A child may be in danger now: raise it, take it over, pass it on, refer it, co-sign it, close it.

One person is enough at every step but the co-signature, which follows and holds nothing up. The other assessor of the
stack learns nothing: neither its place in the queue nor any page they can open changes.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..escalated import ANSWER_WITHIN, escalations_open_to
from ..models import (
    Assignment,
    AuditAct,
    DutyContact,
    Escalation,
    EscalationEvent,
    EscalationStage,
    Person,
    Reveal,
)

_ACTS = {
    EscalationStage.ACKNOWLEDGED: gates.Act.ANSWER_ESCALATION,
    EscalationStage.SECOND_CONTACT: gates.Act.ESCALATE,
    EscalationStage.REFERRED: gates.Act.ESCALATE,
    EscalationStage.COSIGNED: gates.Act.COSIGN_REFERRAL,
    EscalationStage.CLOSED: gates.Act.ANSWER_ESCALATION,
}


class EscalationRefused(HavenlineError):
    """Nothing was recorded; the text says why and what to do, which may be to telephone at once."""


@transaction.atomic
def raise_escalation(assignment_id: int, *, person: Person, at: dt.datetime) -> Escalation:
    """Start the clock for the stack that `person` has open, after one view at the least; raising twice is once."""
    gates.require(person, gates.Act.ESCALATE, at=at)
    assignment = (
        Assignment.objects.select_for_update(of=("self",))
        .select_related("revision__stack__investigation")
        .filter(pk=assignment_id, person=person, done_at=None)
        .first()
    )
    if assignment is None:
        raise EscalationRefused("this item is no longer yours; telephone the duty contact and name the time")
    if not Reveal.objects.filter(assignment=assignment, person=person, used_at__isnull=False).exists():
        raise EscalationRefused("nothing of this item was viewed yet: look at the first step, then escalate")
    escalation, fresh = Escalation.objects.get_or_create(
        assignment=assignment, raised_by=person, defaults={"raised_at": at, "acknowledge_by": at + ANSWER_WITHIN}
    )
    if fresh:
        audit.append(
            AuditAct.ESCALATION_RAISED,
            at=at,
            actor=person,
            about=escalation,
            investigation=assignment.revision.stack.investigation,
            record=escalation,
        )
    return escalation


@transaction.atomic
def record_stage(
    escalation: Escalation, stage: EscalationStage, *, person: Person, reference: str = "", at: dt.datetime
) -> EscalationEvent:
    """Append what was done. Recording a stage again gives what stands.

    Raises EscalationRefused where the stage cannot be reached: a referral and an end need a reference, a co-signature
    needs a referral by somebody else; Denied without the role.
    """
    gates.require(person, _ACTS[stage], at=at)
    Assignment.objects.select_for_update().get(pk=escalation.assignment_id)  # one stage after the other
    if not escalations_open_to(person).filter(pk=escalation.pk).exists():
        raise EscalationRefused("you work on the same stack, so this escalation is not yours to act on")
    done = {event.stage: event for event in escalation.events.all()}
    if stage in done:
        return done[stage]
    if EscalationStage.CLOSED in done:
        raise EscalationRefused("this escalation is closed; raise it again from the item")
    if stage in (EscalationStage.REFERRED, EscalationStage.CLOSED) and not reference.strip():
        raise EscalationRefused("name the reference that the police gave, or why it ends; nothing was recorded")
    if stage == EscalationStage.COSIGNED:
        referred = done.get(EscalationStage.REFERRED)
        if referred is None or referred.person_id == person.pk:
            raise EscalationRefused("a co-signature is another person's, after the referral; nothing was recorded")
    event = EscalationEvent.objects.create(
        escalation=escalation, stage=stage, person=person, reference=reference.strip()[:200], at=at
    )
    audit.append(AuditAct.ESCALATION_STAGE, at=at, actor=person, about=escalation, purpose=stage.value, record=event)
    return event


@transaction.atomic
def declare_contact(
    place: int, *, duty: str, telephone: str, note: str = "", declared_by: Person, at: dt.datetime
) -> DutyContact:
    """Put a duty and its telephone number in the first or second place; the newest of a place counts."""
    gates.require(declared_by, gates.Act.DECLARE_CONTACT, at=at)
    if place not in (1, 2):
        raise EscalationRefused("there are two places: 1 is telephoned first, 2 where the first does not answer")
    if not duty.strip() or not any(sign.isdigit() for sign in telephone):
        raise EscalationRefused("a contact needs a duty in words and a telephone number")
    contact = DutyContact.objects.create(
        place=place, duty=duty.strip(), telephone=telephone.strip(), note=note.strip(), declared_at=at
    )
    audit.append(AuditAct.CONTACT_DECLARED, at=at, actor=declared_by, about=contact, record=contact)
    return contact
