"""Log that a backup is taken, before anything is copied, and that one was restored."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit
from ..models import AuditAct


def note_backup(*, at: dt.datetime) -> None:
    """Log that whoever runs commands on the host takes a backup. Raises AuditUnavailable: no log, no backup."""
    with transaction.atomic():
        audit.append(AuditAct.BACKUP_TAKEN, at=at, actor=None)


def note_restore(*, at: dt.datetime) -> None:
    """Log that this installation was made of a backup. Raises AuditDamaged where the log was signed further."""
    with transaction.atomic():
        audit.append(AuditAct.BACKUP_RESTORED, at=at, actor=None)
