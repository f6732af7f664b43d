"""Proposals as the people see them whom they concern: what each would do in plain words, and what may be done now."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from havenline.vocabulary import LARGEST_RADIUS

from .. import gates
from ..agreement import Standing, standing_of, what_of
from ..gates import Act
from ..models import House, HouseList, Investigation, Person, Proposal, Role


@dataclass(frozen=True, slots=True)
class ProposalLine:
    """`does` is one plain sentence made from the very bytes that are agreed to, never from what somebody typed."""

    name: str
    act: str
    does: str
    digest: str
    action: str
    proposer: str
    approvers: tuple[str, ...]
    house: str
    proposed_at: dt.datetime
    expires_at: dt.datetime
    standing: Standing
    may_approve: bool
    may_cancel: bool
    may_carry_out: bool
    on_host: bool


ON_HOST = frozenset({Act.IMPORT_COLLECTION, Act.RELEASE_HOLD, Act.DESTROY_EARLY, Act.RAISE_BUDGET, Act.PUBLISH_FIGURES})
"""Carried out by a command on the host: an import and a publication are files there, and the key process answers its
officer there."""
LONGEST = 200


def proposal_lines(person: Person, *, at: dt.datetime) -> tuple[ProposalLine, ...]:
    """What concerns `person`: those that wait for them first, then the newest; at most 200."""
    rows = Proposal.objects.select_related("proposer").order_by("-pk")[:LONGEST]
    lines = [line_of(row, at=at, person=person) for row in rows if gates.concerns(person, row, at=at)]
    return tuple(sorted(lines, key=lambda line: not (line.may_approve or line.may_carry_out)))


def waiting_proposals(person: Person, *, at: dt.datetime) -> int:
    """How many wait for `person` to agree or to carry them out."""
    return sum(line.may_approve or line.may_carry_out for line in proposal_lines(person, at=at))


def proposal_of(name: str, person: Person, *, at: dt.datetime) -> Proposal | None:
    """The proposal of that random id, where it concerns `person`."""
    try:
        found = Proposal.objects.select_related("proposer").filter(audit_id=uuid.UUID(name)).first()
    except ValueError:
        return None
    return found if found is not None and gates.concerns(person, found, at=at) else None


def line_of(proposal: Proposal, *, at: dt.datetime, person: Person | None = None) -> ProposalLine:
    standing, act = standing_of(proposal, at=at), Act(proposal.act)
    approvers = tuple(proposal.approvals.order_by("pk").values_list("person__name", flat=True))
    is_open = standing in {Standing.WAITS, Standing.AGREED}
    concerned = person is not None and gates.concerns(person, proposal, at=at)
    agrees = person is not None and gates.may_second(person, proposal, at=at) and person.name not in approvers
    return ProposalLine(
        name=proposal.audit_id.hex,
        act=act.value,
        does=_SENTENCES[act](what_of(proposal)),
        digest=proposal.digest,
        action=proposal.action,
        proposer=proposal.proposer.name,
        approvers=approvers,
        house=House(json.loads(proposal.action)["house"]).label,
        proposed_at=proposal.proposed_at,
        expires_at=proposal.expires_at,
        standing=standing,
        may_approve=is_open and agrees,
        may_cancel=is_open and concerned,
        may_carry_out=standing is Standing.AGREED and concerned and act not in ON_HOST,
        on_host=standing is Standing.AGREED and act in ON_HOST,
    )


def _person(what: Mapping[str, Any]) -> str:
    found = Person.objects.filter(audit_id=what["person"]).first()
    return found.name if found is not None else f"somebody not enrolled here ({what['person']})"


def _grant(what: Mapping[str, Any]) -> str:
    label = Role(what["role"]).label if what["role"] in Role.values else what["role"]
    return f"Give {_person(what)} the role {label}."


def _reset(what: Mapping[str, Any]) -> str:
    return (
        f"Let {_person(what)} set up new factors, from 24 hours after this is carried out: then every factor, recovery "
        "code and session of theirs ends. Signing in before cancels it."
    )


def _storage(what: Mapping[str, Any]) -> str:
    return f"Let this desk keep the content of what is imported, sealed. Legal basis: {what['legal_basis']}"


def _house(what: Mapping[str, Any]) -> str:
    label = House(what["house"]).label if what["house"] in House.values else what["house"]
    return f"Let the quorums of a house of {label} hold from now on."


def _framework(what: Mapping[str, Any]) -> str:
    return (
        f"Record that local counsel ({what['counsel']}) has approved {what['framework']} {what['version']}: "
        "its rules then decide."
    )


def _import(what: Mapping[str, Any]) -> str:
    found = Investigation.objects.filter(audit_id=what["investigation"]).first()
    into = found.reference if found is not None else what["investigation"]
    by = f"by the manifest with SHA-256 {what['manifest']}" if what["manifest"] else "without a manifest"
    return f"Take the collection {what['collection']} into {into}, from {what['source']}, {by}."


def _budget(what: Mapping[str, Any]) -> str:
    return (
        f"Let {_person(what)} open up to {what['per_hour']:,} objects an hour, {what['per_day']:,} a day, "
        f"{what['per_week']:,} a week and {what['bytes_per_day']:,} bytes a day, "
        f"{what['minutes']:,} minutes without a pause."
    )


def _hold(what: Mapping[str, Any]) -> str:
    return f"Release the legal hold {what['reference']} on the object {what['object']}: it may be destroyed in time."


def _destroy(what: Mapping[str, Any]) -> str:
    return f"Destroy the object {what['object']} for good, before its time, by the rule {what['rule']}."


def _publish(what: Mapping[str, Any]) -> str:
    found = Investigation.objects.filter(audit_id=what["investigation"]).first()
    of = found.reference if found is not None else what["investigation"]
    return (
        f"Publish figures of {of} as {what['reference']}, “{what['title']}”, {what['period']}: the folder whose "
        f"manifest has the SHA-256 {what['digest']}."
    )


def _release(what: Mapping[str, Any]) -> str:
    found = HouseList.objects.filter(audit_id=what["list"]).first()
    onto = f"{found.name} ({found.kind.replace('_', ' ')})" if found is not None else what["list"]
    return f"Release {what['entries']:,} entries onto the list {onto}: the batch {what['batch']}."


def _partner(what: Mapping[str, Any]) -> str:
    return (
        f"Enrol the key {what['recipient']} of the partner {what['partner']}, “{what['name']}”, for: "
        f"{what['purpose']}. Nothing is sent by this."
    )


def _activate(what: Mapping[str, Any]) -> str:
    return (
        f"Let the list {what['list']} of the exchange {what['exchange']} ({what['address']}) match from now on. What "
        "it matches is a lead, and no verdict."
    )


def _accept_loss(what: Mapping[str, Any]) -> str:
    return f"Let the next whole fetch of {what['exchange']} withdraw more than half of its list, once."


def _withhold(what: Mapping[str, Any]) -> str:
    return (
        f"Take the entry {what['entry']} of {what['exchange']} out of the list for good, whatever is sent of it later."
    )


def _correction(what: Mapping[str, Any]) -> str:
    return (
        f"Correct the outcome {what['outcome']} to {what['facts']}, reason: {what['reason']}. What was released of it "
        "is withdrawn."
    )


def _apart(what: Mapping[str, Any]) -> str:
    return (
        f"Record that the outcome {what['outcome']} is an alteration of the file of the outcome {what['original']}, "
        f"and that no kept perceptual hash of one lies within {LARGEST_RADIUS} bits of one of the other."
    )


_SENTENCES: Mapping[Act, Callable[[Mapping[str, Any]], str]] = {
    Act.GRANT_ROLE: _grant,
    Act.RESET_FACTORS: _reset,
    Act.CHANGE_HOUSE: _house,
    Act.DECLARE_STORAGE: _storage,
    Act.APPROVE_FRAMEWORK: _framework,
    Act.IMPORT_COLLECTION: _import,
    Act.RAISE_BUDGET: _budget,
    Act.RELEASE_HOLD: _hold,
    Act.DESTROY_EARLY: _destroy,
    Act.PUBLISH_FIGURES: _publish,
    Act.RELEASE_HASH: _release,
    Act.ACTIVATE_LIST: _activate,
    Act.ACCEPT_LOSS: _accept_loss,
    Act.WITHHOLD_ENTRY: _withhold,
    Act.ENROL_PARTNER_KEY: _partner,
    Act.CORRECT_OUTCOME: _correction,
    Act.SHOW_APART: _apart,
}
