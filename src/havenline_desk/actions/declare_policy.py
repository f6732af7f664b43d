"""Declare what this installation is, whether it may keep content, and how many people work in it."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, evidence, gates
from ..agreement import Accord
from ..models import AuditAct, House, HouseDeclaration, InstallationKind, Person, Policy
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
        raise PolicyRefused("two people declare that a desk keeps content: `havenline proposal storage`")
    policy = Policy.objects.create(kind=kind, content_legal_basis=content_legal_basis, declared_at=at)
    audit.append(AuditAct.POLICY_DECLARED, at=at, actor=None, about=policy, purpose=kind.value, record=policy)
    return policy


@transaction.atomic
def declare_storage(legal_basis: str, *, agreed: Accord, at: dt.datetime) -> Policy:
    """Let the desk keep content from now on, as two people agreed. Raises PolicyRefused and names what is missing."""
    if agreed.act is not gates.Act.DECLARE_STORAGE or agreed.what != {"legal_basis": legal_basis}:
        raise PolicyRefused("this is not what two people agreed to")
    policy = Policy.objects.order_by("-pk").first()
    if policy is None or policy.kind != InstallationKind.DESK:
        raise PolicyRefused("only a desk declares that it keeps content; a demonstration keeps drawn pictures anyway")
    if missing := evidence.storage_missing(at=at):
        raise PolicyRefused(f"content is not kept yet; missing: {'; '.join(missing)}")
    declared = Policy.objects.create(kind=policy.kind, content_legal_basis=legal_basis, declared_at=at)
    record_quorum([declared], people=len(agreed.people))
    actor = agreed.proposal.proposer
    audit.append(AuditAct.POLICY_DECLARED, at=at, actor=actor, about=declared, purpose="content_kept", record=declared)
    return declared


@transaction.atomic
def stop_storage(*, by: Person, at: dt.datetime) -> Policy:
    """Keep no further content from now on; what is kept stays until its time. One person is enough."""
    gates.require(by, gates.Act.STOP_STORAGE, at=at)
    policy = Policy.objects.order_by("-pk").first()
    if policy is None or not policy.content_legal_basis:
        raise PolicyRefused("no content is kept here, so there is nothing to stop")
    declared = Policy.objects.create(kind=policy.kind, declared_at=at)
    audit.append(AuditAct.POLICY_DECLARED, at=at, actor=by, about=declared, purpose="content_off", record=declared)
    return declared


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
