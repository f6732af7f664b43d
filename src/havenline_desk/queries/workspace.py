"""What the assessment page shows of the one assignment that a person holds.

Blind by construction: nothing here reads another person's assessment, a match, an origin signal or why the stack was
formed, except `_disputed` and `origin`, which the third person alone gets after both assessments are in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Count, Max, Min
from django.utils.crypto import salted_hmac

from havenline.frameworks import Framework, Question
from havenline.frameworks.model import Form
from havenline.judgement import Counted, TriageFacts, reasons

from .. import evidence, law
from ..models import (
    Assessment,
    Assignment,
    File,
    FrameHash,
    Investigation,
    Item,
    MemberPlace,
    Person,
    Pool,
    PoolKind,
    Reveal,
    SetAside,
    SourceKind,
    StackMember,
    Step,
)
from ..waiting import open_in_the_name_of, reports_of, urgency_of
from .origin import OriginPanel, origin_panel

CLOSE_DISTANCE = 15


class Band(StrEnum):
    """How near a member lies, in words: the number of bits says more than anybody can use."""

    CLOSE = "close"
    LESS_CLOSE = "less_close"


@dataclass(frozen=True, slots=True)
class NearPicture:
    """`number` counts from 2: the picture that is judged is 1. `seen_step` is this person's own deepest look."""

    member_id: int
    number: int
    band: Band
    seen_step: int


@dataclass(frozen=True, slots=True)
class FilmOnSheet:
    """What is told of a film before anything of it is seen: how many frames its sheet has at the most, and about how
    many seconds it is long, both by the frames that the import sampled, one a second."""

    frames: int
    seconds: int


@dataclass(frozen=True, slots=True)
class DisputedFact:
    question: str
    one: str
    other: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Workspace:
    """`copies` are further postings of the very same bytes; they take the answer. `near` need their own look.

    `comparable` are the near pictures that the third person may have compared with the shown one, unseen.
    """

    assignment_id: int
    investigation: str
    third: bool
    source: SourceKind
    taken_in: dt.datetime | None
    media_type: str
    width: int | None
    height: int | None
    film: FilmOnSheet | None
    copies: int
    near: tuple[NearPicture, ...]
    shown_member_id: int
    shown_seen_step: int
    waiting_since: dt.datetime
    why_next: tuple[Counted, ...]
    by_hand: bool
    leased_until: dt.datetime
    lease_over: bool
    framework: str
    framework_version: str
    questions: tuple[Question, ...]
    form: Form
    disputed: tuple[DisputedFact, ...]
    origin: OriginPanel | None
    comparable: tuple[NearPicture, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member of the person's open stack is found: what a reveal needs to know."""

    assignment_id: int
    file_id: int


def open_workspace(person: Person, *, at: dt.datetime) -> Workspace | None:
    """The assignment this person holds, or None. A lease that ran out is still theirs until somebody takes it over."""
    assignment = open_in_the_name_of(person).select_related("revision__stack__investigation").first()
    if assignment is None:
        return None
    investigation = assignment.revision.stack.investigation
    framework = law.sheet(investigation, at=assignment.leased_at or at)
    members = list(assignment.revision.members.select_related("file").order_by("distance", "pk"))
    shown = next(member for member in members if member.place == MemberPlace.SHOWN)
    third = assignment.step == Step.THIRD
    seen = _deepest_own_views(assignment, person)
    postings = Item.objects.filter(investigation=investigation, file_id=shown.file_id).aggregate(
        count=Count("pk"), first=Min("imported_at")
    )
    leased_until = assignment.expires_at or at
    origin = origin_panel(shown.file_id) if third else None
    return Workspace(
        assignment_id=assignment.pk,
        investigation=investigation.reference,
        third=third,
        source=SourceKind(investigation.source_kind),
        taken_in=postings["first"],
        media_type=shown.file.media_type,
        width=shown.file.width,
        height=shown.file.height,
        film=_film(shown.file),
        copies=max(0, postings["count"] - 1),
        near=() if third else _near_pictures(members, seen),
        shown_member_id=shown.pk,
        shown_seen_step=seen.get(shown.file_id, 0),
        waiting_since=assignment.opened_at,
        why_next=_why_next(assignment, investigation, at=at),
        by_hand=SetAside.objects.filter(
            assignment=assignment, person=person, ended_at=assignment.leased_at, ended_at__isnull=False
        ).exists(),
        leased_until=leased_until,
        lease_over=leased_until <= at,
        framework=framework.id,
        framework_version=framework.version,
        questions=framework.questions,
        form=framework.form(),
        disputed=_disputed(assignment, framework) if third else (),
        origin=origin,
        comparable=_near_pictures(members, seen) if origin is not None else (),
    )


def _film(file: File) -> FilmOnSheet | None:
    frames = evidence.frames_on_sheet(file)
    if not frames:
        return None
    last = FrameHash.objects.filter(file=file).aggregate(last=Max("second"))["last"]
    return FilmOnSheet(frames, int(last or 0) + 1)


def pools_to_pass_to() -> tuple[tuple[PoolKind, str], ...]:
    """The pools that a skip can name: languages and subjects. Who is in them is not shown."""
    named = Pool.objects.exclude(kind=PoolKind.BLIND).order_by("kind", "name")
    return tuple((PoolKind(pool.kind), pool.name) for pool in named)


def _why_next(assignment: Assignment, investigation: Investigation, *, at: dt.datetime) -> tuple[Counted, ...]:
    facts = TriageFacts(
        opened_at=assignment.opened_at,
        reports=reports_of([assignment.revision_id])[assignment.revision_id],
        urgency=urgency_of(investigation),
        disputed=assignment.step == Step.THIRD,
    )
    return reasons(facts, at=at)


def compared_places(member_id: int, *, person: Person) -> tuple[Place, Place] | None:
    """The shown picture of the person's open stack and the other member of it, or None."""
    other = place_of(member_id, person=person)
    if other is None:
        return None
    shown = StackMember.objects.get(revision__assignments=other.assignment_id, place=MemberPlace.SHOWN)
    return None if shown.file_id == other.file_id else (Place(other.assignment_id, shown.file_id), other)


def place_of(member_id: int, *, person: Person) -> Place | None:
    """The open assignment and the file of a member of its stack; None when it is not in this person's open stack."""
    return next(
        (
            Place(assignment_id=assignment_id, file_id=file_id)
            for assignment_id, file_id in open_in_the_name_of(person)
            .filter(revision__members=member_id)
            .values_list("pk", "revision__members__file_id")
        ),
        None,
    )


def _deepest_own_views(assignment: Assignment, person: Person) -> dict[int, int]:
    used = Reveal.objects.filter(assignment=assignment, person=person, used_at__isnull=False)
    return {row["file_id"]: row["deepest"] for row in used.values("file_id").annotate(deepest=Max("ladder_step"))}


def _near_pictures(members: list[StackMember], seen: Mapping[int, int]) -> tuple[NearPicture, ...]:
    near = [member for member in members if member.place == MemberPlace.NEAR]
    return tuple(
        NearPicture(
            member_id=member.pk,
            number=number,
            band=Band.CLOSE if (member.distance or 0) <= CLOSE_DISTANCE else Band.LESS_CLOSE,
            seen_step=seen.get(member.file_id, 0),
        )
        for number, member in enumerate(near, start=2)
    )


def _disputed(assignment: Assignment, framework: Framework) -> tuple[DisputedFact, ...]:
    """The two blind answers side by side, in an order that is fixed for the assignment and tells nothing."""
    blind = Assessment.objects.filter(revision_id=assignment.revision_id, step__in=(Step.FIRST, Step.SECOND))
    columns: list[Mapping[str, str]] = [assessment.facts for assessment in blind.order_by("pk")]
    if len(columns) != 2:
        return ()
    if salted_hmac("havenline.third-person-columns", str(assignment.pk)).digest()[0] & 1:
        columns.reverse()
    one, other = columns
    return tuple(
        DisputedFact(
            question=question.text,
            one=_label(question, one),
            other=_label(question, other),
            differs=one.get(question.id) != other.get(question.id),
        )
        for question in framework.questions
        if question.id in one or question.id in other
    )


def _label(question: Question, facts: Mapping[str, str]) -> str:
    answer = facts.get(question.id)
    return next((option.label for option in question.options if option.code == answer), "")
