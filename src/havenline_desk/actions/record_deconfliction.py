"""Record what the police said before anything goes out, and after how many days it need not be waited for."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit, gates
from ..models import AuditAct, Deconfliction, DeconflictionAnswer, DeconflictionTerm, Investigation, Outcome, Person
from .release_entries import ReleaseRefused

MOST_DAYS = 365


@transaction.atomic
def record_deconfliction(
    investigation: Investigation,
    answer: DeconflictionAnswer,
    *,
    reference: str,
    outcome: Outcome | None = None,
    person: Person,
    at: dt.datetime,
) -> Deconfliction:
    """Record an answer about an investigation, or one outcome of it; the newest counts. One person is enough.

    A hold keeps everything waiting that it is about, until a clear one is recorded; what was released before stays
    so, and is withdrawn by its own act. Raises ReleaseRefused, Denied.
    """
    gates.require(person, gates.Act.RECORD_DECONFLICTION, at=at)
    if not reference.strip() or len(reference) > 64:
        raise ReleaseRefused("say under which reference the police answered, in at most 64 characters")
    if outcome is not None and outcome.investigation_id != investigation.pk:
        raise ReleaseRefused("this outcome is of another investigation; nothing was recorded")
    said = Deconfliction.objects.create(
        investigation=investigation,
        outcome=outcome,
        answer=answer,
        reference=reference.strip(),
        person=person,
        answered_at=at,
    )
    audit.append(
        AuditAct.DECONFLICTION_RECORDED,
        at=at,
        actor=person,
        about=said,
        investigation=investigation,
        purpose=answer.value,
        record=said,
    )
    return said


@transaction.atomic
def declare_term(days: int, *, by: Person, at: dt.datetime) -> DeconflictionTerm:
    """From now on what has waited so many days since it was settled waits for the police no longer, a hold aside."""
    gates.require(by, gates.Act.DECLARE_DECONFLICTION, at=at)
    if not 1 <= days <= MOST_DAYS:
        raise ReleaseRefused(f"1 to {MOST_DAYS} days; nothing was declared")
    term = DeconflictionTerm.objects.create(days=days, declared_by=by, declared_at=at)
    audit.append(AuditAct.DECONFLICTION_DECLARED, at=at, actor=by, about=term, record=term)
    return term
