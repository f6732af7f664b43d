"""The system chooses; nobody picks, nobody holds two, nobody gets both steps of one stack."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from django.db import connections

from havenline_desk import gates
from havenline_desk.actions.take_next import LEASE, take_next
from havenline_desk.models import Assignment, Certificate, Person, Role, Step

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


@pytest.mark.django_db
def test_the_longest_waiting_comes_first_and_asking_again_gives_the_same() -> None:
    people = make.world(at=AT, stacks=2)
    first = take_next(people["analyst-one"], at=AT + MINUTE)
    assert first is not None
    assert first.pk == Assignment.objects.order_by("opened_at", "pk")[0].pk
    again = take_next(people["analyst-one"], at=AT + 2 * MINUTE)
    assert again is not None
    assert again.pk == first.pk
    assert again.leased_at == AT + MINUTE, "asking again must not restart the clock of active seconds"


@pytest.mark.django_db
def test_two_people_get_the_two_steps_of_a_stack_and_one_person_never_both() -> None:
    people = make.world(at=AT, stacks=1)
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT + MINUTE)
    assert take_next(people["analyst-one"], at=AT + 5 * MINUTE) is None
    other = take_next(people["analyst-two"], at=AT + 5 * MINUTE)
    assert other is not None
    assert other.step == Step.SECOND


@pytest.mark.django_db
def test_an_expired_lease_goes_to_whoever_asks_next() -> None:
    people = make.world(at=AT, stacks=1, plan=make.Plan.SINGLE)
    held = take_next(people["analyst-one"], at=AT)
    assert held is not None
    assert take_next(people["analyst-two"], at=AT + LEASE - MINUTE) is None
    taken_over = take_next(people["analyst-two"], at=AT + LEASE)
    assert taken_over is not None
    assert (taken_over.pk, taken_over.person, taken_over.leased_at) == (held.pk, people["analyst-two"], AT + LEASE)


@pytest.mark.django_db
def test_no_assignment_without_a_certificate_in_date() -> None:
    people = make.world(at=AT)
    Certificate.objects.filter(person=people["analyst-one"]).delete()
    with pytest.raises(gates.Denied, match="no certificate in date"):
        take_next(people["analyst-one"], at=AT)


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["senior", "lead", "liaison", "welfare", "admin", "auditor"])
def test_roles_without_assessment_are_denied(name: str) -> None:
    people = make.world(at=AT)
    with pytest.raises(gates.Denied, match="may not take assessment"):
        take_next(people[name], at=AT)


@pytest.mark.django_db(transaction=True)
def test_fifty_people_at_once_never_share_an_assignment() -> None:
    people = make.world(at=AT, stacks=10)
    crowd = [make.make_person(f"analyst-{number}", Role.ANALYST, at=AT) for number in range(50)]
    assert people
    gate = threading.Barrier(len(crowd))
    got: list[tuple[int, int, int]] = []

    def ask(person: Person) -> None:
        gate.wait()
        assignment = take_next(person, at=AT + 2 * make.DAY)  # enrolled after installation: roles wait a day
        if assignment is not None:
            got.append((assignment.pk, assignment.revision_id, person.pk))
        connections.close_all()

    threads = [threading.Thread(target=ask, args=(person,)) for person in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({pk for pk, _, _ in got}) == len(got) == 20, "ten stacks under a double plan are twenty assignments"
