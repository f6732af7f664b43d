"""Small worlds for the desk's tests, made by the desk's own actions; every picture is drawn here."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import re
import uuid
from decimal import Decimal

from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from PIL import Image, ImageDraw

from havenline.formats.edition import ListKind
from havenline.vocabulary import PDQ_FULL
from havenline_desk import evidence
from havenline_desk.actions.approve import approve
from havenline_desk.actions.carry_out import carry_out
from havenline_desk.actions.create_investigation import create_investigation
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.actions.end_session import begin_session
from havenline_desk.actions.enrol_person import certify_person, enrol_person
from havenline_desk.actions.grant_reveal import grant_reveal, use_reveal
from havenline_desk.actions.open_assignments import open_assignments
from havenline_desk.actions.propose import propose
from havenline_desk.actions.record_deconfliction import record_deconfliction
from havenline_desk.actions.release_entries import open_house_list, propose_release
from havenline_desk.actions.set_budget import USUAL, set_budget
from havenline_desk.actions.submit_assessment import submit_assessment
from havenline_desk.actions.take_next import take_next
from havenline_desk.agreement import Accord, What, what_of
from havenline_desk.confirmed import ReleaseState, candidates
from havenline_desk.gates import Act
from havenline_desk.keys import keyd
from havenline_desk.models import (
    CONTENT_ROLES,
    Assignment,
    DeconflictionAnswer,
    File,
    HouseList,
    Import,
    InstallationKind,
    Investigation,
    Item,
    ItemKind,
    ItemState,
    MemberPlace,
    Outcome,
    Partner,
    PerceptualHash,
    Person,
    Plan,
    Proposal,
    ReleaseBatch,
    ReleasedEntry,
    Role,
    SamplingRule,
    Selection,
    SourceKind,
    Stack,
    StackMember,
    StackRevision,
    Way,
)
from havenline_desk.queries.sign_in import SESSION_KEY

PASSWORD = "drawn shapes only, nothing else"
DAY = dt.timedelta(days=1)

TRIANGLE = {
    "picture_kind": "drawn",
    "shapes": "one",
    "largest_shape": "triangle",
    "largest_colour": "red",
    "photographic": "no",
    "altered": "no",
}
TEXTURED = TRIANGLE | {"picture_kind": "textured", "photographic": "yes"}
"""Confirmed, and of no group: what goes onto a list of kind csam. TRIANGLE goes onto one of kind prohibited."""
NO_SHAPES = {"picture_kind": "textured", "shapes": "none", "photographic": "cannot_determine", "altered": "no"}


def draw(number: int, *, size: tuple[int, int] = (960, 720)) -> bytes:
    """A PNG with one shape on a plain ground, marked as a benign sample; another number, another picture."""
    width, height = size
    image = Image.new("RGB", size, (236, 232 - number % 40, 220))
    pen = ImageDraw.Draw(image)
    colour = ((176, 46, 38), (38, 110, 60), (36, 70, 150), (196, 150, 30))[number % 4]
    left, top = 180 + 37 * number % 200, 90 + 23 * number % 120
    pen.polygon([(left, top + 420), (left + 240, top), (left + 480, top + 420)], fill=colour)
    pen.text((20, height - 30), f"BENIGN SAMPLE {number}", fill=(60, 60, 60))
    pen.line([(0, height - 40), (width, height - 40)], fill=(150, 150, 150))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def declare_demo(*, at: dt.datetime) -> None:
    declare_policy(InstallationKind.DEMO, content_legal_basis="drawn pictures only", at=at)


def make_person(name: str, *roles: Role, at: dt.datetime, certified: bool = True) -> Person:
    person = enrol_person(name, password=PASSWORD, roles=roles, at=at)
    if certified:
        certify_person(person, until=at + 365 * DAY, issued_by=None, at=at)
    return person


def give_budgets(*, at: dt.datetime) -> None:
    """The usual budget for everybody who sees content, where a key process is there to hold it."""
    client = keyd()
    if client is not None:
        welfare, lead = (Person.objects.get(name=name) for name in ("welfare", "lead"))
        for person in Person.objects.filter(role_grants__role__in=CONTENT_ROLES).distinct():
            set_budget(person, USUAL, set_by=welfare, second=lead, at=at)


def make_investigation(lead: Person, *, at: dt.datetime, plan: Plan = Plan.DOUBLE, reference: str = "HL-1") -> Import:
    """An investigation of drawn pictures with one import; returns the import."""
    investigation = create_investigation(
        reference,
        source_kind=SourceKind.FORUM,
        period=(dt.date(2023, 9, 1), dt.date(2023, 9, 30)),
        posted_total=40,
        sampling_rule=SamplingRule.EVERYTHING,
        authorised_by=lead,
        legal_basis="demonstration with drawn pictures",
        expires_on=at.date() + 30 * DAY,
        framework="demo.shapes",
        framework_version=None,
        plan=plan,
        at=at,
    )
    return Import.objects.create(
        investigation=investigation,
        collection="drawn",
        imported_by=lead,
        approved_by=lead,
        started_at=at,
        finished_at=at,
    )


def add_file(taken_in: Import, content: bytes, *, copies: int = 0, at: dt.datetime) -> File:
    """Post a picture `1 + copies` times, select every posting, keep the bytes."""
    sha256 = hashlib.sha256(content).hexdigest()
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
    file = File.objects.create(
        sha256=sha256,
        sha1=hashlib.sha1(content).hexdigest(),
        md5=hashlib.md5(content).hexdigest(),
        size=len(content),
        media_type="image/png",
        width=width,
        height=height,
    )
    for copy in range(1 + copies):
        item = Item.objects.create(
            investigation=taken_in.investigation,
            taken_in=taken_in,
            collection=taken_in.collection,
            path=f"{sha256[:12]}-{copy}.png",
            file=file,
            kind=ItemKind.PICTURE,
            state=ItemState.VIEWABLE,
            imported_at=at,
        )
        Selection.objects.create(item=item, rule=SamplingRule.EVERYTHING, viewed_by_person=False, selected_at=at)
    evidence.keep({file: content}, at=at)
    return file


def add_stack(
    taken_in: Import, number: int, *, near: int = 0, copies: int = 0, at: dt.datetime
) -> tuple[StackRevision, list[StackMember]]:
    """A stack of one shown picture and `near` near ones, with its assignments open; members shown first."""
    shown = add_file(taken_in, draw(1000 * number), copies=copies, at=at)
    stack = Stack.objects.create(investigation=taken_in.investigation, representative=shown, formed_at=at)
    revision = StackRevision.objects.create(stack=stack, number=1, opened_at=at)
    members = [
        StackMember.objects.create(
            revision=revision, file=shown, place=MemberPlace.SHOWN, why="representative", distance=0
        )
    ]
    for index in range(near):
        file = add_file(taken_in, draw(1000 * number + index + 1), at=at)
        members.append(
            StackMember.objects.create(
                revision=revision, file=file, place=MemberPlace.NEAR, why="within distance 31", distance=6 + 12 * index
            )
        )
    open_assignments([revision], at=at)
    return revision, members


def look(assignment: Assignment, person: Person, member: StackMember, *, step: int, at: dt.datetime) -> None:
    """Ask for one step of the ladder and use it, as a browser does."""
    token = grant_reveal(
        assignment.pk, person=person, session_key="factory", file_id=member.file_id, ladder_step=step, at=at
    )
    use_reveal(token, person=person, session_key="factory", at=at)


def assess(
    person: Person, facts: dict[str, str], *, step: int = 2, same: bool = True, seconds: int = 20, at: dt.datetime
) -> Assignment:
    """Take the next assignment, look at every member, submit; returns what was assessed."""
    assignment = take_next(person, at=at)
    assert assignment is not None
    members = list(assignment.revision.members.order_by("pk"))
    for member in members:
        look(assignment, person, member, step=step, at=at)
    near = [member for member in members if member.place == MemberPlace.NEAR]
    submit_assessment(
        assignment.pk,
        person=person,
        facts=facts,
        same={member.pk: same for member in near},
        active_seconds=Decimal(seconds),
        at=at + dt.timedelta(seconds=60),
    )
    return assignment


def agree(act: Act, what: What, *, first: Person, second: Person, at: dt.datetime) -> Accord:
    """Propose, agree and carry out, as two people do."""
    proposal = propose(act, what, person=first, at=at)
    approve(proposal, person=second, digest=proposal.digest, at=at)
    return carry_out(proposal, person=first, at=at)


def settle(people: dict[str, Person], facts: dict[str, str], *, at: dt.datetime) -> None:
    """Both analysts assess what waits next, blind and alike."""
    assess(people["analyst-one"], facts, at=at)
    assess(people["analyst-two"], facts, at=at + dt.timedelta(minutes=2))


def hash_all() -> None:
    """A perceptual hash for every file that has none: random ones, so that none is near another."""
    for file in File.objects.filter(perceptual_hashes=None):
        pdq = hashlib.sha256(f"pdq {file.sha256}".encode()).hexdigest()
        PerceptualHash.objects.create(file=file, pipeline=PDQ_FULL, pdq=pdq, quality=90)


def clear_all(lead: Person, *, at: dt.datetime) -> None:
    """The police have no objection to anything."""
    for each in Investigation.objects.exclude(source_kind=SourceKind.TRAINING):
        record_deconfliction(each, DeconflictionAnswer.CLEAR, reference="police 1", person=lead, at=at)


def house_list(people: dict[str, Person], *, kind: ListKind = ListKind.CSAM, at: dt.datetime) -> HouseList:
    return open_house_list(f"house-{kind.value.replace('_', '-')}", kind, by=people["liaison"], at=at)


def release(onto: HouseList, people: dict[str, Person], *, at: dt.datetime) -> list[ReleasedEntry]:
    """Two who assessed nothing release everything that is ready for the list."""
    ready = [one.outcome for one in candidates(at=at, house_list=onto) if one.state is ReleaseState.READY]
    proposal = propose_release(onto, ready, person=people["senior"], at=at)
    approve(proposal, person=people["adjudicator"], digest=proposal.digest, at=at)
    carry_out(proposal, person=people["senior"], at=at)
    return list(ReleasedEntry.objects.filter(proposal=proposal).order_by("pk"))


def batch_of(proposal: Proposal) -> ReleaseBatch:
    """The batch that a proposal to release names."""
    return ReleaseBatch.objects.get(audit_id=what_of(proposal)["batch"])


AGE_KEYS = ("age1" + "q" * 58, "age1" + "p" * 58, "age1" + "z" * 58)
"""Of the right form, and nobody's."""


def enrol_partner(
    people: dict[str, Person], slug: str = "north", *, key: str = AGE_KEYS[0], at: dt.datetime
) -> Partner:
    what = {"partner": slug, "name": slug.title(), "purpose": "agreement 4", "recipient": key}
    agree(Act.ENROL_PARTNER_KEY, what, first=people["liaison"], second=people["lead"], at=at)
    return Partner.objects.get(slug=slug)


def released_row(onto: HouseList, number: int, *, first_number: int | None = None, pdq: bool = True) -> ReleasedEntry:
    """A released entry as a row alone, of values that no picture has; the acts have tests of their own."""
    at = onto.made_at
    file = File.objects.create(
        sha256=hashlib.sha256(b"%d" % number).hexdigest(), sha1=f"{number:040x}", md5=f"{number:032x}", size=1
    )
    if pdq:
        value = hashlib.sha256(b"pdq %d" % number).hexdigest()
        PerceptualHash.objects.create(file=file, pipeline=PDQ_FULL, pdq=value, quality=90)
    return ReleasedEntry.objects.create(
        list=onto,
        entry=f"{number:032x}",
        file=file,
        outcome=Outcome.objects.order_by("pk")[0],
        algorithms=["sha256", "pdq"] if pdq else ["sha256"],
        framework="demo.shapes",
        framework_version="1",
        code="A",
        assessments=2,
        proposal=proposal_of(onto.made_by, at=at),
        released_at=at,
        first_number=first_number,
    )


def proposal_of(person: Person, *, at: dt.datetime) -> Proposal:
    """A proposal as a row alone, for what only needs to name one."""
    name = uuid.uuid4()
    return Proposal.objects.create(
        audit_id=name,
        act=Act.RELEASE_HASH,
        action="{}",
        digest=hashlib.sha256(name.bytes).hexdigest(),
        proposer=person,
        proposed_at=at,
        expires_at=at,
    )


def client_of(person: Person | None = None) -> Client:
    """A browser, signed in as `person`; it speaks https whatever the settings demand."""
    client = Client(**{"wsgi.url_scheme": "https"})
    if person is not None:
        at = timezone.now()
        client.force_login(person)
        held = client.session
        held[SESSION_KEY] = begin_session(person, Way.PASSKEY, address="127.0.0.1", at=at).audit_id.hex
        held["factor"] = {"way": Way.PASSKEY.value, "at": at.isoformat()}
        held.save()
    return client


def seen(response: HttpResponse) -> tuple[int, bytes]:
    """What a browser gets, without the tokens and times that differ from answer to answer."""
    masked = re.sub(rb'(csrfmiddlewaretoken" value|data-until)="[^"]*"', rb"", response.content)
    return response.status_code, masked


def world(*, at: dt.datetime, plan: Plan = Plan.DOUBLE, stacks: int = 1, near: int = 0) -> dict[str, Person]:
    """A demonstration with people for every role and one investigation, HL-1; returns the people by name."""
    declare_demo(at=at)
    people = {
        "analyst-one": make_person("analyst-one", Role.ANALYST, at=at),
        "analyst-two": make_person("analyst-two", Role.ANALYST, at=at),
        "adjudicator": make_person("adjudicator", Role.ADJUDICATOR, at=at),
        "senior": make_person("senior", Role.SENIOR, at=at, certified=False),
        "lead": make_person("lead", Role.LEAD, at=at, certified=False),
        "liaison": make_person("liaison", Role.LIAISON, at=at, certified=False),
        "welfare": make_person("welfare", Role.WELFARE, at=at, certified=False),
        "admin": make_person("admin", Role.ADMIN, at=at, certified=False),
        "auditor": make_person("auditor", Role.AUDITOR, at=at, certified=False),
    }
    give_budgets(at=at)
    taken_in = make_investigation(people["lead"], plan=plan, at=at)
    for number in range(1, stacks + 1):
        add_stack(taken_in, number, near=near, copies=2 if near else 0, at=at)
    return people


def investigation() -> Investigation:
    return Investigation.objects.get(reference="HL-1")
