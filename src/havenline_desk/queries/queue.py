"""The queue as its lead sees it: how much waits and how old it is, who has what open, what two people differed on.

No pixel, no answer and no past: who has an item is shown while they have it. Stacks that the lead works on themselves
are left out of every list, since blindness holds for them too.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet

from havenline.judgement import Counted, TriageFacts, reasons

from .. import gates, law
from ..models import (
    Assessment,
    Assignment,
    HandReason,
    Investigation,
    Person,
    PoolKind,
    PoolNeed,
    Role,
    SetAside,
    SourceKind,
    Step,
    Submission,
)
from ..waiting import reports_of, unseen_by, urgency_of

OLDER_THAN = (1, 3, 7, 30)
"""Days that part the ages of what waits: up to a day, up to three, …, longer."""
SHOWN = 25
"""How many of the most urgent can be set aside by hand; the queue itself hands out the rest."""
DISPUTES_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Backlog:
    """Open assignments of one step of an investigation. `ages`: the waiting ones by `OLDER_THAN`, youngest first."""

    investigation: str
    step: Step
    held: int
    set_aside: int
    waiting: int
    ages: tuple[int, ...]
    oldest: dt.datetime | None


@dataclass(frozen=True, slots=True)
class PoolBacklog:
    """How much waits for the members of a pool alone."""

    name: str
    kind: PoolKind
    waiting: int
    members: int


@dataclass(frozen=True, slots=True)
class WaitingItem:
    number: int
    investigation: str
    step: Step
    opened_at: dt.datetime
    why: tuple[Counted, ...]
    pools: tuple[str, ...]
    set_aside_for: str


@dataclass(frozen=True, slots=True)
class LeaseLine:
    """`over`: the time has run out, and whoever asks next is handed it."""

    number: int
    investigation: str
    step: Step
    person: str
    since: dt.datetime
    until: dt.datetime
    over: bool


@dataclass(frozen=True, slots=True)
class SetAsideLine:
    number: int
    investigation: str
    step: Step
    person: str
    said_by: str
    reason: HandReason
    until: dt.datetime


@dataclass(frozen=True, slots=True)
class QueuePage:
    backlog: tuple[Backlog, ...]
    pools: tuple[PoolBacklog, ...]
    items: tuple[WaitingItem, ...]
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeasesPage:
    leases: tuple[LeaseLine, ...]
    set_aside: tuple[SetAsideLine, ...]


@dataclass(frozen=True, slots=True)
class DisputeLine:
    """A stack that waits for a third person, and the questions on which the two answers differ; never the answers."""

    number: int
    investigation: str
    opened_at: dt.datetime
    held: bool
    questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DisputeCount:
    investigation: str
    waiting: int
    decided: int
    oldest: dt.datetime | None


@dataclass(frozen=True, slots=True)
class DisputesPage:
    """`left_out`: how many more wait than are listed."""

    counts: tuple[DisputeCount, ...]
    lines: tuple[DisputeLine, ...]
    left_out: int


def queue_page(lead: Person, *, at: dt.datetime) -> QueuePage:
    """What waits, how long, and the most urgent of it; and the names of whom something could be set aside for."""
    return QueuePage(_backlog(at=at), _pools(at=at), _items(lead, at=at), _people(lead, at=at))


def leases_page(lead: Person, *, at: dt.datetime) -> LeasesPage:
    """Who has which item open and since when, the longest first; and what is set aside."""
    submitted = Submission.objects.filter(assignment=OuterRef("pk"), taken_back_at=None, recorded_at=None)
    held = _open().filter(unseen_by(lead), person__isnull=False).exclude(Exists(submitted))
    kept = SetAside.objects.filter(ended_at=None, ends_at__gt=at, assignment__in=_open().filter(unseen_by(lead)))
    return LeasesPage(
        leases=tuple(
            LeaseLine(number, reference, Step(step), name, since, until, until <= at)
            for number, reference, step, name, since, until in held.order_by("leased_at", "pk").values_list(
                "pk", _REFERENCE, "step", "person__name", "leased_at", "expires_at"
            )
        ),
        set_aside=tuple(
            SetAsideLine(number, reference, Step(step), name, by, HandReason(reason), until)
            for number, reference, step, name, by, reason, until in kept.order_by("ends_at", "pk").values_list(
                "assignment_id",
                f"assignment__{_REFERENCE}",
                "assignment__step",
                "person__name",
                "said_by__name",
                "reason",
                "ends_at",
            )
        ),
    )


def disputes_page(lead: Person, *, at: dt.datetime) -> DisputesPage:
    """What waits for a third person, the oldest first, and how many were decided in the last four weeks."""
    third = Assignment.objects.filter(step=Step.THIRD).exclude(**_TRAINING)
    counted = (
        third.order_by()
        .values_list(_REFERENCE)
        .annotate(
            waiting=Count("pk", filter=Q(done_at=None)),
            decided=Count("pk", filter=Q(done_at__gt=at - dt.timedelta(weeks=4))),
            oldest=Min("opened_at", filter=Q(done_at=None)),
        )
    )
    open_ = third.filter(unseen_by(lead), done_at=None)
    rows = list(open_.select_related(_INVESTIGATION).order_by("opened_at", "pk")[:DISPUTES_SHOWN])
    differing = _differing(rows, at=at)
    return DisputesPage(
        counts=tuple(DisputeCount(*row) for row in sorted(counted) if row[1] or row[2]),
        lines=tuple(
            DisputeLine(
                number=row.pk,
                investigation=row.revision.stack.investigation.reference,
                opened_at=row.opened_at,
                held=row.person_id is not None and row.expires_at is not None and row.expires_at > at,
                questions=differing[row.revision_id],
            )
            for row in rows
        ),
        left_out=max(0, open_.count() - len(rows)),
    )


_INVESTIGATION = "revision__stack__investigation"
_REFERENCE = f"{_INVESTIGATION}__reference"
_TRAINING = {f"{_INVESTIGATION}__source_kind": SourceKind.TRAINING}


def _open() -> QuerySet[Assignment]:
    return Assignment.objects.filter(done_at=None).exclude(**_TRAINING)


def _free(at: dt.datetime) -> Q:
    return Q(person=None) | Q(expires_at__lte=at)


def _backlog(*, at: dt.datetime) -> tuple[Backlog, ...]:
    kept = SetAside.objects.filter(assignment=OuterRef("pk"), ended_at=None, ends_at__gt=at)
    free, aside = _free(at), Q(is_kept=True)
    edges = [None, *(at - dt.timedelta(days=days) for days in OLDER_THAN), None]
    ages = {
        f"age_{number}": Count("pk", filter=free & _between(younger, older))
        for number, (younger, older) in enumerate(pairwise(edges))
    }
    rows = (
        _open()
        .annotate(is_kept=Exists(kept))
        .order_by()
        .values(_REFERENCE, "step")
        .annotate(
            held=Count("pk", filter=~free),
            aside=Count("pk", filter=free & aside),
            waiting=Count("pk", filter=free),
            oldest=Min("opened_at", filter=free),
            **ages,
        )
    )
    order = {step.value: place for place, step in enumerate(Step)}
    return tuple(
        Backlog(
            investigation=row[_REFERENCE],
            step=Step(row["step"]),
            held=row["held"],
            set_aside=row["aside"],
            waiting=row["waiting"],
            ages=tuple(row[name] for name in ages),
            oldest=row["oldest"],
        )
        for row in sorted(rows, key=lambda row: (row[_REFERENCE], order[row["step"]]))
    )


def _between(younger: dt.datetime | None, older: dt.datetime | None) -> Q:
    """Opened at `younger` or before it, and after `older`."""
    return (Q(opened_at__lte=younger) if younger else Q()) & (Q(opened_at__gt=older) if older else Q())


def _pools(*, at: dt.datetime) -> tuple[PoolBacklog, ...]:
    waiting = _open().filter(_free(at))
    rows = (
        PoolNeed.objects.filter(stack__revisions__assignments__in=waiting)
        .order_by("pool__name")
        .values_list("pool__name", "pool__kind")
        .annotate(
            waiting=Count(
                "stack__revisions__assignments", filter=Q(stack__revisions__assignments__in=waiting), distinct=True
            ),
            members=Count("pool__members", filter=Q(pool__members__left_at=None), distinct=True),
        )
    )
    return tuple(PoolBacklog(name, PoolKind(kind), number, members) for name, kind, number, members in rows)


def _items(lead: Person, *, at: dt.datetime) -> tuple[WaitingItem, ...]:
    free = _open().filter(_free(at), unseen_by(lead)).select_related(_INVESTIGATION)
    rows = list(free.order_by("waits_as_if_since", "pk")[:SHOWN])
    reports = reports_of({row.revision_id for row in rows})
    investigations = {row.revision.stack.investigation for row in rows}
    urgencies = {one.pk: urgency_of(one) for one in investigations}
    pools = defaultdict[int, list[str]](list)
    for stack, pool in PoolNeed.objects.filter(stack__in={row.revision.stack_id for row in rows}).values_list(
        "stack_id", "pool__name"
    ):
        pools[stack].append(pool)
    kept = dict(
        SetAside.objects.filter(assignment__in=rows, ended_at=None, ends_at__gt=at).values_list(
            "assignment_id", "person__name"
        )
    )
    return tuple(
        WaitingItem(
            number=row.pk,
            investigation=row.revision.stack.investigation.reference,
            step=Step(row.step),
            opened_at=row.opened_at,
            why=reasons(
                TriageFacts(
                    opened_at=row.opened_at,
                    reports=reports[row.revision_id],
                    urgency=urgencies[row.revision.stack.investigation_id],
                    disputed=row.step == Step.THIRD,
                ),
                at=at,
            ),
            pools=tuple(sorted(pools[row.revision.stack_id])),
            set_aside_for=kept.get(row.pk, ""),
        )
        for row in rows
    )


def _people(lead: Person, *, at: dt.datetime) -> tuple[str, ...]:
    """Whom something could be set aside for: a role and a certificate. Whatever else keeps it from them is theirs."""
    able = Person.objects.filter(
        is_active=True, role_grants__role__in=(Role.ANALYST, Role.ADJUDICATOR), role_grants__revoked_at=None
    )
    able = able.exclude(pk=lead.pk).distinct().order_by("name")
    return tuple(
        person.name
        for person in able
        if gates.allowed(person, gates.Act.WORK, at=at) and gates.certified(person, at=at)
    )


def _differing(disputes: Iterable[Assignment], *, at: dt.datetime) -> dict[int, tuple[str, ...]]:
    """By stack revision: the questions whose two blind answers differ, in the order of the form."""
    rows = list(disputes)
    answers = defaultdict[int, list[dict[str, str]]](list)
    blind = Assessment.objects.filter(
        revision__in=[row.revision_id for row in rows], step__in=(Step.FIRST, Step.SECOND)
    )
    for revision, facts in blind.order_by("pk").values_list("revision_id", "facts"):
        answers[revision].append(facts)
    questions = {
        investigation.pk: law.sheet(investigation, at=at).questions
        for investigation in Investigation.objects.filter(stacks__revisions__assignments__in=rows).distinct()
    }
    found: dict[int, tuple[str, ...]] = {}
    for row in rows:
        first, second = (*answers[row.revision_id], {}, {})[:2]
        asked = questions[row.revision.stack.investigation_id]
        found[row.revision_id] = tuple(one.text for one in asked if first.get(one.id) != second.get(one.id))
    return found
