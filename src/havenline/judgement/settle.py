"""When a stack is settled: by one look, by two blind looks that agree, or by a third that decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from havenline.frameworks import Framework
from havenline.judgement.agreement import Difference, agreed, differences
from havenline.vocabulary import HavenlineError

MemberId = int | str
"""How the caller names a member of a stack; any value that it finds again."""


class JudgementError(HavenlineError):
    """The submissions do not fit the review plan, so nothing may be concluded from them."""


class ReviewPlan(StrEnum):
    """How many people assess each stack of an investigation."""

    SINGLE = "single"
    DOUBLE = "double"


class Step(StrEnum):
    """Which look at the stack an assessment is: two blind ones, and a third only after a dispute."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"


class SettledBy(StrEnum):
    """How the answers that stand came about."""

    SINGLE = "single"
    AGREEMENT = "agreement"
    ADJUDICATION = "adjudication"
    DISAGREEMENT = "disagreement"


@dataclass(frozen=True, slots=True)
class SubmittedFacts:
    """What one person submitted at one step: answers, and which members of the stack share them or not."""

    step: Step
    facts: Mapping[str, str]
    confirmed: frozenset[MemberId] = frozenset()
    excluded: frozenset[MemberId] = frozenset()

    def __post_init__(self) -> None:
        if self.confirmed & self.excluded:
            raise ValueError("a member is either confirmed or excluded by one person, not both")


@dataclass(frozen=True, slots=True)
class Settlement:
    """What follows from the submissions so far.

    Either `next_step` is wanted, or the stack is settled: `facts` stand, `settled_by` says how, and
    `members` share them. `excluded` members become stacks of their own; they are told only once the plan's
    people have all submitted, as are the `disputed` questions. A member that is in neither set has not been
    confirmed by everyone and stays open.
    """

    next_step: Step | None
    facts: Mapping[str, str] | None = None
    settled_by: SettledBy | None = None
    members: frozenset[MemberId] = frozenset()
    excluded: frozenset[MemberId] = frozenset()
    disputed: tuple[Difference, ...] = ()


_PEOPLE = {ReviewPlan.SINGLE: (Step.FIRST,), ReviewPlan.DOUBLE: (Step.FIRST, Step.SECOND)}


def settle(
    *, plan: ReviewPlan, framework: Framework, assessments: Sequence[SubmittedFacts], third_person: bool = True
) -> Settlement:
    """Say which step comes next, or what stands.

    1. Each of the plan's people submits once; the order of arrival does not matter.
    2. Two people who differ in a compared question have a dispute; a third person's answers then stand. Without a
    `third_person`, in a house too small for one, what both said stands, the rest is "cannot determine", and the caller
    counts it as undetermined.
    3. A member is settled when all of the plan's people confirmed it and nobody excluded it. One who
    confirms and one who excludes is no dispute: it gets its own look, which costs less than an argument
    about it.

    Raises JudgementError for a step that the plan does not have, one submitted twice, or a third without a
    dispute. Not checked: that the steps were taken by different people, and that the answers are complete.
    """
    by_step = _by_step(plan, assessments)
    people = _PEOPLE[plan]
    for step in people:
        if step not in by_step:
            if Step.THIRD in by_step:
                raise JudgementError("a third assessment came before the first two were in")
            return Settlement(next_step=step)
    first = by_step[Step.FIRST]
    excluded = frozenset[MemberId]().union(*(one.excluded for one in by_step.values()))
    members = frozenset.intersection(*(by_step[step].confirmed for step in people)) - excluded
    if plan is ReviewPlan.SINGLE:
        return Settlement(None, framework.answers(first.facts), SettledBy.SINGLE, members, excluded)

    second = by_step[Step.SECOND]
    disputed = differences(framework, first.facts, second.facts)
    third = by_step.get(Step.THIRD)
    if third is None and disputed and third_person:
        return Settlement(next_step=Step.THIRD, excluded=excluded, disputed=disputed)
    if third is None:
        facts = agreed(framework, first.facts, second.facts)
        how = SettledBy.DISAGREEMENT if disputed else SettledBy.AGREEMENT
        return Settlement(None, facts, how, members, excluded, disputed)
    if not disputed:
        raise JudgementError("there is a third assessment although the first two agree")
    facts = framework.answers(third.facts)
    return Settlement(None, facts, SettledBy.ADJUDICATION, members, excluded, disputed)


def _by_step(plan: ReviewPlan, assessments: Sequence[SubmittedFacts]) -> dict[Step, SubmittedFacts]:
    by_step: dict[Step, SubmittedFacts] = {}
    for one in assessments:
        if one.step in by_step:
            raise JudgementError(f"the {one.step} assessment was submitted twice")
        if plan is ReviewPlan.SINGLE and one.step is not Step.FIRST:
            raise JudgementError(f"a single review has no {one.step} assessment")
        by_step[one.step] = one
    return by_step
