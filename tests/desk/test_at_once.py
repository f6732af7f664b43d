"""Fifty at once: one item goes to one person, one grant shows one view (promise 6, invariant I3).

Two rounds each; the long form has 1,000.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections.abc import Callable

import pytest
from django.db import connections

from havenline.vocabulary import HavenlineError
from havenline_desk.actions.grant_reveal import GRANT, grant_reveal, use_reveal
from havenline_desk.actions.take_next import take_next
from havenline_desk.evidence import RevealRefused
from havenline_desk.models import Assignment, AuditAct, AuditEntry, Person, Reveal, Role

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
CROWD = 50
SOAK = os.environ.get("HAVENLINE_SOAK") == "1"
ROUNDS = 1_000 if SOAK else 2


def at_once(each: Callable[[int], object]) -> list[object]:
    """What `each` returned for those who were not refused, all started at the same moment."""
    gate, came = threading.Barrier(CROWD), []

    def run(number: int) -> None:
        gate.wait()
        try:
            came.append(each(number))
        except HavenlineError:
            pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


def open_view(people: dict[str, Person]) -> tuple[Assignment, str]:
    assignment = take_next(people["analyst-one"], at=AT)
    assert assignment is not None
    return assignment, granted(assignment, people["analyst-one"])


def granted(assignment: Assignment, person: Person) -> str:
    member = assignment.revision.members.first()
    assert member is not None
    return grant_reveal(assignment.pk, person=person, session_key="s", file_id=member.file_id, ladder_step=1, at=AT)


@pytest.mark.timeout(6_000 if SOAK else 300)
@pytest.mark.django_db(transaction=True)
def test_of_fifty_claims_of_one_item_one_wins() -> None:
    make.declare_demo(at=AT)
    crowd = [make.make_person(f"analyst-{number}", Role.ANALYST, at=AT) for number in range(CROWD)]
    taken_in = make.make_investigation(make.make_person("lead", Role.LEAD, at=AT), at=AT, plan=make.Plan.SINGLE)
    began = time.monotonic()
    for number in range(1, ROUNDS + 1):
        make.add_stack(taken_in, number, at=AT)
        won = [each for each in at_once(lambda who: take_next(crowd[who], at=AT)) if each is not None]
        assert len(won) == 1, f"round {number}"
        assert Assignment.objects.exclude(person=None).count() == number
        assert AuditEntry.objects.filter(act=AuditAct.ASSIGNMENT_TAKEN).count() == number
        Assignment.objects.update(done_at=AT)  # the next round has one item again
        if number % 50 == 0:
            print(f"{number} rounds of {CROWD} claims so far", flush=True)
    print(f"{ROUNDS} rounds of {CROWD} claims: one won in each; {time.monotonic() - began:.0f} s")


@pytest.mark.timeout(6_000 if SOAK else 300)
@pytest.mark.django_db(transaction=True)
def test_of_fifty_uses_of_one_grant_one_is_shown_and_logged() -> None:
    people = make.world(at=AT)
    assignment, token = open_view(people)
    began = time.monotonic()
    for number in range(1, ROUNDS + 1):
        shown = at_once(
            lambda _, token=token: use_reveal(token, person=people["analyst-one"], session_key="s", at=AT)  # type: ignore[misc]
        )
        assert len(shown) == 1, f"round {number}"
        assert Reveal.objects.filter(used_at=AT).count() == number
        assert AuditEntry.objects.filter(act=AuditAct.REVEAL_USED).count() == number
        token = granted(assignment, people["analyst-one"])
        if number % 50 == 0:
            print(f"{number} rounds of {CROWD} uses of one grant so far", flush=True)
    print(f"{ROUNDS} rounds of {CROWD} uses of one grant: one shown in each; {time.monotonic() - began:.0f} s")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("person", "session", "after"),
    [("analyst-two", "s", dt.timedelta(0)), ("analyst-one", "other", dt.timedelta(0)), ("analyst-one", "s", GRANT)],
    ids=["transferred", "another session", "late"],
)
def test_i3_a_grant_is_of_one_person_one_session_and_two_minutes(
    person: str, session: str, after: dt.timedelta
) -> None:
    people = make.world(at=AT)
    _, token = open_view(people)
    with pytest.raises(RevealRefused):
        use_reveal(token, person=people[person], session_key=session, at=AT + after)
    use_reveal(token, person=people["analyst-one"], session_key="s", at=AT + GRANT - dt.timedelta(seconds=1))
    with pytest.raises(RevealRefused):
        use_reveal(token, person=people["analyst-one"], session_key="s", at=AT + dt.timedelta(seconds=2))
