"""The welfare lead looks at what people are exposed to: written down, because it is about persons."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit, gates
from ..models import AuditAct, Person


@transaction.atomic
def see_exposure(*, seen_by: Person, at: dt.datetime) -> None:
    """Log that the page was opened, before anything on it is read. Raises Denied without the role."""
    gates.require(seen_by, gates.Act.SEE_EXPOSURE, at=at)
    audit.append(AuditAct.EXPOSURE_SEEN, at=at, actor=seen_by)
