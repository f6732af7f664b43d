"""A partner's simulator, its exchange in the data folder, and files of ours that match its entries by their bytes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from havenline.connectors import sealed
from havenline.connectors.exchange import Configured, Exchange, set_up
from havenline.connectors.frame import Feedback
from havenline.connectors.stages import Stage
from havenline.matching.live import LiveLists
from havenline_desk.actions.keep_feedback import retry_feedback, switch_feedback
from havenline_desk.actions.record_matches import record_matches
from havenline_desk.actions.send_feedback import send_feedback
from havenline_desk.confirmed import Judged, judged
from havenline_desk.models import (
    AuditEntry,
    Edition,
    FeedbackOpinion,
    FeedbackStep,
    FeedbackTry,
    File,
    Investigation,
    Match,
    Person,
)

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


class Partner:
    """One exchange named as its connector, fetched from `base`, active from the beginning."""

    def __init__(
        self,
        home: Path,
        base: str,
        *,
        connector: str,
        secrets: Mapping[str, str],
        settings: Mapping[str, str] | None = None,
        list_name: str = "",
        now: dt.datetime = AT,
    ) -> None:
        self.name, self.key = connector, home / "exchange.key"
        self.place = home / "exchanges" / connector
        if not self.key.exists():
            sealed.make_key(self.key)
        set_up(self.place, Configured(connector, base, list_name or connector, settings or {}), secrets, key=self.key)
        exchange = Exchange(self.place)
        exchange.store.set_stage(Stage.ACTIVE, at=now)
        exchange.close()

    def fetch(self, *, at: dt.datetime) -> None:
        exchange = Exchange(self.place)
        exchange.fetch(exchange.connector(self.key), at=at)
        exchange.close()

    def match(self, *, at: dt.datetime) -> None:
        """Look every file of every investigation up in the partner's list."""
        for investigation in Investigation.objects.order_by("pk"):
            record_matches(investigation, LiveLists.open(self.place / "live").current(), at=at)

    def opened(self, exchange: Exchange) -> Feedback:
        return exchange.feedback(self.key)

    def send(self, *, at: dt.datetime, by: Person | None = None) -> int:
        return send_feedback(self.opened, by=by, at=at).get(self.name, 0)


class Refusing:
    """A partner's side that refuses until an opinion stands here as given up, and takes what comes after."""

    def submit_feedback(self, raw: bytes, fingerprint_type: str, *, against: Sequence[str] = ()) -> None:
        if not FeedbackTry.objects.filter(step=FeedbackStep.DEAD).exists():
            raise ValueError("not this one")

    def withdraw_feedback(self, raw: bytes, fingerprint_type: str) -> None:
        """Take it back."""

    def reasons_against(self) -> list[str]:
        return ["g-1"]

    def type_of(self, raw: bytes, kind: str, value: str) -> str | None:
        return kind.upper()


def sending_opinions(*, at: dt.datetime) -> Iterator[Callable[[], object]]:
    """Steps of a run of work: what was settled matched an entry of the list `north`, and goes back to its partner."""
    liaison, partner = Person.objects.get(name="liaison"), Refusing()
    files = File.objects.values_list("pk", flat=True)
    settled = next(file for file, found in judged(files, ncii=False).items() if found is not Judged.OPEN)
    edition = Edition.objects.create(list_name="north-list", number=9, digest="9" * 64, entries=1, first_read_at=at)
    Match.objects.create(file_id=settled, edition=edition, entry="good", kind="md5", distance=0, found_at=at)

    def send() -> None:
        send_feedback(lambda _: partner, at=at)

    yield lambda: switch_feedback("north", against=["g-1"], by=liaison, at=at)
    yield send
    yield lambda: retry_feedback(FeedbackOpinion.objects.get(), by=liaison, at=at)
    yield send


def views() -> list[str]:
    """The opinions in the order in which they were proposed."""
    return list(FeedbackOpinion.objects.order_by("pk").values_list("view", flat=True))


def steps() -> list[str]:
    return list(FeedbackTry.objects.order_by("pk").values_list("step", flat=True))


def acts(*wanted: str) -> list[str]:
    """Those acts of the log, in their order."""
    return list(AuditEntry.objects.filter(act__in=wanted).order_by("seq").values_list("act", flat=True))


def cleared_by_police(people: Mapping[str, Person], *, at: dt.datetime = AT) -> None:
    make.clear_all(people["lead"], at=at)
