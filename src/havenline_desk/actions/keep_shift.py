"""The beginning of one's shift: what one does not want to be handed today. Nobody is asked why.

Written in no log: who did not want what is nobody's to read there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from django.db import transaction

from .. import gates
from ..models import Investigation, MediaKind, OptOut, Person, Pool
from ..waiting import NOT_TODAY


@transaction.atomic
def opt_out(
    person: Person,
    *,
    pools: Collection[Pool] = (),
    investigations: Collection[Investigation] = (),
    media: Collection[MediaKind] = (),
    at: dt.datetime,
) -> None:
    """From now on, for twelve hours, exactly these are not handed to `person`. Raises Denied without assessment work.

    What is open in their name stays open. What they left out before is deleted, not kept.
    """
    gates.require(person, gates.Act.KEEP_SHIFT, at=at)
    OptOut.objects.filter(person=person).delete()
    until = at + NOT_TODAY
    OptOut.objects.bulk_create(
        [
            *(OptOut(person=person, pool=pool, said_at=at, until=until) for pool in pools),
            *(OptOut(person=person, investigation=one, said_at=at, until=until) for one in investigations),
            *(OptOut(person=person, media=kind.value, said_at=at, until=until) for kind in media),
        ]
    )


def forget_opt_outs(*, at: dt.datetime) -> int:
    """Delete what anybody left out until `at` or before, and return how many rows there were. Said by nobody."""
    deleted, _ = OptOut.objects.filter(until__lte=at).delete()
    return deleted
