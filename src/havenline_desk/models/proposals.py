"""Acts that one person alone may not do: what was proposed to the byte, who agreed to it, how it ended."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .people import Person


class House(models.TextChoices):
    """How many people work here, which says how many stand behind an act (practice: quorums fit the house)."""

    SIX = "six_or_more", "six or more people"
    THREE = "three_to_five", "three to five people"
    TWO = "two", "two people"
    ONE = "one", "one person"


class HouseDeclaration(Audited):
    """Rows are only added; the newest counts. The first is made at installation, each later one by two people."""

    house = models.CharField(max_length=16, choices=House)
    declared_at = models.DateTimeField()


class Quorum(Audited):
    """What stands behind one record: how many people, and under the quorums of which house. Shown wherever it is."""

    record = models.UUIDField(unique=True, help_text="audit id of the record")
    house = models.CharField(max_length=16, choices=House)
    people = models.IntegerField(help_text="distinct people who stand behind the record")


class Proposal(Audited):
    """An act to the byte. It is open until it is carried out, cancelled, or `expires_at` has come."""

    act = models.CharField(max_length=40, help_text="a code of the table of acts")
    action = models.TextField(help_text="canonical JSON of the whole act; it names this proposal")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of `action`, hexadecimal")
    proposer = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="proposals")
    evidence = models.TextField(blank=True, help_text="a passkey's signature over `digest`, or empty")
    proposed_at = models.DateTimeField()
    expires_at = models.DateTimeField()


class Approval(Audited):
    """One person agreed to exactly the bytes whose digest stands here."""

    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="approvals")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="approvals")
    digest = models.CharField(max_length=64)
    evidence = models.TextField(blank=True, help_text="a passkey's signature over `digest`, or empty")
    approved_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("proposal", "person"), name="one_approval_per_person"),)


class ProposalEnd(Audited):
    """The one end of a proposal: it was carried out, or cancelled. One row, so never both and never twice."""

    proposal = models.OneToOneField(Proposal, on_delete=models.PROTECT, related_name="end")
    carried_out = models.BooleanField()
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField()
