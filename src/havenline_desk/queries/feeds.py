"""What a partner is served of one list in NCMEC's form, by windows of time."""

from __future__ import annotations

import datetime as dt
import heapq
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from havenline.formats.edition import Entry
from havenline.formats.edition_index import EditionIndex, index_of

from .. import evidence
from ..editions import folder_of, withdrawn_since
from ..models import (
    Canary,
    Door,
    FeedCredential,
    FeedStep,
    FeedTombstone,
    FeedVote,
    Partner,
    ReleasedEntry,
    Subscription,
)
from .releases import canaries_of

SERVED = ("md5", "sha1", "pdq")
"""What NCMEC's form has a place for. An entry of which the SHA-256 alone goes out is not in a feed."""
_NOBODY = "0" * 64


@dataclass(frozen=True, slots=True)
class Line:
    """One entry as it stands: since when, and what; a tombstone without `held`."""

    entry: str
    at: dt.datetime
    held: Entry | None


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Lines of a window in the order of their ids. `most`: how many the window has. `more`: some come after these."""

    lines: tuple[Line, ...]
    most: int
    more: bool


def partner_of(slug: str, secret: str) -> Partner | None:
    """The partner whose credential this is, suspended or not. Not checked: that it gets anything."""
    row = FeedCredential.objects.filter(partner__slug=slug, ended_at=None).select_related("partner").first()
    same = hmac.compare_digest(row.digest if row else _NOBODY, evidence.digest_of(secret))
    return row.partner if row is not None and same else None


def subscription_of(partner: Partner, list_name: str) -> Subscription | None:
    """The partner's open subscription to a list by this door; None while it is suspended."""
    rows = Subscription.objects.filter(partner=partner, list__name=list_name, door=Door.NCMEC, ended_at=None)
    return rows.filter(partner__suspended_at=None).select_related("partner", "list").first()


def feed_page(step: FeedStep, *, begin: dt.datetime, end: dt.datetime, after: str = "", most: int = 1000) -> FeedPage:
    """What became visible to the subscriber after `begin` and until `end`, with ids greater than `after`.

    Raises EditionRefused where the files of the edition are not those that were published.
    """
    subscription, edition = step.subscription, step.edition
    index, first_numbers = _index(folder_of(edition), edition.digest, edition.list_id)
    rows = subscription.steps.filter(edition__number__lte=edition.number).select_related("edition")
    steps = tuple(rows.order_by("edition__number"))
    seconds = np.array([each.since.timestamp() for each in steps])
    times = seconds[np.searchsorted(np.array([each.edition.number for each in steps]), first_numbers)]
    inside = (begin.timestamp() < times) & (times <= end.timestamp()) & index.with_any(SERVED)
    gone = withdrawn_since(edition)
    inside &= ~np.isin(index.ids, np.array([each.encode() for each in gone], "S32"))
    others = [line for line in (*_canaries(subscription, steps), *_tombstones(subscription)) if begin < line.at <= end]
    total = int(inside.sum()) + len(others)
    first = int(np.searchsorted(index.ids, np.bytes_(after), "right"))
    places = np.flatnonzero(inside[first:])[: most + 1] + first
    lines = list(
        heapq.merge(
            (
                Line(entry.entry, dt.datetime.fromtimestamp(times[place], dt.UTC), entry)
                for place, entry in zip(places, index.entries(places.tolist()), strict=True)
            ),
            sorted((line for line in others if line.entry > after), key=lambda line: line.entry),
            key=lambda line: line.entry,
        )
    )
    return FeedPage(tuple(lines[:most]), total, len(lines) > most)


def was_served(step: FeedStep, entry: str) -> bool:
    """Whether the subscriber may know an entry of that id, be it its canary or withdrawn."""
    subscription = step.subscription
    released = ReleasedEntry.objects.filter(list=subscription.list, entry=entry, first_number__lte=step.edition.number)
    return released.exists() or (
        Canary.objects.filter(list=subscription.list, partner=subscription.partner, entry=entry).exists()
    )


def standing_votes() -> list[FeedVote]:
    """The newest vote of each partner on each fingerprint, those against an entry alone, the oldest first."""
    newest = FeedVote.objects.order_by("partner", "list", "entry", "fingerprint", "-pk").distinct(
        "partner", "list", "entry", "fingerprint"
    )
    rows = FeedVote.objects.filter(pk__in=newest.values("pk"), affirmative=False)
    return list(rows.select_related("partner", "list").order_by("pk"))


@lru_cache(maxsize=4)
def _index(folder: Path, digest: str, list_id: int) -> tuple[EditionIndex, NDArray[np.int64]]:
    """Of an edition, which never changes: its index, and of each entry the number of the first edition that had it."""
    index = index_of(folder, digest=digest)
    rows = dict(ReleasedEntry.objects.filter(list_id=list_id).values_list("entry", "first_number"))
    numbers = [rows.get(each.decode()) or index.edition.number for each in index.ids]
    return index, np.array(numbers, np.int64)


def _canaries(subscription: Subscription, steps: tuple[FeedStep, ...]) -> Iterable[Line]:
    """Since the first step; a canary that was made after that was taken is shown from the next one on."""
    rows = Canary.objects.filter(partner=subscription.partner, list=subscription.list)
    made = dict(rows.values_list("entry", "made_at"))
    for canary in canaries_of(subscription.partner, subscription.list):
        shown = next((step.since for step in steps if step.taken_at >= made[canary.entry]), None)
        if shown is not None and not set(SERVED).isdisjoint(canary.values):
            yield Line(canary.entry, shown, canary)


def _tombstones(subscription: Subscription) -> Iterable[Line]:
    rows = FeedTombstone.objects.filter(subscription=subscription)
    for entry, algorithms, since in rows.values_list("entry__entry", "entry__algorithms", "since"):
        if not set(SERVED).isdisjoint(algorithms):
            yield Line(entry, since, None)
