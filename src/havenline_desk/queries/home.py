"""What a person finds on the first page: by role, and never more than yes or no about the queue."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from .. import evidence, gates
from ..models import Assessment, Person, Role, Step, StorageAlarm
from ..waiting import open_in_the_name_of, waiting_for
from .alarms import standing_alarms
from .calibration import calibrating
from .disputes import waiting_disputes
from .feedback import given_up
from .investigations import InvestigationLine, investigation_lines, references
from .repository import RoleLine, roles_ending
from .resets import ResetLine, waiting_resets


class Start(StrEnum):
    """What pressing Start would do."""

    CONTINUE = "continue"
    WAITING = "waiting"
    NOTHING = "nothing"
    CALIBRATING = "calibrating"
    NO_CERTIFICATE = "no_certificate"


@dataclass(frozen=True, slots=True)
class Home:
    """`start` is None for people without assessment work; `lines` for those who may not see investigations."""

    start: Start | None
    done_in_session: int
    storage_off: bool
    lines: tuple[InvestigationLine, ...] | None
    figures_of: tuple[str, ...]
    empty_for: tuple[Role, ...]
    resets: tuple[ResetLine, ...]
    alarms: tuple[StorageAlarm, ...]
    ending: tuple[RoleLine, ...]
    disputes: int = 0
    """Reviews of entries that are open; 0 for who may not see them."""
    given_up: int = 0
    """Opinions that could not be sent to partners; 0 for who may not see them."""


EMPTY_ROLES = (Role.WELFARE, Role.LIAISON, Role.ADMIN)


def home_of(person: Person, *, since: dt.datetime, at: dt.datetime) -> Home:
    """`since` is when this session began: items are counted for the session, never for the backlog."""
    acts = gates.acts_of(person, at=at)
    works = not acts.isdisjoint({gates.Act.TAKE_ASSESSMENT, gates.Act.TAKE_DISPUTE})
    leads = gates.allowed(person, gates.Act.SEE_INVESTIGATIONS, at=at)
    reads_figures = gates.allowed(person, gates.Act.SEE_FIGURES, at=at)
    held = gates.roles_of(person, at=at)
    return Home(
        start=start_of(person, at=at) if works else None,
        done_in_session=done_since(person, since=since) if works else 0,
        storage_off=not evidence.storage_declared(at=at),
        lines=investigation_lines() if leads else None,
        figures_of=references() if reads_figures and not leads else (),
        empty_for=tuple(role for role in EMPTY_ROLES if role in held),
        resets=waiting_resets(person, at=at),
        alarms=standing_alarms(person, at=at),
        ending=roles_ending(at=at) if gates.Act.SEE_RELEASES in acts else (),
        disputes=waiting_disputes() if gates.Act.SEE_RELEASES in acts else 0,
        given_up=given_up() if gates.Act.SEE_INCOMING in acts else 0,
    )


def done_since(person: Person, *, since: dt.datetime) -> int:
    return Assessment.objects.filter(person=person, submitted_at__gte=since).count()


def start_of(person: Person, *, at: dt.datetime) -> Start:
    if open_in_the_name_of(person).exists():
        return Start.CONTINUE
    if calibrating(person):
        return Start.CALIBRATING
    if not gates.certified(person, at=at):
        return Start.NO_CERTIFICATE
    acts, steps = gates.acts_of(person, at=at), []
    if gates.Act.TAKE_ASSESSMENT in acts:
        steps += [Step.FIRST, Step.SECOND]
    if gates.Act.TAKE_DISPUTE in acts:
        steps.append(Step.THIRD)
    return Start.WAITING if waiting_for(person, steps, at=at).exists() else Start.NOTHING
