"""A person's own calibration, shown to that person alone; and by question how the sessions of many went.

The latter is of whole quarters of a year, each by itself, so that no two looks can be subtracted: of five people or
more beside whoever looks, none of whom gave more than half of the answers (practice 15).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from django.db.models import Max

from havenline import frameworks
from havenline.frameworks import Question
from havenline.judgement import score_by_question

from ..models import (
    Assessment,
    CalibrationPicture,
    CalibrationResult,
    CalibrationSession,
    Certificate,
    Investigation,
    Person,
    SourceKind,
)

FRAMEWORK = "demo.shapes"
QUARTERS = 4
FEWEST_PEOPLE = 5
SOON = dt.timedelta(days=28)
"""How long before its end a certificate is told to run out."""


@dataclass(frozen=True, slots=True)
class OwnCalibration:
    """`done` of `pictures` are answered in the open session; both None without one. Results: the newest first."""

    set_up: bool
    certified_until: dt.datetime | None
    runs_out_soon: bool
    done: int | None
    pictures: int | None
    results: tuple[CalibrationResult, ...]


def own_calibration(person: Person, *, at: dt.datetime) -> OwnCalibration:
    """What the calibration page shows."""
    until = Certificate.objects.filter(person=person, issued_at__lte=at, expires_at__gt=at).aggregate(
        latest=Max("expires_at")
    )["latest"]
    session = CalibrationSession.objects.filter(person=person, result=None).first()
    results = CalibrationResult.objects.filter(session__person=person).select_related("session").order_by("-pk")
    return OwnCalibration(
        set_up=Investigation.objects.filter(source_kind=SourceKind.TRAINING).exists(),
        certified_until=until,
        runs_out_soon=until is not None and until <= at + SOON,
        done=Assessment.objects.filter(revision__calibration__session=session).count() if session else None,
        pictures=session.pictures if session else None,
        results=tuple(results),
    )


def calibrating(person: Person) -> bool:
    """Whether a session of this person is open."""
    return CalibrationSession.objects.filter(person=person, result=None).exists()


@dataclass(frozen=True, slots=True)
class QuestionRight:
    """Of `compared` answers to one question, `share` per cent were what was drawn."""

    question: Question
    compared: int
    share: Decimal


@dataclass(frozen=True, slots=True)
class CalibrationQuarter:
    """A quarter of a year that is over, by its first day; `questions` is None where too few people stand behind it."""

    begins: dt.date
    sessions: int
    questions: tuple[QuestionRight, ...] | None


def calibration_quarters(*, seen_by: Person, at: dt.datetime) -> tuple[CalibrationQuarter, ...]:
    """The last four quarters that are over, the newest first: agreement of ended sessions with what was drawn."""
    today = at.astimezone(dt.UTC).date()
    end = dt.date(today.year, 3 * ((today.month - 1) // 3) + 1, 1)
    quarters = []
    for _ in range(QUARTERS):
        begins = dt.date(end.year, end.month - 3, 1) if end.month > 3 else dt.date(end.year - 1, 10, 1)
        quarters.append(_quarter(begins, end, seen_by=seen_by))
        end = begins
    return tuple(quarters)


def _quarter(begins: dt.date, end: dt.date, *, seen_by: Person) -> CalibrationQuarter:
    first, last = (dt.datetime.combine(day, dt.time(), dt.UTC) for day in (begins, end))
    ended = CalibrationSession.objects.filter(
        result__closed_at__gte=first, result__closed_at__lt=last, result__outdated=False
    )
    drawn = CalibrationPicture.objects.filter(session__in=ended, revision__assessments__isnull=False)
    rows = list(drawn.values_list("session__person", "facts", "revision__assessments__facts"))
    others = Counter(person for person, _, _ in rows if person != seen_by.pk)
    if len(others) < FEWEST_PEOPLE or 2 * max(others.values()) > others.total():
        return CalibrationQuarter(begins, 0, None)
    framework = frameworks.load(FRAMEWORK)
    found = score_by_question(framework, ((truth, answers) for _, truth, answers in rows))
    told = tuple(
        QuestionRight(framework.question(name), one.compared, _per_cent(one.right, one.compared))
        for name, one in found.items()
    )
    return CalibrationQuarter(begins, ended.count(), told)


def _per_cent(right: int, compared: int) -> Decimal:
    return (Decimal(100 * right) / compared).quantize(Decimal("0.1"), ROUND_HALF_UP)
