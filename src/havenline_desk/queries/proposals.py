"""Proposals as the people see them whom they concern: what each would do in plain words, and what may be done now."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from havenline.vocabulary import LARGEST_RADIUS

from .. import gates
from ..agreement import Standing, standing_of, what_of
from ..gates import Act
from ..models import House, HouseList, Investigation, Person, Proposal, Role, row_named


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
    found = row_named(Proposal.objects.select_related("proposer"), name)
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
    return found.name if found is not None else _("somebody not enrolled here (%(id)s)") % {"id": what["person"]}


def _investigation(what: Mapping[str, Any]) -> str:
    found = Investigation.objects.filter(audit_id=what["investigation"]).first()
    return found.reference if found is not None else str(what["investigation"])


def _grant(what: Mapping[str, Any]) -> str:
    label = _(Role(what["role"]).label) if what["role"] in Role.values else what["role"]
    return _("Give %(person)s the role %(role)s.") % {"person": _person(what), "role": label}


def _reset(what: Mapping[str, Any]) -> str:
    return _(
        "Let %(person)s set up new factors, from 24 hours after this is carried out: then every factor, recovery code "
        "and session of theirs ends. Signing in before cancels it."
    ) % {"person": _person(what)}


def _storage(what: Mapping[str, Any]) -> str:
    return _("Let this desk keep the content of what is imported, sealed. Legal basis: %(legal_basis)s") % what


def _house(what: Mapping[str, Any]) -> str:
    label = _(House(what["house"]).label) if what["house"] in House.values else what["house"]
    return _("Let the quorums of a house of %(house)s hold from now on.") % {"house": label}


def _framework(what: Mapping[str, Any]) -> str:
    said = _("Record that local counsel (%(counsel)s) has approved %(framework)s %(version)s: its rules then decide.")
    return said % what


def _import(what: Mapping[str, Any]) -> str:
    said = {**what, "into": _investigation(what)}
    if what["manifest"]:
        by_manifest = _(
            "Take the collection %(collection)s into %(into)s, from %(source)s, by the manifest with SHA-256 "
            "%(manifest)s."
        )
        return by_manifest % said
    return _("Take the collection %(collection)s into %(into)s, from %(source)s, without a manifest.") % said


def _budget(what: Mapping[str, Any]) -> str:
    numbers = {name: f"{number:,}" for name, number in what.items() if isinstance(number, int)}
    return _(
        "Let %(person)s open up to %(per_hour)s objects an hour, %(per_day)s a day, %(per_week)s a week and "
        "%(bytes_per_day)s bytes a day, %(minutes)s minutes without a pause."
    ) % {**numbers, "person": _person(what)}


def _hold(what: Mapping[str, Any]) -> str:
    return _("Release the legal hold %(reference)s on the object %(object)s: it may be destroyed in time.") % what


def _destroy(what: Mapping[str, Any]) -> str:
    return _("Destroy the object %(object)s for good, before its time, by the rule %(rule)s.") % what


def _publish(what: Mapping[str, Any]) -> str:
    return _(
        "Publish figures of %(of)s as %(reference)s, “%(title)s”, %(period)s: the folder whose manifest has the "
        "SHA-256 %(digest)s."
    ) % {**what, "of": _investigation(what)}


def _release(what: Mapping[str, Any]) -> str:
    found = HouseList.objects.filter(audit_id=what["list"]).first()
    onto = f"{found.name} ({found.kind.replace('_', ' ')})" if found is not None else what["list"]
    said = {"entries": f"{what['entries']:,}", "onto": onto, "batch": what["batch"]}
    return _("Release %(entries)s entries onto the list %(onto)s: the batch %(batch)s.") % said


def _partner(what: Mapping[str, Any]) -> str:
    return (
        _(
            "Enrol the key %(recipient)s of the partner %(partner)s, “%(name)s”, for: %(purpose)s. Nothing is sent by "
            "this."
        )
        % what
    )


def _activate(what: Mapping[str, Any]) -> str:
    return (
        _(
            "Let the list %(list)s of the exchange %(exchange)s (%(address)s) match from now on. What it matches is a "
            "lead, and no verdict."
        )
        % what
    )


def _accept_loss(what: Mapping[str, Any]) -> str:
    return _("Let the next whole fetch of %(exchange)s withdraw more than half of its list, once.") % what


def _withhold(what: Mapping[str, Any]) -> str:
    return _("Take the entry %(entry)s of %(exchange)s out of the list for good, whatever is sent of it later.") % what


def _correction(what: Mapping[str, Any]) -> str:
    return (
        _("Correct the outcome %(outcome)s to %(facts)s, reason: %(reason)s. What was released of it is withdrawn.")
        % what
    )


def _apart(what: Mapping[str, Any]) -> str:
    return _(
        "Record that the outcome %(outcome)s is an alteration of the file of the outcome %(original)s, and that no "
        "kept perceptual hash of one lies within %(radius)s bits of one of the other."
    ) % {**what, "radius": LARGEST_RADIUS}


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
