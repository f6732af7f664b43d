"""Cancel a proposal: one person is enough, and nothing brings it back."""

from __future__ import annotations

import datetime as dt

from django.db import IntegrityError, transaction

from .. import audit, gates
from ..agreement import ProposalRefused, refuse_unless_open
from ..models import AuditAct, Person, Proposal, ProposalEnd


def cancel(proposal: Proposal, *, person: Person, at: dt.datetime) -> None:
    """End the proposal. Raises Denied for whom it does not concern, ProposalRefused when it has ended already."""
    if not gates.concerns(person, proposal, at=at):
        raise gates.Denied(f"this proposal does not wait for {person.name}")
    try:
        with transaction.atomic():
            refuse_unless_open(proposal, at=at)
            end = ProposalEnd.objects.create(proposal=proposal, carried_out=False, person=person, ended_at=at)
            audit.append(
                AuditAct.PROPOSAL_CANCELLED, at=at, actor=person, about=proposal, purpose=proposal.act, record=end
            )
    except IntegrityError:
        raise ProposalRefused("this proposal has just ended otherwise; look again") from None
