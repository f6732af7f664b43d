"""What goes back to partners, for those who may see incoming lists: switches, counts, what was given up."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass

from havenline.vocabulary import HavenlineError

from .. import incoming, opinions
from ..models import FeedbackOpinion, FeedbackStep, row_named


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One exchange. `takes`: whether its protocol has a place for an opinion at all; counts are of opinions."""

    name: str
    connector: str
    takes: bool
    on: bool = False
    by: str = ""
    since: dt.datetime | None = None
    against: tuple[str, ...] = ()
    waiting: int = 0
    sent: int = 0
    given_up: int = 0
    moot: int = 0
    rests_until: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class LetterLine:
    """An opinion that was given up; `key` is the partner's own name of the entry."""

    opinion: str
    list_name: str
    key: str
    kind: str
    view: str
    why: str
    at: dt.datetime


def source_lines(*, at: dt.datetime) -> tuple[SourceLine, ...]:
    """Every exchange, by name; one that cannot be read is left to the page of incoming lists."""
    switches, counts, lines = opinions.switches(), opinions.counted_steps(), []
    for name in incoming.names():
        try:
            configured = incoming.look(name).configured
        except (HavenlineError, OSError):
            continue
        line = SourceLine(name, configured.connector, incoming.takes_opinions(configured))
        if (row := switches.get(name)) is not None:
            steps = counts.get(row.list_name, Counter[str]())
            rests = opinions.rest_until([row.list_name]).get(row.list_name)
            line = SourceLine(
                name,
                configured.connector,
                line.takes,
                on=row.on and (configured.list_name, configured.base_url) == (row.list_name, row.address),
                by=row.person.name,
                since=row.switched_at,
                against=tuple(row.against),
                waiting=sum(steps[step] for step in opinions.WAITING),
                sent=steps[FeedbackStep.SENT.value],
                given_up=steps[FeedbackStep.DEAD.value],
                moot=steps[FeedbackStep.MOOT.value],
                rests_until=rests if rests is not None and rests > at else None,
            )
        lines.append(line)
    return tuple(lines)


def letters() -> tuple[LetterLine, ...]:
    """What was given up, the oldest first; at most 100."""
    return tuple(
        LetterLine(
            opinion=each.opinion.audit_id.hex,
            list_name=each.opinion.list_name,
            key=each.opinion.key,
            kind=each.opinion.kind,
            view=each.opinion.get_view_display(),
            why=each.last.why,
            at=each.last.at,
        )
        for each in opinions.standing(steps=[FeedbackStep.DEAD.value])
        if each.last is not None
    )


def given_up() -> int:
    """How many opinions were given up and wait for a person."""
    return sum(steps[FeedbackStep.DEAD.value] for steps in opinions.counted_steps().values())


def opinion_named(name: str) -> FeedbackOpinion | None:
    return row_named(FeedbackOpinion.objects.all(), name)
