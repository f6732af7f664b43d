"""The folder of exchanges with partners, as the desk sees it: which there are, and how each stands."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from havenline.connectors.exchange import KINDS, Configured, Exchange, configured_in
from havenline.connectors.stages import Stage, Staged
from havenline.connectors.store import Standing, Store
from havenline.vocabulary import HavenlineError

FRESH_FOR = dt.timedelta(hours=26)
"""A list that was not here whole for longer is no longer fresh: partners are asked once a day at least."""
KEPT_OUT_SHOWN = 20
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class IncomingRefused(HavenlineError):
    """There is no such exchange, or it cannot do this now; nothing was changed."""


@dataclass(frozen=True, slots=True)
class IncomingList:
    """One exchange as it stands. `screened`: entries that the screen keeps out, by reason; `unread`: likewise.

    `kept_out`: ids of the first of them and why, some of them where there are many.
    """

    name: str
    configured: Configured
    staged: Staged
    standing: Standing
    screened: Mapping[str, int]
    unread: Mapping[str, int]
    kept_out: tuple[tuple[str, str], ...] = ()

    @property
    def shadow_until(self) -> dt.datetime | None:
        """From when on the list may be activated; None where it is not in shadow."""
        if self.staged.stage is not Stage.SHADOW or self.staged.since is None:
            return None
        return self.staged.since + dt.timedelta(days=self.configured.shadow_days)

    def fresh(self, at: dt.datetime) -> bool:
        """Whether everything that the partner has was here lately."""
        whole = self.standing.complete_at
        return whole is not None and at - whole <= FRESH_FOR


def folder() -> Path:
    """HAVENLINE_EXCHANGES, or `exchanges` in the data folder."""
    return Path(settings.EXCHANGES or settings.HOME / "exchanges")


def names() -> tuple[str, ...]:
    """The exchanges that are set up, by name."""
    found = (path.parent.name for path in folder().glob("*/exchange.json"))
    return tuple(sorted(name for name in found if _NAME.match(name)))


def place(name: str) -> Path:
    """The folder of an exchange. Raises IncomingRefused where there is none of that name."""
    if name not in names():
        raise IncomingRefused("there is no exchange of that name; nothing was changed")
    return folder() / name


def look(name: str) -> IncomingList:
    """How an exchange stands. Raises IncomingRefused, and what the core refuses a damaged one for."""
    where = place(name)
    configured, store = configured_in(where), Store(where / "state.sqlite")
    try:
        unread: dict[str, int] = {}
        for each, _ in store.quarantine():
            unread[each.reason] = unread.get(each.reason, 0) + 1
        kept_out = tuple((key, reason) for key, reason, _ in store.screened_keys(most=KEPT_OUT_SHOWN))
        return IncomingList(name, configured, store.staged, store.standing(), store.screened(), unread, kept_out)
    finally:
        store.close()


def takes_opinions(configured: Configured) -> bool:
    """Whether the partner's protocol has a place for what this house says of an entry."""
    return KINDS[configured.connector].says is not None


@contextmanager
def opened(name: str) -> Iterator[Exchange]:
    """The exchange, to be changed. Raises IncomingRefused for a name that is none and what the disk refuses."""
    where = place(name)
    try:
        exchange = Exchange(where)
        try:
            yield exchange
        finally:
            exchange.close()
    except OSError as error:
        raise IncomingRefused(f"the folder of {name} cannot be written ({error.strerror}); look again") from None
