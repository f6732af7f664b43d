"""What people decide about partners' lists: suspend, take up again, let one entry through; and what two agreed to.

The folder of the exchange is changed last. A suspension that the database then refuses to record holds all the same.
"""

from __future__ import annotations

import datetime as dt
import uuid

from django.db import transaction

from havenline.connectors.stages import Stage, check_step

from .. import audit, gates, incoming
from ..agreement import Accord, ProposalRefused
from ..gates import Act
from ..incoming import IncomingRefused
from ..models import AuditAct, ListChange, ListDecision, Person, Proposal
from .propose import propose


@transaction.atomic
def suspend_list(name: str, *, by: Person, at: dt.datetime) -> None:
    """From now on the list matches nothing, wherever it is looked up in. One person is enough.

    Raises Denied, IncomingRefused, StageRefused where it is suspended already.
    """
    gates.require(by, Act.SUSPEND_PUBLISHER, at=at)
    _decide(name, ListChange.SUSPENDED, AuditAct.LIST_SUSPENDED, to=Stage.SUSPENDED, by=by, at=at)


@transaction.atomic
def resume_list(name: str, *, by: Person, at: dt.datetime) -> None:
    """Take a suspended list up again, in shadow: it acts on nothing until two people activate it anew.

    Raises as `suspend_list`.
    """
    gates.require(by, Act.SUSPEND_PUBLISHER, at=at)
    _decide(name, ListChange.RESUMED, AuditAct.LIST_RESUMED, to=Stage.SHADOW, by=by, at=at)


@transaction.atomic
def let_through(name: str, entry: str, *, by: Person, at: dt.datetime) -> None:
    """Put one entry that the screen keeps out into the list, in this version of it.

    Raises Denied, IncomingRefused, ExchangeError where the screen keeps no such entry out.
    """
    gates.require(by, Act.LET_THROUGH, at=at)
    incoming.place(name)
    row = ListDecision.objects.create(
        exchange=name, change=ListChange.LET_THROUGH, entry=entry, person=by, decided_at=at
    )
    audit.append(AuditAct.ENTRY_LET_THROUGH, at=at, actor=by, about=row, record=row)
    with incoming.opened(name) as exchange:
        exchange.let_through(entry, at=at, agreed=row.audit_id.hex)


def propose_activation(name: str, *, by: Person, at: dt.datetime) -> Proposal:
    """Propose that a list in shadow match from now on. Raises Denied, IncomingRefused, StageRefused before its time."""
    gates.require(by, Act.ACTIVATE_LIST, at=at)
    found = incoming.look(name)
    check_step(found.staged, Stage.ACTIVE, shadow_days=found.configured.shadow_days, at=at)
    what = {"exchange": name, "list": found.configured.list_name, "address": found.configured.base_url}
    return propose(Act.ACTIVATE_LIST, what, person=by, at=at)


def activate_list(agreed: Accord, at: dt.datetime) -> None:
    """Inside the transaction that carries the proposal out. Done already for this very proposal, it changes nothing."""
    what, proposal = agreed.what, agreed.proposal.audit_id.hex
    with incoming.opened(str(what["exchange"])) as exchange:
        configured = exchange.configured
        if (configured.list_name, configured.base_url) != (what["list"], what["address"]):
            raise ProposalRefused("the exchange is of another list or partner by now; nothing was changed")
        staged = exchange.store.staged
        if (staged.stage, staged.agreed) == (Stage.ACTIVE, proposal):
            exchange.enforce(at=at)
        else:
            exchange.set_stage(Stage.ACTIVE, at=at, agreed=proposal)


def accept_loss(agreed: Accord, at: dt.datetime) -> None:
    """Inside the transaction that carries the proposal out; it holds for the next whole fetch alone."""
    with incoming.opened(str(agreed.what["exchange"])) as exchange:
        exchange.store.accept_loss()


def withhold_entry(agreed: Accord, at: dt.datetime) -> None:
    """Inside the transaction that carries the proposal out. Twice changes nothing."""
    with incoming.opened(str(agreed.what["exchange"])) as exchange:
        exchange.withhold([str(agreed.what["entry"])], at=at)


def _decide(name: str, change: ListChange, act: AuditAct, *, to: Stage, by: Person, at: dt.datetime) -> None:
    found = incoming.look(name)
    # Where the folder was changed and the database then failed, what is missing is the record.
    lost = found.staged.stage is to and found.staged.agreed != "" and not _known(found.staged.agreed)
    if not lost:
        check_step(found.staged, to, shadow_days=found.configured.shadow_days, at=at)
    if not lost and to is Stage.SHADOW and found.staged.stage is not Stage.SUSPENDED:
        raise IncomingRefused(f"{name} is not suspended; nothing was changed")
    row = ListDecision.objects.create(exchange=name, change=change, person=by, decided_at=at)
    audit.append(act, at=at, actor=by, about=row, record=row)
    with incoming.opened(name) as exchange:
        if lost:
            exchange.store.set_stage(to, at=at, agreed=row.audit_id.hex)
            exchange.enforce(at=at)
        else:
            exchange.set_stage(to, at=at, agreed=row.audit_id.hex)


def _known(decision: str) -> bool:
    return ListDecision.objects.filter(audit_id=uuid.UUID(decision)).exists()
