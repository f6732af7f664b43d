"""Who is handed what: skips with their reason, pools that an item needs or a person works in, what is set aside."""

from __future__ import annotations

from django.db import models

from .assessments import Assignment
from .audit import Audited
from .people import Person
from .stacks import Stack


class SkipReason(models.TextChoices):
    NOT_TODAY = "not_today", "not today"
    LANGUAGE = "language", "a language I do not read"
    SPECIALIST = "specialist", "needs a specialist"
    UNCLEAR = "unclear", "cannot be judged from what is shown"
    RECUSED = "recused", "I may know somebody or some place here"


class Skip(Audited):
    """One person passed one assignment on, and why; they are not handed it again, nor after a recusal its stack."""

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="skips")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="skips")
    reason = models.CharField(max_length=16, choices=SkipReason)
    skipped_at = models.DateTimeField()


class PoolKind(models.TextChoices):
    LANGUAGE = "language", "reads a language"
    SPECIALIST = "specialist", "knows a subject"
    BLIND = "blind", "works side by side, so no two of it assess one stack"


class Pool(Audited):
    """A group of people; a stack that needs it is handed to its members alone, and nobody sees that it is."""

    name = models.SlugField(max_length=64, unique=True)
    kind = models.CharField(max_length=16, choices=PoolKind)
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class PoolMember(Audited):
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="members")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="pools")
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("pool", "person"), condition=models.Q(left_at=None), name="one_live_membership_per_pool"
            ),
        )


class PoolNeed(Audited):
    """This stack is for members of that pool: said by somebody who skipped it, or by the lead."""

    stack = models.ForeignKey(Stack, on_delete=models.PROTECT, related_name="needs")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="needed_by")
    said_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    said_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("stack", "pool"), name="one_need_per_stack_and_pool"),)


class HandReason(models.TextChoices):
    """Why the lead sets an item aside. Only these, and never what it shows, so that nobody is told what to see."""

    WAITED = "waited", "it has waited long"
    LANGUAGE = "language", "it needs a language that this person reads"
    SPECIALIST = "specialist", "it needs a subject that this person knows"
    SPREAD = "spread", "the work is to be spread"


class SetAside(Audited):
    """The lead set one assignment aside for one person until `ends_at`; it is leased when they press Start.

    `ended_at`: it was taken up, taken back, or set aside anew.
    """

    assignment = models.ForeignKey(Assignment, on_delete=models.PROTECT, related_name="set_asides")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="set_asides")
    said_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=16, choices=HandReason)
    made_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("assignment",), condition=models.Q(ended_at=None), name="one_set_aside_per_assignment"
            ),
        )
