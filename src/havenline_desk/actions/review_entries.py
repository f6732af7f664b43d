"""Disputed entries of this house: a vote against one or a dispute opens a review, and one person says what follows.

Nothing is withdrawn by a vote. While a review is open the entry stands as it is.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..editions import alone
from ..gates import Act
from ..models import (
    AuditAct,
    EntryFinding,
    EntryReview,
    EntryVerdict,
    FeedVote,
    Outcome,
    Partner,
    Person,
    ReleasedEntry,
    StoredContent,
    VoteReason,
    WithdrawalReason,
)
from ..waiting import never_assessed
from .assess_anew import assess_anew
from .withdraw_entries import follow, record_withdrawal


class ReviewRefused(HavenlineError):
    """Nothing was recorded; the text says why."""


def open_for_vote(vote: FeedVote, *, at: dt.datetime) -> EntryReview | None:
    """Open a review for a vote against an entry, in the transaction that records it and has locked the list.

    None where one is open, for what is withdrawn or never was released (a canary), and where the partner only says
    again what it said of this fingerprint last.
    """
    row = ReleasedEntry.objects.filter(list=vote.list, entry=vote.entry, withdrawal=None).first()
    earlier = FeedVote.objects.filter(
        partner=vote.partner, list=vote.list, entry=vote.entry, fingerprint=vote.fingerprint, pk__lt=vote.pk
    )
    last = earlier.order_by("-pk").first()
    if row is None or (last is not None and last.reason == vote.reason):
        return None
    return _opened(row, vote.partner, VoteReason(vote.reason), by=None, at=at)


@transaction.atomic
def dispute_entry(
    entry: ReleasedEntry, *, partner: Partner, reason: VoteReason, by: Person, at: dt.datetime
) -> EntryReview:
    """Note a partner's dispute that came by another way than a vote. Raises Denied, ReviewRefused."""
    gates.require(by, Act.DISPUTE_ENTRY, at=at)
    alone(entry.list)
    if ReleasedEntry.objects.filter(pk=entry.pk).exclude(withdrawal=None).exists():
        raise ReviewRefused("this entry is withdrawn already; nothing was recorded")
    review = _opened(entry, partner, reason, by=by, at=at)
    if review is None:
        raise ReviewRefused("a review of this entry is open already; nothing was recorded")
    return review


def record_entry_finding(review: EntryReview, verdict: EntryVerdict, *, person: Person, at: dt.datetime) -> bool:
    """End a review: the entry stands, is withdrawn at once, or others assess the file anew while it stands.

    Returns whether the live list follows already. Raises Denied for who assessed the file, ReviewRefused where the
    review is over or no new assessment is possible.
    """
    gates.require(person, Act.REVIEW_ENTRY, at=at)
    entry = review.entry
    with transaction.atomic():
        alone(entry.list)
        if EntryFinding.objects.filter(review=review).exists():
            raise ReviewRefused("somebody has ended this review meanwhile; nothing was recorded")
        if ReleasedEntry.objects.filter(pk=entry.pk).exclude(withdrawal=None).exists():
            raise ReviewRefused("this entry is withdrawn already; nothing was recorded")
        if not never_assessed(person, entry.outcome):
            raise gates.Denied(f"{person.name} assessed this file, so that another person looks at the dispute")
        finding = EntryFinding.objects.create(review=review, person=person, verdict=verdict, found_at=at)
        if verdict is EntryVerdict.WITHDRAWN:
            record_withdrawal(entry, reason=WithdrawalReason.PARTNER, person=person, at=at)
        audit.append(AuditAct.ENTRY_REVIEWED, at=at, actor=person, about=review, purpose=verdict.value, record=finding)
        if verdict is EntryVerdict.ASSESS_ANEW:
            _anew(entry.outcome, at=at)
    return follow(entry.list, at=at) if verdict is EntryVerdict.WITHDRAWN else True


def _opened(
    entry: ReleasedEntry, partner: Partner, reason: VoteReason, *, by: Person | None, at: dt.datetime
) -> EntryReview | None:
    """None where one is open. The list is locked by who calls."""
    if EntryReview.objects.filter(entry=entry, finding=None).exists():
        return None
    review = EntryReview.objects.create(entry=entry, partner=partner, reason=reason, opened_by=by, opened_at=at)
    audit.append(AuditAct.ENTRY_REVIEW_OPENED, at=at, actor=by, about=review, purpose=reason.value, record=review)
    return review


def _anew(outcome: Outcome, *, at: dt.datetime) -> None:
    if not StoredContent.objects.filter(file=outcome.file_id, tombstone=None).exists():
        raise ReviewRefused("the content of this file is not kept any more, so nobody can assess it anew")
    if assess_anew(outcome, at=at) is None:
        raise ReviewRefused("this file is assessed anew already, or was; nothing was recorded")
