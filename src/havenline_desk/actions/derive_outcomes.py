"""Derive what settled facts mean under each further framework of an investigation; what was derived before is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import connection, transaction

from havenline.frameworks import Framework
from havenline.frameworks.model import NOT_APPROVED

from .. import audit, law
from ..models import AuditAct, Derivation, DerivationRun, Investigation, Outcome, SettledBy
from .keep_feedback import propose_feedback

CHUNK = 2000
_LOCK_SPACE = 0x4854


@transaction.atomic
def derive_outcomes(investigation: Investigation, *, at: dt.datetime, outcomes: Sequence[Outcome] | None = None) -> int:
    """Add a record for each standing outcome and configured version that has none; returns how many.

    A version is applied anew when it is another than the last one of its framework, or when its approval has been
    recorded since; the new record names the old one. `outcomes` limits the work to those. The investigation's own
    version is applied here only where its approval came after its outcomes, which keep what they said.
    """
    if outcomes is None:
        one_at_a_time()
    standing = (
        list(Outcome.objects.filter(investigation=investigation, correction=None).order_by("pk"))
        if outcomes is None
        else list(outcomes)
    )
    own = law.own(investigation)
    added = 0
    for framework in law.configured(investigation, at=at):
        added += _derive(investigation, framework, standing, own=own, at=at)
    if outcomes is None and not any(one.id == own.id for one in law.configured(investigation, at=at)):
        before = [one for one in standing if law.in_force(own.id, own.version) and _awaits_approval(one)]
        added += _derive(investigation, own, before, own=own, at=at)
        propose_feedback({one.file_id for one in before}, at=at)
    return added


def one_at_a_time() -> None:
    """Wait until no other transaction derives standing outcomes, until this one ends: they would be derived twice.

    Taken before the first entry in the audit log. Outcomes of one's own transaction need it not.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 1)", [_LOCK_SPACE])


def _awaits_approval(outcome: Outcome) -> bool:
    return bool(outcome.rule_path == [NOT_APPROVED])


def _derive(
    investigation: Investigation, framework: Framework, outcomes: Sequence[Outcome], *, own: Framework, at: dt.datetime
) -> int:
    approved = framework.demo or law.in_force(framework.id, framework.version)
    last = {
        one.outcome_id: one
        for one in Derivation.objects.filter(
            outcome__in=outcomes, run__framework=framework.id, replaced_by=None
        ).select_related("run")
    }
    due = [
        one
        for one in outcomes
        if (before := last.get(one.pk)) is None
        or (before.run.version, before.run.approved) != (framework.version, approved)
    ]
    if not due:
        return 0
    run = DerivationRun.objects.create(
        investigation=investigation,
        framework=framework.id,
        version=framework.version,
        approved=approved,
        indicative=framework.jurisdiction != own.jurisdiction,
        derived_at=at,
    )
    rows = []
    for outcome in due:
        disputed = outcome.settled_by == SettledBy.DISAGREEMENT
        legality = framework.derive(outcome.facts, approved=approved, disputed=disputed)
        rows.append(
            Derivation(
                run=run,
                outcome=outcome,
                replaces=last.get(outcome.pk),
                status=legality.status.value,
                class_id=legality.class_id or "",
                severity=legality.severity or "",
                rule_path=list(legality.rule_path),
            )
        )
    Derivation.objects.bulk_create(rows, batch_size=CHUNK)
    audit.append(
        AuditAct.OUTCOMES_DERIVED,
        at=at,
        actor=None,
        about=run,
        investigation=investigation,
        purpose=f"{framework.id}:{framework.version}",
        record=run,
    )
    return len(rows)
