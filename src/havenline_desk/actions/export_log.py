"""Let an auditor take the audit log out; that is logged too, and everything up to it is signed."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit, gates
from ..models import AuditAct, Person


def export_log(*, by: Person, at: dt.datetime) -> int:
    """Log the export, sign a checkpoint over the log, and return how many entries it covers.

    Raises Denied without the role. The lines are read by `queries.audit.export_lines`.
    """
    gates.require(by, gates.Act.EXPORT_LOG, at=at)
    with transaction.atomic():
        audit.append(AuditAct.LOG_EXPORTED, at=at, actor=by)
    checkpoint = audit.seal()
    return checkpoint.size if checkpoint is not None else 0
