"""Declare what this installation is, whether it may keep content, and how many people work in it."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..agreement import Accord
from ..models import AuditAct, House, HouseDeclaration, InstallationKind, Policy
from .record_quorum import record_quorum


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


@transaction.atomic
def declare_house(house: House, *, agreed: Accord | None = None, at: dt.datetime) -> HouseDeclaration:
    """Declare how many people work here. The first is part of installation, each later one is agreed to by two.

    Raises PolicyRefused without an agreement once it is declared. What was agreed to under the house before must be
    proposed anew.
    """
    fits = agreed is not None and agreed.act is gates.Act.CHANGE_HOUSE and agreed.what == {"house": house.value}
    if HouseDeclaration.objects.exists() and not fits:
        raise PolicyRefused("the size of the house is declared; two people change it: `havenline proposal house`")
    declared = HouseDeclaration.objects.create(house=house, declared_at=at)
    if agreed is not None:
        record_quorum([declared], people=len(agreed.people))
    actor = None if agreed is None else agreed.proposal.proposer
    audit.append(AuditAct.HOUSE_DECLARED, at=at, actor=actor, about=declared, purpose=house.value, record=declared)
    return declared
