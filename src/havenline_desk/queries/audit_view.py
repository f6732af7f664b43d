"""The audit log as its auditor reads it on a page: the newest entries, where the checkpoints stand, signs of trouble.

Read as the database says it now; only `havenline verify` on an export tells whether that was changed.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils.translation import gettext

from .. import audit, factors
from ..models import AuditAct, AuditEntry, Investigation, Passkey, Person

SHOWN = 100
SIGNS_OF_DAYS = 30
SIGNS_SHOWN = 10
HOST = "(host)"
"""In place of a name: whoever ran a command on the host, which is written as nobody."""
VIEWS = (AuditAct.REVEAL_GRANTED, AuditAct.REVEAL_USED, AuditAct.REVEAL_FAILED)


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What of the log is asked for. `person` is a name or HOST, `before` the number of the entry to go on from.

    A person's views are left out where `person` is given: their exposure is theirs, and the welfare lead's.
    """

    act: AuditAct | None = None
    person: str = ""
    day: dt.date | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class EntryLine:
    """`about` is a name where it is a person, a person's passkey or an investigation; else a random id's beginning."""

    seq: int
    at: dt.datetime
    actor: str
    does: str
    about: str
    purpose: str
    investigation: str


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """`signed` of `entries` entries are under a signed checkpoint, the last of them made at `until`.

    `missing`: more was signed outside than the database holds. `apart`: the folder is not in the data folder.
    """

    entries: int
    signed: int
    until: dt.datetime | None
    folder: str
    apart: bool

    @property
    def waiting(self) -> int:
        return max(0, self.entries - self.signed)

    @property
    def missing(self) -> int:
        return max(0, self.signed - self.entries)


@dataclass(frozen=True, slots=True)
class Sign:
    """Something to ask about: how often in 30 days, and the newest ten."""

    name: str
    times: int
    newest: tuple[EntryLine, ...]


@dataclass(frozen=True, slots=True)
class LogPage:
    """`older` is the entry number to go on before; None at the end of the log."""

    lines: tuple[EntryLine, ...]
    older: int | None
    people: tuple[str, ...]


def log_page(narrowed: Narrowed) -> LogPage:
    """The newest hundred entries of what is asked for, and the names to choose from."""
    rows = list(_narrowed(narrowed).order_by("-seq")[: SHOWN + 1])
    more = len(rows) > SHOWN
    return LogPage(
        lines=_lines(rows[:SHOWN]),
        older=rows[SHOWN - 1].seq if more else None,
        people=tuple(Person.objects.order_by("name").values_list("name", flat=True)),
    )


def checkpoints() -> Checkpoints:
    """Where the log and its checkpoints stand. Raises AuditUnavailable. Not checked: any signature."""
    newest = _newest()
    last = audit.sink().last_checkpoint()
    signed = last.size if last is not None else 0
    covered = AuditEntry.objects.filter(seq=signed).values_list("at", flat=True).first()
    folder = audit.sink().folder
    return Checkpoints(
        entries=newest,
        signed=signed,
        until=covered,
        folder=str(folder),
        apart=not folder.resolve().is_relative_to(settings.HOME.resolve()),
    )


def signs(*, at: dt.datetime) -> tuple[Sign, ...]:
    """Recovery codes that were used, throttled attempts, copied keys: of the last thirty days."""
    lately = AuditEntry.objects.filter(at__gt=at - dt.timedelta(days=SIGNS_OF_DAYS))
    asked = (
        ("recovery", Q(act=AuditAct.RECOVERY_CODE_USED)),
        ("throttled", Q(act=AuditAct.SIGN_IN_THROTTLED)),
        ("copied", Q(act=AuditAct.FACTOR_REFUSED, purpose=factors.Why.COPIED_KEY.value)),
    )
    return tuple(
        Sign(name, lately.filter(which).count(), _lines(list(lately.filter(which).order_by("-seq")[:SIGNS_SHOWN])))
        for name, which in asked
    )


def _newest() -> int:
    return AuditEntry.objects.order_by("-seq").values_list("seq", flat=True).first() or 0


def _narrowed(narrowed: Narrowed) -> QuerySet[AuditEntry]:
    rows = AuditEntry.objects.all()
    if narrowed.act is not None:
        rows = rows.filter(act=narrowed.act)
    if narrowed.person == HOST:
        rows = rows.filter(actor=None)
    elif narrowed.person:
        rows = rows.filter(actor__in=Person.objects.filter(name=narrowed.person).values("audit_id"))
        rows = rows.exclude(act__in=VIEWS)
    if narrowed.day is not None:
        start = dt.datetime.combine(narrowed.day, dt.time(), dt.UTC)
        rows = rows.filter(at__gte=start, at__lt=start + dt.timedelta(days=1))
    return rows.filter(seq__lt=narrowed.before) if narrowed.before is not None else rows


def _lines(rows: Sequence[AuditEntry]) -> tuple[EntryLine, ...]:
    named = _names(each for row in rows for each in (row.actor, row.object, row.investigation))
    return tuple(
        EntryLine(
            seq=row.seq,
            at=row.at,
            actor=named.get(row.actor, _short(row.actor)) if row.actor is not None else HOST,
            does=gettext(AuditAct(row.act).label) if row.act in AuditAct.values else row.act,
            about=named.get(row.object, _short(row.object)) if row.object is not None else "",
            purpose=row.purpose.replace("_", " "),
            investigation=named.get(row.investigation, _short(row.investigation)) if row.investigation else "",
        )
        for row in rows
    )


def _names(ids: Iterable[uuid.UUID | None]) -> dict[uuid.UUID | None, str]:
    wanted = {each for each in ids if each is not None}
    found = dict[uuid.UUID | None, str](Person.objects.filter(audit_id__in=wanted).values_list("audit_id", "name"))
    found |= dict(Investigation.objects.filter(audit_id__in=wanted).values_list("audit_id", "reference"))
    for key, owner in Passkey.objects.filter(audit_id__in=wanted).values_list("audit_id", "person__name"):
        found[key] = f"passkey of {owner}"
    return found


def _short(of: uuid.UUID | None) -> str:
    return f"{of.hex[:8]}…" if of is not None else ""
