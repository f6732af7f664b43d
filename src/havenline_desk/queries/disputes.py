"""What partners say against entries of this house, for those who may see lists: codes and ages, no picture, no hash."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from .. import gates
from ..gates import Act
from ..models import EntryReview, FeedVote, Person, row_named
from ..waiting import never_assessed
from .feeds import standing_votes


@dataclass(frozen=True, slots=True)
class VoteLine:
    """What one partner says against one fingerprint of an entry; `reason` as it is told."""

    partner: str
    fingerprint: str
    reason: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class DisputeLine:
    """One review. `days`: whole days since it was opened. `ended`: what it ended with, empty while it is open."""

    review: str
    entry: str
    list_name: str
    code: str
    partner: str
    reason: str
    opened_at: dt.datetime
    days: int
    votes: tuple[VoteLine, ...]
    ended: str = ""
    ended_by: str = ""
    may_find: bool = False


def open_disputes(person: Person, *, at: dt.datetime) -> tuple[DisputeLine, ...]:
    """The open reviews, the oldest first, with whether `person` may end each."""
    finds = gates.allowed(person, Act.REVIEW_ENTRY, at=at)
    votes = standing_votes()
    rows = _open().order_by("pk")
    return tuple(
        _line(row, votes, at=at, finds=finds and never_assessed(person, row.entry.outcome))
        for row in rows.select_related("entry__list", "entry__outcome__copy_of__revision", "partner")
    )


def ended_disputes(*, at: dt.datetime, most: int = 20) -> tuple[DisputeLine, ...]:
    """The reviews that ended last."""
    rows = EntryReview.objects.exclude(finding=None, entry__withdrawal=None).order_by("-pk")
    rows = rows.select_related("entry__list", "entry__withdrawal", "partner", "finding__person")
    return tuple(_line(row, (), at=at, finds=False) for row in rows[:most])


def waiting_disputes() -> int:
    """How many reviews are open."""
    return _open().count()


def review_named(name: str) -> EntryReview | None:
    return row_named(EntryReview.objects.select_related("entry__list"), name)


def _open() -> QuerySet[EntryReview]:
    return EntryReview.objects.filter(finding=None, entry__withdrawal=None)


def _line(row: EntryReview, votes: Iterable[FeedVote], *, at: dt.datetime, finds: bool) -> DisputeLine:
    finding = getattr(row, "finding", None)
    gone = getattr(row.entry, "withdrawal", None)
    ended = finding.get_verdict_display() if finding else gone.get_reason_display() if gone else ""
    return DisputeLine(
        review=row.audit_id.hex,
        entry=row.entry.entry,
        list_name=row.entry.list.name,
        code=row.entry.code,
        partner=row.partner.name,
        reason=row.get_reason_display(),
        opened_at=row.opened_at,
        days=(at - row.opened_at).days,
        votes=tuple(
            VoteLine(vote.partner.name, vote.fingerprint, vote.get_reason_display(), vote.received_at)
            for vote in votes
            if (vote.list_id, vote.entry) == (row.entry.list_id, row.entry.entry)
        ),
        ended=ended,
        ended_by=finding.person.name if finding else "",
        may_find=finds,
    )
