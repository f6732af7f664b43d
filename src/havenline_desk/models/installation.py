"""What this installation has declared of itself. Rows are only added; the newest counts."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .people import Person


class InstallationKind(models.TextChoices):
    DESK = "desk", "desk"
    DEMO = "demo", "demonstration with drawn pictures"
    STUDY = "study", "study with synthetic records"


class Policy(Audited):
    """`content_legal_basis` empty means: content storage is off, only digests and metadata are kept."""

    kind = models.CharField(max_length=16, choices=InstallationKind)
    content_legal_basis = models.TextField(blank=True)
    declared_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "policies"


class FrameworkApproval(Audited):
    """A named person records that local counsel has approved one version of a framework."""

    framework = models.CharField(max_length=64)
    version = models.CharField(max_length=32)
    approved_by = models.ForeignKey(Person, on_delete=models.PROTECT)
    counsel = models.TextField()
    approved_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("framework", "version"), name="one_approval_per_version"),)
