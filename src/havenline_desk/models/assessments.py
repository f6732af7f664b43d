"""Assignments, reveals, assessments and outcomes. Assessments and outcomes are never edited."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .files import File
from .investigations import Investigation
from .people import Person
from .stacks import StackMember, StackRevision


class Step(models.TextChoices):
    FIRST = "first", "first assessment"
    SECOND = "second", "second assessment"
    THIRD = "third", "third person"
    QUALITY = "quality", "look at a sampled decision"


class Assignment(Audited):
    """One step of one stack revision, waiting for or leased to one person."""

    revision = models.ForeignKey(StackRevision, on_delete=models.PROTECT, related_name="assignments")
    investigation = models.ForeignKey(
        Investigation, on_delete=models.PROTECT, related_name="+", db_index=False, help_text="its stack's, for counting"
    )
    step = models.CharField(max_length=8, choices=Step)
    opened_at = models.DateTimeField()
    waits_as_if_since = models.DateTimeField(help_text="what the queue is ordered by: opened, less what reasons count")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="assignments", null=True)
    leased_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("revision", "step"), condition=~models.Q(step="quality"), name="one_assignment_per_step"
            ),
            models.UniqueConstraint(
                fields=("person",),
                condition=models.Q(done_at=None) & models.Q(person__isnull=False),
                name="one_open_assignment_per_person",
            ),
        )
        indexes = (
            models.Index(fields=("waits_as_if_since",), condition=models.Q(done_at=None), name="assignment_waiting"),
            # What the dashboard counts, each read from its index alone.
            models.Index(
                fields=("investigation", "opened_at"), condition=models.Q(done_at=None), name="assignment_open_here"
            ),
            models.Index(
                fields=("investigation", "done_at"), condition=models.Q(step="second"), name="assignment_second_done"
            ),
            models.Index(
                fields=("investigation", "opened_at"), condition=models.Q(step="third"), name="assignment_third_opened"
            ),
        )


class Reveal(Audited):
    """One step of the ladder granted to one person for one file: single use, 120 seconds, logged before any byte."""

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="reveals")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="reveals")
    session_digest = models.CharField(max_length=64)
    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="+")
    ladder_step = models.SmallIntegerField()
    purpose = models.CharField(max_length=32)
    token_digest = models.CharField(max_length=64, unique=True)
    granted_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        indexes = (models.Index(fields=("used_at",), name="reveal_used"),)


class Submission(Audited):
    """What a person submitted and may still take back for some seconds; then it is recorded as an assessment."""

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="submissions")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="submissions")
    facts = models.JSONField()
    same = models.JSONField(help_text="by member id: whether each near member is the same picture")
    active_seconds = models.DecimalField(max_digits=9, decimal_places=3)
    submitted_at = models.DateTimeField()
    taken_back_at = models.DateTimeField(null=True)
    recorded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("assignment",),
                condition=models.Q(taken_back_at=None) & models.Q(recorded_at=None),
                name="one_submission_waits",
            ),
        )
        indexes = (
            models.Index(
                fields=("submitted_at",),
                condition=models.Q(taken_back_at=None) & models.Q(recorded_at=None),
                name="submission_waiting",
            ),
        )


class Assessment(Audited):
    """One person's recorded facts for one stack revision at one step."""

    revision = models.ForeignKey(StackRevision, on_delete=models.PROTECT, related_name="assessments")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="assessments")
    step = models.CharField(max_length=8, choices=Step)
    framework = models.CharField(max_length=64)
    framework_version = models.CharField(max_length=32)
    facts = models.JSONField()
    ladder_step = models.SmallIntegerField(help_text="the step of the ladder at which it was decided")
    active_seconds = models.DecimalField(max_digits=9, decimal_places=3)
    started_at = models.DateTimeField()
    submitted_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("revision", "step"), name="one_assessment_per_step"),
            models.UniqueConstraint(fields=("revision", "person"), name="nobody_assesses_twice"),
        )


class MemberAnswer(models.Model):
    """What one assessor said of one near member after looking at it: the same picture, or not."""

    assessment = models.ForeignKey(Assessment, on_delete=models.PROTECT, related_name="member_answers")
    member = models.ForeignKey(StackMember, on_delete=models.PROTECT, related_name="answers")
    same = models.BooleanField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("assessment", "member"), name="one_answer_per_member"),)


class SettledBy(models.TextChoices):
    SINGLE = "single", "one trained person"
    AGREEMENT = "agreement", "two blind assessments in agreement"
    ADJUDICATION = "adjudication", "a third person"
    DISAGREEMENT = "disagreement", "two blind assessments that differ, with nobody for a third"
    COPY = "copy", "byte-identical to a file this house has assessed twice"


class Outcome(Audited):
    """What the house holds true of one file under one framework version after the required reviews."""

    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="outcomes")
    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="outcomes")
    revision = models.ForeignKey(StackRevision, on_delete=models.PROTECT, related_name="outcomes", null=True)
    copy_of = models.ForeignKey("self", on_delete=models.PROTECT, related_name="copies", null=True)
    corrects = models.OneToOneField("self", on_delete=models.PROTECT, related_name="correction", null=True)
    framework = models.CharField(max_length=64)
    framework_version = models.CharField(max_length=32)
    facts = models.JSONField()
    status = models.CharField(max_length=16)
    class_id = models.CharField(max_length=64, blank=True)
    severity = models.CharField(max_length=8, blank=True)
    rule_path = models.JSONField()
    settled_by = models.CharField(max_length=16, choices=SettledBy)
    viewed_by_person = models.BooleanField()
    settled_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("investigation", "file"),
                condition=models.Q(corrects=None),
                name="one_uncorrected_outcome_per_file",
            ),
        )
        indexes = (
            models.Index(fields=("investigation", "status"), name="outcome_status"),
            models.Index(fields=("investigation", "file"), include=("status",), name="outcome_of_file"),
        )
