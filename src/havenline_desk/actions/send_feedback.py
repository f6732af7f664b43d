"""Send opinions that are due to partners, one after the other, each until it is there or given up.

Written down before it is sent and after it was: where the process ends in between, it is sent again, which changes
nothing at the partner (each opinion replaces the one before).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from django.db import connection, transaction

from havenline.connectors.exchange import Exchange
from havenline.connectors.frame import Feedback, NotNow
from havenline.vocabulary import HavenlineError

from .. import audit, gates, incoming
from ..gates import Act
from ..models import AuditAct, FeedbackOpinion, FeedbackStep, FeedbackSwitch, FeedbackTry, FeedbackView, Person
from ..opinions import (
    MOST_AT_ONCE,
    WAITING,
    FeedbackState,
    Matched,
    failures_of,
    rest_until,
    standing,
    state_of,
    switches,
    was_begun,
)

MOST_TRIES = 12
FIRST_WAIT, LONGEST_WAIT = dt.timedelta(minutes=1), dt.timedelta(hours=12)
"""A failed opinion is tried again after the first, then after twice that, and so on up to the longest."""
REST = dt.timedelta(minutes=1)
"""After a failure its partner is left alone for so long, or for as long as it asks."""
_LOCK_SPACE = 0x4642
_LONGEST_WHY = 200

OpenFeedback = Callable[[Exchange], Feedback]


def send_feedback(open_feedback: OpenFeedback, *, by: Person | None = None, at: dt.datetime) -> dict[str, int]:
    """Send what is due, of each source that is switched on; returns how many opinions got there, by exchange.

    `by`: who asks for it by hand; None where the process does that fetches. Raises Denied. Another process that sends
    meanwhile is left to it, and then nothing is sent here. What a partner refuses is written down, and raises nothing.
    Not checked: the clock that `at` comes from.
    """
    if by is not None:
        gates.require(by, Act.SEND_FEEDBACK, at=at)
    sent: dict[str, int] = {}
    with _alone() as alone:
        if not alone:
            return sent
        for switch in switches().values():
            if not switch.on or rest_until([switch.list_name]).get(switch.list_name, at) > at:
                continue
            due = _due(switch, at=at)
            if due:
                sent[switch.exchange] = _send_all(switch, due, open_feedback, by=by, at=at)
    return sent


def _due(switch: FeedbackSwitch, *, at: dt.datetime) -> list[FeedbackOpinion]:
    due: list[FeedbackOpinion] = []
    after = 0
    while len(due) < MOST_AT_ONCE and (rows := standing([switch.list_name], steps=WAITING, after=after)):
        due += [row.opinion for row in rows if state_of(row, on=True, at=at) is FeedbackState.DUE]
        after = rows[-1].opinion.pk
    return due[:MOST_AT_ONCE]


def _send_all(
    switch: FeedbackSwitch,
    due: list[FeedbackOpinion],
    open_feedback: OpenFeedback,
    *,
    by: Person | None,
    at: dt.datetime,
) -> int:
    sent = 0
    with ExitStack() as stack:
        try:
            exchange = stack.enter_context(incoming.opened(switch.exchange))
            partner = open_feedback(exchange)
        except HavenlineError as refused:  # the folder or its credentials cannot be used
            _failed(due[0], str(refused), None, by=by, at=at)
            return 0
        configured = exchange.configured
        if (configured.list_name, configured.base_url) != (switch.list_name, switch.address):
            return 0  # another partner than the one that was switched on
        for row in due:
            done = _send(row, exchange, partner, switch.against, by=by, at=at)
            sent += done is FeedbackStep.SENT
            if done is FeedbackStep.FAILED:
                break
    return sent


def _send(
    row: FeedbackOpinion,
    exchange: Exchange,
    partner: Feedback,
    against: list[str],
    *,
    by: Person | None,
    at: dt.datetime,
) -> FeedbackStep:
    raw = exchange.store.raw(row.key)
    spelled = None if raw is None else partner.type_of(raw, row.kind, row.value)
    said = Matched(row.list_name, row.key, row.kind, row.value)
    if raw is None or spelled is None or (row.view == FeedbackView.NONE and not was_begun(said)):
        _step(row, FeedbackStep.MOOT, by=by, at=at)
        return FeedbackStep.MOOT
    _step(row, FeedbackStep.BEGUN, by=by, at=at)
    try:
        if row.view == FeedbackView.NONE:
            partner.withdraw_feedback(raw, spelled)
        else:
            partner.submit_feedback(raw, spelled, against=against if row.view == FeedbackView.AGAINST else ())
    except ValueError as refused:
        return _given_up(row, str(refused), by=by, at=at)
    except HavenlineError as refused:
        wait = refused.wait if isinstance(refused, NotNow) else None
        return _failed(row, str(refused), wait, by=by, at=at)
    with transaction.atomic():
        done = _step(row, FeedbackStep.SENT, by=by, at=at)
        audit.append(AuditAct.FEEDBACK_SENT, at=at, actor=by, about=row, purpose=row.view, record=done)
    return FeedbackStep.SENT


def _failed(
    row: FeedbackOpinion, why: str, wait: dt.timedelta | None, *, by: Person | None, at: dt.datetime
) -> FeedbackStep:
    failures = failures_of(row)
    if failures + 1 >= MOST_TRIES:
        return _given_up(row, why, by=by, at=at, rest_until=at + (wait or REST))
    later = max(wait or REST, min(FIRST_WAIT * 2**failures, LONGEST_WAIT))
    _step(row, FeedbackStep.FAILED, why=why, next_at=at + later, rest_until=at + (wait or REST), by=by, at=at)
    return FeedbackStep.FAILED


def _given_up(
    row: FeedbackOpinion, why: str, *, by: Person | None, at: dt.datetime, rest_until: dt.datetime | None = None
) -> FeedbackStep:
    with transaction.atomic():
        done = _step(row, FeedbackStep.DEAD, why=why, rest_until=rest_until, by=by, at=at)
        audit.append(AuditAct.FEEDBACK_GIVEN_UP, at=at, actor=by, about=row, purpose=row.view, record=done)
    return FeedbackStep.DEAD if rest_until is None else FeedbackStep.FAILED


def _step(
    row: FeedbackOpinion,
    step: FeedbackStep,
    *,
    why: str = "",
    next_at: dt.datetime | None = None,
    rest_until: dt.datetime | None = None,
    by: Person | None,
    at: dt.datetime,
) -> FeedbackTry:
    return FeedbackTry.objects.create(
        opinion=row,
        step=step,
        at=at,
        why=why[:_LONGEST_WHY],
        next_at=next_at,
        rest_until=rest_until,
        person=by,
    )


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether no other process sends; the lock falls with the connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, 0)", [_LOCK_SPACE])
        (alone,) = cursor.fetchone()
        try:
            yield bool(alone)
        finally:
            if alone:
                cursor.execute("SELECT pg_advisory_unlock(%s, 0)", [_LOCK_SPACE])
