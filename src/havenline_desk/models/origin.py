"""What files say of their own origin, as it was read when they were taken in; and the parts of model files."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .files import File
from .investigations import Investigation
from .people import Person


class OriginReading(models.Model):
    """That the signals of a file were read, under which key; `could_be_read` is false where no reader could."""

    file = models.OneToOneField(File, on_delete=models.PROTECT, related_name="origin")
    could_be_read = models.BooleanField()
    keyed_by = models.CharField(max_length=16, help_text="name of the key: digests under one key can be compared")
    read_at = models.DateTimeField()


class OriginSignal(models.Model):
    """One signal, as `havenline.provenance.Signal`: its texts as keyed digests, its value a word of a closed list.

    Kinds and strengths are not repeated here as choices: the models reach whoever orders work, and what origin is made
    of must not. `place` counts from 0 in the order in which the reader told them, so that a text can be read again.
    """

    reading = models.ForeignKey(OriginReading, on_delete=models.PROTECT, related_name="signals")
    place = models.SmallIntegerField()
    kind = models.CharField(max_length=20)
    location = models.CharField(max_length=200)
    strength = models.CharField(max_length=8)
    reader = models.CharField(max_length=32)
    length = models.BigIntegerField(null=True)
    digest = models.CharField(max_length=64, blank=True)
    value = models.CharField(max_length=200, blank=True)
    inferred = models.BooleanField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("reading", "place"), name="one_signal_per_place"),)


class ModelPart(models.TextChoices):
    BODY = "body", "what follows the header"
    TENSORS = "tensors", "the sorted digests of the tensors"


class ModelDigest(models.Model):
    """The SHA-256 by which a part of a model file is known: docs/formats/model-digests.md."""

    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="model_digests")
    part = models.CharField(max_length=8, choices=ModelPart)
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("file", "part"), name="one_digest_per_part"),)


class TextReason(models.TextChoices):
    REFERRAL = "referral", "a referral needs what it says"
    CHILD = "child", "it may tell who or where a child is"
    DECISION = "decision", "a decision that is disputed depends on it"


class TextLook(Audited):
    """One text of a file that one person may read in the original: single use, 120 seconds, logged before any byte.

    `place` and `kind` are those of the signal. What it says is shown once, and stored nowhere.
    """

    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="+")
    file = models.ForeignKey(File, on_delete=models.PROTECT, related_name="+")
    place = models.SmallIntegerField()
    kind = models.CharField(max_length=20)
    reason = models.CharField(max_length=16, choices=TextReason)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    session_digest = models.CharField(max_length=64)
    token_digest = models.CharField(max_length=64, unique=True)
    granted_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
