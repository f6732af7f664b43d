"""Raise an alarm about kept content, which a person must look at, and end it when what raised it is over."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit
from ..models import AlarmKind, AuditAct, StorageAlarm


@transaction.atomic
def raise_alarm(kind: AlarmKind, *, counted: int, of: int, at: dt.datetime) -> None:
    """Record that `counted` of `of` kept objects are what `kind` says; one that was raised before goes on as it is."""
    if StorageAlarm.objects.filter(kind=kind, ended_at=None).exists():
        return
    alarm = StorageAlarm.objects.create(kind=kind, counted=counted, of=of, raised_at=at)
    audit.append(AuditAct.STORAGE_ALARM_RAISED, at=at, actor=None, about=alarm, purpose=kind.value, record=alarm)


@transaction.atomic
def end_alarm(kind: AlarmKind, *, at: dt.datetime) -> None:
    """Record that what raised the alarm was looked for again and is over; nothing where none stands."""
    for alarm in StorageAlarm.objects.filter(kind=kind, ended_at=None):
        StorageAlarm.objects.filter(pk=alarm.pk).update(ended_at=at)
        audit.append(AuditAct.STORAGE_ALARM_ENDED, at=at, actor=None, about=alarm, purpose=kind.value)


def note_scrub(*, wrong: int, of: int, at: dt.datetime) -> None:
    """Raise or end the alarm of damage: when all kept objects were read, `wrong` `of` them were damaged or missing."""
    if wrong:
        raise_alarm(AlarmKind.DAMAGED, counted=wrong, of=of, at=at)
    else:
        end_alarm(AlarmKind.DAMAGED, at=at)
