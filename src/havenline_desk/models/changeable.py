"""Which columns may ever change. Everything else of a row is final from the moment it is added."""

from __future__ import annotations

from django.db.models import Model

from .assessments import Assignment, Reveal, Submission
from .factors import AuthenticatorApp, Enrolment, LinkedAccount, Passkey, RecoveryCode, Session, Throttle
from .files import FrameHash, PerceptualHash
from .investigations import Import
from .people import Person, RoleGrant
from .queue import PoolMember
from .retention import Hold, StorageAlarm
from .stacks import StackRevision

CHANGEABLE: dict[type[Model], tuple[str, ...]] = {
    Assignment: ("waits_as_if_since", "person_id", "leased_at", "expires_at", "done_at"),
    AuthenticatorApp: ("last_step", "removed_at"),
    Enrolment: ("used_at",),
    Hold: ("released_at",),
    Import: ("finished_at",),
    LinkedAccount: ("removed_at",),
    Passkey: ("counter", "last_used_at", "removed_at"),
    Person: ("password", "last_login", "is_active"),
    PoolMember: ("left_at",),
    RecoveryCode: ("used_at", "withdrawn_at"),
    Reveal: ("used_at",),
    RoleGrant: ("revoked_at",),
    Session: ("seen_at", "ended_at", "ending"),
    StackRevision: ("frozen_at",),
    StorageAlarm: ("ended_at",),
    Submission: ("taken_back_at", "recorded_at"),
    Throttle: ("tries", "since"),
}
"""The only columns of Havenline's tables that the desk may ever update; only rows of PERISHABLE are ever deleted."""

PERISHABLE: frozenset[type[Model]] = frozenset({FrameHash, PerceptualHash, Throttle})
"""Attempts go when they are old, perceptual hashes when what they were made of was cleared of suspicion."""
