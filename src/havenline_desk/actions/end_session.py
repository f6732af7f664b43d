"""Keep a session in force while its person works, and end it: by oneself, for others, after too long."""

from __future__ import annotations

import datetime as dt
import ipaddress

from django.conf import settings
from django.db import transaction

from .. import audit
from ..models import AuditAct, Ending, Person, Session, Way
from .cancel_reset import cancel_reset

_SEEN_EVERY = dt.timedelta(seconds=30)


@transaction.atomic
def begin_session(person: Person, way: Way, *, address: str, at: dt.datetime) -> Session:
    """Record that `person` signed in, which cancels a reset of their factors. Of the address its /24 or /48 is kept."""
    cancel_reset(person, at=at)
    session = Session.objects.create(person=person, began_at=at, address=_cut(address), way=way, seen_at=at)
    audit.append(AuditAct.SIGNED_IN, at=at, actor=person, about=session, purpose=way.value, record=session)
    return session


def hold_session(session: Session, *, by_itself: bool = False, at: dt.datetime) -> bool:
    """Whether the session is in force at `at`; notes that it was used, or ends it and logs why.

    `by_itself`: a page asked without its person, which is no use of the session.

    It ends 15 minutes after it was last used and 8 hours after it began (settings), and at once when the clock stands
    before its beginning. Its use is noted at most every 30 seconds, so it may end that much early, never late.
    """
    if session.ended_at is not None:
        return False
    over = _over(session, at=at)
    if over is not None:
        end_session(session, over, by=None, at=at)
        return False
    if by_itself or at - session.seen_at < _SEEN_EVERY:
        return True
    return Session.objects.filter(pk=session.pk, ended_at=None).update(seen_at=at) == 1


@transaction.atomic
def end_session(session: Session, ending: Ending, *, by: Person | None, at: dt.datetime) -> bool:
    """End one session; False when it had ended before."""
    live = Session.objects.filter(pk=session.pk, ended_at=None)
    if live.update(ended_at=at, ending=ending) == 0:
        return False
    act = AuditAct.SIGNED_OUT if ending is Ending.SIGNED_OUT else AuditAct.SESSION_ENDED
    audit.append(act, at=at, actor=by, about=session, purpose=ending.value)
    return True


@transaction.atomic
def end_sessions(
    person: Person, ending: Ending, *, by: Person | None, but: Session | None = None, at: dt.datetime
) -> int:
    """End every session of `person`, except `but`; returns how many that were."""
    live = Session.objects.filter(person=person, ended_at=None)
    if but is not None:
        live = live.exclude(pk=but.pk)
    return sum(end_session(session, ending, by=by, at=at) for session in live.order_by("pk"))


def _cut(address: str) -> str:
    try:
        network = ipaddress.ip_network(address)
    except ValueError:
        return "unknown"
    return str(network.supernet(new_prefix=min(network.prefixlen, 24 if network.version == 4 else 48)))


def _over(session: Session, *, at: dt.datetime) -> Ending | None:
    if at < session.began_at or at < session.seen_at - _SEEN_EVERY:
        return Ending.CLOCK
    if at - session.began_at >= settings.SESSION_ABSOLUTE:
        return Ending.ABSOLUTE
    if at - session.seen_at >= settings.SESSION_IDLE:
        return Ending.IDLE
    return None
