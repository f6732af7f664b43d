"""Exchanges that are fetched by themselves: each as often as it says, and every list kept to its stage meanwhile."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from havenline.connectors.exchange import Exchange, Fetched, configured_in
from havenline.vocabulary import HavenlineError

JITTER = 0.1
"""The part of its interval by which a fetch comes earlier or later, so that partners are not asked by all at once."""
SOONEST = dt.timedelta(minutes=1)
"""After a failure it is tried again so soon, then after twice that, and so on up to its interval."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was done about one exchange: `fetched` something, or a `fault`; or `enforced`: its list was put right."""

    name: str
    fetched: Fetched | None = None
    fault: str = ""
    enforced: bool = False


@dataclass(slots=True)
class _Plan:
    """When one exchange is fetched next, and how often it failed since it was last fetched."""

    next_at: dt.datetime
    failures: int = 0


class Keeper:
    """Keeps the exchanges of one folder. Not safe to use from two threads."""

    def __init__(self, folder: Path, fetch: Callable[[Exchange, dt.datetime], Fetched], *, chance: Random) -> None:
        """`fetch` fetches one exchange; `chance` draws the jitter."""
        self._folder, self._fetch, self._chance = folder, fetch, chance
        self._plans: dict[str, _Plan] = {}

    def step(self, at: dt.datetime) -> Iterator[Kept]:
        """Look at every exchange once: keep its list to its stage, and fetch it where it is time.

        A fault of one keeps none of the others from it. What was set up or taken away meanwhile is noticed.
        """
        names = sorted(path.parent.name for path in self._folder.glob("*/exchange.json"))
        self._plans = {name: plan for name, plan in self._plans.items() if name in names}
        for name in names:
            try:
                yield from self._keep(name, at)
            except (HavenlineError, OSError) as error:
                yield Kept(name, fault=str(error))

    def _keep(self, name: str, at: dt.datetime) -> Iterator[Kept]:
        every = dt.timedelta(minutes=configured_in(self._folder / name).every_minutes)
        exchange = Exchange(self._folder / name)
        try:
            if exchange.enforce(at=at):
                yield Kept(name, enforced=True)
            if not every:
                return
            plan = self._plans.get(name)
            if plan is None:
                last = exchange.store.fetched_at
                plan = self._plans[name] = _Plan(at if last is None else self._after(last, every))
            if at < plan.next_at:
                return
            # First of all the next time: a fetch that fails is not tried again at once.
            plan.next_at = self._after(at, min(every, SOONEST * 2 ** min(plan.failures, 20)))
            plan.failures += 1
            fetched = self._fetch(exchange, at)
            plan.next_at, plan.failures = self._after(at, every), 0
            yield Kept(name, fetched=fetched)
        finally:
            exchange.close()

    def _after(self, at: dt.datetime, wait: dt.timedelta) -> dt.datetime:
        return at + wait * self._chance.uniform(1 - JITTER, 1 + JITTER)
