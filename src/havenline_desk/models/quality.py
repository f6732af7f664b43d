"""Calibration sessions on drawn pictures, and samples of recent decisions. Rows are only added."""

from __future__ import annotations

from django.db import models

from .assessments import Assignment, Outcome
from .audit import Audited
from .investigations import Investigation
from .people import Certificate, Person
from .stacks import StackRevision


class CalibrationSession(Audited):
    """One person's calibration on pictures drawn for it; the numbers are those of the rules on the day it began."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="calibrations")
    seed = models.BigIntegerField(help_text="what the pictures were drawn from")
    pictures = models.SmallIntegerField()
    pass_mark = models.DecimalField(
        max_digits=4, decimal_places=3, help_text="share of compared answers that are right"
    )
    valid_days = models.SmallIntegerField(help_text="how long a certificate earned by it is in date")
    opened_at = models.DateTimeField()


class CalibrationPicture(models.Model):
    """What was drawn, as answers to the questions of `demo.shapes`."""

    session = models.ForeignKey(CalibrationSession, on_delete=models.PROTECT, related_name="drawn")
    revision = models.OneToOneField(StackRevision, on_delete=models.PROTECT, related_name="calibration")
    number = models.SmallIntegerField()
    facts = models.JSONField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("session", "number"), name="one_drawing_per_number"),)


class CalibrationResult(Audited):
    """How a session ended; for the person and the quality lead alone.

    `outdated`: this version draws other pictures than the session was begun with, so nothing of it was compared.
    """

    session = models.OneToOneField(CalibrationSession, on_delete=models.PROTECT, related_name="result")
    compared = models.SmallIntegerField()
    right = models.SmallIntegerField()
    passed = models.BooleanField()
    outdated = models.BooleanField(default=False)
    certificate = models.OneToOneField(Certificate, on_delete=models.PROTECT, related_name="calibration", null=True)
    closed_at = models.DateTimeField()


class QualitySample(Audited):
    """Which recent decisions a quality lead looks over, drawn by strata from a seed: anybody can draw it again."""

    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="quality_samples")
    drawn_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    seed = models.BigIntegerField()
    settled_from = models.DateTimeField()
    settled_until = models.DateTimeField()
    wanted = models.SmallIntegerField()
    population = models.IntegerField()
    drawn_at = models.DateTimeField()


class SampledOutcome(models.Model):
    sample = models.ForeignKey(QualitySample, on_delete=models.PROTECT, related_name="sampled")
    outcome = models.ForeignKey(Outcome, on_delete=models.PROTECT, related_name="samples")
    stratum = models.CharField(max_length=120)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("sample", "outcome"), name="one_place_per_sample"),)


class FindingVerdict(models.TextChoices):
    AGREES = "agrees", "agrees with what was decided"
    DIFFERS = "differs", "differs in some facts"
    REASSESS = "reassess", "needs a new assessment by others"
    LEFT = "left", "not looked over"


class QualityLook(Audited):
    """One sampled decision handed to a quality lead, in an assignment of its own."""

    sampled = models.OneToOneField(SampledOutcome, on_delete=models.PROTECT, related_name="look")
    assignment = models.OneToOneField(Assignment, on_delete=models.PROTECT, related_name="quality_look")
    begun_at = models.DateTimeField()


class QualityFinding(Audited):
    """What a look found; the decision itself stands as it is."""

    look = models.OneToOneField(QualityLook, on_delete=models.PROTECT, related_name="finding")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=16, choices=FindingVerdict)
    differing = models.JSONField(help_text="ids of the questions that would be answered otherwise")
    ladder_step = models.SmallIntegerField(help_text="how closely it was viewed; 0 where it was not")
    found_at = models.DateTimeField()


class QualityReview(Audited):
    """A decision is assessed anew by others; what they settle on corrects it, and both records stay."""

    finding = models.OneToOneField(
        QualityFinding, on_delete=models.PROTECT, related_name="review", null=True, help_text="none after a dispute"
    )
    outcome = models.OneToOneField(Outcome, on_delete=models.PROTECT, related_name="review")
    revision = models.OneToOneField(StackRevision, on_delete=models.PROTECT, related_name="review")
    opened_at = models.DateTimeField()
