"""Destroy kept content whose time has come: each object with its own record, in one transaction with its key."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import transaction

from havenline.judgement.retention import RetentionFacts
from havenline_guard.retention_run import RetentionRun, run_retention

from .. import audit, evidence
from ..models import AlarmKind, AuditAct, FrameHash, OriginSignal, PerceptualHash, Person, StoredContent, Tombstone
from .raise_alarm import end_alarm, raise_alarm

CLEARED = "cleared"
"""The retention class whose files lose their perceptual hashes with their content."""
_SEALER = "retention"
"""As whom `keyd` writes it down."""


def run_sealer(
    facts: Mapping[str, RetentionFacts], *, at: dt.datetime, dry: bool = False, looked_at: bool = False
) -> RetentionRun:
    """Destroy what is due at `at` among the kept objects of `facts`; with `dry` only say what would be.

    Where too much is due at once nothing is destroyed, until a person has looked and runs it as `looked_at`. What
    `keyd` holds stays, whatever `facts` say. Raises KeydUnreachable, AuditUnavailable, or EvidenceError where nothing
    is sealed; what was destroyed before stays so, and the next run goes on. A run that is stopped raises an alarm, the
    next that is not ends it.
    """
    done = run_retention(_Recorded(at), facts, at=at, dry=dry, looked_at=looked_at)
    if done.stopped and not dry:
        raise_alarm(AlarmKind.STOPPED, counted=len(done.due), of=len(facts), at=at)
    elif not dry:
        end_alarm(AlarmKind.STOPPED, at=at)
    return done


@transaction.atomic
def destroy_in_time(stored: StoredContent, *, rule: str, at: dt.datetime) -> None:
    """Destroy one object by the class that ran out, and record it; once destroyed, nothing more happens.

    The record comes first: where the database fails after the key is gone, the next run records it. Raises KeydRefused
    while a hold stands. Not checked: whether it is due.
    """
    if not Tombstone.objects.filter(stored=stored).exists():
        bury(stored, rule=rule, cleared=rule == CLEARED, actor=None, at=at)
        evidence.destroy(stored.object_name, rule=rule, by=_SEALER)


def bury(stored: StoredContent, *, rule: str, cleared: bool, actor: Person | None, at: dt.datetime) -> Tombstone:
    """Record, in the caller's transaction, that content is destroyed.

    What was `cleared` loses its hashes and its signals of origin too; the rows of custody stay. Not done here:
    destroying it.
    """
    if cleared:
        PerceptualHash.objects.filter(file_id=stored.file_id).delete()
        FrameHash.objects.filter(file_id=stored.file_id).delete()
        OriginSignal.objects.filter(reading__file_id=stored.file_id).delete()
    tombstone = Tombstone.objects.create(stored=stored, rule=rule, hashes_removed=cleared, destroyed_at=at)
    audit.append(AuditAct.CONTENT_DESTROYED, at=at, actor=actor, about=tombstone, purpose=rule[:40], record=tombstone)
    return tombstone


@dataclass(frozen=True, slots=True)
class _Recorded:
    at: dt.datetime

    def destroy(self, name: str, *, rule: str, by: str) -> None:
        destroy_in_time(StoredContent.objects.get(object_name=name), rule=rule, at=self.at)
