"""Put into the audit log that a key is being answered, and how much it was answered: two entries for some minutes."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass

from django.db import transaction

from .. import audit
from ..models import ApiKey, AuditAct, LookupCount, LookupWindow


@dataclass(frozen=True, slots=True)
class Answered:
    """What a window held: numbers, and the root over its requests in hexadecimal."""

    requests: int
    items: int
    leads: int
    refused: int
    root: str


@transaction.atomic
def begin_lookups(key: ApiKey, *, at: dt.datetime) -> LookupWindow:
    """Stands in the log before the first answer goes out. Raises AuditUnavailable: then nothing may be answered."""
    window = LookupWindow.objects.create(key=key, salt=secrets.token_hex(16), opened_at=at)
    audit.append(AuditAct.LOOKUPS_BEGUN, at=at, actor=None, about=window, record=window)
    return window


@transaction.atomic
def count_lookups(window: LookupWindow, answered: Answered | None, *, at: dt.datetime) -> None:
    """Close a window, once; `answered` None where the process that knew has ended. Raises AuditUnavailable."""
    if LookupCount.objects.filter(window=window).exists():
        return
    count = LookupCount.objects.create(
        window=window,
        closed_at=at,
        requests=None if answered is None else answered.requests,
        items=None if answered is None else answered.items,
        leads=None if answered is None else answered.leads,
        refused=None if answered is None else answered.refused,
        root="" if answered is None else answered.root,
    )
    audit.append(AuditAct.LOOKUPS_COUNTED, at=at, actor=None, about=window, record=count)


def close_forgotten(*, before: dt.datetime, at: dt.datetime) -> int:
    """Close the windows that were opened before `before` and that nobody counted; how many they are."""
    forgotten = list(LookupWindow.objects.filter(opened_at__lt=before, count=None))
    for window in forgotten:
        count_lookups(window, None, at=at)
    return len(forgotten)
