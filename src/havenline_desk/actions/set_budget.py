"""Say how much one person may open: oneself or one other lowers it. `keyd` holds and enforces it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import astuple, replace

from django.db import transaction

from havenline.vocabulary import HavenlineError
from havenline_guard.keyd_client import KeyClient
from havenline_guard.keyd_wire import Budget, KeydRefused

from .. import audit, gates
from ..keys import keyd
from ..models import AuditAct, Person

USUAL = Budget(per_hour=120, per_day=600, minutes=60, bytes_per_day=4 << 30, per_week=2400)
"""What a person is given where nothing else is said."""


class BudgetRefused(HavenlineError):
    """Nothing was changed; the text says why."""


@transaction.atomic
def set_budget(
    person: Person, budget: Budget, *, set_by: Person, second: Person | None = None, at: dt.datetime
) -> None:
    """One lowers it; a demonstration alone names the second person here, a desk agrees to a proposal.

    Raises Denied without the role, BudgetRefused where `keyd` would not, KeydUnreachable where it does not answer.
    The entry of the audit log comes first: a budget that `keyd` then would not set leaves no entry.
    """
    if second is None:
        gates.require(set_by, gates.Act.LOWER_BUDGET, at=at)
    elif gates.takes_two(gates.Act.RAISE_BUDGET):
        raise BudgetRefused("a budget is given or raised by a proposal: `havenline proposal budget`")
    else:
        gates.require(set_by, gates.Act.RAISE_BUDGET, at=at)
        gates.require_second(second, gates.Act.RAISE_BUDGET, at=at)
    client = _keyd()
    audit.append(AuditAct.BUDGET_SET, at=at, actor=set_by, about=person)
    try:
        client.set_budget(
            person.audit_id.hex,
            budget,
            by=set_by.audit_id.hex,
            second=second.audit_id.hex if second is not None else "",
        )
    except KeydRefused as refused:
        raise BudgetRefused(str(refused)) from None


@transaction.atomic
def lower_budget(person: Person, limits: Mapping[str, int], *, set_by: Person, at: dt.datetime) -> None:
    """Lower parts of somebody else's budget, which takes one person; the others stay. As `lower_own_budget`.

    Raises Denied without the role, and for oneself BudgetRefused.
    """
    gates.require(set_by, gates.Act.LOWER_BUDGET, at=at)
    if gates.is_oneself(person, set_by):
        raise BudgetRefused("lower your own limit on the page of your exposure")
    _lower(person, limits, set_by=set_by, at=at)


@transaction.atomic
def lower_own_budget(person: Person, limits: Mapping[str, int], *, at: dt.datetime) -> None:
    """Set a stricter limit for oneself, which takes nobody else; `limits` are parts of a Budget, others stay.

    Raises BudgetRefused where nothing would change, a part would be raised, or there is no budget to lower;
    KeydUnreachable. `keyd` itself refuses a raise, so two at once cannot make one.
    """
    gates.require(person, gates.Act.LOWER_OWN_BUDGET, at=at)
    _lower(person, limits, set_by=person, at=at)


def _lower(person: Person, limits: Mapping[str, int], *, set_by: Person, at: dt.datetime) -> None:
    own = gates.is_oneself(person, set_by)
    has = "you have" if own else f"{person.name} has"
    client = _keyd()
    before = client.exposed(person.audit_id.hex)[1]
    if before is None:
        raise BudgetRefused(f"{has} no budget, so there is nothing to lower")
    wanted = replace(before, **limits)
    if wanted == before:
        raise BudgetRefused(f"no limit differs from {'yours' if own else 'theirs'}, so nothing was changed")
    if any(new > old for new, old in zip(astuple(wanted), astuple(before), strict=True)):
        said = (
            "you can only lower your own limits; raising one takes two others"
            if own
            else ("you can only lower limits here; raising one takes two people")
        )
        raise BudgetRefused(f"{said}. Nothing was changed")
    audit.append(AuditAct.BUDGET_SET, at=at, actor=set_by, about=person)
    try:
        client.set_budget(person.audit_id.hex, wanted, by=set_by.audit_id.hex)
    except KeydRefused as refused:
        raise BudgetRefused(str(refused)) from None


def _keyd() -> KeyClient:
    client = keyd()
    if client is None:
        raise BudgetRefused("there is no keyd here, so there are no budgets")
    return client
