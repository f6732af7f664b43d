"""Carry out what two people agreed to: one transaction that checks everything again, and does it once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Protocol

from django.db import IntegrityError, transaction

from havenline_guard.keyd_wire import Budget

from .. import audit, gates
from ..agreement import Accord, ProposalRefused, agreement_on, refuse_unless_open
from ..gates import Act
from ..models import AuditAct, Hold, House, Person, Proposal, ProposalEnd, Role, StoredContent
from .approve_framework import approve_framework
from .correct_outcome import record_correction
from .declare_policy import declare_house, declare_storage
from .enrol_person import grant_role
from .keep_incoming import accept_loss, activate_list, withhold_entry
from .keep_partners import record_partner_key
from .release_entries import record_release
from .release_publication import record_publication
from .reset_factors import agree_reset
from .run_sealer import bury
from .show_apart import record_apart


class Keys(Protocol):
    """What is asked of `keyd`: `havenline_guard.keyd_client.KeyClient`."""

    def set_budget(self, person: str, budget: Budget, *, by: str, second: str = "") -> None: ...
    def release_hold(self, name: str, reference: str, *, by: str, second: str) -> None: ...
    def shred(self, name: str, *, rule: str, by: str, second: str = "") -> None: ...


def carry_out(proposal: Proposal, *, person: Person, keys: Keys | None = None, at: dt.datetime) -> Accord:
    """Do what was agreed to, once. `keys` is the key process, which budgets, holds and destruction are asked of.

    Raises Denied for whom it does not concern, ProposalRefused unless enough people agree who may do so now, and
    whatever the act itself refuses; nothing is changed then. An import is only opened by this: `import_collection`
    takes it in. Where the key process did its part and the database then failed, the log of the key process says so.
    """
    if not gates.concerns(person, proposal, at=at):
        raise gates.Denied(f"this proposal does not wait for {person.name}")
    try:
        with transaction.atomic():
            proposal = Proposal.objects.select_related("proposer").get(pk=proposal.pk)
            refuse_unless_open(proposal, at=at)
            # The unique row comes first: whoever else ends this proposal now waits here, and then is refused.
            end = ProposalEnd.objects.create(proposal=proposal, carried_out=True, person=person, ended_at=at)
            agreed = agreement_on(proposal, at=at)
            DOES[agreed.act](agreed, at)
            audit.append(
                AuditAct.PROPOSAL_CARRIED_OUT, at=at, actor=person, about=proposal, purpose=proposal.act, record=end
            )
            if agreed.act in ASKS:
                ASKS[agreed.act](agreed, _present(keys))
            if agreed.act in LISTS:
                LISTS[agreed.act](agreed, at)
            return agreed
    except IntegrityError:
        raise ProposalRefused("this proposal has just ended otherwise; look again") from None


def _present(keys: Keys | None) -> Keys:
    if keys is None:
        raise ProposalRefused("no key process runs here, so there is nothing to change; nothing was carried out")
    return keys


def _grant(agreed: Accord, at: dt.datetime) -> None:
    person = Person.objects.filter(audit_id=str(agreed.what["person"]), is_active=True).first()
    if person is None:
        raise ProposalRefused("the person is not enrolled here any more; nothing was changed")
    grant_role(person, Role(str(agreed.what["role"])), agreed=agreed, at=at)


def _reset(agreed: Accord, at: dt.datetime) -> None:
    agree_reset(agreed, at=at)


def _approve(agreed: Accord, at: dt.datetime) -> None:
    what = {name: str(value) for name, value in agreed.what.items()}
    approve_framework(
        what["framework"],
        what["version"],
        approved_by=agreed.proposal.proposer,
        counsel=what["counsel"],
        agreed=agreed,
        at=at,
    )


def _declare(agreed: Accord, at: dt.datetime) -> None:
    declare_house(House(str(agreed.what["house"])), agreed=agreed, at=at)


def _keep_content(agreed: Accord, at: dt.datetime) -> None:
    declare_storage(str(agreed.what["legal_basis"]), agreed=agreed, at=at)


def _nothing_here(agreed: Accord, at: dt.datetime) -> None:
    """The agreement itself is what is needed, or the key process does the rest."""


def _released(agreed: Accord, at: dt.datetime) -> None:
    what = agreed.what
    held = Hold.objects.filter(stored__object_name=what["object"], reference=what["reference"], released_at=None)
    held.update(released_at=at)


def _destroyed(agreed: Accord, at: dt.datetime) -> None:
    stored = StoredContent.objects.filter(object_name=agreed.what["object"], tombstone=None).first()
    if stored is not None:
        bury(stored, rule=str(agreed.what["rule"]), cleared=False, actor=agreed.people[0], at=at)


def _raise_budget(agreed: Accord, keys: Keys) -> None:
    what = agreed.what
    budget = Budget(*(int(what[part.name]) for part in fields(Budget)))
    keys.set_budget(str(what["person"]), budget, by=_first(agreed), second=_second(agreed))


def _release_hold(agreed: Accord, keys: Keys) -> None:
    what = agreed.what
    keys.release_hold(str(what["object"]), str(what["reference"]), by=_first(agreed), second=_second(agreed))


def _destroy(agreed: Accord, keys: Keys) -> None:
    what = agreed.what
    keys.shred(str(what["object"]), rule=str(what["rule"]), by=_first(agreed), second=_second(agreed))


def _first(agreed: Accord) -> str:
    return agreed.people[0].audit_id.hex


def _second(agreed: Accord) -> str:
    return agreed.people[1].audit_id.hex


DOES: Mapping[Act, Callable[[Accord, dt.datetime], None]] = {
    Act.GRANT_ROLE: _grant,
    Act.RESET_FACTORS: _reset,
    Act.APPROVE_FRAMEWORK: _approve,
    Act.CHANGE_HOUSE: _declare,
    Act.DECLARE_STORAGE: _keep_content,
    Act.IMPORT_COLLECTION: _nothing_here,
    Act.RAISE_BUDGET: _nothing_here,
    Act.RELEASE_HOLD: _released,
    Act.DESTROY_EARLY: _destroyed,
    Act.PUBLISH_FIGURES: record_publication,
    Act.RELEASE_HASH: record_release,
    Act.ENROL_PARTNER_KEY: record_partner_key,
    Act.ACTIVATE_LIST: _nothing_here,
    Act.ACCEPT_LOSS: _nothing_here,
    Act.WITHHOLD_ENTRY: _nothing_here,
    Act.CORRECT_OUTCOME: record_correction,
    Act.SHOW_APART: record_apart,
}
ASKS: Mapping[Act, Callable[[Accord, Keys], None]] = {
    Act.RAISE_BUDGET: _raise_budget,
    Act.RELEASE_HOLD: _release_hold,
    Act.DESTROY_EARLY: _destroy,
}
LISTS: Mapping[Act, Callable[[Accord, dt.datetime], None]] = {
    Act.ACTIVATE_LIST: activate_list,
    Act.ACCEPT_LOSS: accept_loss,
    Act.WITHHOLD_ENTRY: withhold_entry,
}
"""Done in the folder of an exchange, last of all: where the database then fails, doing it again changes nothing."""
