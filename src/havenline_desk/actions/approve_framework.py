"""Record that local counsel has approved one version of a framework; until then its rules yield `undetermined`."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates, law
from ..agreement import Accord
from ..models import AuditAct, FrameworkApproval, Investigation, Person
from .derive_outcomes import derive_outcomes, one_at_a_time
from .record_quorum import record_quorum


class ApprovalRefused(HavenlineError):
    """Nothing was recorded; the text says why."""


@transaction.atomic
def approve_framework(
    framework: str,
    version: str,
    *,
    approved_by: Person,
    counsel: str,
    agreed: Accord | None = None,
    at: dt.datetime,
) -> FrameworkApproval:
    """Append the approval. Outcomes recorded before it keep what they said; what follows now is derived beside them.

    Raises ApprovalRefused without the agreement of two people, but in a demonstration or a study.
    """
    gates.require(approved_by, gates.Act.APPROVE_FRAMEWORK, at=at)
    what = {"framework": framework, "version": version, "counsel": counsel}
    fits = agreed is not None and agreed.act is gates.Act.APPROVE_FRAMEWORK and agreed.what == what
    if not fits and gates.takes_two(gates.Act.APPROVE_FRAMEWORK):
        raise ApprovalRefused(
            "two people approve a framework: propose it with `havenline proposal framework`, and have another agree"
        )
    approved = law.load(framework, version)
    one_at_a_time()
    if not counsel.strip():
        raise ApprovalRefused("name the counsel and the reference of the opinion")
    if FrameworkApproval.objects.filter(framework=approved.id, version=approved.version).exists():
        raise ApprovalRefused(f"{approved.id} {approved.version} is approved already")
    approval = FrameworkApproval.objects.create(
        framework=approved.id,
        version=approved.version,
        approved_by=approved_by,
        counsel=counsel.strip(),
        approved_at=at,
    )
    if agreed is not None:
        record_quorum([approval], people=len(agreed.people))
    audit.append(
        AuditAct.FRAMEWORK_APPROVED,
        at=at,
        actor=approved_by,
        about=approval,
        purpose=f"{approved.id}:{approved.version}",
        record=approval,
    )
    for investigation in Investigation.objects.order_by("pk"):
        derive_outcomes(investigation, at=at)
    return approval
