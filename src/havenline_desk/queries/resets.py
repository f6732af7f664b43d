"""Resets of factors that wait: shown to whom they are about, and to those who may have them stopped."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from .. import gates
from ..gates import Act
from ..models import FactorReset, Person
from .quorums import QuorumLine, quorums_of


@dataclass(frozen=True, slots=True)
class ResetLine:
    """One reset that was agreed to and is not done, cancelled or lapsed. `own`: it is about who looks."""

    name: str
    own: bool
    agreed_at: dt.datetime
    in_force_at: dt.datetime
    lapses_at: dt.datetime
    quorum: QuorumLine


def waiting_resets(person: Person, *, at: dt.datetime) -> tuple[ResetLine, ...]:
    """All of them for the auditor and for who may propose or agree to one; for everybody else their own."""
    rows = FactorReset.objects.filter(end=None, lapses_at__gt=at).select_related("person").order_by("pk")
    rule = gates.rule_of(Act.RESET_FACTORS, house=gates.house())
    sees = not (rule.roles | rule.second).isdisjoint(gates.roles_of(person, at=at))
    if not sees and not gates.allowed(person, Act.READ_LOG, at=at):
        rows = rows.filter(person=person)
    quorums = quorums_of(row.audit_id for row in rows)
    return tuple(
        ResetLine(
            name=row.person.name,
            own=row.person_id == person.pk,
            agreed_at=row.agreed_at,
            in_force_at=row.in_force_at,
            lapses_at=row.lapses_at,
            quorum=quorums[row.audit_id],
        )
        for row in rows
    )
