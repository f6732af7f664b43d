"""Escalations as the people see them who may know of them: where each stands, whom to telephone, what comes next."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import QuerySet

from .. import gates
from ..escalated import COSIGN_WITHIN, escalations_open_to
from ..models import DutyContact, Escalation, EscalationStage, Person


@dataclass(frozen=True, slots=True)
class Contact:
    place: int
    duty: str
    telephone: str
    note: str


@dataclass(frozen=True, slots=True)
class Stage:
    stage: EscalationStage
    person: str
    reference: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class EscalationLine:
    """`call` is whom to telephone now: None once somebody has taken it over. `next` is what may be done."""

    number: int
    investigation: str
    raised_by: str
    raised_at: dt.datetime
    acknowledge_by: dt.datetime
    overdue: bool
    cosign_overdue: bool
    stages: tuple[Stage, ...]
    call: Contact | None
    next: tuple[EscalationStage, ...]
    closed: bool


def contacts() -> tuple[Contact, ...]:
    """The newest declared contact of each place, in the order in which they are telephoned."""
    newest = {row.place: row for row in DutyContact.objects.order_by("pk")}
    return tuple(
        Contact(row.place, row.duty, row.telephone, row.note) for row in sorted(newest.values(), key=lambda r: r.place)
    )


def escalation_lines(person: Person, *, at: dt.datetime) -> tuple[EscalationLine, ...]:
    """Every escalation that `person` may know of, the open ones first, the newest first among them."""
    rows = (
        _permitted(person, at=at)
        .select_related("raised_by", "assignment__revision__stack__investigation")
        .prefetch_related("events__person")
    )
    called = contacts()
    lines = [_line(row, person, called, at=at) for row in rows.order_by("-raised_at", "-pk")]
    return tuple(sorted(lines, key=lambda line: line.closed))


def waiting_escalations(person: Person, *, at: dt.datetime) -> int:
    """How many escalations nobody has taken over yet, of those that `person` may take over."""
    if not gates.allowed(person, gates.Act.ANSWER_ESCALATION, at=at):
        return 0
    done = (EscalationStage.ACKNOWLEDGED, EscalationStage.CLOSED)
    return escalations_open_to(person).exclude(events__stage__in=done).count()


def escalation_of(number: int, person: Person, *, at: dt.datetime) -> Escalation | None:
    return _permitted(person, at=at).filter(pk=number).first()


def _permitted(person: Person, *, at: dt.datetime) -> QuerySet[Escalation]:
    rows = escalations_open_to(person)
    acts = gates.acts_of(person, at=at)
    if acts.isdisjoint({gates.Act.ANSWER_ESCALATION, gates.Act.COSIGN_REFERRAL}):
        return rows.filter(raised_by=person)
    return rows


def _line(row: Escalation, person: Person, called: tuple[Contact, ...], *, at: dt.datetime) -> EscalationLine:
    events = {EscalationStage(event.stage): event for event in row.events.all()}
    closed = EscalationStage.CLOSED in events
    acknowledged = EscalationStage.ACKNOWLEDGED in events
    late = not acknowledged and not closed and at >= row.acknowledge_by
    referred = events.get(EscalationStage.REFERRED)
    second = late or EscalationStage.SECOND_CONTACT in events
    reachable = [contact for contact in called if contact.place == (2 if second else 1)] or list(called[-1:])
    acts = gates.acts_of(person, at=at)
    allowed = {
        EscalationStage.ACKNOWLEDGED: gates.Act.ANSWER_ESCALATION in acts and row.raised_by_id != person.pk,
        EscalationStage.SECOND_CONTACT: late,
        EscalationStage.REFERRED: gates.Act.ESCALATE in acts,
        EscalationStage.COSIGNED: referred is not None
        and referred.person_id != person.pk
        and gates.Act.COSIGN_REFERRAL in acts,
        EscalationStage.CLOSED: gates.Act.ANSWER_ESCALATION in acts,
    }
    return EscalationLine(
        number=row.pk,
        investigation=row.assignment.revision.stack.investigation.reference,
        raised_by=row.raised_by.name,
        raised_at=row.raised_at,
        acknowledge_by=row.acknowledge_by,
        overdue=late,
        cosign_overdue=referred is not None
        and EscalationStage.COSIGNED not in events
        and at >= referred.at + COSIGN_WITHIN,
        stages=tuple(
            Stage(stage, event.person.name if event.person else "", event.reference, event.at)
            for stage, event in sorted(events.items(), key=lambda pair: pair[1].at)
        ),
        call=reachable[0] if reachable and not acknowledged and not closed else None,
        next=() if closed else tuple(stage for stage in EscalationStage if stage not in events and allowed[stage]),
        closed=closed,
    )
