"""Agree to what another person proposed: to its bytes, named by their digest, and to nothing else."""

from __future__ import annotations

import datetime as dt
import hmac

from django.db import transaction

from .. import audit, gates
from ..agreement import ProposalRefused, check_evidence, digest_of, refuse_subject, refuse_unless_open, what_of
from ..gates import Act
from ..models import Approval, AuditAct, Person, Proposal


@transaction.atomic
def approve(proposal: Proposal, *, person: Person, digest: str, evidence: str = "", at: dt.datetime) -> Approval:
    """Record that `person` agrees to the act whose SHA-256 is `digest`, as their page or command showed it.

    Raises ProposalRefused for one's own proposal, one that is no longer open, other bytes, a signature over something
    else, and a second time; Denied without a role that may agree. Nothing is carried out by this.
    """
    proposal = Proposal.objects.select_related("proposer").get(pk=proposal.pk)
    act = Act(proposal.act)
    if proposal.proposer_id == person.pk:
        raise ProposalRefused("nobody agrees to what they proposed themselves; another person must")
    gates.require_second(person, act, at=at)
    refuse_unless_open(proposal, at=at)
    if not hmac.compare_digest(digest, proposal.digest) or digest_of(proposal.action) != proposal.digest:
        raise ProposalRefused("this is not what was proposed; look at it again. Nothing was agreed to")
    refuse_subject(person, act, what_of(proposal))
    check_evidence(evidence, person, proposal.digest)
    if Approval.objects.filter(proposal=proposal, person=person).exists():
        raise ProposalRefused("you have agreed to this already")
    approval = Approval.objects.create(
        proposal=proposal, person=person, digest=digest, evidence=evidence, approved_at=at
    )
    audit.append(AuditAct.PROPOSAL_APPROVED, at=at, actor=person, about=proposal, purpose=proposal.act, record=approval)
    return approval
