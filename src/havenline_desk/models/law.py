"""Frameworks that were imported here, those an investigation derives under, and what was derived; only added to."""

from __future__ import annotations

from django.db import models

from .assessments import Outcome
from .audit import Audited
from .investigations import Investigation
from .people import Person


class ImportedFramework(Audited):
    """A version of a framework or scheme that was loaded into this installation, as data of docs/formats."""

    framework = models.CharField(max_length=64)
    version = models.CharField(max_length=32)
    document = models.JSONField()
    imported_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    imported_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("framework", "version"), name="one_import_per_version"),)


class ConfiguredFramework(Audited):
    """From `configured_at` on, an investigation derives under this version; the newest row of a framework counts."""

    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="configured")
    framework = models.CharField(max_length=64)
    version = models.CharField(max_length=32)
    configured_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    configured_at = models.DateTimeField()


class DerivationRun(Audited):
    """One application of one version to outcomes of one investigation; `approved` is what was known at that moment."""

    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="derivation_runs")
    framework = models.CharField(max_length=64)
    version = models.CharField(max_length=32)
    approved = models.BooleanField()
    indicative = models.BooleanField(help_text="the law of another place than that of the investigation's framework")
    derived_at = models.DateTimeField()


class Derivation(models.Model):
    """What one version says of one outcome's facts; `replaces` names the record that it follows."""

    run = models.ForeignKey(DerivationRun, on_delete=models.PROTECT, related_name="derivations")
    outcome = models.ForeignKey(Outcome, on_delete=models.PROTECT, related_name="derivations")
    replaces = models.OneToOneField("self", on_delete=models.PROTECT, related_name="replaced_by", null=True)
    status = models.CharField(max_length=16)
    class_id = models.CharField(max_length=64, blank=True)
    severity = models.CharField(max_length=8, blank=True)
    rule_path = models.JSONField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("run", "outcome"), name="one_derivation_per_run"),)
