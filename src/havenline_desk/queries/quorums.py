"""What stands behind a record, as it is shown wherever the record is: how many people, in a house of which size."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Q

from ..gates import PROFILES
from ..models import House, Investigation, Outcome, Person, Quorum, Role, SettledBy


@dataclass(frozen=True, slots=True)
class QuorumLine:
    """`mark` is what the quorum of a small house is called, else empty. As text it is what people read."""

    people: int
    house: str
    mark: str

    def __str__(self) -> str:
        people = f"{self.people} {'person' if self.people == 1 else 'people'}, in a house of {self.house}"
        return f"{people} ({self.mark})" if self.mark else people


@dataclass(frozen=True, slots=True)
class SettledLine:
    """So many files of an investigation were settled in one way, with one quorum; None where none was recorded."""

    settled_by: SettledBy
    quorum: QuorumLine | None
    files: int


def quorums_of(records: Iterable[uuid.UUID]) -> Mapping[uuid.UUID, QuorumLine]:
    """The quorum of each record that has one, by the record's audit id."""
    rows = Quorum.objects.filter(record__in=list(records))
    return {row.record: _line(row) for row in rows}


def role_lines(person: Person) -> tuple[tuple[Role, QuorumLine | None], ...]:
    """Each role of `person` that was not taken away, in force or not yet, with its quorum where one was recorded."""
    grants = list(person.role_grants.filter(revoked_at=None).order_by("pk"))
    quorums = quorums_of(grant.audit_id for grant in grants)
    return tuple((Role(grant.role), quorums.get(grant.audit_id)) for grant in grants)


def settled_lines(investigation: Investigation) -> tuple[SettledLine, ...]:
    """How the files of an investigation were settled and by how many; a copy has the quorum of what it copies."""
    standing = Outcome.objects.filter(investigation=investigation, correction=None).order_by()
    rows = list(standing.values_list("settled_by", "audit_id", "copy_of__audit_id"))
    behind = Quorum.objects.filter(
        Q(record__in=standing.values("audit_id")) | Q(record__in=standing.values("copy_of__audit_id"))
    )
    quorums = {row.record: _line(row) for row in behind}
    counted = Counter((how, quorums.get(original or own)) for how, own, original in rows)
    lines = (SettledLine(SettledBy(how), quorum, files) for (how, quorum), files in counted.items())
    return tuple(sorted(lines, key=lambda line: (-line.files, line.settled_by, str(line.quorum))))


def _line(row: Quorum) -> QuorumLine:
    house = House(row.house)
    return QuorumLine(row.people, house.label, PROFILES[house].mark)
