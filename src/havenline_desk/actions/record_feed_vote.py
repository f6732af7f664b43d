"""A partner's vote on an entry that it was served: a record for whoever reviews it, and nothing else."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit
from ..models import AuditAct, FeedVote, Subscription, VoteReason


@transaction.atomic
def record_feed_vote(
    subscription: Subscription, entry: str, *, fingerprint: str, against: VoteReason | None, at: dt.datetime
) -> FeedVote:
    """Record a vote for an entry, or against it. Not checked: that the subscriber was served it."""
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
    return vote
