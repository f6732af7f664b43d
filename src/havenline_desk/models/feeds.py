"""Lists in forms of others: who may ask, what each subscriber was first given when, what it says of entries, files."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .partners import Partner, Subscription
from .people import Person
from .releases import HouseList, PublishedEdition, ReleasedEntry


class FeedCredential(Audited):
    """A password of a partner for its feeds, made by the machine and shown once; only its digest is kept."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="feed_credentials")
    digest = models.CharField(max_length=64, unique=True)
    made_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)


class FeedStep(Audited):
    """From `since` on, whole seconds, a subscription is served that edition: the time that its new entries bear."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="steps")
    edition = models.ForeignKey(PublishedEdition, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField()
    taken_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("subscription", "edition"), name="one_step_per_edition"),)


class FeedTombstone(models.Model):
    """From `since` on, whole seconds, a subscription is told that an entry is withdrawn."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="tombstones")
    entry = models.ForeignKey(ReleasedEntry, on_delete=models.PROTECT, related_name="+")
    since = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("subscription", "entry"), name="one_tombstone_per_entry"),)


class VoteReason(models.TextChoices):
    """Why a partner may vote against an entry."""

    NOT_ILLEGAL = "not_illegal", "not illegal under the law of the member"
    ADULT = "adult", "no child is shown"
    WRONG_PICTURE = "wrong_picture", "finds another, lawful picture"
    UNKNOWN = "other", "another reason"


class FeedVote(Audited):
    """What a partner says of one fingerprint of an entry; of several votes the newest counts. It decides nothing.

    `entry` is as the partner was served it, and so may be that of a canary. `reason` is empty in an affirmative vote.
    """

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="feed_votes")
    list = models.ForeignKey(HouseList, on_delete=models.PROTECT, related_name="+")
    entry = models.CharField(max_length=32)
    fingerprint = models.CharField(max_length=8)
    affirmative = models.BooleanField()
    reason = models.CharField(max_length=16, choices=VoteReason, blank=True)
    received_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("list", "entry"), name="feed_vote_list_and_entry"),)


class ExportedFile(Audited):
    """A list that was written to a file for one partner. `digest`: SHA-256 of the file. `entries` counts canaries."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="files")
    edition = models.ForeignKey(PublishedEdition, on_delete=models.PROTECT, related_name="+")
    form = models.CharField(max_length=16)
    digest = models.CharField(max_length=64)
    entries = models.PositiveIntegerField()
    made_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
