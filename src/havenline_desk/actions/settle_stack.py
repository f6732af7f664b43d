"""Close a stack revision when its assessments agree or a third person has spoken; otherwise ask for the third.

A house of two has no third: what its two differ in counts as undetermined.
"""

from __future__ import annotations

import datetime as dt

from havenline.frameworks import Framework
from havenline.judgement.settle import ReviewPlan, SettledBy, Settlement, SubmittedFacts, settle
from havenline.judgement.settle import Step as PlanStep

from .. import audit, gates, law
from ..models import (
    Assignment,
    AuditAct,
    ConfirmingPair,
    File,
    MemberPlace,
    Outcome,
    QualityReview,
    Stack,
    StackMember,
    StackRevision,
    Step,
)
from .ask_for_pair import close_pair
from .copy_outcome import correct_copies
from .derive_outcomes import derive_outcomes
from .keep_feedback import propose_feedback
from .open_assignments import open_assignments, put_in_order
from .record_quorum import record_quorum
from .withdraw_entries import withdraw_contradicted


def settle_stack(revision: StackRevision, *, at: dt.datetime) -> None:
    """Apply the pure rule of `judgement.settle` to what has been submitted and record what follows.

    Called inside the transaction that recorded the assessment. The revision is locked, so that two people who
    submit at the same moment settle once. A confirming pair settles nothing: what it found stands beside the outcome.
    """
    StackRevision.objects.select_for_update().get(pk=revision.pk)
    pair = ConfirmingPair.objects.filter(revision=revision).select_related("outcome").first()
    if pair is not None:
        close_pair(pair, at=at)
        return
    stack, investigation = revision.stack, revision.stack.investigation
    # The form of the first lease: what only a later one asks is compared with nothing.
    leased = min(one.started_at for one in revision.assessments.all())
    framework = law.sheet(investigation, at=leased)
    settlement = settle(
        plan=ReviewPlan(investigation.plan),
        framework=framework,
        assessments=_submitted(revision),
        third_person=gates.PROFILES[gates.house()].third_person,
    )
    if settlement.facts is None or settlement.settled_by is None:
        if settlement.next_step is PlanStep.THIRD:
            _open_dispute(revision, at=at)
        return
    members: dict[int | str, StackMember] = {member.pk: member for member in revision.members.select_related("file")}
    shown = next(member for member in members.values() if member.place == MemberPlace.SHOWN)
    files = [shown.file, *(members[key].file for key in sorted(settlement.members))]
    outcomes = _recorded(revision, settlement, framework, files, at=at)
    record_quorum(outcomes, people=revision.assessments.values("person").distinct().count())
    for key in sorted(settlement.excluded):
        _stack_of_its_own(members[key].file, parent=stack, at=at)
    for outcome in outcomes:
        audit.append(
            AuditAct.OUTCOME_SETTLED,
            at=at,
            actor=None,
            about=outcome,
            investigation=outcome.investigation,
            purpose=outcome.settled_by,
            record=outcome,
        )
    propose_feedback({outcome.file_id for outcome in outcomes}, at=at)
    for each in {outcome.investigation for outcome in outcomes}:
        derive_outcomes(each, at=at, outcomes=[outcome for outcome in outcomes if outcome.investigation == each])


def _recorded(
    revision: StackRevision, settlement: Settlement, framework: Framework, files: list[File], *, at: dt.datetime
) -> list[Outcome]:
    """The outcomes of those files, and of the copies of one that is corrected by it; no entry of the log yet."""
    if settlement.facts is None or settlement.settled_by is None:
        return []
    legality = framework.derive(
        settlement.facts,
        approved=law.in_force(framework.id, framework.version),
        disputed=settlement.settled_by is SettledBy.DISAGREEMENT,
    )
    review = QualityReview.objects.filter(revision=revision).select_related("outcome").first()
    before = _standing(review.outcome) if review is not None else None
    outcomes = Outcome.objects.bulk_create(
        Outcome(
            investigation=revision.stack.investigation,
            file=file,
            revision=revision,
            corrects=before,
            framework=framework.id,
            framework_version=framework.version,
            facts=dict(settlement.facts),
            status=legality.status.value,
            class_id=legality.class_id or "",
            severity=legality.severity or "",
            rule_path=list(legality.rule_path),
            settled_by=settlement.settled_by.value,
            viewed_by_person=True,
            settled_at=at,
        )
        for file in files
    )
    if before is not None:
        outcomes += correct_copies(before, outcomes[0], at=at)
    withdraw_contradicted({outcome.file_id for outcome in outcomes}, at=at)
    return outcomes


def _standing(outcome: Outcome) -> Outcome:
    """The outcome that stands in the place of `outcome`, which may have been corrected while it was assessed anew."""
    while (later := Outcome.objects.filter(corrects=outcome).first()) is not None:
        outcome = later
    return outcome


def _open_dispute(revision: StackRevision, *, at: dt.datetime) -> None:
    if Assignment.objects.filter(revision=revision, step=Step.THIRD).exists():
        return
    third = Assignment(revision=revision, step=Step.THIRD, opened_at=at)
    put_in_order([third])
    third.save()
    investigation = revision.stack.investigation
    audit.append(AuditAct.DISPUTE_OPENED, at=at, actor=None, about=third, investigation=investigation, record=third)


def _submitted(revision: StackRevision) -> list[SubmittedFacts]:
    submitted = []
    for assessment in revision.assessments.prefetch_related("member_answers"):
        answers = list(assessment.member_answers.all())
        submitted.append(
            SubmittedFacts(
                step=PlanStep(assessment.step),
                facts=assessment.facts,
                confirmed=frozenset(answer.member_id for answer in answers if answer.same),
                excluded=frozenset(answer.member_id for answer in answers if not answer.same),
            )
        )
    return submitted


def _stack_of_its_own(file: File, *, parent: Stack, at: dt.datetime) -> None:
    stack = Stack.objects.create(investigation=parent.investigation, representative=file, parent=parent, formed_at=at)
    revision = StackRevision.objects.create(stack=stack, number=1, opened_at=at)
    StackMember.objects.create(
        revision=revision, file=file, place=MemberPlace.SHOWN, why="excluded by an assessor", distance=0
    )
    open_assignments([revision], at=at)
