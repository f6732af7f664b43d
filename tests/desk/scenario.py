"""A run of work in which every audited act occurs: steps in order, each one call, as the matrix of failures needs them.

A step is safe to run again when it was refused. What a later step needs is read from the database, not handed on.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

from havenline.figures.study import october_2023
from havenline.judgement import Urgency
from havenline.matching import Lists
from havenline_desk.actions.approve_framework import approve_framework
from havenline_desk.actions.create_investigation import create_investigation
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.actions.enrol_person import certify_person, enrol_person
from havenline_desk.actions.escalate import declare_contact, raise_escalation, record_stage
from havenline_desk.actions.export_log import export_log
from havenline_desk.actions.grant_reveal import grant_reveal, note_failed_reveal, use_reveal
from havenline_desk.actions.hold_submission import hold_submission, record_held, take_back
from havenline_desk.actions.import_collection import import_collection
from havenline_desk.actions.keep_pools import make_pool
from havenline_desk.actions.note_backup import note_backup, note_restore
from havenline_desk.actions.record_study import record_study
from havenline_desk.actions.see_exposure import see_exposure
from havenline_desk.actions.set_urgency import set_urgency
from havenline_desk.actions.skip_assignment import skip_assignment
from havenline_desk.actions.take_next import take_next
from havenline_desk.models import (
    Assignment,
    Escalation,
    EscalationStage,
    InstallationKind,
    Investigation,
    Person,
    Plan,
    PoolKind,
    Reveal,
    Role,
    SamplingRule,
    SkipReason,
    SourceKind,
)

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
Step = Callable[[], object]

STAFF = {
    "lead": Role.LEAD,
    "senior": Role.SENIOR,
    "auditor": Role.AUDITOR,
    "analyst-one": Role.ANALYST,
    "analyst-two": Role.ANALYST,
    "adjudicator": Role.ADJUDICATOR,
    "welfare": Role.WELFARE,
}


def who(name: str) -> Person:
    return Person.objects.get(name=name)


def day_of_work(home: Path) -> Iterator[Step]:
    """A demonstration from its first declaration to its last export."""
    yield lambda: declare_policy(InstallationKind.DEMO, content_legal_basis="drawn pictures", at=AT)
    for name, role in STAFF.items():
        yield lambda name=name, role=role: enrol_person(name, password=None, roles=(role,), at=AT)  # type: ignore[misc]
        yield lambda name=name: certify_person(who(name), until=AT + make.DAY, issued_by=None, at=AT)  # type: ignore[misc]
    yield lambda: approve_framework("gb-eaw", "2023-09", approved_by=who("lead"), counsel="opinion 14", at=AT)
    yield lambda: declare_contact(1, duty="duty lead", telephone="112", declared_by=who("lead"), at=AT)
    yield lambda: make_pool("reads-welsh", PoolKind.LANGUAGE, made_by=who("lead"), at=AT)
    yield from taking_in("HL-1", home)
    yield lambda: set_urgency(named("HL-1"), Urgency.SOON, set_by=who("lead"), at=AT)
    yield from looking_and_passing_on()
    yield from assessing("analyst-one", make.TRIANGLE, at=AT + 10 * MINUTE)
    yield from assessing("analyst-two", make.NO_SHAPES, at=AT + 20 * MINUTE)
    yield from assessing("adjudicator", make.TRIANGLE, at=AT + 30 * MINUTE)
    yield from taking_in("HL-2", home)
    yield lambda: see_exposure(seen_by=who("welfare"), at=AT + 49 * MINUTE)
    yield lambda: export_log(by=who("auditor"), at=AT + 50 * MINUTE)
    yield lambda: note_backup(at=AT + 51 * MINUTE)
    yield lambda: note_restore(at=AT + 52 * MINUTE)


def study(home: Path) -> Iterator[Step]:
    """Synthetic records, few of them."""
    whole = october_2023()
    looks = tuple(look for look in whole.looks if look.posting < 30)
    plan = dataclasses.replace(whole, postings=whole.postings[:30], looks=looks)
    yield lambda: record_study(plan, at=AT)


def named(reference: str) -> Investigation:
    return Investigation.objects.get(reference=reference)


def taking_in(reference: str, home: Path) -> Iterator[Step]:
    source = home / "source"
    source.mkdir(exist_ok=True)
    for number in (1, 2):
        (source / f"{number}.png").write_bytes(make.draw(1000 * number))
    yield lambda: create_investigation(
        reference,
        source_kind=SourceKind.SITE,
        period=(None, None),
        posted_total=2,
        sampling_rule=SamplingRule.EVERYTHING,
        authorised_by=who("lead"),
        legal_basis="drawn pictures",
        expires_on=AT.date() + make.DAY,
        framework="demo.shapes",
        framework_version=None,
        plan=Plan.DOUBLE,
        at=AT,
    )
    yield lambda: import_collection(
        named(reference),
        source=source,
        collection="drawn",
        manifest=None,
        lists=Lists([]),
        imported_by=who("lead"),
        approved_by=who("senior"),
        workers=1,
        at=AT,
    )


def held(name: str) -> Assignment:
    return Assignment.objects.get(person__name=name, done_at=None)


def looking_at(name: str, *, at: dt.datetime) -> Iterator[Step]:
    tokens = []

    def ask() -> None:
        (member,) = held(name).revision.members.all()
        shown = {"session_key": "s", "file_id": member.file_id, "ladder_step": 2, "at": at}
        tokens.append(grant_reveal(held(name).pk, person=who(name), **shown))

    yield lambda: take_next(who(name), at=at)
    yield ask
    yield lambda: use_reveal(tokens[-1], person=who(name), session_key="s", at=at)
    yield lambda: note_failed_reveal(
        Reveal.objects.get(token_digest=hashlib.sha256(tokens[-1].encode()).hexdigest()), at=at
    )


def looking_and_passing_on() -> Iterator[Step]:
    yield from looking_at("analyst-one", at=AT + MINUTE)
    yield lambda: raise_escalation(held("analyst-one").pk, person=who("analyst-one"), at=AT + MINUTE)
    yield lambda: record_stage(
        Escalation.objects.get(), EscalationStage.ACKNOWLEDGED, person=who("lead"), at=AT + 2 * MINUTE
    )
    yield lambda: skip_assignment(
        held("analyst-one").pk, person=who("analyst-one"), reason=SkipReason.UNCLEAR, at=AT + 3 * MINUTE
    )


def assessing(name: str, facts: dict[str, str], *, at: dt.datetime) -> Iterator[Step]:
    yield from looking_at(name, at=at)

    def submit() -> None:
        hold_submission(
            held(name).pk, person=who(name), facts=facts, same={}, active_seconds=Decimal(9), at=at + MINUTE
        )

    yield submit
    yield lambda: take_back(person=who(name), at=at + MINUTE)
    yield submit
    yield lambda: record_held(person=who(name), at=at + 2 * MINUTE)
