"""Bring what one subscription is served up to the newest edition, and say from which second on.

A subscriber asks for windows of time and never again for one that is over. So what becomes visible bears a time that no
window before it reached: the second after the moment at which it was first served, not that of its release.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import Q, QuerySet

from .. import audit
from ..editions import whole_seconds
from ..models import AuditAct, Canary, FeedStep, FeedTombstone, PublishedEdition, Subscription, Withdrawal

_SECOND = dt.timedelta(seconds=1)


def take_feed_step(subscription: Subscription, *, at: dt.datetime) -> FeedStep | None:
    """The step that counts now; None where nothing was published yet, or where the recipient has no canaries.

    The first step of a subscription bears the time at which both it and its edition were there: nobody was served
    before that. Withdrawals that no edition tells of yet are told at once. Not checked: that the subscription is open.
    """
    newest = _newest(subscription)
    last = subscription.steps.select_related("edition").order_by("-edition__number").first()
    if last is not None and last.edition == newest and not _untold(subscription, last).exists():
        return last
    with transaction.atomic():
        held = Subscription.objects.select_for_update().select_related("list", "partner").get(pk=subscription.pk)
        return _step(held, at=at)


def _step(subscription: Subscription, *, at: dt.datetime) -> FeedStep | None:
    newest = _newest(subscription)
    if newest is None or not Canary.objects.filter(partner=subscription.partner, list=subscription.list).exists():
        return None
    last = subscription.steps.select_related("edition").order_by("-edition__number").first()
    if last is None:
        return _taken(subscription, newest, since=whole_seconds(max(subscription.opened_at, newest.made_at)), at=at)
    since = whole_seconds(at) + _SECOND
    FeedTombstone.objects.bulk_create(
        FeedTombstone(subscription=subscription, entry_id=entry, since=since)
        for entry in _untold(subscription, last).values_list("entry_id", flat=True)
    )
    return last if last.edition == newest else _taken(subscription, newest, since=since, at=at)


def _newest(subscription: Subscription) -> PublishedEdition | None:
    return PublishedEdition.objects.filter(list=subscription.list).order_by("-number").first()


def _taken(subscription: Subscription, edition: PublishedEdition, *, since: dt.datetime, at: dt.datetime) -> FeedStep:
    step = FeedStep.objects.create(subscription=subscription, edition=edition, since=since, taken_at=at)
    audit.append(AuditAct.FEED_STEP_TAKEN, at=at, actor=None, about=step, record=step)
    return step


def _untold(subscription: Subscription, last: FeedStep) -> QuerySet[Withdrawal]:
    """Withdrawals of entries that an edition had which was served, and of which the subscriber was not told."""
    first = subscription.steps.select_related("edition").order_by("edition__number").first()
    assert first is not None, "there is a last step"
    told = FeedTombstone.objects.filter(subscription=subscription).values("entry_id")
    return Withdrawal.objects.filter(
        Q(first_number=None) | Q(first_number__gt=first.edition.number),
        entry__list=subscription.list,
        entry__first_number__lte=last.edition.number,
    ).exclude(entry_id__in=told)
