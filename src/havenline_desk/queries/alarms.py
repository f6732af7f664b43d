"""Alarms about kept content that stand, for those who may look into them."""

from __future__ import annotations

import datetime as dt

from .. import gates
from ..gates import Act
from ..models import Person, StorageAlarm


def standing_alarms(person: Person, *, at: dt.datetime) -> tuple[StorageAlarm, ...]:
    """The newest first; none for whoever may not stop the keeping of content."""
    if not gates.allowed(person, Act.STOP_STORAGE, at=at):
        return ()
    return tuple(StorageAlarm.objects.filter(ended_at=None).order_by("-pk"))
