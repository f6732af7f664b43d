"""Stacks by the definition: near to the representative, no chains; late arrivals open the next revision."""

from __future__ import annotations

import datetime as dt

import pytest

from havenline.vocabulary import PDQ_FULL
from havenline_desk.actions.form_stacks import form_stacks
from havenline_desk.actions.take_next import take_next
from havenline_desk.models import (
    Assignment,
    File,
    Import,
    MemberPlace,
    Outcome,
    PerceptualHash,
    Stack,
    StackMember,
    StackRevision,
)

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def bits(count: int) -> str:
    """A PDQ value that lies `count` bits from the all-zero one."""
    return f"{(1 << count) - 1:064x}"


def post(taken_in: Import, number: int, pdq: str, *, quality: int = 90) -> File:
    file = make.add_file(taken_in, make.draw(number), at=AT)
    PerceptualHash.objects.create(file=file, pipeline=PDQ_FULL, pdq=pdq, quality=quality)
    return file


@pytest.fixture
def taken_in(db: None) -> Import:
    make.declare_demo(at=AT)
    make.make_person("analyst-one", make.Role.ANALYST, at=AT)
    make.make_person("analyst-two", make.Role.ANALYST, at=AT)
    return make.make_investigation(make.make_person("lead", make.Role.LEAD, at=AT, certified=False), at=AT)


def members(stack: Stack) -> list[tuple[int, str, str, int | None]]:
    rows = StackMember.objects.filter(revision__stack=stack).order_by("revision__number", "place", "distance")
    return [(row.revision.number, row.file.sha256, row.place, row.distance) for row in rows.select_related("revision")]


def place(taken_in: Import, *files: File) -> None:
    """Give the postings natural keys in this order; the factory names them by digest."""
    for position, file in enumerate(files):
        file.items.update(path=f"{position:03}.png")


def test_near_files_join_the_representative_and_chains_do_not(taken_in: Import) -> None:
    first, near, link = (post(taken_in, n, bits(d)) for n, d in ((1, 0), (2, 31), (3, 62)))
    flat = post(taken_in, 4, bits(0), quality=49)
    place(taken_in, first, near, link, flat)
    assert form_stacks(taken_in.investigation, at=AT) == 3
    assert {stack.representative_id for stack in Stack.objects.all()} == {first.pk, link.pk, flat.pk}
    assert members(Stack.objects.get(representative=first)) == [
        (1, near.sha256, MemberPlace.NEAR, 31),
        (1, first.sha256, MemberPlace.SHOWN, None),
    ]
    assert Assignment.objects.count() == 6
    assert form_stacks(taken_in.investigation, at=AT + HOUR) == 0, "a second run changes nothing"


def test_a_late_arrival_joins_an_open_revision_and_opens_the_next_when_it_is_frozen(taken_in: Import) -> None:
    first = post(taken_in, 1, bits(0))
    place(taken_in, first)
    form_stacks(taken_in.investigation, at=AT)
    early = post(taken_in, 2, bits(5))
    form_stacks(taken_in.investigation, at=AT + HOUR)
    stack = Stack.objects.get()
    assert [row[0] for row in members(stack)] == [1, 1]

    analyst = make.Person.objects.get(name="analyst-one")
    assert take_next(analyst, at=AT + HOUR) is not None
    assert StackRevision.objects.get().frozen_at == AT + HOUR
    late, later = post(taken_in, 3, bits(9)), post(taken_in, 4, bits(7))
    assert form_stacks(taken_in.investigation, at=AT + 2 * HOUR) == 0
    second = [row for row in members(stack) if row[0] == 2]
    assert {row[1] for row in second} == {late.sha256, later.sha256}
    assert sorted(row[2] for row in second) == [MemberPlace.NEAR, MemberPlace.SHOWN]
    assert early.memberships.count() == 1
    assert Assignment.objects.filter(revision__number=2).count() == 2, "what arrives late gets its own two looks"


def test_the_late_arrivals_own_revision_settles_them_without_touching_the_first(taken_in: Import) -> None:
    first = post(taken_in, 1, bits(0))
    form_stacks(taken_in.investigation, at=AT)
    one, two = (make.Person.objects.get(name=name) for name in ("analyst-one", "analyst-two"))
    make.assess(one, make.TRIANGLE, at=AT + HOUR)
    make.assess(two, make.TRIANGLE, at=AT + 2 * HOUR)
    late = post(taken_in, 2, bits(3))
    form_stacks(taken_in.investigation, at=AT + 3 * HOUR)
    assert Outcome.objects.filter(file=late).count() == 0, "a near picture never inherits an answer"
    make.assess(one, make.NO_SHAPES, at=AT + 4 * HOUR)
    make.assess(two, make.NO_SHAPES, at=AT + 5 * HOUR)
    assert Outcome.objects.get(file=late).status == "not_criminal"
    assert Outcome.objects.get(file=first).status == "criminal"
