"""Partners that two people enrolled, which lists each gets by which door, and their canaries."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .people import Person
from .proposals import Proposal
from .releases import HouseList


class Partner(Audited):
    """An organisation that may be given lists. Nothing goes to it by itself, and nothing while it is suspended."""

    slug = models.CharField(max_length=64, unique=True)
    name = models.TextField()
    purpose = models.TextField(help_text="what it is given lists for, by which agreement")
    enrolled_at = models.DateTimeField()
    suspended_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class PartnerKey(Audited):
    """An age recipient that two people saw and agreed to; the newest of a partner counts."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="keys")
    recipient = models.CharField(max_length=128)
    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, related_name="partner_key")
    enrolled_at = models.DateTimeField()


class Door(models.TextChoices):
    """By which way a list leaves the house."""

    EXCHANGE = "exchange", "signed exchange between installations"
    NCMEC = "ncmec", "list in NCMEC's form"
    MATCH = "match", "match service"
    FILE = "file", "file in the form of Project VIC"


class Subscription(Audited):
    """One partner gets one list by one door, from when it was opened until it was ended."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="subscriptions")
    list = models.ForeignKey(HouseList, on_delete=models.PROTECT, related_name="subscriptions")
    door = models.CharField(max_length=16, choices=Door)
    opened_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("partner", "list", "door"),
                condition=models.Q(ended_at=None),
                name="one_open_subscription_per_door",
            ),
        )


class Canary(Audited):
    """A random entry that one partner alone gets in one list, the same by every door: seen elsewhere, it tells whose.

    It stands in no edition. `values` by algorithm and everything else look like an entry of that list.
    """

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="canaries")
    list = models.ForeignKey(HouseList, on_delete=models.PROTECT, related_name="canaries")
    entry = models.CharField(max_length=32, unique=True)
    values = models.JSONField()
    quality = models.SmallIntegerField(null=True)
    framework = models.CharField(max_length=64)
    framework_version = models.CharField(max_length=32)
    code = models.CharField(max_length=64, blank=True)
    assessments = models.PositiveSmallIntegerField()
    mark = models.CharField(max_length=16, blank=True)
    released_at = models.DateTimeField()
    made_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "canaries"
        indexes = (models.Index(fields=("partner", "list"), name="canary_partner_and_list"),)
