"""Make the place where calibration sessions live: drawn pictures only, apart from every investigation."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline import frameworks
from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..models import AuditAct, Investigation, Person, Plan, SamplingRule, SourceKind

FRAMEWORK = "demo.shapes"
"""Calibration uses this training framework alone (practice 16)."""
REFERENCE = "CALIBRATION"


class CalibrationRefused(HavenlineError):
    """Nothing was changed; the text says why."""


@transaction.atomic
def set_up_calibration(*, by: Person, at: dt.datetime) -> Investigation:
    """Once for a house, by its lead. What is kept there is drawn on the spot and assessed by the ordinary rules."""
    gates.require(by, gates.Act.CREATE_INVESTIGATION, at=at)
    if Investigation.objects.filter(source_kind=SourceKind.TRAINING).exists():
        raise CalibrationRefused("calibration is set up already")
    if Investigation.objects.filter(reference=REFERENCE).exists():
        raise CalibrationRefused(f"an investigation is called {REFERENCE}; its name is needed for drawn pictures")
    law = frameworks.load(FRAMEWORK)
    place = Investigation.objects.create(
        reference=REFERENCE,
        source_kind=SourceKind.TRAINING,
        posted_total=0,
        sampling_rule=SamplingRule.EVERYTHING,
        authorised_by=by,
        legal_basis="drawn pictures of calibration; nothing else is ever kept here",
        expires_on=at.date(),
        framework=law.id,
        framework_version=law.version,
        plan=Plan.SINGLE,
        created_at=at,
    )
    audit.append(AuditAct.INVESTIGATION_CREATED, at=at, actor=by, about=place, investigation=place, record=place)
    return place
