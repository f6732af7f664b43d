"""Steps that change whom this house trusts, or what partners are to trust of it. Files hold what is in force."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .people import Person


class TrustChange(models.TextChoices):
    PINNED = "pinned", "a publisher's root was pinned"
    HEARD = "heard", "a person heard a publisher's fingerprint"
    REVOKED = "revoked", "a publisher was revoked"
    ROOT_STAGED = "root_staged", "a root of this house was put down for signing"
    STAGED = "staged", "lists were sealed and put down for signing"
    PUBLISHED = "published", "what enough people had signed was published"
    RENEWED = "renewed", "the timestamp was signed anew"


class TrustStep(Audited):
    """One step. `name`: of the exchange, or the role that was signed; `digest`: SHA-256 of its bytes where it has some.

    `person`: who said so, where the command names somebody.
    """

    change = models.CharField(max_length=16, choices=TrustChange)
    name = models.CharField(max_length=64)
    version = models.PositiveIntegerField(null=True)
    digest = models.CharField(max_length=64, blank=True)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", null=True)
    taken_at = models.DateTimeField()
