"""Care for people: what somebody does not want today, when the house has them pause, whom they can talk to."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .investigations import Investigation
from .people import Person
from .queue import Pool


class MediaKind(models.TextChoices):
    """What an item can be, for leaving it out: everything that is no film counts as a picture."""

    FILM = "film", "films"
    PICTURE = "picture", "pictures"


class OptOut(Audited):
    """What `person` is not handed until `until`: what needs a pool, an investigation, or a kind. No reason is asked.

    Theirs alone, and the welfare lead's to see: in no log, on no page of a lead. Deleted when it is taken back or over.
    """

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="opt_outs")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="+", null=True)
    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="+", null=True)
    media = models.CharField(max_length=16, choices=MediaKind, blank=True)
    said_at = models.DateTimeField()
    until = models.DateTimeField()

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(pool__isnull=False, investigation=None, media="")
                | models.Q(pool=None, investigation__isnull=False, media="")
                | models.Q(pool=None, investigation=None, media__in=MediaKind.values),
                name="opt_out_of_one_thing",
            ),
        )


class PaceRule(Audited):
    """When a pause of `pause_minutes` is proposed, and when it is due. Rows are only added; the newest counts."""

    views = models.IntegerField(help_text="views without a pause from which on one is proposed")
    minutes = models.IntegerField(help_text="the same in minutes from the first view to the last")
    most_views = models.IntegerField(help_text="views without a pause after which nothing is opened")
    most_minutes = models.IntegerField(help_text="the same in minutes")
    pause_minutes = models.IntegerField()
    declared_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    declared_at = models.DateTimeField()


class TalkTo(Audited):
    """Whom anybody here can talk to: a service or a duty, and its number. Replaced by a newer row, never edited."""

    who = models.CharField(max_length=120)
    telephone = models.CharField(max_length=40)
    note = models.CharField(max_length=200, blank=True)
    declared_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    declared_at = models.DateTimeField()
