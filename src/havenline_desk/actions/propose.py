"""Propose an act that takes two people: written down to the byte, so that whoever agrees agrees to exactly that."""

from __future__ import annotations

import datetime as dt
import uuid

from django.db import transaction

from .. import audit, gates
from ..agreement import (
    EXPIRES_AFTER,
    ProposalRefused,
    What,
    canonical_action,
    check_evidence,
    check_said,
    digest_of,
    refuse_subject,
)
from ..gates import Act
from ..models import AuditAct, Person, Proposal


@transaction.atomic
def propose(act: Act, what: What, *, person: Person, evidence: str = "", at: dt.datetime) -> Proposal:
    """Record the proposal, good for 24 hours. `what` has the members that `agreement.SAYS` names for the act.

    Raises Denied where `person` may not propose this, ProposalRefused where it says too little or too much, or is
    about themselves. Not checked: whether it can be carried out; that is checked when it is.
    """
    gates.require(person, act, at=at)
    check_said(act, what)
    refuse_subject(person, act, what)
    house = gates.house()
    people = gates.rule_of(act, house=house).people
    if people < 2:
        raise ProposalRefused(f"{act.replace('_', ' ')} takes one person, and no proposal")
    proposal = Proposal(
        audit_id=uuid.uuid4(),
        act=act.value,
        proposer=person,
        evidence=evidence,
        proposed_at=at,
        expires_at=at + EXPIRES_AFTER,
    )
    proposal.action = canonical_action(proposal, what, house=house, people=people)
    proposal.digest = digest_of(proposal.action)
    check_evidence(evidence, person, proposal.digest)
    proposal.save()
    audit.append(AuditAct.PROPOSAL_MADE, at=at, actor=person, about=proposal, purpose=proposal.act, record=proposal)
    return proposal
