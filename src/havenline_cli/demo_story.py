"""What the demonstration does, step by step; each step is skipped when its result is there already."""

from __future__ import annotations

import datetime as dt
import json
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from django.db import transaction

from havenline import testing
from havenline.entries import Entries
from havenline.formats.edition import ListKind
from havenline.formats.manifest import read_manifest
from havenline.matching import Edition, Lists
from havenline.vocabulary import EditionRef, ListEntry
from havenline_desk import gates
from havenline_desk.actions.approve import approve
from havenline_desk.actions.carry_out import carry_out
from havenline_desk.actions.configure_framework import configure_framework
from havenline_desk.actions.create_investigation import create_investigation
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.actions.enrol_person import certify_person, enrol_person
from havenline_desk.actions.escalate import declare_contact
from havenline_desk.actions.grant_reveal import grant_reveal, use_reveal
from havenline_desk.actions.import_collection import import_collection
from havenline_desk.actions.propose import propose
from havenline_desk.actions.publish_edition import publish_edition
from havenline_desk.actions.record_deconfliction import record_deconfliction
from havenline_desk.actions.release_entries import open_house_list, propose_release
from havenline_desk.actions.set_budget import USUAL, set_budget
from havenline_desk.actions.set_up_calibration import set_up_calibration
from havenline_desk.actions.submit_assessment import submit_assessment
from havenline_desk.actions.take_next import take_next
from havenline_desk.keys import keyd
from havenline_desk.models import (
    CONTENT_ROLES,
    Assignment,
    DeconflictionAnswer,
    DutyContact,
    File,
    HouseList,
    ImportProblem,
    InstallationKind,
    Investigation,
    Item,
    MemberPlace,
    Outcome,
    Person,
    Plan,
    Policy,
    Role,
    SamplingRule,
    SourceKind,
    StackMember,
)
from havenline_desk.queries.release_lines import ready_outcomes
from havenline_desk.sites.folders import write
from havenline_desk.sites.home import Home
from havenline_guard.keyd_wire import Budget

from .options import Sandbox
from .progress import meter, steps
from .told import all_cores, closing

REFERENCE = "DEMO-2023-09"
SEED = 2023
VISITORS: dict[str, Role] = {
    "first-analyst": Role.ANALYST,
    "second-analyst": Role.ANALYST,
    "adjudicator": Role.ADJUDICATOR,
    "senior": Role.SENIOR,
    "lead": Role.LEAD,
    "liaison": Role.LIAISON,
    "welfare": Role.WELFARE,
    "admin": Role.ADMIN,
    "auditor": Role.AUDITOR,
}
CONTACTS = ((1, "duty lead", "020 7946 0000"), (2, "director on call", "020 7946 0001"))
"""Numbers that are kept for drama: nobody answers them."""
BUDGET_OF_THE_SYNTHETIC = Budget(per_hour=10**6, per_day=10**6, minutes=10**6, bytes_per_day=1 << 50, per_week=10**6)
"""They look at thousands of drawn pictures in a few seconds, and nobody sees them."""
SYNTHETIC_ANALYSTS = tuple(f"synthetic-{number}" for number in range(1, 7))
SYNTHETIC_ADJUDICATOR = "synthetic-third"
HOUSE_LIST, RELEASED = "house-csam", 2
"""What stands on the demonstration's own list; the rest is left to visitors to release."""
NOBODYS_KEY = "age1" + "q" * 58
"""Of the right form; nobody has its other half, and nothing is sent to it."""
LEFT_TO_VISITORS = 60
"""At most so many stacks stay in the queue, so that whoever tries the desk finds work."""


@dataclass(frozen=True, slots=True)
class Story:
    score: str
    passwords: dict[str, str]


def tell(home: Home, *, pictures: int) -> Story:
    """Run every step that has not been run, and return what is printed at the end."""
    begun = dt.datetime.now(dt.UTC) - dt.timedelta(hours=24)
    workers = all_cores()
    if not Policy.objects.exists():
        declare_policy(InstallationKind.DEMO, content_legal_basis="drawn pictures of this demonstration", at=begun)
    passwords = _people(home, at=begun)
    folder = home.path / "drawn"
    truth = _collection(folder, pictures=pictures, workers=workers)
    investigation = _investigation(len(truth.files), at=begun)
    _training(investigation, at=begun)
    if not investigation.imports.filter(finished_at__isnull=False).exists():
        _take_in(investigation, folder, truth, workers=workers, at=begun)
    if not investigation.outcomes.exists():
        _assess(investigation, truth, at=begun + dt.timedelta(minutes=1))
    if not HouseList.objects.exists():
        _release(investigation)
    return Story(score=_score(investigation, truth).render(), passwords=passwords)


def _people(home: Home, *, at: dt.datetime) -> dict[str, str]:
    """Accounts for all roles, enrolled during installation; those of the synthetic staff cannot sign in."""
    file = home.passwords_file
    if not file.exists():
        write(file, json.dumps({name: secrets.token_urlsafe(12) for name in VISITORS}).encode())
    passwords: dict[str, str] = json.loads(file.read_text())
    synthetic = dict.fromkeys(SYNTHETIC_ANALYSTS, Role.ANALYST) | {SYNTHETIC_ADJUDICATOR: Role.ADJUDICATOR}
    enrolled = set(Person.objects.values_list("name", flat=True))
    for name, role in (VISITORS | synthetic).items():
        if name in enrolled:
            continue
        person = enrol_person(name, password=passwords.get(name), roles=(role,), at=at)
        if role in CONTENT_ROLES:
            certify_person(person, until=at + dt.timedelta(days=365), issued_by=None, at=at)
    lead, welfare = (Person.objects.get(name=name) for name in ("lead", "welfare"))
    client = keyd()
    for person in Person.objects.filter(role_grants__role__in=CONTENT_ROLES).distinct() if client else ():
        if client is not None and client.exposed(person.audit_id.hex)[1] is None:
            budget = USUAL if person.name in VISITORS else BUDGET_OF_THE_SYNTHETIC
            set_budget(person, budget, set_by=welfare, second=lead, at=at)
    if not DutyContact.objects.exists():
        for place, duty, telephone in CONTACTS:
            declare_contact(place, duty=duty, telephone=telephone, declared_by=lead, at=at)
    return passwords


def _training(investigation: Investigation, *, at: dt.datetime) -> None:
    """A place to calibrate, and a second framework over the same facts."""
    lead = Person.objects.get(name="lead")
    if not Investigation.objects.filter(source_kind=SourceKind.TRAINING).exists():
        set_up_calibration(by=lead, at=at)
    if not investigation.configured.exists():
        configure_framework(investigation, "demo.colours", None, by=lead, at=at)


def _collection(folder: Path, *, pictures: int, workers: int) -> testing.Truth:
    if not (folder / "truth.json").exists():
        with steps(f"drawing {pictures} pictures and their variants") as shown:
            testing.draw_collection(folder, seed=SEED, originals=pictures, workers=workers, progress=shown)
    return testing.Truth.load(folder / "truth.json")


def _investigation(posted: int, *, at: dt.datetime) -> Investigation:
    existing = Investigation.objects.filter(reference=REFERENCE).first()
    return existing or create_investigation(
        REFERENCE,
        source_kind=SourceKind.FORUM,
        period=(dt.date(2023, 9, 1), dt.date(2023, 9, 30)),
        posted_total=posted,
        sampling_rule=SamplingRule.EVERYTHING,
        authorised_by=Person.objects.get(name="lead"),
        legal_basis="demonstration with drawn pictures",
        expires_on=at.date() + dt.timedelta(days=3650),
        framework="demo.shapes",
        framework_version=None,
        plan=Plan.DOUBLE,
        at=at,
    )


def _take_in(
    investigation: Investigation, folder: Path, truth: testing.Truth, *, workers: int, at: dt.datetime
) -> None:
    with meter(folder / "collection") as shown:
        import_collection(
            investigation,
            source=folder / "collection",
            collection="drawn pictures",
            manifest=read_manifest(folder / "manifest.csv"),
            lists=_demo_list(folder, truth),
            imported_by=Person.objects.get(name="lead"),
            approved_by=Person.objects.get(name="senior"),
            workers=workers,
            at=at,
            close_off=closing(Sandbox.AUTO),
            progress=lambda one: shown.count(size=one.size, refused=one.refused is not None),
        )


def _demo_list(folder: Path, truth: testing.Truth) -> Lists:
    """A list of every twelfth original, as a partner might have shared it."""
    from havenline.fingerprints import fingerprint_file

    originals = sorted({file.original: file for file in truth.files if file.variant == "original"}.items())
    entries = []
    for number, (_, file) in enumerate(originals[::12], start=1):
        fingerprint = fingerprint_file(folder / "collection" / file.path)
        entries.append(
            ListEntry(
                entry=f"e{number:06}",
                sha256=fingerprint.sha256,
                pdq=fingerprint.pdq,
                pdq_quality=fingerprint.pdq_quality,
            )
        )
    columns = Entries.of(entries)
    return Lists.build([Edition(EditionRef("demo-partner", 1, columns.digest()), columns)])


def _assess(investigation: Investigation, truth: testing.Truth, *, at: dt.datetime) -> None:
    """Synthetic staff work the queue through the same actions as people do, and leave some of it to visitors."""
    facts_of = {file.path: file for file in truth.files}
    known = {
        sha256: facts_of[path]
        for path, sha256 in Item.objects.filter(investigation=investigation, file__isnull=False).values_list(
            "path", "file__sha256"
        )
    }
    waiting = Assignment.objects.filter(revision__stack__investigation=investigation, done_at=None)
    draw = random.Random(SEED)  # noqa: S311 - a demonstration that repeats itself
    analysts = list(Person.objects.filter(name__in=SYNTHETIC_ANALYSTS).order_by("name"))
    third = Person.objects.get(name=SYNTHETIC_ADJUDICATOR)
    open_ = waiting.count()
    to_do = open_ - min(open_ // 4, 2 * LEFT_TO_VISITORS)
    done = 0
    with steps(f"{len(analysts)} synthetic analysts assess {to_do // 2} stacks blind and twice") as shown:
        while done < to_do:
            with transaction.atomic():  # a round of synthetic staff is one write to the disk
                for person in analysts:
                    done += _one_assessment(person, known, draw, at=at)
                while _one_assessment(third, known, draw, at=at):
                    pass
            shown(done, to_do)
            at += dt.timedelta(seconds=90)


def _one_assessment(
    person: Person, known: Mapping[str, testing.TruthFile], draw: random.Random, *, at: dt.datetime
) -> bool:
    assignment = take_next(person, at=at)
    if assignment is None:
        return False
    members = list(StackMember.objects.filter(revision=assignment.revision_id).select_related("file").order_by("pk"))
    shown = next(member for member in members if member.place == MemberPlace.SHOWN)
    truth = known[shown.file.sha256]
    step = draw.choices((1, 2, 3, 4), weights=(1, 4, 9, 6))[0]
    seconds = Decimal(draw.randint(80, 420)) / 10
    near = [member for member in members if member.place == MemberPlace.NEAR]
    for member in (shown, *near):
        token = grant_reveal(
            assignment.pk, person=person, session_key="synthetic", file_id=member.file_id, ladder_step=step, at=at
        )
        use_reveal(token, person=person, session_key="synthetic", at=at)
    submit_assessment(
        assignment.pk,
        person=person,
        facts=_answers(truth, draw),
        same={member.pk: known[member.file.sha256].original == truth.original for member in near},
        active_seconds=seconds,
        at=at + dt.timedelta(seconds=float(seconds)),
    )
    return True


def _answers(truth: testing.TruthFile, draw: random.Random) -> dict[str, str]:
    """What a person would answer: the drawn truth, with now and then a different reading of the background."""
    answers = dict(truth.facts)
    if draw.random() < 0.04:
        answers["photographic"] = "no" if answers["photographic"] == "yes" else "yes"
    return answers


def _release(investigation: Investigation) -> None:
    """One list with one edition, of what the synthetic analysts confirmed, and one partner, to whom nothing is open."""
    at = dt.datetime.now(dt.UTC)
    liaison, lead, senior, third = (
        Person.objects.get(name=name) for name in ("liaison", "lead", "senior", "adjudicator")
    )
    record_deconfliction(investigation, DeconflictionAnswer.CLEAR, reference="drawn", person=lead, at=at)
    onto = open_house_list(HOUSE_LIST, ListKind.CSAM, by=liaison, at=at)
    ready = Outcome.objects.filter(pk__in=ready_outcomes(onto, most=RELEASED, at=at))
    if ready:
        waiting = propose_release(onto, list(ready), person=senior, at=at)
        approve(waiting, person=third, digest=waiting.digest, at=at)
        carry_out(waiting, person=senior, at=at)
    publish_edition(onto, person=liaison, at=at)
    what = {"partner": "drawn-partner", "name": "A drawn partner", "purpose": "demonstration", "recipient": NOBODYS_KEY}
    waiting = propose(gates.Act.ENROL_PARTNER_KEY, what, person=liaison, at=at)
    approve(waiting, person=lead, digest=waiting.digest, at=at)
    carry_out(waiting, person=liaison, at=at)


def _score(investigation: Investigation, truth: testing.Truth) -> testing.Score:
    items = Item.objects.filter(investigation=investigation, file__isnull=False)
    paths: dict[int, list[str]] = {}
    for file_id, path in items.values_list("file_id", "path"):
        paths.setdefault(file_id, []).append(path)
    stacks: dict[int, set[str]] = {}
    members = StackMember.objects.filter(revision__stack__investigation=investigation, revision__stack__parent=None)
    for stack_id, file_id in members.values_list("revision__stack_id", "file_id"):
        stacks.setdefault(stack_id, set()).update(paths.get(file_id, ()))
    files = File.objects.filter(items__investigation=investigation).distinct().prefetch_related("perceptual_hashes")
    quality: dict[str, int | None] = {}
    for file in files:
        hashed = file.perceptual_hash
        for path in paths.get(file.pk, ()):
            quality[path] = hashed.quality if hashed else None
    quality |= dict.fromkeys(ImportProblem.objects.values_list("path", flat=True))
    return testing.score(truth, list(stacks.values()), quality)
