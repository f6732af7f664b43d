"""Fifty at once: one item goes to one person, one grant shows one view (promise 6, invariant I3)."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import connections

from havenline.vocabulary import HavenlineError
from havenline_desk.actions.grant_reveal import GRANT, grant_reveal, use_reveal
from havenline_desk.actions.take_next import take_next
from havenline_desk.evidence import RevealRefused
from havenline_desk.models import (
    Assignment,
    AuditAct,
    AuditEntry,
    File,
    Investigation,
    MemberPlace,
    Person,
    Reveal,
    Role,
    Stack,
    StackMember,
    StackRevision,
    Step,
)

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
CROWD = 50
SOAK = os.environ.get("HAVENLINE_SOAK") == "1"
ROUNDS, VIEWS = (1_000, 1_000) if SOAK else (50, 5)
SEED = int(os.environ.get("HAVENLINE_SEED", "2026"))
WAITING = (1, 2, 9, 25, 49, 50, 70)
"""How many stacks wait when fifty ask: fewer than they are, as many, and more."""


def at_once(each: Callable[[int], object]) -> list[object]:
    """What `each` returned for those who were not refused, all started at the same moment; no other failure counts."""
    gate, came, failed = threading.Barrier(CROWD), list[object](), list[Exception]()

    def run(number: int) -> None:
        gate.wait()
        try:
            came.append(each(number))
        except HavenlineError:
            pass
        except Exception as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, f"{len(failed)} of {CROWD} did not get as far as to be refused: {failed[0]}"
    return came


def open_view(people: dict[str, Person]) -> tuple[Assignment, str]:
    assignment = take_next(people["analyst-one"], at=AT)
    assert assignment is not None
    return assignment, granted(assignment, people["analyst-one"])


def granted(assignment: Assignment, person: Person) -> str:
    member = assignment.revision.members.first()
    assert member is not None
    return grant_reveal(assignment.pk, person=person, session_key="s", file_id=member.file_id, ladder_step=1, at=AT)


@pytest.mark.django_db(transaction=True)
def test_of_fifty_claims_of_one_item_one_wins() -> None:
    make.declare_demo(at=AT)
    crowd = [make.make_person(f"analyst-{number}", Role.ANALYST, at=AT) for number in range(CROWD)]
    taken_in = make.make_investigation(make.make_person("lead", Role.LEAD, at=AT), at=AT, plan=make.Plan.SINGLE)
    make.add_stack(taken_in, 1, at=AT)
    won = [each for each in at_once(lambda number: take_next(crowd[number], at=AT)) if each is not None]
    assert len(won) == 1
    assert Assignment.objects.exclude(person=None).count() == 1
    assert AuditEntry.objects.filter(act=AuditAct.ASSIGNMENT_TAKEN).count() == 1


@contextmanager
def crowd_of(people: list[Person]) -> Iterator[Callable[[dt.datetime], list[Assignment | None]]]:
    """Threads with a connection each; the call lets all ask at the same moment, and says what each was given."""
    gate = threading.Barrier(len(people))

    def ask(person: Person, at: dt.datetime) -> Assignment | None:
        gate.wait()
        return take_next(person, at=at)

    def leave(_: Person) -> None:
        gate.wait()
        connections.close_all()

    with ThreadPoolExecutor(len(people)) as threads:
        yield lambda at: list(threads.map(lambda person: ask(person, at), people))
        list(threads.map(leave, people))


def open_stacks(investigation: Investigation, names: list[str], *, at: dt.datetime) -> list[Assignment]:
    """A stack of one picture for each name, whose first step waits; nothing is kept of the pictures."""
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    files = File.objects.bulk_create(
        File(sha256=digest, sha1=digest[:40], md5=digest[:32], size=1, media_type="image/png", width=1, height=1)
        for digest in digests.values()
    )
    stacks = Stack.objects.bulk_create(
        Stack(investigation=investigation, representative=file, formed_at=at) for file in files
    )
    revisions = StackRevision.objects.bulk_create(StackRevision(stack=each, number=1, opened_at=at) for each in stacks)
    StackMember.objects.bulk_create(
        StackMember(revision=each, file=file, place=MemberPlace.SHOWN, why="representative", distance=0)
        for each, file in zip(revisions, files, strict=True)
    )
    return Assignment.objects.bulk_create(
        Assignment(revision=each, investigation=investigation, step=Step.FIRST, opened_at=at, waits_as_if_since=at)
        for each in revisions
    )


@pytest.mark.timeout(6_000 if SOAK else 300)
@pytest.mark.django_db(transaction=True)
def test_in_many_rounds_of_fifty_claims_nothing_is_handed_to_two_and_nothing_free_is_left() -> None:
    """Some of what waits was leased to somebody who let it run out: it is claimed anew by one, like the rest."""
    print(f"\n{ROUNDS} rounds of {CROWD} claims, HAVENLINE_SEED={SEED}")
    draw = random.Random(SEED)
    make.declare_demo(at=AT)
    crowd = [make.make_person(f"analyst-{number}", Role.ANALYST, at=AT) for number in range(CROWD)]
    away = [make.make_person(f"away-{number}", Role.ANALYST, at=AT) for number in range(10)]
    lead = make.make_person("lead", Role.LEAD, at=AT)
    investigation = make.make_investigation(lead, at=AT, plan=make.Plan.SINGLE).investigation
    with crowd_of(crowd) as ask:
        for number in range(ROUNDS):
            at = AT + 2 * make.DAY + number * dt.timedelta(minutes=1)  # enrolled after installation: roles wait a day
            waiting = open_stacks(investigation, [f"{number} {each}" for each in range(draw.choice(WAITING))], at=at)
            run_out = draw.sample(waiting, k=draw.randint(0, min(len(away), len(waiting))))
            for assignment, person in zip(run_out, away, strict=False):
                assignment.person, assignment.leased_at, assignment.expires_at = person, at - make.DAY, at
                assignment.save()
            logged = AuditEntry.objects.filter(act=AuditAct.ASSIGNMENT_TAKEN).count()
            given = {person.pk: got.pk for person, got in zip(crowd, ask(at), strict=True) if got is not None}
            assert len(given) == min(CROWD, len(waiting)), "nobody goes away while something waits"
            assert len(set(given.values())) == len(given), "two people were handed the same"
            held = Assignment.objects.filter(person__in=crowd, done_at=None)
            assert dict(held.values_list("person", "pk")) == given, "the database says the same"
            assert AuditEntry.objects.filter(act=AuditAct.ASSIGNMENT_TAKEN).count() == logged + len(given)
            Assignment.objects.filter(done_at=None).update(done_at=at)
            if number % 50 == 49:
                print(f"{number + 1} rounds of {CROWD} claims so far", flush=True)


@pytest.mark.timeout(6_000 if SOAK else 300)
@pytest.mark.django_db(transaction=True)
def test_of_fifty_uses_of_one_grant_one_is_shown_and_logged() -> None:
    people = make.world(at=AT)
    assignment, token = open_view(people)
    began = time.monotonic()
    for number in range(1, VIEWS + 1):
        shown = at_once(
            lambda _, token=token: use_reveal(token, person=people["analyst-one"], session_key="s", at=AT)  # type: ignore[misc]
        )
        assert len(shown) == 1, f"round {number}"
        assert Reveal.objects.filter(used_at=AT).count() == number
        assert AuditEntry.objects.filter(act=AuditAct.REVEAL_USED).count() == number
        token = granted(assignment, people["analyst-one"])
        if number % 50 == 0:
            print(f"{number} rounds of {CROWD} uses of one grant so far", flush=True)
    print(f"{VIEWS} rounds of {CROWD} uses of one grant: one shown in each; {time.monotonic() - began:.0f} s")


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
