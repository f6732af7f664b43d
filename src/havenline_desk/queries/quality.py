"""Samples of decisions and the look that is open: what was decided, never who decided it.

Agreement with samples is told of one investigation, and only where the decisions looked over are those of at least five
people and at least twenty (practice 15).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from django.db.models import Count, Max, Q

from havenline.frameworks import LegalStatus, Question
from havenline.judgement import FEWEST_UNITS

from .. import law
from ..models import (
    Assessment,
    FindingVerdict,
    Outcome,
    Person,
    QualityFinding,
    QualityLook,
    QualitySample,
    Reveal,
    Step,
)
from ..waiting import decided_by, open_in_the_name_of
from .exposure import FEWEST_PEOPLE

LONGEST = 100


@dataclass(frozen=True, slots=True)
class SampleLine:
    """`looked` of `drawn` have a finding; `gone` cannot be looked at any more."""

    name: str
    investigation: str
    drawn_at: dt.datetime
    drawn: int
    looked: int
    gone: int

    @property
    def waiting(self) -> int:
        return self.drawn - self.looked - self.gone


@dataclass(frozen=True, slots=True)
class SampleAgreement:
    """`share` of what was looked over agrees, in per cent; None where `withheld` says that too few stand behind it."""

    investigation: str
    looked: int
    share: Decimal | None
    differs: int | None
    reassess: int | None
    withheld: str


@dataclass(frozen=True, slots=True)
class DecidedFact:
    question: Question
    answer: str


@dataclass(frozen=True, slots=True)
class OpenLook:
    """What the page of the open look shows. `member_id` is the picture of it; `seen_step` one's own deepest look."""

    assignment_id: int
    investigation: str
    member_id: int
    seen_step: int
    stratum: str
    status: str
    legal_class: str
    facts: tuple[DecidedFact, ...]
    leased_until: dt.datetime


def sample_lines() -> tuple[SampleLine, ...]:
    """The newest samples, at most 100, with how far each is."""
    samples = QualitySample.objects.select_related("investigation").order_by("-pk")
    gone = Q(sampled__look__finding=None) & (
        ~Q(sampled__outcome__correction=None)
        | Q(sampled__outcome__file__stored=None)
        | Q(sampled__outcome__file__stored__tombstone__isnull=False)
    )
    counted = samples.annotate(
        drawn=Count("sampled", distinct=True),
        looked=Count("sampled__look__finding", distinct=True),
        gone=Count("sampled", filter=gone, distinct=True),
    )
    return tuple(
        SampleLine(one.audit_id.hex, one.investigation.reference, one.drawn_at, one.drawn, one.looked, one.gone)
        for one in counted[:LONGEST]
    )


def sample_agreement() -> tuple[SampleAgreement, ...]:
    """For each investigation with findings, how many agree with what was decided; what was left counts for nothing."""
    of = QualityFinding.objects.exclude(verdict=FindingVerdict.LEFT)
    rows = of.order_by().values_list("look__sampled__outcome__investigation__reference").annotate(Count("pk"))
    told = []
    for reference, looked in sorted(rows):
        here = of.filter(look__sampled__outcome__investigation__reference=reference)
        revisions = here.values("look__assignment__revision")
        people = Assessment.objects.filter(revision__in=revisions).values("person").distinct().count()
        if people < FEWEST_PEOPLE or looked < FEWEST_UNITS:
            why = f"fewer than {FEWEST_PEOPLE} people" if people < FEWEST_PEOPLE else f"fewer than {FEWEST_UNITS} looks"
            told.append(SampleAgreement(reference, looked, None, None, None, why))
            continue
        by = dict(here.order_by().values_list("verdict").annotate(Count("pk")))
        agrees = Decimal(100 * by.get(FindingVerdict.AGREES.value, 0)) / looked
        told.append(
            SampleAgreement(
                reference,
                looked,
                agrees.quantize(Decimal("0.1"), ROUND_HALF_UP),
                by.get(FindingVerdict.DIFFERS.value, 0),
                by.get(FindingVerdict.REASSESS.value, 0),
                "",
            )
        )
    return tuple(told)


def open_look(person: Person, *, at: dt.datetime) -> OpenLook | None:
    """The sampled decision that `person` has open, as it was decided; None without one."""
    held = open_in_the_name_of(person).filter(step=Step.QUALITY).first()
    look = QualityLook.objects.select_related(
        "assignment", "sampled__outcome__investigation", "sampled__outcome__copy_of__investigation"
    ).filter(assignment=held)
    one = look.first() if held is not None else None
    if one is None:
        return None
    outcome = one.sampled.outcome
    framework = law.load(outcome.framework, outcome.framework_version)
    member = one.assignment.revision.members.get(file=outcome.file_id)
    seen = Reveal.objects.filter(assignment=one.assignment, person=person, used_at__isnull=False)
    return OpenLook(
        assignment_id=one.assignment.pk,
        investigation=outcome.investigation.reference,
        member_id=member.pk,
        seen_step=int(seen.filter(file=outcome.file_id).aggregate(deepest=Max("ladder_step"))["deepest"] or 0),
        stratum=one.sampled.stratum,
        status=framework.labels.of(LegalStatus(outcome.status)),
        legal_class=framework.legal_class(outcome.class_id).label if outcome.class_id else "",
        facts=_facts(decided_by(outcome)),
        leased_until=one.assignment.expires_at or at,
    )


def _facts(outcome: Outcome) -> tuple[DecidedFact, ...]:
    """In the order of the form as it was then; an answer whose question is not there any more is left out."""
    questions = law.sheet(outcome.investigation, at=outcome.settled_at).questions
    return tuple(
        DecidedFact(
            question,
            next((one.label for one in question.options if one.code == outcome.facts[question.id]), ""),
        )
        for question in questions
        if question.id in outcome.facts
    )
