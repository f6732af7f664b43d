"""The auditor looks into the audit log on a page: written down there, as every taking out is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db import transaction

from .. import audit, gates
from ..models import AuditAct, Person


@transaction.atomic
def see_log(*, seen_by: Person, narrowed_by: Iterable[str] = (), at: dt.datetime) -> None:
    """Log that it is looked at, before anything of it is read. `narrowed_by`: of act, person and day those that were
    chosen, never which. Raises Denied without the role.
    """
    gates.require(seen_by, gates.Act.READ_LOG, at=at)
    audit.append(AuditAct.LOG_SEEN, at=at, actor=seen_by, purpose=".".join(sorted(narrowed_by)))
