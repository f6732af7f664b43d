"""Once two people have activated a partner's list, ask it with what was recorded while it was in shadow.

What it finds are leads that order work, as those of an import, and hidden from whoever assesses blind as they are.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from havenline.connectors.stages import Stage
from havenline.vocabulary import HavenlineError

from .. import audit, incoming
from ..models import AuditAct, Investigation, ListLookedUp, ShadowCount
from .record_matches import record_matches


def look_up_next(*, at: dt.datetime) -> ListLookedUp | None:
    """Look the oldest investigation up that an active list counted in shadow; None where nothing is left.

    One investigation a call, so that whoever calls does other work in between; each once for each activation, whoever
    is killed. Passed over: a list that cannot be read, until it can. Raises OSError where its folder cannot be used.
    """
    for name in incoming.names():
        try:
            found = incoming.look(name)
        except HavenlineError:
            continue
        agreed = found.staged.agreed
        if found.staged.stage is not Stage.ACTIVE or not agreed:
            continue
        counted = ShadowCount.objects.filter(list_name=found.configured.list_name).values("investigation")
        done = ListLookedUp.objects.filter(agreed=agreed).values("investigation")
        waiting = Investigation.objects.filter(pk__in=counted).exclude(pk__in=done).order_by("pk").first()
        if waiting is not None:
            return _look_up(name, waiting, agreed, at=at)
    return None


@transaction.atomic
def _look_up(name: str, investigation: Investigation, agreed: str, *, at: dt.datetime) -> ListLookedUp:
    # The unique row comes first: another process that does the same waits here, and is then refused.
    row = ListLookedUp.objects.create(exchange=name, investigation=investigation, agreed=agreed, looked_up_at=at)
    with incoming.opened(name) as exchange:
        record_matches(investigation, exchange.live.current(), at=at)
    audit.append(AuditAct.LIST_LOOKED_UP, at=at, actor=None, about=row, investigation=investigation, record=row)
    return row
