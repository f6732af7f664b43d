"""Declare what this installation is and whether it may keep content."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit
from ..models import AuditAct, InstallationKind, Policy


class PolicyRefused(HavenlineError):
    """The declaration was not recorded."""


@transaction.atomic
def declare_policy(kind: InstallationKind, *, content_legal_basis: str = "", at: dt.datetime) -> Policy:
    """Add a declaration; the newest counts. An installation never changes its kind."""
    newest = Policy.objects.order_by("-pk").first()
    if newest is not None and newest.kind != kind:
        raise PolicyRefused(f"this installation is a {newest.kind}; it cannot become a {kind}")
    if content_legal_basis and kind != InstallationKind.DEMO:
        raise PolicyRefused(
            "content cannot be kept yet: sealed evidence is not built, so this installation stores digests only"
        )
    policy = Policy.objects.create(kind=kind, content_legal_basis=content_legal_basis, declared_at=at)
    audit.append(AuditAct.POLICY_DECLARED, at=at, actor=None, about=policy, purpose=kind.value, record=policy)
    return policy
