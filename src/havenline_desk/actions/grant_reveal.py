"""Grant one step of the ladder for one file of one's own open assignment, and use the grant once.

Step 0, nothing, is granted for a comparison alone: two files of the third person's assignment, of which no pixel is
shown.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit, evidence
from ..evidence import GRANT, RevealRefused
from ..models import Assignment, AuditAct, Escalation, Person, Reveal, Step
from ..pace import PauseDue, refuse_in_a_pause
from ..waiting import is_assessed_blind

LADDER = (1, 2, 3, 4)
"""Mosaic, small blurred grey, grey, full."""


def grant_reveal(
    assignment_id: int, *, person: Person, session_key: str, file_id: int, ladder_step: int, at: dt.datetime
) -> str:
    """Record the reveal and return its single-use token, good for 120 seconds in the same session.

    Raises RevealRefused when the assignment is not this person's open one, the file is not in its stack, or the
    step is not one of the ladder, or where a budget is used up or a pause is due; KeydUnreachable where `keyd` does
    not answer.
    """
    if ladder_step not in LADDER:
        raise RevealRefused(f"the ladder has no step {ladder_step}")
    return _granted(
        assignment_id, person=person, session_key=session_key, file_id=file_id, ladder_step=ladder_step, at=at
    )


def grant_comparison(
    assignment_id: int, *, person: Person, session_key: str, file_ids: tuple[int, int], at: dt.datetime
) -> tuple[str, str]:
    """Grant that two files of the third person's assignment are opened to be compared; a token for each.

    Raises RevealRefused as `grant_reveal` does; at any other step; and while somebody has yet to assess one of them
    blind, in whichever investigation.
    """
    if not Assignment.objects.filter(pk=assignment_id, step=Step.THIRD).exists():
        raise RevealRefused("pictures are compared once both assessments are in, by the third person")
    if any(is_assessed_blind(file_id) for file_id in file_ids):
        raise RevealRefused("somebody still assesses one of these pictures blind; nothing was compared")
    one, other = (
        _granted(assignment_id, person=person, session_key=session_key, file_id=file_id, ladder_step=0, at=at)
        for file_id in file_ids
    )
    return one, other


def _granted(
    assignment_id: int, *, person: Person, session_key: str, file_id: int, ladder_step: int, at: dt.datetime
) -> str:
    with transaction.atomic():
        mine = Assignment.objects.select_for_update(of=("self",)).filter(pk=assignment_id, person=person, done_at=None)
        mine = mine.select_related("revision__stack__investigation")
        assignment = mine.filter(expires_at__gt=at, revision__members__file=file_id).first()
        if assignment is None:
            raise RevealRefused("this file is not in a stack that is open in your name; go back and press Start")
        _refuse_in_a_pause(person, assignment, at=at)
        reveal = Reveal(
            assignment=assignment,
            person=person,
            session_digest=evidence.digest_of(session_key),
            file_id=file_id,
            ladder_step=ladder_step,
            purpose=f"{assignment.step} assessment",
            granted_at=at,
            expires_at=at + GRANT,
        )
        token = evidence.grant(reveal)
        reveal.token_digest = evidence.digest_of(token)
        reveal.save(force_insert=True)
        _log(AuditAct.REVEAL_GRANTED, reveal, at=at, final=True)
    return token


@transaction.atomic
def use_reveal(token: str, *, person: Person, session_key: str, at: dt.datetime) -> Reveal:
    """Mark the grant as used and return it; of any number of concurrent uses exactly one succeeds.

    When this returns, the use is logged, committed and under a signed checkpoint: no byte is opened before.
    """
    mine = Reveal.objects.filter(
        token_digest=evidence.digest_of(token), person=person, session_digest=evidence.digest_of(session_key)
    )
    if mine.filter(used_at=None, expires_at__gt=at).update(used_at=at) != 1:
        raise RevealRefused("this view was used already, has run out, or is not yours")
    reveal = mine.select_related("file", "person", "assignment__revision__stack__investigation").get()
    _log(AuditAct.REVEAL_USED, reveal, at=at)
    return reveal


@transaction.atomic
def note_failed_reveal(reveal: Reveal, *, at: dt.datetime) -> None:
    """Log that nothing was shown for a view that had been marked as used."""
    _log(AuditAct.REVEAL_FAILED, reveal, at=at)


def _refuse_in_a_pause(person: Person, assignment: Assignment, *, at: dt.datetime) -> None:
    """What they have escalated is opened all the same."""
    try:
        refuse_in_a_pause(person, at=at)
    except PauseDue as due:
        if not Escalation.objects.filter(assignment=assignment, raised_by=person).exists():
            raise RevealRefused(str(due)) from due


def _log(act: AuditAct, reveal: Reveal, *, at: dt.datetime, final: bool = False) -> None:
    audit.append(
        act,
        at=at,
        actor=reveal.person,
        about=evidence.object_of(reveal.file_id),
        investigation=reveal.assignment.revision.stack.investigation,
        purpose=evidence.purpose_of(reveal),
        grant=reveal,
        record=reveal if final else None,
    )
