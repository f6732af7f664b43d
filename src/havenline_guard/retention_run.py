"""One run of the sealer: destroys what is due, one object at a time, and stops where too much is due at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from havenline.judgement.retention import RetentionFacts, Standing, standing, too_many
from havenline_guard.keyd_wire import KeydRefused


class Destroyer(Protocol):
    """What destroys one object: `havenline_guard.vault.Vault`, or what records it too."""

    def destroy(self, name: str, *, rule: str, by: str) -> None:
        """Destroy it for good; raises KeydRefused where it must stay."""
        ...


@dataclass(frozen=True, slots=True)
class RetentionRun:
    """What was due, what of it was destroyed, what `keyd` would not destroy, and whether the run was stopped.

    A run that was `stopped` destroyed nothing and is an alarm: a person looks, and runs it again as `looked_at`.
    """

    due: tuple[str, ...]
    destroyed: tuple[str, ...]
    refused: tuple[str, ...]
    stopped: bool


def run_retention(
    destroyer: Destroyer,
    facts: Mapping[str, RetentionFacts],
    *,
    at: dt.datetime,
    dry: bool = False,
    looked_at: bool = False,
) -> RetentionRun:
    """Destroy what is due at `at` among the kept objects of `facts`; with `dry` only say what would be.

    `keyd` is the last word on holds: an object that it holds is in `refused`, whatever `facts` say. Raises
    KeydUnreachable when `keyd` does not answer; what was destroyed before stays so, and the next run goes on.
    """
    due = tuple(sorted(name for name, each in facts.items() if standing(each, at=at) is Standing.DUE))
    stopped = not looked_at and too_many(due, kept=len(facts))
    destroyed, refused = [], []
    for name in () if dry or stopped else due:
        try:
            destroyer.destroy(name, rule=facts[name].retention_class.id, by="retention")
            destroyed.append(name)
        except KeydRefused:
            refused.append(name)
    return RetentionRun(due, tuple(destroyed), tuple(refused), stopped)
