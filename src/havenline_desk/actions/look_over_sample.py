"""Look over one sampled decision: an assignment of its own, a finding as a record, a new assessment where it needs one.

The finding changes nothing that was decided. Who decided is shown to nobody by it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, Max, OuterRef, Q

from havenline.vocabulary import HavenlineError

from .. import audit, gates
from ..models import (
    Assignment,
    AuditAct,
    FindingVerdict,
    Outcome,
    Person,
    QualityFinding,
    QualityLook,
    Reveal,
    SampledOutcome,
    Step,
    StoredContent,
)
from ..pace import refuse_in_a_pause
from ..waiting import decided_by, open_in_the_name_of
from .assess_anew import assess_anew
from .open_assignments import put_in_order
from .take_next import lease

_LOCK_SPACE = 0x4C4F


class LookRefused(HavenlineError):
    """Nothing was recorded; the text says why."""


def begin_look(person: Person, *, at: dt.datetime) -> Assignment | None:
    """Hand out the next sampled decision to look over, or renew the look that is open; None where none is left.

    Left out: what `person` ever worked on, what they passed on, decisions whose content is not kept any more, and those
    that a correction replaced. Raises Denied without the role or a certificate in date, LookRefused while another item
    is open in their name, PauseDue where a pause is due and no look is open.
    """
    gates.require(person, gates.Act.LOOK_OVER_SAMPLE, at=at)
    if not gates.certified(person, at=at):
        raise gates.Denied(f"{person.name} has no certificate in date: training and calibration come first")
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [_LOCK_SPACE])  # one look for one decision
            held = Assignment.objects.select_for_update(of=("self",)).filter(person=person, done_at=None).first()
            if held is not None and held.step != Step.QUALITY:
                raise LookRefused("an item is open in your name; finish it first")
            if held is None:
                refuse_in_a_pause(person, at=at)
            assignment = held or _freed(person, at=at) or _next(person, at=at)
            if assignment is not None:
                lease(assignment, person=person, at=at)
            return assignment
    except IntegrityError:  # two windows of one person at once
        return open_in_the_name_of(person).filter(step=Step.QUALITY).first()


@transaction.atomic
def record_finding(
    assignment_id: int, verdict: FindingVerdict, *, person: Person, differing: Collection[str] = (), at: dt.datetime
) -> QualityFinding:
    """Record what the look found, and open a new assessment where it needs one.

    Raises LookRefused where the look is not this person's, where nothing was viewed though something is said of it, or
    where the questions do not fit what is said.
    """
    gates.require(person, gates.Act.LOOK_OVER_SAMPLE, at=at)
    mine = Assignment.objects.select_for_update(of=("self",)).filter(pk=assignment_id, person=person, done_at=None)
    assignment = mine.filter(step=Step.QUALITY).select_related("revision__stack__investigation").first()
    if assignment is None:
        raise LookRefused("this look is no longer yours; nothing was recorded")
    look = QualityLook.objects.select_related("sampled__outcome__copy_of").get(assignment=assignment)
    seen = Reveal.objects.filter(assignment=assignment, person=person, used_at__isnull=False)
    step = int(seen.aggregate(deepest=Max("ladder_step"))["deepest"] or 0)
    _refuse_misfit(verdict, differing, look.sampled.outcome, step)
    finding = QualityFinding.objects.create(
        look=look,
        person=person,
        verdict=verdict,
        differing=sorted(differing),
        ladder_step=step,
        found_at=at,
    )
    assignment.done_at = at
    assignment.save(update_fields=("done_at",))
    investigation = look.sampled.outcome.investigation
    audit.append(
        AuditAct.QUALITY_FINDING,
        at=at,
        actor=person,
        about=finding,
        investigation=investigation,
        purpose=verdict.value,
        record=finding,
    )
    if verdict is FindingVerdict.REASSESS:
        assess_anew(look.sampled.outcome, finding=finding, at=at)
    return finding


def _refuse_misfit(verdict: FindingVerdict, differing: Collection[str], outcome: Outcome, step: int) -> None:
    if verdict is FindingVerdict.LEFT:
        if differing:
            raise LookRefused("what was not looked over differs in nothing; leave the questions empty")
        return
    if step == 0:
        raise LookRefused("nothing of this picture was viewed yet; press the full stop key for the first step")
    if not set(differing) <= set(outcome.facts):
        raise LookRefused("one of these questions is not of this form; reload the page")
    if verdict is FindingVerdict.AGREES and differing:
        raise LookRefused("who agrees differs in no question; take the marks away, or say that it differs")
    if verdict is FindingVerdict.DIFFERS and not differing:
        raise LookRefused("mark each question that you would answer otherwise")


def _freed(person: Person, *, at: dt.datetime) -> Assignment | None:
    """A look that somebody passed on, or let run out."""
    free = Assignment.objects.filter(Q(person=None) | Q(expires_at__lte=at), step=Step.QUALITY, done_at=None)
    return free.exclude(skips__person=person).exclude(revision__assessments__person=person).order_by("pk").first()


def _next(person: Person, *, at: dt.datetime) -> Assignment | None:
    kept = StoredContent.objects.filter(file=OuterRef("outcome__file"), tombstone=None)
    waiting = (
        SampledOutcome.objects.filter(Exists(kept), look=None, outcome__correction=None)
        .exclude(outcome__revision__assessments__person=person)
        .exclude(outcome__copy_of__revision__assessments__person=person)
        .select_related("outcome__copy_of__revision", "outcome__revision")
        .order_by("sample_id", "pk")
    )
    for sampled in waiting.iterator(chunk_size=100):
        revision = decided_by(sampled.outcome).revision
        if revision is None or not revision.members.filter(file=sampled.outcome.file_id).exists():
            continue
        assignment = Assignment(revision=revision, step=Step.QUALITY, opened_at=at)
        put_in_order([assignment])
        assignment.save()
        look = QualityLook.objects.create(sampled=sampled, assignment=assignment, begun_at=at)
        investigation = revision.stack.investigation
        audit.append(AuditAct.QUALITY_LOOK, at=at, actor=person, about=look, investigation=investigation, record=look)
        return assignment
    return None
