"""What this house says of partners' entries: the switch of each source, the opinions, and what came of sending them."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .people import Person


class FeedbackSwitch(Audited):
    """Whether opinions go back to one source; the newest row of an exchange counts, and without one nothing goes.

    `list_name` and `address` are those of the exchange at that time: of another one nothing is sent. `against`: the
    partner's own reasons, given with each opinion against an entry.
    """

    exchange = models.CharField(max_length=64, help_text="name of its folder")
    list_name = models.CharField(max_length=200)
    address = models.CharField(max_length=500)
    on = models.BooleanField()
    against = models.JSONField()
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    switched_at = models.DateTimeField()


class FeedbackView(models.TextChoices):
    FOR = "for", "confirmed here"
    AGAINST = "against", "found not criminal here"
    NONE = "none", "taken back"


class FeedbackOpinion(Audited):
    """What follows for one value of a partner's entry from settled outcomes of the very bytes; the newest row counts.

    `key` is the partner's, `kind` and `value` the digest that files of ours have. No near match ever leads here.
    """

    list_name = models.CharField(max_length=200)
    key = models.CharField(max_length=256)
    kind = models.CharField(max_length=8)
    value = models.CharField(max_length=64)
    view = models.CharField(max_length=8, choices=FeedbackView)
    proposed_at = models.DateTimeField()

    class Meta:
        indexes = (models.Index(fields=("list_name", "key", "kind", "value"), name="feedback_of_a_value"),)


class FeedbackStep(models.TextChoices):
    BEGUN = "begun", "being sent"
    SENT = "sent", "sent"
    FAILED = "failed", "failed, tried again later"
    DEAD = "dead", "given up"
    AGAIN = "again", "a person asked to try it again"
    MOOT = "moot", "the partner's entry has no such value any more"


class FeedbackTry(Audited):
    """One step of sending an opinion; the newest of an opinion counts.

    `next_at`: before then it is not tried again. `rest_until`: before then nothing is sent to this partner.
    """

    opinion = models.ForeignKey(FeedbackOpinion, on_delete=models.PROTECT, related_name="tries")
    step = models.CharField(max_length=8, choices=FeedbackStep)
    at = models.DateTimeField()
    next_at = models.DateTimeField(null=True)
    rest_until = models.DateTimeField(null=True)
    why = models.CharField(max_length=200, blank=True, help_text="what refused it; never a value, never a secret")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", null=True)
