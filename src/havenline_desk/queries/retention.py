"""What records say of kept content: what class it is of, what it waits for, what holds it, what was destroyed."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Q

from havenline.frameworks.model import LegalStatus
from havenline.judgement.retention import RetentionFacts, Standing, due_at, retention_classes, standing, too_many

from ..models import (
    Assignment,
    Derivation,
    Escalation,
    EscalationStage,
    Hold,
    InstallationKind,
    Item,
    Outcome,
    Policy,
    StoredContent,
    Tombstone,
)


@dataclass(frozen=True, slots=True)
class RetentionStatus:
    """How many kept objects stand where at one moment, when the next is due, and whether a run would be stopped."""

    standing: Mapping[Standing, int]
    destroyed: int
    next_due_at: dt.datetime | None
    stops: bool


@dataclass(frozen=True, slots=True)
class HoldLine:
    """One hold that stands."""

    object_name: str
    sha256: str
    reference: str
    placed_by: str
    placed_at: dt.datetime


@dataclass(frozen=True, slots=True)
class _Decided:
    """Of one file: when the last investigation that it lies in settled it, and whether all cleared it."""

    at: dt.datetime | None
    cleared: bool


@dataclass(frozen=True, slots=True)
class _Referral:
    """Of one file: when the last of its escalations had its receipt; None while one is open or has none."""

    receipt_at: dt.datetime | None


def kept_facts() -> dict[str, RetentionFacts]:
    """The facts of retention of each kept object that was not destroyed, by its random name.

    Decided is a file when every investigation that it was posted into has settled it, at the latest of those times, and
    nobody has an assignment with it; without that it waits, as what was never selected does. Cleared is what no
    investigation and no law that it was derived under finds criminal or undetermined. An escalation counts as a
    referral until it is closed without one; its receipt is the reference that was noted with the referral.
    Not known to any record, and so not waited for: a time in which a decision may be disputed.
    """
    decided, referrals = _decided(), _referrals()
    held = set(Hold.objects.filter(released_at=None).values_list("stored_id", flat=True))
    classes, drawn = retention_classes(), _drawn()
    facts = {}
    for number, name, file in StoredContent.objects.filter(tombstone=None).values_list("pk", "object_name", "file_id"):
        said, referral = decided.get(file, _Decided(None, cleared=False)), referrals.get(file)
        facts[name] = RetentionFacts(
            retention_class=classes["demo" if drawn else "cleared" if said.cleared else "decided"],
            decided_at=said.at,
            held=number in held,
            referred=referral is not None,
            receipt_at=referral.receipt_at if referral is not None else None,
        )
    return facts


def retention_status(*, at: dt.datetime) -> RetentionStatus:
    facts = kept_facts()
    stands = {name: standing(each, at=at) for name, each in facts.items()}
    due = [name for name, each in stands.items() if each is Standing.DUE]
    later = [due_at(facts[name]) for name, each in stands.items() if each is Standing.KEPT]
    return RetentionStatus(
        standing={each: Counter(stands.values())[each] for each in Standing},
        destroyed=Tombstone.objects.count(),
        next_due_at=min((each for each in later if each is not None), default=None),
        stops=too_many(due, kept=len(facts)),
    )


def hold_lines() -> tuple[HoldLine, ...]:
    """The holds that stand, the newest first. Not known here: those placed with `keyd` by its officer."""
    rows = Hold.objects.filter(released_at=None).select_related("stored__file", "placed_by").order_by("-pk")
    return tuple(
        HoldLine(row.stored.object_name, row.stored.file.sha256, row.reference, row.placed_by.name, row.placed_at)
        for row in rows
    )


def stored_named(name: str) -> StoredContent | None:
    """The kept content of that random name, or of the file with that SHA-256."""
    return StoredContent.objects.filter(Q(object_name=name) | Q(file__sha256=name)).first()


def _drawn() -> bool:
    policy = Policy.objects.order_by("-pk").first()
    return policy is not None and policy.kind in {InstallationKind.DEMO, InstallationKind.STUDY}


def _decided() -> dict[int, _Decided]:
    posted: dict[int, set[int]] = defaultdict(set)
    lies_in = Item.objects.filter(file__stored__tombstone=None).exclude(file__stored=None)
    for file, investigation in lies_in.values_list("file_id", "investigation_id").distinct():
        posted[file].add(investigation)
    open_ones = set(Assignment.objects.filter(done_at=None).values_list("revision__members__file_id", flat=True))
    settled: dict[int, dict[int, tuple[dt.datetime, str]]] = defaultdict(dict)
    for file, investigation, at, status in Outcome.objects.filter(correction=None, file__in=posted).values_list(
        "file_id", "investigation_id", "settled_at", "status"
    ):
        settled[file][investigation] = (at, status)
    derived = set(
        Derivation.objects.filter(replaced_by=None, outcome__correction=None)
        .exclude(status=LegalStatus.NOT_CRIMINAL.value)
        .values_list("outcome__file_id", flat=True)
    )
    made = {}
    for file, investigations in posted.items():
        outcomes = settled[file]
        whole = file not in open_ones and investigations <= outcomes.keys()
        statuses = {status for _, status in outcomes.values()}
        made[file] = _Decided(
            at=max(at for at, _ in outcomes.values()) if whole else None,
            cleared=whole and statuses == {LegalStatus.NOT_CRIMINAL.value} and file not in derived,
        )
    return made


def _referrals() -> dict[int, _Referral]:
    made: dict[int, _Referral] = {}
    for escalation in Escalation.objects.prefetch_related("events", "assignment__revision__members"):
        events = {event.stage: event for event in escalation.events.all()}
        referred = events.get(EscalationStage.REFERRED)
        closed = EscalationStage.CLOSED in events
        if closed and referred is None:
            continue
        receipt = referred.at if closed and referred is not None and referred.reference else None
        for member in escalation.assignment.revision.members.all():
            before = made.get(member.file_id)
            both = (receipt, before.receipt_at if before is not None else receipt)
            times = [each for each in both if each is not None]
            made[member.file_id] = _Referral(max(times) if len(times) == len(both) else None)
    return made
