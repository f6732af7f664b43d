"""What people are exposed to: for oneself, for the welfare lead, and for leads as weeks of five people or more.

A view is a grant of the ladder that was used; where nothing could then be shown it counts all the same. Opened for a
comparison alone, which shows no pixel, is no view. What is left
of a budget is `keyd`'s own count, objects that it opened. Nothing here is about speed, and only the person themselves
is told minutes.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from havenline.media.renditions import STEPS

from .. import gates
from ..keys import keyd
from ..models import Assessment, Person, Reveal
from .shift import left_out_by_person

DAYS = 14
WEEKS = 4
FEWEST_PEOPLE = 5
NEAR = 80
"""Per cent of a budget from which on its person is warned."""


class Part(StrEnum):
    """One of the things that a budget limits; each has a limit of its own."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MINUTES = "minutes"
    MEBIBYTES = "mebibytes"


@dataclass(frozen=True, slots=True)
class BudgetPart:
    """What is used of one part, in views, minutes or MiB; `share` in per cent, at most 100."""

    part: Part
    used: int
    limit: int
    share: int


@dataclass(frozen=True, slots=True)
class BudgetLeft:
    """What `keyd` counts now. `parts` is empty without a budget; `frees_at` is None while there is room.

    `waiting_helps` is false where nothing is opened however long one waits: no budget, or a part of it is nothing.
    """

    last_hour: int
    last_day: int
    last_week: int
    minutes: int
    parts: tuple[BudgetPart, ...]
    frees_at: dt.datetime | None
    waiting_helps: bool

    @property
    def used_up(self) -> bool:
        return self.frees_at is not None or not self.waiting_helps

    @property
    def near(self) -> bool:
        """Whether 80 per cent of a part is used: what one is warned of."""
        return self.used_up or any(part.share >= NEAR for part in self.parts)

    @property
    def share(self) -> int:
        return max((part.share for part in self.parts), default=0)


@dataclass(frozen=True, slots=True)
class ExposureDay:
    """A day in UTC: views, the same by step of the ladder 1 to 4, and `share` of the fullest day in per cent."""

    day: dt.date
    views: int
    by_step: tuple[int, ...]
    share: int
    minutes: int


@dataclass(frozen=True, slots=True)
class OwnExposure:
    """`left` is None where there is no `keyd`. Minutes are those at items that were submitted, looking or not."""

    left: BudgetLeft | None
    days: tuple[ExposureDay, ...]
    views: int
    by_step: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PersonExposure:
    """One person, for the welfare lead: no minutes, so that no pace can be read off. `left_out`: not handed today."""

    name: str
    left: BudgetLeft | None
    days: int
    views: int
    by_step: tuple[int, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TeamWeek:
    """A whole calendar week; `people` is None where it is withheld, `by_step` where a step would tell of fewer."""

    begins: dt.date
    people: int | None
    views: int
    by_step: tuple[int, ...] | None


def budget_left(person: Person, *, at: dt.datetime) -> BudgetLeft | None:
    """What `keyd` counts for a person now; None where there is no `keyd`. Raises KeydUnreachable."""
    client = keyd()
    if client is None:
        return None
    so_far, budget = client.exposed(person.audit_id.hex)
    parts: tuple[BudgetPart, ...] = ()
    if budget is not None:
        parts = (
            _part(Part.HOUR, so_far.last_hour, budget.per_hour),
            _part(Part.DAY, so_far.last_day, budget.per_day),
            _part(Part.WEEK, so_far.last_week, budget.per_week),
            _part(Part.MINUTES, so_far.minutes, budget.minutes),
            _part(Part.MEBIBYTES, so_far.bytes_last_day, budget.bytes_per_day, unit=1 << 20),
        )
    return BudgetLeft(
        last_hour=so_far.last_hour,
        last_day=so_far.last_day,
        last_week=so_far.last_week,
        minutes=so_far.minutes,
        parts=parts,
        frees_at=at + dt.timedelta(seconds=so_far.frees_in) if so_far.frees_in else None,
        waiting_helps=so_far.frees_in is not None,
    )


def own_exposure(person: Person, *, at: dt.datetime) -> OwnExposure:
    """The last fourteen days of one person, today first."""
    today = at.astimezone(dt.UTC).date()
    counted = Counter[tuple[dt.date, int]]()
    for day, step, views in (
        _lately(at)
        .filter(person=person)
        .values_list(TruncDate("used_at", tzinfo=dt.UTC), "ladder_step")
        .annotate(views=Count("pk"))
    ):
        counted[day, step] = views
    seconds = dict(
        Assessment.objects.filter(person=person, submitted_at__gte=_first_moment(at), submitted_at__lte=at)
        .values_list(TruncDate("submitted_at", tzinfo=dt.UTC))
        .annotate(seconds=Sum("active_seconds"))
    )
    dates = [today - dt.timedelta(days=ago) for ago in range(DAYS)]
    by_day = {day: tuple(counted[day, step] for step in STEPS) for day in dates}
    fullest = max(map(sum, by_day.values()))
    return OwnExposure(
        left=budget_left(person, at=at),
        days=tuple(
            ExposureDay(
                day=day,
                views=sum(by_step),
                by_step=by_step,
                share=_share(sum(by_step), fullest),
                minutes=round(seconds.get(day, 0) / 60),
            )
            for day, by_step in by_day.items()
        ),
        views=counted.total(),
        by_step=tuple(map(sum, zip(*by_day.values(), strict=True))),
    )


def exposure_of_people(*, at: dt.datetime) -> tuple[PersonExposure, ...]:
    """Everybody who may be assigned something, or viewed something in fourteen days, by name and never by number.

    Raises KeydUnreachable. Not checked: who asks; the page of the welfare lead alone calls this.
    """
    steps, days = defaultdict[int, Counter[int]](Counter), dict[int, int]()
    for person, step, views in _lately(at).values_list("person", "ladder_step").annotate(views=Count("pk")):
        steps[person][step] = views
    for person, dates in (
        _lately(at).values_list("person").annotate(dates=Count(TruncDate("used_at", tzinfo=dt.UTC), distinct=True))
    ):
        days[person] = dates
    left_out = left_out_by_person(at=at)
    shown = Person.objects.filter(Q(is_active=True) | Q(pk__in=steps)).order_by("name")
    return tuple(
        PersonExposure(
            name=person.name,
            left=budget_left(person, at=at),
            days=days.get(person.pk, 0),
            views=steps[person.pk].total(),
            by_step=tuple(steps[person.pk][step] for step in STEPS),
            left_out=left_out.get(person.pk, ()),
        )
        for person in shown
        if person.pk in days or gates.allowed(person, gates.Act.WORK, at=at)
    )


def team_exposure(*, seen_by: Person, at: dt.datetime) -> tuple[TeamWeek, ...]:
    """The last four calendar weeks that are over, newest first, each standing alone.

    Whole weeks, so that a page looked at day after day cannot be subtracted from itself. A week is withheld below five
    people with a view in it, or where one person has more than half of the views; its steps, where a step was viewed
    by one to four people, since the other steps and the total would tell it. `seen_by` can subtract their own views,
    so it is five others who count, and others' views of which nobody has more than half.
    """
    today = at.astimezone(dt.UTC).date()
    monday = today - dt.timedelta(days=today.weekday())
    return tuple(_team_week(monday - dt.timedelta(weeks=ago), seen_by=seen_by) for ago in range(1, WEEKS + 1))


def _team_week(begins: dt.date, *, seen_by: Person) -> TeamWeek:
    start = dt.datetime.combine(begins, dt.time(), dt.UTC)
    views_of, others_at, by_step = Counter[int](), Counter[int](), Counter[int]()
    for person, step, views in (
        Reveal.objects.filter(used_at__gte=start, used_at__lt=start + dt.timedelta(weeks=1), ladder_step__gt=0)
        .values_list("person", "ladder_step")
        .annotate(views=Count("pk"))
    ):
        views_of[person] += views
        others_at[step] += person != seen_by.pk
        by_step[step] += views
    others = [views for person, views in views_of.items() if person != seen_by.pk]
    if len(others) < FEWEST_PEOPLE or 2 * max(others) > sum(others):
        return TeamWeek(begins, None, 0, None)
    tells = any(0 < people < FEWEST_PEOPLE for people in others_at.values())
    return TeamWeek(begins, len(views_of), views_of.total(), None if tells else tuple(by_step[step] for step in STEPS))


def _lately(at: dt.datetime) -> QuerySet[Reveal]:
    return Reveal.objects.filter(used_at__gte=_first_moment(at), used_at__lte=at, ladder_step__gt=0)


def _first_moment(at: dt.datetime) -> dt.datetime:
    first = at.astimezone(dt.UTC).date() - dt.timedelta(days=DAYS - 1)
    return dt.datetime.combine(first, dt.time(), dt.UTC)


def _part(part: Part, used: int, limit: int, *, unit: int = 1) -> BudgetPart:
    share = _share(used, limit) if limit else 100
    return BudgetPart(part, used // unit, limit // unit, share)


def _share(used: int, limit: int) -> int:
    return min(100, 100 * used // limit) if limit else 0
