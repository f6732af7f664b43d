"""The page of one's shift: what one could leave out today, when a pause is due, whom one can talk to."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from ..models import Assignment, Investigation, MediaKind, OptOut, PaceRule, Person, Pool, PoolKind, SourceKind, TalkTo
from ..pace import Pace, pace_of, pace_rule


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that a person may leave out today; `out`: they do."""

    value: str
    label: str
    out: bool


@dataclass(frozen=True, slots=True)
class ShiftPage:
    """`until` is the first moment at which something that is left out is handed again; None where nothing is."""

    media: tuple[Choice, ...]
    pools: tuple[Choice, ...]
    investigations: tuple[Choice, ...]
    until: dt.datetime | None
    pace: Pace | None
    talk_to: TalkTo | None


def shift_page(person: Person, *, at: dt.datetime) -> ShiftPage:
    """Everything of the page of `person`, for `person` alone."""
    out = list(_in_force(at).filter(person=person))
    pools_out = {one.pool_id for one in out}
    investigations_out = {one.investigation_id for one in out}
    media_out = {one.media for one in out}
    return ShiftPage(
        media=tuple(Choice(kind.value, str(kind.label), kind.value in media_out) for kind in MediaKind),
        pools=tuple(
            Choice(pool.name, f"{pool.name} ({PoolKind(pool.kind).label})", pool.pk in pools_out)
            for pool in pools_of(person)
        ),
        investigations=tuple(
            Choice(one.reference, one.reference, one.pk in investigations_out)
            for one in open_investigations(including=investigations_out)
        ),
        until=min((one.until for one in out), default=None),
        pace=pace_of(person, at=at),
        talk_to=talk_to(),
    )


def pools_of(person: Person) -> tuple[Pool, ...]:
    """The languages and subjects that `person` is handed items for."""
    mine = Pool.objects.filter(members__person=person, members__left_at=None).exclude(kind=PoolKind.BLIND)
    return tuple(mine.distinct().order_by("name"))


def open_investigations(including: set[int | None] | None = None) -> tuple[Investigation, ...]:
    """Those with an open assessment, whoever may do it, by reference."""
    waiting = Assignment.objects.filter(done_at=None).values("revision__stack__investigation")
    wanted = Q(pk__in=waiting) | Q(pk__in=[pk for pk in including or () if pk is not None])
    return tuple(Investigation.objects.filter(wanted).exclude(source_kind=SourceKind.TRAINING).order_by("reference"))


def talk_to() -> TalkTo | None:
    """Whom anybody here can talk to; None where the welfare lead has not said."""
    return TalkTo.objects.order_by("-pk").first()


def care_of_house() -> tuple[PaceRule | None, TalkTo | None]:
    return pace_rule(), talk_to()


def left_out_by_person(*, at: dt.datetime) -> dict[int, tuple[str, ...]]:
    """By person: what they are not handed today. For the page of the welfare lead alone."""
    found = defaultdict[int, list[str]](list)
    rows = _in_force(at).order_by("pk").values_list("person_id", "pool__name", "investigation__reference", "media")
    for person, pool, reference, kind in rows:
        found[person].append(pool or reference or gettext(MediaKind(kind).label))
    return {person: tuple(names) for person, names in found.items()}


def _in_force(at: dt.datetime) -> QuerySet[OptOut]:
    return OptOut.objects.filter(until__gt=at)
