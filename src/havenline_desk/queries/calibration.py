"""A person's own calibration: certificate, open session, earlier results. Shown to that person alone."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Max

from ..models import (
    Assessment,
    CalibrationResult,
    CalibrationSession,
    Certificate,
    Investigation,
    Person,
    SourceKind,
)

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
