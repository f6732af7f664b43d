"""Investigations for those who lead and check them: counts and reasons, no pixels, nothing per person."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, F, Q, QuerySet

from ..models import (
    Assignment,
    Import,
    ImportProblem,
    Investigation,
    Item,
    ItemState,
    Plan,
    SamplingRule,
    SourceKind,
    Step,
)
from .quorums import QuorumLine, SettledLine, quorums_of, settled_lines


@dataclass(frozen=True, slots=True)
class Counts:
    """Postings, never files. `settled` have an outcome in force; `confirmed` are those criminal under the framework."""

    posted: int
    taken_in: int
    selected: int
    settled: int
    confirmed: int


@dataclass(frozen=True, slots=True)
class InvestigationLine:
    reference: str
    source: SourceKind
    framework: str
    framework_version: str
    counts: Counts
    waiting: int


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """Why postings could not be assessed from pixels, and one sentence that was recorded for the first of them."""

    reason: str
    postings: int
    example: str


@dataclass(frozen=True, slots=True)
class ImportLine:
    collection: str
    imported_by: str
    approved_by: str
    started_at: dt.datetime
    finished_at: dt.datetime | None
    postings: int
    problems: tuple[ReasonCount, ...]
    quorum: QuorumLine | None


@dataclass(frozen=True, slots=True)
class StateCount:
    state: ItemState
    postings: int


@dataclass(frozen=True, slots=True)
class StepCount:
    step: Step
    waiting: int
    leased: int
    oldest: dt.datetime | None


@dataclass(frozen=True, slots=True)
class InvestigationRecord:
    line: InvestigationLine
    period_start: dt.date | None
    period_end: dt.date | None
    sampling_rule: SamplingRule
    plan: Plan
    authorised_by: str
    legal_basis: str
    police_agreement: str
    expires_on: dt.date
    created_at: dt.datetime
    states: tuple[StateCount, ...]
    refusals: tuple[ReasonCount, ...]
    imports: tuple[ImportLine, ...]
    steps: tuple[StepCount, ...]
    settled: tuple[SettledLine, ...]


def references() -> tuple[str, ...]:
    """All references, newest investigation first."""
    return tuple(_real().order_by("-created_at", "-pk").values_list("reference", flat=True))


def investigation_lines() -> tuple[InvestigationLine, ...]:
    """Every investigation with its counts, newest first; a fixed number of queries however many there are."""
    return _lines(_real().order_by("-created_at", "-pk"))


def investigation_record(reference: str, *, at: dt.datetime) -> InvestigationRecord | None:
    """One investigation in full; None when there is none of that reference."""
    investigation = Investigation.objects.select_related("authorised_by").filter(reference=reference).first()
    if investigation is None:
        return None
    return InvestigationRecord(
        line=_lines([investigation])[0],
        period_start=investigation.period_start,
        period_end=investigation.period_end,
        sampling_rule=SamplingRule(investigation.sampling_rule),
        plan=Plan(investigation.plan),
        authorised_by=investigation.authorised_by.name,
        legal_basis=investigation.legal_basis,
        police_agreement=investigation.police_agreement,
        expires_on=investigation.expires_on,
        created_at=investigation.created_at,
        states=_states(investigation),
        refusals=_refusals(investigation),
        imports=_imports(investigation),
        steps=_steps(investigation, at=at),
        settled=settled_lines(investigation),
    )


def _real() -> QuerySet[Investigation]:
    """Without the place where calibration pictures are drawn."""
    return Investigation.objects.exclude(source_kind=SourceKind.TRAINING)


def _lines(investigations: Iterable[Investigation]) -> tuple[InvestigationLine, ...]:
    wanted = list(investigations)
    items = Item.objects.filter(investigation__in=[investigation.pk for investigation in wanted])
    selected = items.filter(selection__isnull=False)
    in_force = Q(file__outcomes__investigation=F("investigation"), file__outcomes__correction=None)
    settled = selected.filter(in_force)
    confirmed = selected.filter(in_force, file__outcomes__status="criminal")
    counted = [
        Counter(dict(rows.order_by().values_list("investigation").annotate(Count("pk", distinct=True))))
        for rows in (items, selected, settled, confirmed)
    ]
    waiting = Counter(
        dict(
            Assignment.objects.filter(done_at=None)
            .order_by()
            .values_list("revision__stack__investigation")
            .annotate(Count("pk"))
        )
    )
    return tuple(
        InvestigationLine(
            reference=one.reference,
            source=SourceKind(one.source_kind),
            framework=one.framework,
            framework_version=one.framework_version,
            counts=Counts(one.posted_total, *(count[one.pk] for count in counted)),
            waiting=waiting[one.pk],
        )
        for one in wanted
    )


def _states(investigation: Investigation) -> tuple[StateCount, ...]:
    found = dict(investigation.items.order_by().values_list("state").annotate(Count("pk")))
    return tuple(StateCount(state, found[state]) for state in ItemState if state in found)


def _refusals(investigation: Investigation) -> tuple[ReasonCount, ...]:
    refused = investigation.items.filter(state=ItemState.NOT_VIEWABLE).exclude(file__refusal="").exclude(file=None)
    return _by_reason(refused.order_by("pk").values_list("file__refusal", "file__refusal_detail"))


def _imports(investigation: Investigation) -> tuple[ImportLine, ...]:
    imports = list(
        Import.objects.filter(investigation=investigation)
        .select_related("imported_by", "approved_by")
        .annotate(postings=Count("items"))
        .order_by("started_at", "pk")
    )
    problems = ImportProblem.objects.filter(import_of__in=imports).order_by("pk")
    rows = list(problems.values_list("import_of_id", "reason", "detail"))
    quorums = quorums_of(one.audit_id for one in imports)
    return tuple(
        ImportLine(
            collection=one.collection,
            imported_by=one.imported_by.name,
            approved_by=one.approved_by.name,
            started_at=one.started_at,
            finished_at=one.finished_at,
            postings=one.postings,
            problems=_by_reason((reason, detail) for pk, reason, detail in rows if pk == one.pk),
            quorum=quorums.get(one.audit_id),
        )
        for one in imports
    )


def _by_reason(rows: Iterable[tuple[str | None, str | None]]) -> tuple[ReasonCount, ...]:
    examples: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for reason, detail in rows:
        counts[reason or ""] += 1
        examples.setdefault(reason or "", detail or "")
    return tuple(ReasonCount(reason, count, examples[reason]) for reason, count in counts.most_common())


def _steps(investigation: Investigation, *, at: dt.datetime) -> tuple[StepCount, ...]:
    open_ = Assignment.objects.filter(revision__stack__investigation=investigation, done_at=None)
    leased = Q(person__isnull=False, expires_at__gt=at)
    counts = []
    for step in (Step.FIRST, Step.SECOND, Step.THIRD):
        of_step = open_.filter(step=step)
        held = of_step.filter(leased).count()
        oldest = of_step.exclude(leased).order_by("opened_at").values_list("opened_at", flat=True).first()
        counts.append(StepCount(step, of_step.count() - held, held, oldest))
    return tuple(counts)
