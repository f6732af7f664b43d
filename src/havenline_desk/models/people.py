"""Staff, their roles and their certificates. Names are sign-in names; no other personal detail is kept."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models

from .audit import Audited


class Role(models.TextChoices):
    ANALYST = "analyst", "analyst"
    SENIOR = "senior", "senior analyst"
    ADJUDICATOR = "adjudicator", "adjudicator"
    LEAD = "investigation_lead", "investigation lead"
    LIAISON = "partner_liaison", "partner liaison"
    WELFARE = "welfare_lead", "welfare lead"
    ADMIN = "admin", "administrator"
    AUDITOR = "auditor", "auditor"


CONTENT_ROLES = frozenset({Role.ANALYST, Role.SENIOR, Role.ADJUDICATOR})
EXCLUSIVE_SETS = (
    CONTENT_ROLES,
    frozenset({Role.ADMIN}),
    frozenset({Role.AUDITOR}),
    frozenset({Role.WELFARE}),
)
"""Nobody holds roles from two of these sets at once."""


class Person(AbstractBaseUser, Audited):
    name = models.SlugField(max_length=64, unique=True)
    enrolled_at = models.DateTimeField()
    is_active = models.BooleanField(default=True)

    USERNAME_FIELD = "name"

    objects = BaseUserManager["Person"]()

    def __str__(self) -> str:
        return self.name


class RoleGrant(Audited):
    """A role counts from `effective_from`; content roles granted after installation wait 24 hours."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="role_grants")
    role = models.CharField(max_length=32, choices=Role)
    granted_at = models.DateTimeField()
    effective_from = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("person", "role"), condition=models.Q(revoked_at=None), name="one_live_grant_per_role"
            ),
        )


class Certificate(Audited):
    """Training on `demo.shapes` done and calibration passed; without one in date nothing is assigned."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="certificates")
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    issued_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", null=True)
