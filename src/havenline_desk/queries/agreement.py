"""How well blind assessments agree, by fact, pool and week; never by person and never by pair of people.

A group is left out below twenty units, and below three people, whose figure would be that of a pair (practice 15), and
where subtracting it from others would tell such a group.
Units are stacks that two people assessed blind; a question that one of the two was not asked counts for nothing.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from havenline.frameworks import CANNOT_DETERMINE, Question
from havenline.judgement import FEWEST_PEOPLE, FEWEST_UNITS, Agreement, agreement, drifted

from .. import law
from ..models import Assessment, Investigation, PoolNeed, Step
from .agreement_groups import Family, Group, Unit, left_out

SEED = 20260302
"""What every interval is drawn from, so that a figure that is looked at twice is the same."""
LATELY = dt.timedelta(weeks=4)
BEFORE = dt.timedelta(weeks=12)
WEEKS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class FactAgreement:
    """`agreement` is None where the group is too small; `why_not` says which rule leaves it out."""

    question: Question
    agreement: Agreement | None
    why_not: str


@dataclass(frozen=True, slots=True)
class GroupAgreement:
    """A pool or a week, and its facts; `name` is empty for stacks that need no pool."""

    name: str
    facts: tuple[FactAgreement, ...]


@dataclass(frozen=True, slots=True)
class AgreementPage:
    """`drift`: facts whose agreement of the last four weeks lies below that of the twelve before, by intervals."""

    stacks: int
    by_fact: tuple[FactAgreement, ...]
    by_pool: tuple[GroupAgreement, ...]
    by_week: tuple[GroupAgreement, ...]
    drift: tuple[FactAgreement, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two blind assessments of one stack; the people stand here only to be counted."""

    first: Mapping[str, str]
    second: Mapping[str, str]
    people: frozenset[int]
    revision: int
    stack: int
    done_at: dt.datetime


def agreement_page(investigation: Investigation, *, at: dt.datetime) -> AgreementPage:
    """Everything the page shows, as of `at`."""
    questions = law.sheet(investigation, at=at).questions
    pairs = [pair for pair in _pairs(investigation) if pair.done_at <= at]
    by_week = defaultdict[str, list[_Pair]](list)
    for pair in pairs:
        year, week, _ = pair.done_at.astimezone(dt.UTC).isocalendar()
        by_week[f"{year}-W{week:02}"].append(pair)
    weeks = sorted(by_week.items(), reverse=True)
    shown: dict[Group, list[_Pair]] = {(Family.POOL, name): group for name, group in sorted(_by_pool(pairs).items())}
    shown |= {(Family.WEEK, name): group for name, group in weeks[:WEEKS_SHOWN]}
    older = {(Family.BEFORE, name): group for name, group in weeks[WEEKS_SHOWN:]}
    told = _left_out(questions, shown | older)
    groups = [(*key, _facts(questions, group, told[key])) for key, group in shown.items()]
    return AgreementPage(
        stacks=len(pairs),
        by_fact=_facts(questions, pairs),
        by_pool=tuple(GroupAgreement(name, facts) for family, name, facts in groups if family is Family.POOL),
        by_week=tuple(GroupAgreement(name, facts) for family, name, facts in groups if family is Family.WEEK),
        drift=_drift(questions, pairs, at=at),
        seed=SEED,
    )


def _pairs(investigation: Investigation) -> list[_Pair]:
    blind = Assessment.objects.filter(
        revision__stack__investigation=investigation, step__in=(Step.FIRST, Step.SECOND)
    ).order_by("revision_id", "step")
    rows = defaultdict[int, list[Assessment]](list)
    for assessment in blind.select_related("revision"):
        rows[assessment.revision_id].append(assessment)
    return [
        _Pair(
            first=first.facts,
            second=second.facts,
            people=frozenset({first.person_id, second.person_id}),
            revision=first.revision_id,
            stack=first.revision.stack_id,
            done_at=max(first.submitted_at, second.submitted_at),
        )
        for first, second in (pair for pair in rows.values() if len(pair) == 2)
    ]


def _by_pool(pairs: Iterable[_Pair]) -> dict[str, list[_Pair]]:
    """Pairs by the pools that their stacks need; a stack that needs two stands in both. Empty where none needs one."""
    listed = list(pairs)
    needs = defaultdict[int, list[str]](list)
    needed = PoolNeed.objects.filter(stack__in={pair.stack for pair in listed})
    for stack, pool in needed.values_list("stack", "pool__name"):
        needs[stack].append(pool)
    if not needs:
        return {}
    groups = defaultdict[str, list[_Pair]](list)
    for pair in listed:
        for name in needs.get(pair.stack, [""]):
            groups[name].append(pair)
    return dict(groups)


def _drift(questions: Iterable[Question], pairs: list[_Pair], *, at: dt.datetime) -> tuple[FactAgreement, ...]:
    lately = [pair for pair in pairs if pair.done_at > at - LATELY]
    before = [pair for pair in pairs if at - LATELY - BEFORE < pair.done_at <= at - LATELY]
    return tuple(
        new
        for old, new in zip(_facts(questions, before), _facts(questions, lately), strict=True)
        if old.agreement and new.agreement and drifted(old.agreement.ac1, new.agreement.ac1)
    )


def _left_out(
    questions: Iterable[Question], groups: Mapping[Group, Collection[_Pair]]
) -> Mapping[Group, frozenset[str]]:
    """By group: the questions whose figure there would tell that of a smaller group."""
    found = defaultdict[Group, set[str]](set)
    known: dict[frozenset[int], frozenset[Group]] = {}
    of = defaultdict[int, set[Group]](set)
    pairs: dict[int, _Pair] = {}
    for key, group in groups.items():
        for pair in group:
            of[pair.revision].add(key)
            pairs[pair.revision] = pair
    for question in questions:
        answered = _answered(question, pairs.values())
        which = frozenset(pair.revision for pair in answered)
        if which not in known:  # most questions were asked of the same stacks
            known[which] = left_out([Unit(pair.people, frozenset(of[pair.revision])) for pair in answered])
        for key in known[which]:
            found[key].add(question.id)
    return defaultdict(frozenset, {key: frozenset(names) for key, names in found.items()})


def _answered(question: Question, pairs: Iterable[_Pair]) -> list[_Pair]:
    return [
        pair
        for pair in pairs
        if pair.first.get(question.id) in question.codes and pair.second.get(question.id) in question.codes
    ]


def _facts(questions: Iterable[Question], pairs: list[_Pair], told: Collection[str] = ()) -> tuple[FactAgreement, ...]:
    """`told`: questions that are left out whatever their group counts."""
    return tuple(_fact(question, pairs, told=question.id in told) for question in questions)


def _fact(question: Question, pairs: list[_Pair], *, told: bool) -> FactAgreement:
    answered = _answered(question, pairs)
    if len(answered) < FEWEST_UNITS:
        return FactAgreement(question, None, f"fewer than {FEWEST_UNITS} stacks")
    if len(frozenset[int]().union(*(pair.people for pair in answered))) < FEWEST_PEOPLE:
        return FactAgreement(question, None, f"fewer than {FEWEST_PEOPLE} people")
    if told:
        return FactAgreement(question, None, "it would tell of a smaller group")
    counted = Counter((pair.first[question.id], pair.second[question.id]) for pair in answered)
    found = agreement(counted, codes=question.codes, ordinal=question.ordinal, no_order=CANNOT_DETERMINE, seed=SEED)
    return FactAgreement(question, found, "")
