"""The order in which assignments are handed out: every reason counts as days of waiting, and each can be shown.

No reason comes from a match or from what a file says of its origin: the two blind assessors must not learn either
from their place in the queue. Nobody is passed over for ever, because waiting itself counts.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

MOST_REPORTS = 10
"""Further reports than these do not move an item on: a crowd must not be able to order the queue."""
DAYS_A_REPORT = 1
DAYS_OF_A_DISPUTE = 3


class Urgency(StrEnum):
    """What the lead of an investigation said of it."""

    ORDINARY = "ordinary"
    SOON = "soon"
    FIRST = "first"


DAYS_OF_URGENCY = {Urgency.ORDINARY: 0, Urgency.SOON: 7, Urgency.FIRST: 30}


class TriageReason(StrEnum):
    WAITING = "waiting"
    REPORTS = "reports"
    URGENCY = "urgency"
    DISPUTE = "dispute"


@dataclass(frozen=True, slots=True)
class TriageFacts:
    """What is known of one assignment: how many reports name a posting of it, and whether two people differed."""

    opened_at: dt.datetime
    reports: int
    urgency: Urgency
    disputed: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """One reason and the days of waiting it counts for."""

    reason: TriageReason
    days: int


def reasons(facts: TriageFacts, *, at: dt.datetime) -> tuple[Counted, ...]:
    """Why an assignment stands where it stands at `at`; those that count nothing are left out."""
    found = (
        Counted(TriageReason.URGENCY, DAYS_OF_URGENCY[facts.urgency]),
        Counted(TriageReason.DISPUTE, DAYS_OF_A_DISPUTE if facts.disputed else 0),
        Counted(TriageReason.REPORTS, DAYS_A_REPORT * (min(max(facts.reports, 1), MOST_REPORTS) - 1)),
        Counted(TriageReason.WAITING, max(0, (at - facts.opened_at).days)),
    )
    return tuple(each for each in found if each.days)


def waits_as_if_since(facts: TriageFacts) -> dt.datetime:
    """The moment by which assignments are ordered, earliest first: when it opened, less what the reasons count."""
    days = sum(each.days for each in reasons(facts, at=facts.opened_at))
    return facts.opened_at - dt.timedelta(days=days)
