"""Ask two people who never saw a settled file to assess it blind, so that it may be released; and say what they found.

For what a third person decided, what was corrected, what one person assessed, and what was a near member: none of it
has two blind assessments that agree. The outcome stands as it is, whatever the two find.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.db import transaction

from havenline.frameworks import Framework
from havenline.judgement.agreement import agreed, differences

from .. import audit, gates, law
from ..confirmed import Confirmed, ReleaseState, confirmed
from ..models import (
    Assignment,
    AuditAct,
    ConfirmingPair,
    HouseList,
    Outcome,
    PairResult,
    PairVerdict,
    Person,
    StackRevision,
    Step,
    StoredContent,
)
from ..waiting import decided_by, open_to
from .open_assignments import put_in_order, revision_of_one
from .release_entries import ReleaseRefused

MOST_AT_ONCE = 50
"""Each pair is two more views of what people need not see otherwise."""
PAIR = (Step.FIRST, Step.SECOND)
_OPENS = frozenset({ReleaseState.NOT_AGREED, ReleaseState.NEAR})


def ask_for_pairs(house_list: HouseList, *, most: int, by: Person, at: dt.datetime) -> int:
    """Ask for the oldest that wait for no more than two blind assessors in agreement; return for how many.

    Passed over: what cannot be asked for. Raises ReleaseRefused with the first reason where nothing could, Denied.
    """
    gates.require(by, gates.Act.ASK_FOR_PAIR, at=at)
    if not 0 < most <= MOST_AT_ONCE:
        raise ReleaseRefused(f"ask for 1 to {MOST_AT_ONCE} files at once; nothing was opened")
    waiting = {one.decided_by: one.outcome for one in _open(confirmed(at=at, house_list=house_list))}
    refused: ReleaseRefused | None = None
    opened = 0
    for outcome in waiting.values():
        try:
            ask_for_pair(Outcome.objects.get(pk=outcome), by=by, at=at)
        except ReleaseRefused as why:
            refused = refused or why
            continue
        opened += 1
        if opened == most:
            break
    if not opened:
        raise refused or ReleaseRefused(f"nothing for {house_list.name} waits for two in agreement; nothing was opened")
    return opened


@transaction.atomic
def ask_for_pair(outcome: Outcome, *, by: Person, at: dt.datetime) -> ConfirmingPair:
    """Open two blind assignments on the file alone. They are handed out as all others, inside everybody's budgets.

    Raises ReleaseRefused where it needs no such pair or had one, its content is not kept any more, or fewer than two
    people may assess it who never saw it; Denied. Not checked: whether those two have room in their budgets.
    """
    gates.require(by, gates.Act.ASK_FOR_PAIR, at=at)
    decided = decided_by(outcome)
    before = decided.revision
    if before is None or not _open(confirmed(at=at, outcomes=[outcome.pk])):
        raise ReleaseRefused(
            "this outcome does not wait for two in agreement alone, or two were asked already; nothing was opened"
        )
    StackRevision.objects.select_for_update().get(pk=before.pk)  # two who ask at once ask once
    if ConfirmingPair.objects.filter(outcome=decided).exists():
        raise ReleaseRefused("two people were asked for this outcome already; nothing was opened")
    if not StoredContent.objects.filter(file=decided.file_id, tombstone=None).exists():
        raise ReleaseRefused(
            "the content of this file is not kept any more, so nobody can assess it; nothing was opened"
        )
    revision = revision_of_one(before.stack, decided.file_id, why="before a release", at=at)
    pair = ConfirmingPair.objects.create(outcome=decided, revision=revision, asked_by=by, opened_at=at)
    opened = [Assignment(revision=revision, step=step, opened_at=at) for step in PAIR]
    put_in_order(opened)
    Assignment.objects.bulk_create(opened)
    able = _able(revision, at=at)
    if able < len(PAIR):
        raise ReleaseRefused(
            f"of those who may assess, {able} never saw this file, and it takes {len(PAIR)}; nothing was opened. "
            "Enrol or certify further analysts"
        )
    audit.append(
        AuditAct.PAIR_OPENED, at=at, actor=by, about=pair, investigation=before.stack.investigation, record=pair
    )
    return pair


def close_pair(pair: ConfirmingPair, *, at: dt.datetime) -> None:
    """Say what the two found, once both are in. Part of the transaction that recorded the assessment."""
    revision = pair.revision
    said = dict(revision.assessments.filter(step__in=PAIR).values_list("step", "facts"))
    if len(said) < len(PAIR):
        return
    investigation = revision.stack.investigation
    leased = min(one.started_at for one in revision.assessments.all())
    framework = law.sheet(investigation, at=leased)
    first, second = (said[step] for step in PAIR)
    if differences(framework, first, second):
        verdict = PairVerdict.SPLIT
    else:
        stands = _same(pair.outcome, agreed(framework, first, second))
        verdict = PairVerdict.AGREES if stands else PairVerdict.DIFFERS
    result = PairResult.objects.create(pair=pair, verdict=verdict, found_at=at)
    audit.append(
        AuditAct.PAIR_CLOSED,
        at=at,
        actor=None,
        about=result,
        investigation=investigation,
        purpose=verdict.value,
        record=result,
    )


def _same(outcome: Outcome, facts: dict[str, str]) -> bool:
    """Whether no compared answer differs, and the law of the outcome concludes the same of both."""
    framework = law.load(outcome.framework, outcome.framework_version)
    return not differences(framework, outcome.facts, facts) and _concluded(framework, outcome.facts) == _concluded(
        framework, facts
    )


def _concluded(framework: Framework, facts: dict[str, str]) -> tuple[str, str | None, str | None]:
    legality = framework.derive(facts, approved=True)
    return legality.status.value, legality.class_id, legality.severity


def _open(found: Sequence[Confirmed]) -> list[Confirmed]:
    return [each for each in found if each.state in _OPENS]


def _able(revision: StackRevision, *, at: dt.datetime) -> int:
    """How many people may be handed both assignments of the pair. Two of one blind pool are counted as two."""
    able = 0
    for person in Person.objects.filter(is_active=True).order_by("pk"):
        if gates.allowed(person, gates.Act.TAKE_ASSESSMENT, at=at) and gates.certified(person, at=at):
            able += open_to(person, PAIR, at=at).filter(revision=revision).count() == len(PAIR)
    return able
