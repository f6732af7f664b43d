"""The beginning of one's shift: what one does not want to be handed today. Nobody is asked why.

Written in no log: who did not want what is nobody's to read there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from django.db import transaction

from .. import gates
from ..models import Investigation, OptOut, Person, Pool
from ..waiting import NOT_TODAY


@transaction.atomic
def opt_out(
    person: Person, *, pools: Collection[Pool], investigations: Collection[Investigation], at: dt.datetime
) -> None:
    """From now on, for twelve hours, exactly these are not handed to `person`. Raises Denied without assessment work.

    What is open in their name stays open.
    """
    gates.require(person, gates.Act.KEEP_SHIFT, at=at)
    OptOut.objects.filter(person=person, ended_at=None).update(ended_at=at)
    OptOut.objects.bulk_create(
        [
            *(OptOut(person=person, pool=pool, said_at=at, until=at + NOT_TODAY) for pool in pools),
            *(OptOut(person=person, investigation=one, said_at=at, until=at + NOT_TODAY) for one in investigations),
        ]
    )
