"""What the pages and commands of releases show: lists, editions, what waits, partners. Counts and codes, no hash."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import QuerySet

from havenline.frameworks import FrameworkError

from .. import gates, law
from ..agreement import Standing, standing_of
from ..confirmed import ReleaseState, candidates, confirmed, counted
from ..models import (
    DeconflictionTerm,
    HouseList,
    Investigation,
    Partner,
    Person,
    Proposal,
    ReleaseBatch,
    ReleasedEntry,
    SourceKind,
    Subscription,
    Withdrawal,
    row_named,
)
from .releases import newest_edition

FRESH_FOR = dt.timedelta(days=30)
"""An edition older than this is called old, where something waits for the next."""
MOST_LINES = 200


@dataclass(frozen=True, slots=True)
class ListLine:
    """One list: its newest edition, what the next would change, and how many confirmed files stand where."""

    name: str
    kind: str
    number: int
    made_at: dt.datetime | None
    entries: int
    to_add: int
    to_withdraw: int
    old: bool
    states: Mapping[ReleaseState, int]
    waiting_batches: int
    subscribers: int

    @property
    def ready(self) -> int:
        return self.states.get(ReleaseState.READY, 0)

    @property
    def to_confirm(self) -> int:
        """For how many two others may be asked."""
        return self.states.get(ReleaseState.NOT_AGREED, 0) + self.states.get(ReleaseState.NEAR, 0)


@dataclass(frozen=True, slots=True)
class EntryLine:
    """One released entry by its random id."""

    entry: str
    list_name: str
    code: str
    mark: str
    released_at: dt.datetime
    number: int | None
    withdrawn: str


@dataclass(frozen=True, slots=True)
class BatchedLine:
    """One outcome of a batch as whoever releases it sees it: what was answered, never a picture or a hash."""

    place: int
    investigation: str
    code: str
    assessments: int
    algorithms: tuple[str, ...]
    answers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PartnerLine:
    slug: str
    name: str
    purpose: str
    recipient: str
    enrolled_at: dt.datetime
    suspended_at: dt.datetime | None
    open: tuple[tuple[str, str], ...]
    """(list, door)."""


def list_lines(*, at: dt.datetime) -> tuple[ListLine, ...]:
    lines = []
    for row in HouseList.objects.order_by("name"):
        newest = newest_edition(row)
        fresh = ReleasedEntry.objects.filter(list=row, withdrawal=None, first_number=None).count()
        gone = Withdrawal.objects.filter(entry__list=row, first_number=None).exclude(entry__first_number=None).count()
        old = newest is not None and at - newest.made_at > FRESH_FOR and bool(fresh or gone)
        subscribers = Subscription.objects.filter(list=row, ended_at=None, partner__suspended_at=None)
        lines.append(
            ListLine(
                name=row.name,
                kind=row.kind,
                number=newest.number if newest else 0,
                made_at=newest.made_at if newest else None,
                entries=newest.entries if newest else 0,
                to_add=fresh,
                to_withdraw=gone,
                old=old,
                states=counted(confirmed(at=at, house_list=row)),
                waiting_batches=_waiting(row, at=at),
                subscribers=subscribers.values("partner").distinct().count(),
            )
        )
    return tuple(lines)


def _waiting(row: HouseList, *, at: dt.datetime) -> int:
    names = {each.hex for each in ReleaseBatch.objects.filter(list=row).values_list("audit_id", flat=True)}
    open_ = Proposal.objects.filter(act=gates.Act.RELEASE_HASH.value, end=None, expires_at__gt=at)
    return sum(_batch_of(each) in names for each in open_)


def _batch_of(proposal: Proposal) -> str:
    return str(json.loads(proposal.action)["what"]["batch"])


def entry_lines(*, wanted: str = "") -> tuple[EntryLine, ...]:
    """The entries released last, or those whose random id begins with `wanted`; at most 200."""
    rows = ReleasedEntry.objects.select_related("list", "withdrawal").order_by("-pk")
    if wanted:
        rows = rows.filter(entry__startswith=wanted)
    return tuple(_entry_line(row) for row in rows[:MOST_LINES])


def _entry_line(row: ReleasedEntry) -> EntryLine:
    gone = getattr(row, "withdrawal", None)
    return EntryLine(
        entry=row.entry,
        list_name=row.list.name,
        code=row.code,
        mark=row.mark,
        released_at=row.released_at,
        number=row.first_number,
        withdrawn=gone.get_reason_display() if gone is not None else "",
    )


def entry_named(name: str) -> ReleasedEntry | None:
    return ReleasedEntry.objects.select_related("list").filter(entry=name).first()


def batch_named(name: str) -> ReleaseBatch | None:
    return row_named(ReleaseBatch.objects.select_related("list", "made_by"), name)


def batched_lines(batch: ReleaseBatch, *, at: dt.datetime) -> tuple[BatchedLine, ...]:
    """What a batch would release, as it stands now; what is not ready any more is missing, and refuses the release."""
    outcomes = list(batch.batched.values_list("outcome_id", flat=True))
    found = candidates(at=at, outcomes=outcomes)
    lines = []
    for place, each in enumerate(found, start=1):
        lines.append(
            BatchedLine(
                place=place,
                investigation=each.outcome.investigation.reference,
                code=each.code,
                assessments=each.assessments,
                algorithms=each.algorithms,
                answers=_answers(each.framework, each.version, each.outcome.facts),
            )
        )
    return tuple(lines)


def _answers(framework: str, version: str, facts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    try:
        form = law.load(framework, version)
    except FrameworkError:
        return tuple(sorted(facts.items()))
    told = []
    for question in form.questions:
        if question.id in facts:
            label = next((one.label for one in question.options if one.code == facts[question.id]), facts[question.id])
            told.append((question.text, label))
    return tuple(told)


def ready_outcomes(house_list: HouseList, *, most: int, at: dt.datetime) -> list[int]:
    """The oldest outcomes that are ready for the list, one a file, by primary key."""
    seen: dict[int, int] = {}
    for each in confirmed(at=at, house_list=house_list):
        if each.state is ReleaseState.READY:
            seen.setdefault(each.file, each.outcome)
    return list(seen.values())[:most]


def open_batches(person: Person, *, at: dt.datetime) -> tuple[tuple[str, str, int, bool], ...]:
    """(batch, list, entries, whether it waits for this person's agreement) of each release that is proposed now."""
    lines = []
    for proposal in Proposal.objects.filter(act=gates.Act.RELEASE_HASH.value, end=None).order_by("-pk"):
        if standing_of(proposal, at=at) in {Standing.WAITS, Standing.AGREED}:
            batch = batch_named(_batch_of(proposal))
            if batch is not None:
                waits = gates.may_second(person, proposal, at=at)
                lines.append((batch.audit_id.hex, batch.list.name, batch.entries, waits))
    return tuple(lines)


def partner_lines() -> tuple[PartnerLine, ...]:
    lines = []
    for row in Partner.objects.order_by("slug").prefetch_related("keys", "subscriptions__list"):
        newest = max(row.keys.all(), key=lambda key: key.pk)
        open_ = [each for each in row.subscriptions.all() if each.ended_at is None]
        lines.append(
            PartnerLine(
                slug=row.slug,
                name=row.name,
                purpose=row.purpose,
                recipient=newest.recipient,
                enrolled_at=row.enrolled_at,
                suspended_at=row.suspended_at,
                open=tuple(sorted((each.list.name, each.door) for each in open_)),
            )
        )
    return tuple(lines)


def term_in_force() -> int | None:
    newest = DeconflictionTerm.objects.order_by("-pk").first()
    return None if newest is None else newest.days


def deconflicted() -> QuerySet[Investigation]:
    """The investigations about which the police may be asked, by reference."""
    return Investigation.objects.exclude(source_kind=SourceKind.TRAINING).order_by("reference")
