"""Alarms of the match service, those that are open and those that were closed last."""

from __future__ import annotations

from django.db.models import QuerySet

from ..models import MatchAlarm

CLOSED_SHOWN = 20


def open_alarms() -> tuple[MatchAlarm, ...]:
    """The newest first."""
    return tuple(_alarms().filter(closed_at=None))


def closed_alarms() -> tuple[MatchAlarm, ...]:
    """Those closed last, the newest first."""
    return tuple(_alarms().exclude(closed_at=None).order_by("-closed_at")[:CLOSED_SHOWN])


def alarm_named(name: str) -> MatchAlarm | None:
    """By its primary key, as a form sends it."""
    if not name.isascii() or not name.isdigit() or len(name) > 15:
        return None
    return _alarms().filter(pk=int(name)).first()


def _alarms() -> QuerySet[MatchAlarm]:
    return MatchAlarm.objects.select_related("key", "endpoint", "recipient", "list", "closed_by").order_by("-pk")
