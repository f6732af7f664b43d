"""Open an investigation: what it is about, who authorised it, under which basis, law and review plan."""

from __future__ import annotations

import datetime as dt
import re

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates, law
from ..models import AuditAct, Investigation, Person, Plan, SamplingRule, SourceKind


class InvestigationRefused(HavenlineError):
    """The investigation was not created; the text says why."""


@transaction.atomic
def create_investigation(
    reference: str,
    *,
    source_kind: SourceKind,
    period: tuple[dt.date | None, dt.date | None],
    posted_total: int,
    sampling_rule: SamplingRule,
    authorised_by: Person,
    legal_basis: str,
    expires_on: dt.date,
    framework: str,
    framework_version: str | None,
    plan: Plan,
    police_agreement: str = "",
    at: dt.datetime,
) -> Investigation:
    gates.require(authorised_by, gates.Act.CREATE_INVESTIGATION, at=at)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{1,63}", reference):
        raise InvestigationRefused(f"{reference!r} is not a reference: letters, digits, hyphen, underscore; 2 to 64")
    if Investigation.objects.filter(reference=reference).exists():
        raise InvestigationRefused(f"{reference} exists already; it was not changed")
    if source_kind == SourceKind.TRAINING:
        raise InvestigationRefused("drawn pictures of training are no investigation; see `havenline calibration`")
    if not legal_basis.strip():
        raise InvestigationRefused("an investigation needs its legal basis in words")
    if posted_total < 0:
        raise InvestigationRefused("the total number posted cannot be negative")
    start, end = period
    if start is not None and end is not None and end < start:
        raise InvestigationRefused("the period ends before it starts")
    if expires_on < at.date():
        raise InvestigationRefused("the authority to import would have run out already")
    chosen = law.load(framework, framework_version)
    if not chosen.questions:
        raise InvestigationRefused(f"{chosen.id} {chosen.version} asks nothing yet: import its scheme first")
    investigation = Investigation.objects.create(
        reference=reference,
        source_kind=source_kind,
        period_start=start,
        period_end=end,
        posted_total=posted_total,
        sampling_rule=sampling_rule,
        authorised_by=authorised_by,
        legal_basis=legal_basis.strip(),
        police_agreement=police_agreement.strip(),
        expires_on=expires_on,
        framework=chosen.id,
        framework_version=chosen.version,
        plan=plan,
        created_at=at,
    )
    audit.append(
        AuditAct.INVESTIGATION_CREATED,
        at=at,
        actor=authorised_by,
        about=investigation,
        investigation=investigation,
        record=investigation,
    )
    return investigation
