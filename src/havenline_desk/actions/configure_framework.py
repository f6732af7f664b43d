"""Say under which further frameworks an investigation derives; what is settled already is derived at once."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline import frameworks
from havenline.vocabulary import HavenlineError

from .. import audit, gates, law
from ..models import AuditAct, ConfiguredFramework, Investigation, Person
from .derive_outcomes import derive_outcomes, one_at_a_time


class ConfigurationRefused(HavenlineError):
    """Nothing was changed; the text says why."""


@transaction.atomic
def configure_framework(
    investigation: Investigation, framework: str, version: str | None, *, by: Person, at: dt.datetime
) -> int:
    """Add a framework, or another version of one; returns how many outcomes were derived under it.

    Whoever is filling in a form keeps that form; assignments leased from now on ask what the new version needs.
    Raises FrameworkError where its facts and those of the others do not fit together.
    """
    gates.require(by, gates.Act.CONFIGURE_FRAMEWORKS, at=at)
    one_at_a_time()
    added = law.load(framework, version)
    if not added.questions:
        raise ConfigurationRefused(f"{added.id} {added.version} asks nothing yet: import its scheme first")
    if (added.id, added.version) == (investigation.framework, investigation.framework_version):
        raise ConfigurationRefused(f"{investigation.reference} was opened under {added.id} {added.version} already")
    others = law.configured(investigation, at=at)
    if any((one.id, one.version) == (added.id, added.version) for one in others):
        raise ConfigurationRefused(f"{investigation.reference} derives under {added.id} {added.version} already")
    frameworks.sheet(law.own(investigation), [*(one for one in others if one.id != added.id), added])
    row = ConfiguredFramework.objects.create(
        investigation=investigation,
        framework=added.id,
        version=added.version,
        configured_by=by,
        configured_at=at,
    )
    audit.append(
        AuditAct.FRAMEWORK_CONFIGURED,
        at=at,
        actor=by,
        about=row,
        investigation=investigation,
        purpose=f"{added.id}:{added.version}",
        record=row,
    )
    return derive_outcomes(investigation, at=at)
