"""Record that local counsel has approved one version of a framework; until then its rules yield `undetermined`."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline import frameworks
from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..models import AuditAct, FrameworkApproval, Person


class ApprovalRefused(HavenlineError):
    """Nothing was recorded; the text says why."""


@transaction.atomic
def approve_framework(
    framework: str, version: str, *, approved_by: Person, counsel: str, at: dt.datetime
) -> FrameworkApproval:
    """Append the approval; outcomes recorded before it keep what they said."""
    gates.require(approved_by, gates.Act.APPROVE_FRAMEWORK, at=at)
    law = frameworks.load(framework, version)
    if not counsel.strip():
        raise ApprovalRefused("name the counsel and the reference of the opinion")
    if FrameworkApproval.objects.filter(framework=law.id, version=law.version).exists():
        raise ApprovalRefused(f"{law.id} {law.version} is approved already")
    approval = FrameworkApproval.objects.create(
        framework=law.id, version=law.version, approved_by=approved_by, counsel=counsel.strip(), approved_at=at
    )
    audit.append(
        AuditAct.FRAMEWORK_APPROVED,
        at=at,
        actor=approved_by,
        about=approval,
        purpose=f"{law.id}:{law.version}",
        record=approval,
    )
    return approval
