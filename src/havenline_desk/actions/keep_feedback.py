"""Opinions of partners' entries: switch a source on or off, write down what follows from outcomes, ask for another try.

Here nothing leaves the house; `send_feedback` does that, for sources that are switched on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from django.db import transaction

from havenline.vocabulary import HavenlineError

from .. import audit, gates, incoming
from ..gates import Act
from ..models import (
    AuditAct,
    FeedbackOpinion,
    FeedbackStep,
    FeedbackSwitch,
    FeedbackTry,
    FeedbackView,
    Match,
    Person,
)
from ..opinions import EXACT, Matched, matched, newest_of, switches, view_of

_AT_ONCE = 1000
_LONGEST_REASON, _MOST_REASONS = 64, 5


class FeedbackRefused(HavenlineError):
    """Nothing was recorded or sent; the text says why."""


@transaction.atomic
def switch_feedback(exchange: str, *, against: Sequence[str], by: Person, at: dt.datetime) -> FeedbackSwitch:
    """From now on opinions go back to this source; what was settled before is proposed too.

    `against`: the partner's own reasons (GUIDs, names of reactions, or tags), given with each opinion against an entry.
    Raises Denied, IncomingRefused, FeedbackRefused where the partner takes no opinion or a reason is missing. Not
    checked: that the partner knows the reasons; it refuses what it does not.
    """
    gates.require(by, Act.SEND_FEEDBACK, at=at)
    found = incoming.look(exchange)
    reasons = [each.strip() for each in against if each.strip()]
    if not incoming.takes_opinions(found.configured):
        raise FeedbackRefused("this partner's protocol has no place for an opinion; nothing was switched on")
    if not reasons or len(reasons) > _MOST_REASONS or any(len(each) > _LONGEST_REASON for each in reasons):
        raise FeedbackRefused("name the partner's reasons to vote against an entry; nothing was switched on")
    made = _switched(exchange, found.configured.list_name, found.configured.base_url, reasons, on=True, by=by, at=at)
    files = Match.objects.filter(kind__in=EXACT, edition__list_name=made.list_name).values_list("file_id", flat=True)
    ordered = sorted(set(files))
    for first in range(0, len(ordered), _AT_ONCE):
        propose_feedback(ordered[first : first + _AT_ONCE], at=at)
    return made


@transaction.atomic
def stop_feedback(exchange: str, *, by: Person, at: dt.datetime) -> None:
    """From now on nothing goes back to this source; one person is enough. What was sent is not taken back.

    Raises Denied, FeedbackRefused where it is off.
    """
    gates.require(by, Act.STOP_FEEDBACK, at=at)
    last = switches().get(exchange)
    if last is None or not last.on:
        raise FeedbackRefused("nothing goes back to this source already; nothing was changed")
    _switched(exchange, last.list_name, last.address, last.against, on=False, by=by, at=at)


def propose_feedback(files: Collection[int], *, at: dt.datetime) -> int:
    """Write down what the outcomes of those files say of partners' entries, where that is new; returns how many.

    Part of the act that settled them, behind its entry in the audit log: its lock lets two of them see each other. Asks
    no partner and no folder. Only of sources that somebody once switched on.
    """
    list_names = {row.list_name for row in switches().values()}
    if not list_names or not files:
        return 0
    made = [row for said in matched(files, list_names) if (row := _proposed(said, at=at)) is not None]
    for row in made:
        audit.append(AuditAct.FEEDBACK_PROPOSED, at=at, actor=None, about=row, purpose=row.view, record=row)
    return len(made)


@transaction.atomic
def retry_feedback(opinion: FeedbackOpinion, *, by: Person, at: dt.datetime) -> None:
    """Have an opinion that was given up sent again. Raises Denied, FeedbackRefused where it is not given up."""
    gates.require(by, Act.SEND_FEEDBACK, at=at)
    said = Matched(opinion.list_name, opinion.key, opinion.kind, opinion.value)
    last = opinion.tries.order_by("-pk").first()
    if newest_of(said) != opinion or last is None or last.step != FeedbackStep.DEAD:
        raise FeedbackRefused("this opinion is not given up, or another took its place; nothing was changed")
    again = FeedbackTry.objects.create(opinion=opinion, step=FeedbackStep.AGAIN, at=at, person=by)
    audit.append(AuditAct.FEEDBACK_RETRIED, at=at, actor=by, about=opinion, record=again)


def _proposed(said: Matched, *, at: dt.datetime) -> FeedbackOpinion | None:
    view, last = view_of(said), newest_of(said)
    before = FeedbackView.NONE if last is None else last.view
    if view is None or view == before:
        return None
    return FeedbackOpinion.objects.create(
        list_name=said.list_name, key=said.key, kind=said.kind, value=said.value, view=view, proposed_at=at
    )


def _switched(
    exchange: str,
    list_name: str,
    address: str,
    against: Sequence[str],
    *,
    on: bool,
    by: Person,
    at: dt.datetime,
) -> FeedbackSwitch:
    row = FeedbackSwitch.objects.create(
        exchange=exchange,
        list_name=list_name,
        address=address,
        on=on,
        against=list(against),
        person=by,
        switched_at=at,
    )
    purpose = "on" if on else "off"
    audit.append(AuditAct.FEEDBACK_SWITCHED, at=at, actor=by, about=row, purpose=purpose, record=row)
    return row
