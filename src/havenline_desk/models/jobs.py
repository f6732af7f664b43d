"""What was asked for on a page and is done by a process of its own, which may be killed at any moment."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .investigations import Investigation
from .people import Person
from .proposals import Proposal


class JobEnd(models.TextChoices):
    """How the job ended. One that did not end is run, or run again, by whichever process takes it."""

    FINISHED = "finished", "finished"
    STOPPED = "stopped", "stopped by a person"
    FAILED = "failed", "refused, or failed"


class JobStage(models.TextChoices):
    """What the process is at."""

    READING = "reading", "reading files"
    MATCHING = "matching", "looking them up in lists"
    STACKING = "stacking", "forming stacks"


class ImportJob(Audited):
    """An import of what lies in the inbox. Who asked is who imports; `proposal` or `approved_by` says who agreed.

    A killed process leaves it as it is, and the next goes on where the import stood. To resume one that ended a new
    row is made. `files` is how many the source has, None where that is not known before it is read. `stage_done` of
    `stage_of` tell how far a stage after reading is.
    """

    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="import_jobs")
    collection = models.CharField(max_length=200)
    source = models.CharField(max_length=255, help_text="name of a folder or archive in the inbox")
    manifest = models.CharField(max_length=255, blank=True, help_text="name of a CSV in the inbox, or empty")
    manifest_digest = models.CharField(max_length=64, blank=True, help_text="its SHA-256 when it was asked for")
    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="+", null=True)
    approved_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", null=True)
    asked_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="import_jobs")
    asked_at = models.DateTimeField()
    begun_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True, help_text="when its process last said how far it is")
    files = models.IntegerField(null=True)
    read = models.IntegerField(default=0, help_text="postings of this run, those known before among them")
    refused = models.IntegerField(default=0)
    stage = models.CharField(max_length=16, choices=JobStage, default=JobStage.READING)
    stage_done = models.IntegerField(default=0)
    stage_of = models.IntegerField(default=0)
    stop_asked_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    ending = models.CharField(max_length=16, choices=JobEnd, blank=True)
    said = models.TextField(blank=True, help_text="why it was refused or failed, for a person")

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("investigation",), condition=models.Q(ended_at=None), name="one_open_import_per_investigation"
            ),
        )
