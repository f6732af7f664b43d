"""A partner's vote on an entry that it was served: a record for whoever reviews it, and it decides nothing."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit
from ..editions import alone
from ..models import AuditAct, FeedVote, Subscription, VoteReason
from .review_entries import open_for_vote


@transaction.atomic
def record_feed_vote(
    subscription: Subscription, entry: str, *, fingerprint: str, against: VoteReason | None, at: dt.datetime
) -> FeedVote:
    """Record a vote for an entry, or against it; one against opens a review, and ends nothing by itself.

    Not checked: that the subscriber was served it.
    """
    if against is not None:
        alone(subscription.list)
    vote = FeedVote.objects.create(
        partner=subscription.partner,
        list=subscription.list,
        entry=entry,
        fingerprint=fingerprint,
        affirmative=against is None,
        reason=against or "",
        received_at=at,
    )
    audit.append(
        AuditAct.FEED_VOTE_RECEIVED, at=at, actor=None, about=vote, purpose=against or "affirmative", record=vote
    )
    if against is not None:
        open_for_vote(vote, at=at)
    return vote
