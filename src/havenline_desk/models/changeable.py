"""Which columns may ever change. Everything else of a row is final from the moment it is added."""

from __future__ import annotations

from django.db.models import Model

from .assessments import Assignment, Reveal, Submission
from .investigations import Import
from .people import Person, RoleGrant
from .queue import PoolMember
from .stacks import StackRevision

CHANGEABLE: dict[type[Model], tuple[str, ...]] = {
    Assignment: ("waits_as_if_since", "person_id", "leased_at", "expires_at", "done_at"),
    Import: ("finished_at",),
    Person: ("password", "last_login", "is_active"),
    PoolMember: ("left_at",),
    Reveal: ("used_at",),
    RoleGrant: ("revoked_at",),
    StackRevision: ("frozen_at",),
    Submission: ("taken_back_at", "recorded_at"),
}
"""The only columns of Havenline's tables that the desk may ever update; rows are never deleted."""
