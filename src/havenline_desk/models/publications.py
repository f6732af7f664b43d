"""Publications of figures that two people released."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .investigations import Investigation
from .proposals import Proposal


class Publication(Audited):
    """A folder of figures, named by the SHA-256 of its manifest; what stands in it is not kept here."""

    reference = models.CharField(max_length=40, unique=True, help_text="its public number")
    title = models.TextField()
    investigation = models.ForeignKey(Investigation, on_delete=models.PROTECT, related_name="publications")
    period = models.CharField(max_length=40)
    digest = models.CharField(max_length=64, unique=True)
    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, related_name="publication")
    released_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.reference
