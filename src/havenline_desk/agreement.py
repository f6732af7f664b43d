"""What a proposal says to the byte, where it stands, and whether two people agree to it now. Nothing is written."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from havenline.vocabulary import HavenlineError

from . import factors, gates
from .gates import About, Act
from .models import (
    Approval,
    BatchedEntry,
    House,
    Passkey,
    Person,
    Proposal,
    ProposalEnd,
    RoleGrant,
    StackRevision,
)

EXPIRES_AFTER = dt.timedelta(hours=24)
FORM = 1

What = Mapping[str, str | int]
SAYS: Mapping[Act, Mapping[str, type[str] | type[int]]] = {
    Act.GRANT_ROLE: {"person": str, "role": str},
    Act.RESET_FACTORS: {"person": str},
    Act.CHANGE_HOUSE: {"house": str},
    Act.DECLARE_STORAGE: {"legal_basis": str},
    Act.APPROVE_FRAMEWORK: {"framework": str, "version": str, "counsel": str},
    Act.IMPORT_COLLECTION: {"investigation": str, "collection": str, "source": str, "manifest": str},
    Act.RAISE_BUDGET: {
        "person": str,
        **dict.fromkeys(("per_hour", "per_day", "minutes", "bytes_per_day", "per_week"), int),
    },
    Act.RELEASE_HOLD: {"object": str, "reference": str},
    Act.DESTROY_EARLY: {"object": str, "rule": str},
    Act.RELEASE_HASH: {"list": str, "batch": str, "entries": int, "digest": str},
    Act.ACTIVATE_LIST: {"exchange": str, "list": str, "address": str},
    Act.ACCEPT_LOSS: {"exchange": str},
    Act.WITHHOLD_ENTRY: {"exchange": str, "entry": str},
    Act.ENROL_PARTNER_KEY: {"partner": str, "name": str, "purpose": str, "recipient": str},
    Act.CORRECT_OUTCOME: {"outcome": str, "facts": str, "reason": str},
    Act.SHOW_APART: {"outcome": str, "original": str},
    Act.PUBLISH_FIGURES: {"investigation": str, "reference": str, "title": str, "period": str, "digest": str},
}
"""What each act says of itself. `person`, `investigation` and `object` are random ids of 32 hexadecimal digits,
`source` a path on the host, `manifest` the SHA-256 of the manifest or empty, budgets as `keyd` counts them; `digest` is
the SHA-256 of the manifest of a publication, `reference` its public number. Of a release it is the SHA-256 of the
lines that would go out, and `list` and `batch` are random ids; `partner` is a short name, `recipient` an age key;
`facts` are answers by question, canonical JSON; `original` is the outcome of another file.
`exchange` is the name of a folder of exchanges, `address` the
partner's, `entry` an entry as a match names it."""


class ProposalRefused(HavenlineError):
    """Nothing was changed; the text says why."""


class Standing(StrEnum):
    """Where a proposal stands."""

    WAITS = "waits"
    AGREED = "agreed"
    CARRIED_OUT = "carried_out"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Accord:
    """Two or more people who may stand behind exactly this act, as of the moment it was made. Not kept."""

    proposal: Proposal
    act: Act
    what: What
    house: House
    people: tuple[Person, ...]
    """Who proposed first, then who agreed, in the order in which they did."""


def canonical_action(proposal: Proposal, what: What, *, house: House, people: int) -> str:
    """The whole act in one line of ASCII: JSON with sorted members and no white space. Times are UTC."""
    said = {
        "act": proposal.act,
        "expires_at": proposal.expires_at.astimezone(dt.UTC).isoformat(),
        "form": FORM,
        "house": house.value,
        "people": people,
        "proposal": proposal.audit_id.hex,
        "proposed_at": proposal.proposed_at.astimezone(dt.UTC).isoformat(),
        "proposer": proposal.proposer.audit_id.hex,
        "what": dict(what),
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest_of(action: str) -> str:
    return hashlib.sha256(action.encode("ascii")).hexdigest()


def check_said(act: Act, what: What) -> None:
    """Raise ProposalRefused unless `what` has exactly the members of such an act, each of its kind and not empty."""
    expected = SAYS.get(act)
    if expected is None:
        raise ProposalRefused(f"nothing can be proposed for {act.replace('_', ' ')} yet")
    if what.keys() != expected.keys() or any(type(what[name]) is not kind for name, kind in expected.items()):
        raise ProposalRefused(f"{act.replace('_', ' ')} says {', '.join(expected)}, and nothing else")
    empty = [name for name, value in what.items() if value == "" and name != "manifest"]
    if empty:
        raise ProposalRefused(f"say what {empty[0]} is; nothing was proposed")


def what_of(proposal: Proposal) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(proposal.action)["what"]
    return said


def standing_of(proposal: Proposal, *, at: dt.datetime) -> Standing:
    """Not checked: whether those who agreed still may; `agreement_on` does."""
    end = ProposalEnd.objects.filter(proposal=proposal).first()
    if end is not None:
        return Standing.CARRIED_OUT if end.carried_out else Standing.CANCELLED
    if at >= proposal.expires_at:
        return Standing.EXPIRED
    needed = int(json.loads(proposal.action)["people"])
    return Standing.AGREED if Approval.objects.filter(proposal=proposal).count() + 1 >= needed else Standing.WAITS


def refuse_unless_open(proposal: Proposal, *, at: dt.datetime) -> None:
    standing = standing_of(proposal, at=at)
    if standing not in {Standing.WAITS, Standing.AGREED}:
        word = standing.replace("_", " ")
        raise ProposalRefused(f"this proposal is {word} already; nothing was changed. Propose it anew where need be")


def refuse_subject(person: Person, act: Act, what: What) -> None:
    """Nobody stands behind an act on themselves, nor, in a house large enough, behind releasing what they assessed."""
    rule = gates.rule_of(act, house=gates.house())
    if rule.about is About.NOT_AN_ASSESSOR and not gates.has_not_assessed(person, *_revisions_behind(what)):
        raise ProposalRefused(f"{person.name} assessed a file of this batch, so two others release it")
    if gates.RULES[act].about is About.NOT_ONESELF and what.get("person") == person.audit_id.hex:
        raise ProposalRefused(f"{person.name} cannot stand behind an act on {person.name}")


def _revisions_behind(what: What) -> Iterable[StackRevision]:
    """Every revision in which a file of the batch was looked at, as the file shown or near it."""
    batch = uuid.UUID(str(what["batch"]))
    files = BatchedEntry.objects.filter(batch__audit_id=batch).values("outcome__file")
    return StackRevision.objects.filter(members__file__in=files).distinct()


def check_evidence(evidence: str, person: Person, digest: str) -> None:
    """Raise ProposalRefused unless `evidence` is empty, or a passkey of `person` signed exactly `digest`."""
    if not evidence:
        return
    try:
        step_up = factors.StepUp.from_json(evidence)
        factors.verify_step_up(step_up, bytes.fromhex(digest), origins=[step_up.origin])
    except factors.FactorRefused as refused:
        raise ProposalRefused(f"the signature is none over this act: {refused}") from None
    if not Passkey.objects.filter(audit_id=step_up.passkey, person=person).exists():
        raise ProposalRefused(f"the signature is by no passkey of {person.name}")


def agreement_on(proposal: Proposal, *, at: dt.datetime) -> Accord:
    """Check everything again, inside the caller's transaction, and return who stands behind the act.

    Checked: the bytes and their digest, the columns against the bytes, the time, the house, and of each person the
    account, the role in force, the signature, that they agreed to these bytes, and that no two are the same and none
    is the subject. The roles of all of them stay as they are until the transaction ends. Not checked: whether the
    proposal has ended, which a unique row decides, and the state of what the act is done to, which the act checks.
    """
    said = json.loads(proposal.action)
    act, house = Act(proposal.act), gates.house()
    rule = gates.rule_of(act, house=house)
    again = canonical_action(proposal, said["what"], house=house, people=rule.people)
    if not hmac.compare_digest(digest_of(proposal.action), proposal.digest) or again != proposal.action:
        raise ProposalRefused("this is not what was proposed, or the house has changed since; propose it anew")
    if not proposal.proposed_at <= at < proposal.expires_at:
        raise ProposalRefused("this proposal has run out; propose it anew")
    approvals = list(Approval.objects.filter(proposal=proposal).select_related("person").order_by("pk"))
    _keep_roles([proposal.proposer, *(each.person for each in approvals)])
    gates.require(proposal.proposer, act, at=at)
    people = [proposal.proposer]
    check_evidence(proposal.evidence, proposal.proposer, proposal.digest)
    for each in approvals:
        if hmac.compare_digest(each.digest, proposal.digest) and each.approved_at <= at:
            check_evidence(each.evidence, each.person, proposal.digest)
            if each.person not in people and gates.may_second(each.person, proposal, at=at):
                people.append(each.person)
    for person in people:
        refuse_subject(person, act, said["what"])
    if len(people) < rule.people:
        raise ProposalRefused(
            f"{rule.people} people must agree who may do so now, and {len(people)} do; nothing was carried out"
        )
    return Accord(proposal, act, said["what"], house, tuple(people))


def _keep_roles(people: Iterable[Person]) -> None:
    """Nobody's role is taken away between this check and the end of the transaction."""
    rows = RoleGrant.objects.select_for_update().filter(person__in=[each.pk for each in people])
    list(rows.order_by("pk").values_list("pk", flat=True))
