"""What this house says of partners' entries, as it stands: switches, opinions, and where each is on its way.

Nothing is written here. An opinion follows from settled outcomes of the very bytes; a near match says nothing of a
partner's own file.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from havenline.connectors.store import key_of
from havenline.vocabulary import NCII, HashKind

from .confirmed import Judged, Police, ReleaseState, judged
from .models import (
    FeedbackOpinion,
    FeedbackStep,
    FeedbackSwitch,
    FeedbackTry,
    FeedbackView,
    Match,
    Outcome,
)

EXACT = (HashKind.MD5.value, HashKind.SHA1.value, HashKind.SHA256.value)
_VIEWS = {Judged.CONFIRMED: FeedbackView.FOR, Judged.CLEARED: FeedbackView.AGAINST, Judged.OPEN: FeedbackView.NONE}

MOST_AT_ONCE = 100
WAITING = ("", FeedbackStep.BEGUN.value, FeedbackStep.FAILED.value, FeedbackStep.AGAIN.value)
"""The steps after which an opinion is still to be sent; "" before the first."""


class FeedbackState(StrEnum):
    """Where an opinion stands; only `due` goes on by itself."""

    DUE = "due"
    OFF = "off"
    """The source is switched off, or is another one than when it was switched on."""
    HELD = "held"
    """Waits for the police, as a release does."""
    LATER = "later"
    SENT = "sent"
    DEAD = "dead"
    MOOT = "moot"


_ENDED = {
    FeedbackStep.SENT: FeedbackState.SENT,
    FeedbackStep.DEAD: FeedbackState.DEAD,
    FeedbackStep.MOOT: FeedbackState.MOOT,
}


@dataclass(frozen=True, slots=True)
class Matched:
    """One digest of a partner's entry that files of ours have."""

    list_name: str
    key: str
    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """An opinion that counts, and the newest step of sending it."""

    opinion: FeedbackOpinion
    last: FeedbackTry | None


def switches() -> dict[str, FeedbackSwitch]:
    """By exchange, the switch that counts, on or off."""
    rows = FeedbackSwitch.objects.order_by("exchange", "-pk").distinct("exchange").select_related("person")
    return {row.exchange: row for row in rows}


def matched(files: Collection[int], list_names: Collection[str]) -> list[Matched]:
    """What those files match by exact digests in lists of those names; in no order, each once."""
    rows = Match.objects.filter(file__in=files, kind__in=EXACT, edition__list_name__in=list_names)
    found = {
        Matched(match.edition.list_name, key_of(match.entry), match.kind, getattr(match.file, match.kind))
        for match in rows.select_related("file", "edition")
    }
    return sorted(found, key=lambda each: (each.list_name, each.key, each.kind, each.value))


def view_of(said: Matched) -> FeedbackView | None:
    """What all files with that digest that match the entry say together; None where none has an outcome."""
    files = files_of(said)
    found = set(judged(files, ncii=said.list_name.startswith(NCII)).values())
    if not found:
        return None
    return _VIEWS[found.pop()] if len(found) == 1 else FeedbackView.NONE


def files_of(said: Matched | FeedbackOpinion) -> set[int]:
    """The files with that very digest that match the entry in one of its versions."""
    rows = Match.objects.filter(kind=said.kind, edition__list_name=said.list_name, entry__startswith=said.key)
    rows = rows.filter(**{f"file__{said.kind}": said.value})
    return {file for file, entry in rows.values_list("file_id", "entry") if key_of(entry) == said.key}


def newest_of(said: Matched) -> FeedbackOpinion | None:
    rows = FeedbackOpinion.objects.filter(list_name=said.list_name, key=said.key, kind=said.kind, value=said.value)
    return rows.order_by("-pk").first()


def standing(
    list_names: Collection[str] | None = None, *, steps: Collection[str] = (), after: int = 0, most: int = MOST_AT_ONCE
) -> list[OnItsWay]:
    """The newest opinion of each digest of an entry, the oldest first; of all lists, or of those.

    `steps`: only those whose newest step is one of these; "" is one that nobody tried to send. At most `most`,
    of those with a primary key above `after`.
    """
    last = FeedbackTry.objects.filter(opinion=OuterRef("pk")).order_by("-pk")
    kept = _newest(list_names).filter(pk__gt=after).annotate(last_try=Subquery(last.values("pk")[:1]))
    if steps:
        kept = kept.filter(last_step__in=steps)
    found = list(kept.order_by("pk")[:most])
    tries = FeedbackTry.objects.in_bulk([row.last_try for row in found if row.last_try is not None])
    return [OnItsWay(row, tries.get(row.last_try)) for row in found]


def counted_steps() -> dict[str, Counter[str]]:
    """By list, how many opinions that count stand at which step; "" before the first."""
    made: dict[str, Counter[str]] = defaultdict(Counter)
    rows = _newest(None).order_by().values_list("list_name", "last_step").annotate(many=Count("pk"))
    for list_name, step, many in rows:
        made[list_name][step] += many
    return made


def _newest(list_names: Collection[str] | None) -> QuerySet[Any, Any]:
    """The newest opinion of each digest of an entry, with its newest step as `last_step`."""
    rows = FeedbackOpinion.objects.all()
    if list_names is not None:
        rows = rows.filter(list_name__in=list_names)
    newest = rows.order_by("list_name", "key", "kind", "value", "-pk").distinct("list_name", "key", "kind", "value")
    last = FeedbackTry.objects.filter(opinion=OuterRef("pk")).order_by("-pk")
    return FeedbackOpinion.objects.filter(pk__in=newest.values("pk")).annotate(
        last_step=Coalesce(Subquery(last.values("step")[:1]), Value(""))
    )


def state_of(said: OnItsWay, *, on: bool, at: dt.datetime) -> FeedbackState:
    """Where an opinion stands; `on`: whether its source is switched on."""
    last = said.last
    if last is not None and last.step in _ENDED:
        return _ENDED[FeedbackStep(last.step)]
    if not on:
        return FeedbackState.OFF
    if held(said.opinion, at=at):
        return FeedbackState.HELD
    return FeedbackState.LATER if last is not None and last.next_at and last.next_at > at else FeedbackState.DUE


def held(row: FeedbackOpinion, *, at: dt.datetime) -> bool:
    """Whether the police's answer is missing to what would be sent, or is to wait.

    An opinion for an entry waits as a release does; any other one where they asked to hold.
    """
    rows = list(Outcome.objects.filter(correction=None, file__in=files_of(row)))
    police = Police(rows, at=at)
    states = {police.state_of(each) for each in rows}
    if ReleaseState.HOLD in states:
        return True
    return row.view == FeedbackView.FOR and ReleaseState.POLICE in states


def failures_of(row: FeedbackOpinion) -> int:
    """How often in a row it failed since a person last asked to try it again."""
    steps = FeedbackTry.objects.filter(opinion=row)
    again = steps.filter(step=FeedbackStep.AGAIN).order_by("-pk").first()
    if again is not None:
        steps = steps.filter(pk__gt=again.pk)
    return steps.filter(step=FeedbackStep.FAILED).count()


def was_begun(said: Matched) -> bool:
    """Whether anything of this digest of the entry was ever sent, or may have been."""
    rows = FeedbackTry.objects.filter(step=FeedbackStep.BEGUN, opinion__list_name=said.list_name)
    return rows.filter(opinion__key=said.key, opinion__kind=said.kind, opinion__value=said.value).exists()


def rest_until(list_names: Iterable[str]) -> dict[str, dt.datetime]:
    """By list, until when its partner is left alone after the newest failure."""
    found: dict[str, dt.datetime] = {}
    for name in list_names:
        row = (
            FeedbackTry.objects.filter(opinion__list_name=name).exclude(step=FeedbackStep.BEGUN).order_by("-pk").first()
        )
        if row is not None and row.rest_until is not None:
            found[name] = row.rest_until
    return found
