"""What people decide about partners' lists, and what lists in shadow would have matched.

At which stage a list is, says the state of its exchange, where lookups find it without the desk; nothing here does.
"""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .investigations import Investigation
from .people import Person


class ListChange(models.TextChoices):
    SUSPENDED = "suspended", "suspended: it matches nothing"
    RESUMED = "resumed", "taken up again, in shadow"
    LET_THROUGH = "let_through", "an entry that the screen keeps out was let in"


class ListDecision(Audited):
    """What one person decided about a partner's list. What two decide is a proposal."""

    exchange = models.CharField(max_length=64, help_text="name of its folder")
    change = models.CharField(max_length=16, choices=ListChange)
    entry = models.CharField(max_length=255, blank=True, help_text="the partner's key, where one entry is meant")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField()


class ListLookedUp(Audited):
    """An investigation that a list had counted in shadow was looked up in it, once for each activation.

    `agreed`: the proposal by which two people activated it, as the state of the exchange names it.
    """

    exchange = models.CharField(max_length=64, help_text="name of its folder")
    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="+")
    agreed = models.CharField(max_length=32)
    looked_up_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("agreed", "investigation"), name="once_for_each_activation"),)


class ShadowCount(models.Model):
    """Of `files` of an investigation, a list in shadow would have matched `matched`. Which ones is kept nowhere."""

    list_name = models.CharField(max_length=200)
    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="+")
    files = models.PositiveIntegerField()
    matched = models.PositiveIntegerField()
    counted_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("list_name",), name="shadow_count_list"),)
