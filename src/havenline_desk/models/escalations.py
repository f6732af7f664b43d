"""A child may be in danger now: who said so, whom to telephone, what was done. Rows are only added."""

from __future__ import annotations

from django.db import models

from .assessments import Assignment
from .audit import Audited
from .people import Person


class DutyContact(Audited):
    """Whom to telephone, in this order: a duty, not a name, and its number. Replaced by a newer row, never edited."""

    place = models.SmallIntegerField(help_text="1 is telephoned first, 2 where the first does not answer in time")
    duty = models.CharField(max_length=80)
    telephone = models.CharField(max_length=40)
    note = models.CharField(max_length=200, blank=True)
    declared_at = models.DateTimeField()


class Escalation(Audited):
    """Raised by one person from an open assignment, after one view at the least; its clock runs until acknowledged."""

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="escalations")
    raised_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="escalations")
    raised_at = models.DateTimeField()
    acknowledge_by = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("assignment", "raised_by"), name="one_escalation_per_assignment"),
        )


class EscalationStage(models.TextChoices):
    ACKNOWLEDGED = "acknowledged", "somebody has taken it over"
    SECOND_CONTACT = "second_contact", "passed on to the second contact"
    REFERRED = "referred", "referred to the police"
    COSIGNED = "cosigned", "the referral was co-signed"
    CLOSED = "closed", "closed"


class EscalationEvent(Audited):
    """What was done about an escalation; `reference` is the receipt of the police, or why it was closed."""

    escalation = models.ForeignKey(Escalation, on_delete=models.PROTECT, related_name="events")
    stage = models.CharField(max_length=16, choices=EscalationStage)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", null=True)
    reference = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("escalation", "stage"), name="one_event_per_stage"),)
