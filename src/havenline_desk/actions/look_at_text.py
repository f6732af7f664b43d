"""Grant one person one look at one text of a settled file, in the original, and use the grant once."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from .. import audit, evidence, gates
from ..evidence import GRANT, TEXT, RevealRefused
from ..models import AuditAct, OriginSignal, Outcome, Person, TextLook, TextReason
from ..waiting import is_assessed_blind


@transaction.atomic
def grant_text_look(
    settled: Outcome, place: int, *, reason: TextReason, person: Person, session_key: str, at: dt.datetime
) -> str:
    """Record the look and return its single-use token, good for 120 seconds in the same session.

    Raises Denied without the role; RevealRefused where the file has no such text, where somebody has yet to assess it
    blind in whichever investigation, where its content is not kept, or where a budget is used up; KeydUnreachable.
    """
    gates.require(person, gates.Act.READ_ORIGIN_TEXT, at=at)
    if is_assessed_blind(settled.file_id):
        raise RevealRefused("somebody still assesses this picture blind; nothing was read")
    signal = OriginSignal.objects.filter(reading__file=settled.file_id, place=place, length__isnull=False).first()
    if signal is None:
        raise RevealRefused("there is no such text; go back to the record and choose one")
    look = TextLook(
        investigation=settled.investigation,
        file=settled.file,
        place=place,
        kind=signal.kind,
        reason=reason,
        person=person,
        session_digest=evidence.digest_of(session_key),
        granted_at=at,
        expires_at=at + GRANT,
    )
    token = evidence.grant_text(look)
    look.token_digest = evidence.digest_of(token)
    look.save(force_insert=True)
    _log(AuditAct.TEXT_LOOK_GRANTED, look, at=at, final=True)
    return token


@transaction.atomic
def use_text_look(token: str, *, person: Person, session_key: str, at: dt.datetime) -> TextLook:
    """Mark the grant as used and return it; of any number of concurrent uses exactly one succeeds.

    When this returns, the use is logged, committed and under a signed checkpoint: no byte is opened before.
    """
    mine = TextLook.objects.filter(
        token_digest=evidence.digest_of(token), person=person, session_digest=evidence.digest_of(session_key)
    )
    if mine.filter(used_at=None, expires_at__gt=at).update(used_at=at) != 1:
        raise RevealRefused("this look was used already, has run out, or is not yours")
    look = mine.select_related("file", "person", "investigation").get()
    _log(AuditAct.REVEAL_USED, look, at=at)
    return look


@transaction.atomic
def note_failed_text_look(look: TextLook, *, at: dt.datetime) -> None:
    """Log that nothing was shown for a look that had been marked as used."""
    _log(AuditAct.REVEAL_FAILED, look, at=at)


def _log(act: AuditAct, look: TextLook, *, at: dt.datetime, final: bool = False) -> None:
    audit.append(
        act,
        at=at,
        actor=look.person,
        about=evidence.object_of(look.file_id),
        investigation=look.investigation,
        purpose=TEXT,
        grant=look,
        record=look if final else None,
    )
