"""What stops destruction, and what is left of content that was destroyed."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .files import StoredContent
from .people import Person


class Hold(Audited):
    """One person wants one kept object kept, under a reference; two release it. `keyd` enforces it."""

    stored = models.ForeignKey(StoredContent, on_delete=models.PROTECT, related_name="holds")
    reference = models.CharField(max_length=64)
    placed_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    placed_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("stored", "reference"), condition=models.Q(released_at=None), name="one_open_hold_per_reference"
            ),
        )


class Tombstone(Audited):
    """The content of one file was destroyed, by which rule; every other record of it stays.

    `hashes_removed`: its perceptual hashes went with it, since it was cleared of suspicion.
    """

    stored = models.OneToOneField(StoredContent, on_delete=models.PROTECT, related_name="tombstone")
    rule = models.CharField(max_length=64)
    hashes_removed = models.BooleanField()
    destroyed_at = models.DateTimeField()


class AlarmKind(models.TextChoices):
    """What about kept content needs a person: too much of it is due at once, or some is not as it was kept."""

    STOPPED = "retention_stopped", "so much is due at once that nothing is destroyed"
    DAMAGED = "content_damaged", "kept content is damaged or missing"


class StorageAlarm(Audited):
    """One alarm, from when it was raised until what raised it was found to be over; one of each kind at a time."""

    kind = models.CharField(max_length=32, choices=AlarmKind)
    counted = models.PositiveIntegerField()
    of = models.PositiveIntegerField()
    raised_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("kind",), condition=models.Q(ended_at=None), name="one_standing_alarm_of_a_kind"
            ),
        )
