"""Write down what stands behind a record: how many people, under the quorums of which house."""

from __future__ import annotations

from collections.abc import Iterable

from .. import gates
from ..models import Audited, Quorum


def record_quorum(records: Iterable[Audited], *, people: int) -> None:
    """Part of the act that made the records, which is logged. Not checked: that the people are distinct."""
    house = gates.house()
    Quorum.objects.bulk_create(Quorum(record=each.audit_id, house=house, people=people) for each in records)
