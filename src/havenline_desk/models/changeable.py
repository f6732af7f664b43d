"""Which columns may ever change. Everything else of a row is final from the moment it is added."""

from __future__ import annotations

from django.db.models import Model

from .api_keys import ApiKey, MatchAlarm, WebhookEndpoint
from .assessments import Assignment, Reveal, Submission
from .factors import AuthenticatorApp, Enrolment, LinkedAccount, Passkey, RecoveryCode, Session, Throttle
from .feeds import FeedCredential
from .files import FrameHash, PerceptualHash
from .investigations import Import
from .jobs import ImportJob
from .origin import OriginSignal, TextLook
from .partners import Partner, Subscription
from .people import Person, RoleGrant
from .queue import PoolMember, SetAside
from .releases import ReleasedEntry, Withdrawal
from .retention import Hold, StorageAlarm
from .stacks import StackRevision
from .webhooks import WebhookAttempt, WebhookEvent, WebhookSecret
from .wellbeing import OptOut

CHANGEABLE: dict[type[Model], tuple[str, ...]] = {
    ApiKey: ("ended_at", "ending"),
    Assignment: ("waits_as_if_since", "person_id", "leased_at", "expires_at", "done_at"),
    AuthenticatorApp: ("last_step", "removed_at"),
    Enrolment: ("used_at",),
    FeedCredential: ("ended_at",),
    Hold: ("released_at",),
    Import: ("finished_at",),
    ImportJob: (
        *("begun_at", "seen_at", "files", "read", "refused", "stage", "stage_done", "stage_of"),
        *("stop_asked_at", "ended_at", "ending", "said"),
    ),
    LinkedAccount: ("removed_at",),
    MatchAlarm: ("closed_at", "closed_by_id", "reason"),
    Partner: ("suspended_at",),
    Passkey: ("counter", "last_used_at", "removed_at"),
    Person: ("password", "last_login", "is_active"),
    PoolMember: ("left_at",),
    RecoveryCode: ("used_at", "withdrawn_at"),
    ReleasedEntry: ("first_number",),
    Reveal: ("used_at",),
    RoleGrant: ("revoked_at",),
    SetAside: ("ended_at",),
    Session: ("seen_at", "ended_at", "ending"),
    StackRevision: ("frozen_at",),
    StorageAlarm: ("ended_at",),
    Submission: ("taken_back_at", "recorded_at"),
    Subscription: ("ended_at",),
    TextLook: ("used_at",),
    Throttle: ("tries", "since"),
    WebhookAttempt: ("ended_at", "result", "status"),
    WebhookEndpoint: ("failing_since", "off_at", "ended_at"),
    WebhookEvent: ("tries", "next_try_at", "delivered_at", "dead_at"),
    WebhookSecret: ("until",),
    Withdrawal: ("first_number",),
}
"""The only columns of Havenline's tables that the desk may ever update; only rows of PERISHABLE are ever deleted."""

DERIVED: dict[type[Model], tuple[str, ...]] = {Assignment: ("investigation_id",)}
"""Columns that repeat what others say, so that counting is cheap: as final as those, and in no record digest."""

PERISHABLE: frozenset[type[Model]] = frozenset({FrameHash, OptOut, OriginSignal, PerceptualHash, Throttle})
"""Attempts go when they are old, opting out when its day is over, hashes and signals of origin when what they were made
of was cleared of suspicion."""
