"""The stages of a partner's list, and what each lets the list do. The state of its exchange says at which it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from havenline.vocabulary import HavenlineError, ListTerms

SHADOW_DAYS = 7
"""So many days a list of a new publisher is in shadow before it may be activated."""


class Stage(StrEnum):
    """`staged`: fetched and screened. `shadow`: what it would match is counted. `active`: it matches."""

    STAGED = "staged"
    SHADOW = "shadow"
    ACTIVE = "active"
    SUSPENDED = "suspended"


FROM: Mapping[Stage, frozenset[Stage]] = MappingProxyType(
    {
        Stage.SHADOW: frozenset({Stage.STAGED, Stage.SUSPENDED}),
        Stage.ACTIVE: frozenset({Stage.SHADOW}),
        Stage.SUSPENDED: frozenset({Stage.STAGED, Stage.SHADOW, Stage.ACTIVE}),
    }
)
"""From which stages each can be entered. A suspended list comes back through shadow alone."""


class StageRefused(HavenlineError):
    """The list stays at the stage where it is; the text says why."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A stage, since when (UTC; None: from the beginning), and the id of what two people agreed to, or empty."""

    stage: Stage
    since: dt.datetime | None
    agreed: str


def check_step(now: Staged, to: Stage, *, shadow_days: int, at: dt.datetime) -> None:
    """Raise StageRefused unless a list that stands so may go to `to` at `at`. Not checked: who says so."""
    if now.stage not in FROM.get(to, ()):
        raise StageRefused(f"a list that is {now.stage} does not become {to}; nothing was changed")
    if to is Stage.ACTIVE and now.since is not None:
        end = now.since + dt.timedelta(days=shadow_days)
        if at < end:
            raise StageRefused(
                f"the list is in shadow until {end:%Y-%m-%d %H:%M} UTC: look at what it would have matched, and "
                "activate it then; nothing was changed"
            )


def terms_at(stage: Stage, before: ListTerms) -> ListTerms:
    """The terms of a list at that stage: whether it matches is the stage's to say, all else the house's."""
    active, shadow = stage is Stage.ACTIVE, stage is Stage.SHADOW
    if (before.enabled, before.shadow) == (active, shadow):
        return before
    return replace(before, enabled=active, shadow=shadow)
