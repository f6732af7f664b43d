"""What partners say against entries of this house is looked at by somebody: reviews, and what they found."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .feeds import VoteReason
from .partners import Partner
from .people import Person
from .releases import ReleasedEntry


class EntryReview(Audited):
    """A released entry is to be looked at again, because a partner voted against it or disputes it otherwise.

    One for all that is said until it ends, by a finding or by a withdrawal. `opened_by`: none where a vote opened it.
    """

    entry = models.ForeignKey(ReleasedEntry, on_delete=models.PROTECT, related_name="reviews")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", help_text="who said it first")
    reason = models.CharField(max_length=16, choices=VoteReason)
    opened_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", null=True)
    opened_at = models.DateTimeField()


class EntryVerdict(models.TextChoices):
    STANDS = "stands", "the entry stands"
    WITHDRAWN = "withdrawn", "the entry is withdrawn"
    ASSESS_ANEW = "assess_anew", "others assess the file anew"


class EntryFinding(Audited):
    """What a review of an entry ended with, by one person who had not assessed the file."""

    review = models.OneToOneField(EntryReview, on_delete=models.PROTECT, related_name="finding")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=16, choices=EntryVerdict)
    found_at = models.DateTimeField()
