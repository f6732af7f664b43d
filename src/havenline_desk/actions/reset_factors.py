"""Let somebody who lost every factor set up new ones: two people agree, a day passes, then the old ones go."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit, factors
from ..agreement import Accord, ProposalRefused
from ..models import (
    AuditAct,
    AuthenticatorApp,
    Ending,
    FactorReset,
    FactorResetEnd,
    Passkey,
    Person,
    RecoveryCode,
)
from .end_session import end_sessions
from .record_quorum import record_quorum

RESET_DELAY = dt.timedelta(hours=24)
"""In which the person, or whoever holds their key, can be told, and signs in if it was not asked for."""
RESET_LASTS = dt.timedelta(days=7)
"""After the delay; then it must be agreed to anew."""


def agree_reset(agreed: Accord, *, at: dt.datetime) -> FactorReset:
    """Record the reset that was agreed to, in the transaction that carries its proposal out; nothing is reset yet.

    Raises ProposalRefused for an account that is closed or has no factor, and while another reset waits.
    """
    person = Person.objects.select_for_update().filter(audit_id=str(agreed.what["person"]), is_active=True).first()
    if person is None:
        raise ProposalRefused("the person is not enrolled here any more; nothing was changed")
    if not factors.set_one_up(person):
        raise ProposalRefused(f"{person.name} has set no factor up: `havenline person renew` takes one person")
    if FactorReset.objects.filter(person=person, end=None, lapses_at__gt=at).exists():
        raise ProposalRefused(f"a reset of the factors of {person.name} was agreed to already")
    in_force = at + RESET_DELAY
    reset = FactorReset.objects.create(
        person=person, agreed_at=at, in_force_at=in_force, lapses_at=in_force + RESET_LASTS
    )
    record_quorum([reset], people=len(agreed.people))
    actor = agreed.proposal.proposer
    audit.append(AuditAct.FACTOR_RESET_AGREED, at=at, actor=actor, about=person, record=reset)
    return reset


@transaction.atomic
def reset_factors(person: Person, *, at: dt.datetime) -> FactorReset | None:
    """Take every factor and recovery code of `person` away and end their sessions, where a reset is in force at `at`.

    None, and nothing is changed, where none is. Linked accounts stay: they sign nobody in without a factor.
    """
    Person.objects.select_for_update().get(pk=person.pk)  # who signs in now cancels it first, or comes too late
    in_force = FactorReset.objects.filter(person=person, end=None, in_force_at__lte=at, lapses_at__gt=at)
    reset = in_force.order_by("-pk").first()
    if reset is None:
        return None
    FactorResetEnd.objects.create(reset=reset, carried_out=True, ended_at=at)
    Passkey.objects.filter(person=person, removed_at=None).update(removed_at=at)
    AuthenticatorApp.objects.filter(person=person, removed_at=None).update(removed_at=at)
    RecoveryCode.objects.filter(person=person, used_at=None, withdrawn_at=None).update(withdrawn_at=at)
    audit.append(AuditAct.FACTORS_RESET, at=at, actor=None, about=person)
    end_sessions(person, Ending.FACTORS, by=None, at=at)
    return reset
