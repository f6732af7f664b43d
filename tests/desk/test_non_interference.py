"""What the first analyst does with a stack changes no byte that the second can fetch before both have answered.

Each scenario is two runs that differ in the first analyst alone: answers, what was said of near pictures, how far they
looked and for how long, whether they submitted, took back or escalated. In both the second does the same, at the
same moments. Compared are status, headers and body of every answer: pages, JSON, redirects and renditions. The clock
stands where the scenario puts it, and the second's tokens and random ids are drawn from the scenario's seed; left out
is one thing alone, the token of forms, which Django masks anew for every answer. Not compared: how long answers take.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import random
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from havenline.frameworks import Framework, load
from havenline_desk import evidence
from havenline_desk.actions.escalate import raise_escalation
from havenline_desk.actions.hold_submission import hold_submission, record_held, take_back
from havenline_desk.actions.take_next import take_next
from havenline_desk.models import Assignment, MemberPlace, Person, Reveal

from . import factories as make

SOAK = os.environ.get("HAVENLINE_SOAK") == "1"
SCENARIOS = 500 if SOAK else 60
SEED = int(os.environ.get("HAVENLINE_SEED", "2026"))
PAGES = (
    *("/", "/work", "/shift", "/exposure", "/escalations", "/escalations/waiting", "/frameworks", "/calibration"),
    *("/own-sign-in", "/proposals"),
)
REFUSED = (
    *("/queue", "/queue/disagreements", "/investigations", "/investigations/HL-2", "/investigations/HL-2/records"),
    *("/figures/HL-2.json", "/figures/HL-2", "/exposure/team", "/people", "/audit"),
)
MOMENT = dt.timedelta(seconds=7)


@dataclass
class First:
    """What the first analyst does with the stack."""

    facts: dict[str, str]
    same: bool
    step: int
    seconds: int
    escalates: bool
    end: str

    @classmethod
    def drawn(cls, draw: random.Random, framework: Framework) -> First:
        return cls(
            facts=drawn_facts(draw, framework),
            same=draw.random() < 0.5,
            step=draw.randint(1, 4),
            seconds=draw.randint(1, 900),
            escalates=draw.random() < 0.2,
            end=draw.choice(["recorded", "recorded", "held", "taken back", "looked"]),
        )

    def act(self, person: Person, assignment: Assignment, *, at: dt.datetime) -> None:
        members = list(assignment.revision.members.order_by("pk"))
        for member in members:
            for step in range(1, self.step + 1):
                make.look(assignment, person, member, step=step, at=at)
        if self.escalates:
            raise_escalation(assignment.pk, person=person, at=at)
        if self.end == "looked":
            return
        near = {member.pk: self.same for member in members if member.place == MemberPlace.NEAR}
        given: Any = {"person": person, "facts": self.facts, "same": near, "active_seconds": Decimal(self.seconds)}
        hold_submission(assignment.pk, **given, at=at)
        if self.end == "taken back":
            take_back(person=person, at=at)
        if self.end == "recorded":
            record_held(person=person, at=at)


@dataclass
class Second:
    """What the second analyst does, the same in both runs; `until` is how many of it come before the first acts."""

    seed: int
    acts: list[str]
    until: int
    facts: dict[str, str]
    got: list[tuple[str, int, list[tuple[str, str]], bytes]] = field(default_factory=list)

    @classmethod
    def drawn(cls, draw: random.Random, framework: Framework, seed: int) -> Second:
        before = draw.sample(PAGES, 2)
        looks = [f"look {step}" for step in sorted(draw.sample((1, 2, 3, 4), draw.randint(1, 2)))]
        between = [*draw.sample(PAGES + REFUSED, 3), draw.choice(["/work", "incomplete", "renew"])]
        draw.shuffle(between)
        after = draw.choice([["submit", "/work"], ["submit", "undo"], ["incomplete", "/work"]])
        acts = [*before, "start", "/work", *looks, *between, *after]
        # The second starts when the first has taken the stack; the first acts at any moment until they submit.
        return cls(seed, acts, draw.randint(0, len(acts) - len(after)), drawn_facts(draw, framework))

    def act(self, client: Client, person: Person, act: str) -> None:
        if act.startswith("/"):
            self.keep(act, client.get(act))
        elif act in ("start", "renew"):
            self.keep(act, client.post("/work/start"))
        elif act == "undo":
            self.keep(act, client.post("/work/undo"))
        elif act.startswith("look"):
            for member in self.members(person):
                asked = {"member": member, "step": int(act[-1])}
                said = client.post("/work/reveal", json.dumps(asked), content_type="application/json")
                self.keep(act, said)
                self.keep(act, client.get(said.json()["url"]))
        else:
            self.keep(act, client.post("/work/submit", self.form(person, whole=act == "submit")))

    def form(self, person: Person, *, whole: bool) -> dict[str, str]:
        _, *near = self.members(person)
        facts = self.facts if whole else dict(list(self.facts.items())[1:])
        answers = {f"fact.{question}": answer for question, answer in facts.items()}
        held = Assignment.objects.get(person=person, done_at=None)
        return (
            answers | {f"member.{each}": "same" for each in near} | {"assignment": str(held.pk), "active_seconds": "5"}
        )

    @staticmethod
    def members(person: Person) -> list[int]:
        held = Assignment.objects.get(person=person, done_at=None)
        return list(held.revision.members.order_by("pk").values_list("pk", flat=True))

    def keep(self, act: str, answer: Any) -> None:
        body = re.sub(rb'name="csrfmiddlewaretoken" value="[^"]+"', b"", answer.content)
        headers = sorted((name, value) for name, value in answer.headers.items())
        cookies = [(f"cookie {name}", morsel.OutputString()) for name, morsel in sorted(answer.cookies.items())]
        cookies = [pair for pair in cookies if "csrf" not in pair[0]]
        self.got.append((act, answer.status_code, headers + cookies, body))


def drawn_facts(draw: random.Random, framework: Framework) -> dict[str, str]:
    """Answers to all questions that they raise."""
    facts: dict[str, str] = {}
    for question in framework.questions:
        if question.id in framework.check(facts):
            facts[question.id] = draw.choice([option.code for option in question.options])
    assert not framework.check(facts)
    return facts


class _Undo(Exception):
    """Takes back what a run did, so that the other begins with the same rows."""


class Clock:
    def __init__(self, begins: dt.datetime) -> None:
        self.now = begins

    def __call__(self) -> dt.datetime:
        return self.now


@contextmanager
def drawn_for_the_second(seed: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """While the second acts, tokens and random ids of views come from the seed; the first's are random as ever."""
    chance = random.Random(f"tokens {seed}")
    with monkeypatch.context() as patched:
        patched.setattr(evidence.secrets, "token_urlsafe", lambda size: f"{chance.getrandbits(8 * size):x}")
        audit_id = Reveal._meta.get_field("audit_id")
        patched.setattr(audit_id, "default", lambda: uuid.UUID(int=chance.getrandbits(128)))
        patched.setattr(audit_id, "_get_default", audit_id.default)
        yield


def run(second: Second, first: First, world: World, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """One run, undone at its end; what the second got."""
    second.got = []
    client = Client(**{"wsgi.url_scheme": "https"})
    client.cookies["sessionid"] = client.cookies["__Host-sessionid"] = world.session
    with suppress(_Undo), transaction.atomic(), monkeypatch.context() as patched:
        clock = Clock(world.at)
        patched.setattr(timezone, "now", clock)
        Assignment.objects.exclude(revision=world.revision).update(done_at=world.at)
        assignment = take_next(world.one, at=clock.now)
        assert assignment is not None
        tokens = itertools.count()
        for number, act in enumerate([*second.acts, "end"]):
            clock.now = world.at + (number + 1) * MOMENT
            if number == second.until:
                first.act(world.one, assignment, at=clock.now)
            if act != "end":
                with drawn_for_the_second(hash((second.seed, next(tokens))), monkeypatch):
                    second.act(client, world.two, act)
        raise _Undo
    return second.got


@dataclass
class World:
    at: dt.datetime
    one: Person
    two: Person
    session: str
    revisions: list[int]
    revision: int = 0


@pytest.fixture
def world() -> World:
    """A stack that stands alone, one with one near picture, one with two."""
    at = timezone.now()
    people = make.world(at=at, stacks=0)
    taken_in = make.make_investigation(people["lead"], at=at, reference="HL-2")
    revisions = [make.add_stack(taken_in, 10 + near, near=near, at=at)[0].pk for near in range(3)]
    session = make.client_of(people["analyst-two"]).session.session_key
    assert session is not None
    return World(at + dt.timedelta(seconds=1), people["analyst-one"], people["analyst-two"], session, revisions)


@pytest.mark.django_db
@pytest.mark.timeout(3600 if SOAK else 600)
def test_what_the_first_does_changes_no_byte_that_the_second_can_fetch(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"{SCENARIOS} scenarios, HAVENLINE_SEED={SEED}")
    framework = load("demo.shapes")
    differing, compared, ended = [], 0, set()
    for number in range(SCENARIOS):
        draw = random.Random(f"{SEED} {number}")
        world.revision = draw.choice(world.revisions)
        second = Second.drawn(draw, framework, number)
        one, other = First.drawn(draw, framework), First.drawn(draw, framework)
        got, again = (list(run(second, first, world, monkeypatch)) for first in (one, other))
        assert len(got) == len(again) >= len(second.acts)
        ended |= {one.end, other.end}
        compared += len(got)
        differing += [
            (number, act, one, other) for (act, *_), mine, theirs in zip(got, got, again, strict=True) if mine != theirs
        ]
    print(f"{compared} answers compared")
    assert differing == []
    assert ended == {"recorded", "held", "taken back", "looked"}


@pytest.mark.django_db
def test_the_comparison_would_see_what_is_leaked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that tells one digit of what the first did is told apart from one that does not."""
    framework = load("demo.shapes")
    draw = random.Random(SEED)
    world.revision = world.revisions[0]
    second = Second.drawn(draw, framework, 0)
    second.acts, second.until = ["start", "look 2"], 1
    held = First(make.TRIANGLE, same=True, step=2, seconds=9, escalates=False, end="recorded")
    looked = First(make.TRIANGLE, same=True, step=2, seconds=9, escalates=False, end="looked")
    assert run(second, held, world, monkeypatch) == run(second, looked, world, monkeypatch)
    pictures = [body for _, _, headers, body in second.got if ("Content-Type", "image/webp") in headers]
    assert len(pictures) == 1

    drawn = evidence.render
    monkeypatch.setattr(
        evidence, "render", lambda picture, step, mark: drawn(picture, step, mark=f"{mark} {done(world.revision)}")
    )
    assert run(second, held, world, monkeypatch) != run(second, looked, world, monkeypatch)


def done(revision: int) -> int:
    return Assignment.objects.filter(revision=revision).exclude(done_at=None).count()
