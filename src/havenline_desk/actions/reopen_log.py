"""Close an audit log that no longer is the one that was signed, and go on with a new one. Two people decide it."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..models import AuditAct, Person


class ReopenRefused(HavenlineError):
    """The log was left as it is; the text says why."""


def reopen_log(*, by: Person, second: Person, at: dt.datetime) -> str:
    """Go on with the entries that the database holds, under a new name; return the folder of the closed log.

    The first entry of the new log names the last checkpoint of the closed one, by `audit.note_id`, and says why:
    `older_copy` or `altered`, and how many entries had been signed. Raises Denied unless both are auditors,
    ReopenRefused when they are one person or the log can still be signed. Safe to run again when it was cut short.
    """
    for person in (by, second):
        gates.require(person, gates.Act.EXPORT_LOG, at=at)
    if by == second:
        raise ReopenRefused("a log is closed by two people, and this is one")
    try:
        audit.seal()
    except audit.AuditDamaged:
        pass
    else:
        raise ReopenRefused("this log is whole and can be signed: there is no reason to close it")
    closed = audit.close_log()
    with transaction.atomic():
        audit.append(
            AuditAct.LOG_REOPENED,
            at=at,
            actor=by,
            about=audit.note_id(closed.note),
            grant=second,
            purpose=f"{closed.why}:{closed.checkpoint.size}",
            reopening=True,
        )
        audit.sign_under_new_name(by=by.audit_id.hex, second=second.audit_id.hex)
    audit.seal()
    return str(closed.folder)
