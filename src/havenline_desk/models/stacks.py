"""Stacks of near-duplicates: a representative file and the files within distance 31 of it, no chains."""

from __future__ import annotations

from django.db import models

from .files import File
from .investigations import Investigation


class Stack(models.Model):
    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="stacks")
    representative = models.ForeignKey(File, on_delete=models.PROTECT, related_name="+")
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, help_text="the stack this file was excluded from"
    )
    formed_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("investigation", "representative"), name="one_stack_per_representative"),
        )


class StackRevision(models.Model):
    """Frozen when first leased; files that arrive later open the next revision."""

    stack = models.ForeignKey(Stack, on_delete=models.PROTECT, related_name="revisions")
    number = models.IntegerField()
    opened_at = models.DateTimeField()
    frozen_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("stack", "number"), name="one_row_per_revision"),)


class MemberPlace(models.TextChoices):
    SHOWN = "shown", "the file that is shown and judged"
    NEAR = "near", "a near-duplicate that needs its own look"


class StackMember(models.Model):
    """Why this file is in this revision: its distance from the stack's representative under one pipeline."""

    revision = models.ForeignKey(StackRevision, on_delete=models.PROTECT, related_name="members")
    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="memberships")
    place = models.CharField(max_length=8, choices=MemberPlace)
    why = models.CharField(max_length=32)
    distance = models.SmallIntegerField(null=True)
    pipeline = models.CharField(max_length=32, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("revision", "file"), name="one_membership_per_revision"),
            models.UniqueConstraint(
                fields=("revision",), condition=models.Q(place="shown"), name="one_shown_file_per_revision"
            ),
        )
