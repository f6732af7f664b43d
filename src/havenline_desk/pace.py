"""Whether a person should pause now: counted from their own views alone, kept nowhere, told to nobody else."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from havenline.vocabulary import HavenlineError

from .models import PaceRule, Person, Reveal, SourceKind

_LOOKED_BACK = dt.timedelta(hours=24)


class PauseDue(HavenlineError):
    """Nothing is handed out or opened before `ends_at`: a pause is due."""

    def __init__(self, ends_at: dt.datetime) -> None:
        super().__init__(
            f"time for a break: nothing is handed out or opened until {ends_at.astimezone(dt.UTC):%H:%M} UTC"
        )
        self.ends_at = ends_at


class PaceState(StrEnum):
    """`proposed`: a pause would do good. `due`: nothing is handed out or opened before it; an escalation is."""

    FREE = "free"
    PROPOSED = "proposed"
    DUE = "due"


@dataclass(frozen=True, slots=True)
class Pace:
    """Views and minutes, first view to last, since the last pause. `ends_at`: when a pause begun now would be over."""

    state: PaceState
    views: int
    minutes: int
    pause_minutes: int
    ends_at: dt.datetime | None


def pace_rule() -> PaceRule | None:
    """What the house declared last; None where it declared nothing, and nobody is asked to pause."""
    return PaceRule.objects.order_by("-pk").first()


def pace_of(person: Person, *, at: dt.datetime) -> Pace | None:
    """Where `person` stands at `at`; None without a rule of the house. A gap of a pause's length begins anew.

    What is drawn for calibration is no view, nor is what was opened for a comparison alone.
    """
    rule = pace_rule()
    if rule is None:
        return None
    pause = dt.timedelta(minutes=rule.pause_minutes)
    used = Reveal.objects.filter(person=person, used_at__gt=at - _LOOKED_BACK, used_at__lte=at, ladder_step__gt=0)
    used = used.exclude(assignment__investigation__source_kind=SourceKind.TRAINING)
    views, first, last = 0, at, at
    for moment in used.order_by("-used_at").values_list("used_at", flat=True).iterator():
        if moment is None or first - moment >= pause:
            break
        views, first, last = views + 1, moment, last if views else moment
    if not views:
        return Pace(PaceState.FREE, 0, 0, rule.pause_minutes, None)
    minutes = int((last - first).total_seconds() // 60)
    state = PaceState.FREE
    if views >= rule.views or minutes >= rule.minutes:
        state = PaceState.PROPOSED
    if views >= rule.most_views or minutes >= rule.most_minutes:
        state = PaceState.DUE
    return Pace(state, views, minutes, rule.pause_minutes, last + pause)


def refuse_in_a_pause(person: Person, *, at: dt.datetime) -> None:
    """Raise PauseDue where a pause of `person` is due at `at`."""
    pace = pace_of(person, at=at)
    if pace is not None and pace.state is PaceState.DUE and pace.ends_at is not None:
        raise PauseDue(pace.ends_at)
