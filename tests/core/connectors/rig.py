"""An exchange on disk that asks a simulator, with a clock that the tests turn."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from havenline.connectors import exchange as exchanges
from havenline.connectors import sealed
from havenline.connectors.exchange import Configured, Exchange, Fetched
from havenline.connectors.frame import Connector
from havenline.connectors.one_host import Credentials, OneHost
from havenline.connectors.stages import Stage
from havenline.matching.live import LiveLists
from havenline.vocabulary import Fingerprint, Match

LIST = "partner"


def digest(kind: str, number: int) -> str:
    """A value of that kind that belongs to the number alone."""
    length = {"md5": 32, "sha1": 40, "sha256": 64, "pdq": 64}[kind]
    return hashlib.sha256(f"{kind} {number}".encode()).hexdigest()[:length]


class Clock:
    """A time that only the test moves."""

    def __init__(self, at: str = "2026-07-01T12:00:00Z") -> None:
        self.now = dt.datetime.fromisoformat(at)

    def __call__(self) -> dt.datetime:
        return self.now

    def go_on(self, seconds: float = 60) -> dt.datetime:
        self.now += dt.timedelta(seconds=seconds)
        return self.now

    @property
    def seconds(self) -> int:
        return int(self.now.timestamp())


class Rig:
    """An exchange that is opened, with a record of how long it waited."""

    def __init__(
        self,
        folder: Path,
        base: str,
        *,
        connector: str,
        secrets: Mapping[str, str],
        settings: Mapping[str, str] | None = None,
        list_name: str = LIST,
        stage: Stage | None = Stage.ACTIVE,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.key = folder / "key"
        if not self.key.exists():
            sealed.make_key(self.key)
        self.folder, self.waits = folder / "exchange", list[float]()
        self.list_name = list_name
        exchanges.set_up(self.folder, Configured(connector, base, list_name, settings or {}), secrets, key=self.key)
        self.exchange = Exchange(self.folder)
        if stage is not None:
            self.exchange.store.set_stage(stage, at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        self.connector: Connector = self.exchange.connector(self.key, make_host=self._host)

    def _host(self, base: str, credentials: Credentials) -> OneHost:
        return OneHost(base, credentials, wait=self.waits.append)

    def reopen(self) -> None:
        """As after the end of the process."""
        self.exchange.close()
        self.exchange = Exchange(self.folder)
        self.connector = self.exchange.connector(self.key, make_host=self._host)

    def fetch(self, at: dt.datetime, *, resync: bool = False, accept_loss: bool = True) -> Fetched:
        return self.exchange.fetch(self.connector, at=at, resync=resync, accept_loss=accept_loss)

    def listed(self) -> set[str]:
        """The ids that the live list should hold."""
        return {entry.entry for entry in self.exchange.store.entries()}

    def found(self, at: dt.datetime, **values: str) -> list[Match]:
        """What a lookup in the live list finds of a picture with these values, as another process would ask."""
        return self.found_of([values], at=at)

    def found_of(self, pictures: Sequence[Mapping[str, str]], *, at: dt.datetime) -> list[Match]:
        """The same of several pictures."""
        live = LiveLists.open(self.folder / "live")
        lengths = {"md5": 32, "sha1": 40, "sha256": 64}
        prints = [
            Fingerprint(
                **{kind: values.get(kind, "5e" * (length // 2)) for kind, length in lengths.items()},
                size=1,
                width=8,
                height=8,
                pdq=values.get("pdq", "c3" * 32),
                pdq_quality=100,
                pipeline="pdq-full/1",
            )
            for values in pictures
        ]
        return [match for matches in live.current().lookup(prints, at=at) for match in matches]
