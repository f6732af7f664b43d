"""The alarm of one exchange: why its partner's lists were not taken, until they can be taken again."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from havenline.connectors.frame import PartnerError
from havenline.whole_file import write_whole

_FILE = "alarm.json"


class Distrust(StrEnum):
    """Why nothing was taken from a publisher of signed lists."""

    CLOCK = "clock"
    ROLLBACK = "rollback"
    FROZEN = "frozen"
    FORGED = "forged"
    MIXED = "mixed"
    ENDLESS = "endless"
    TRUNCATED = "truncated"
    EQUIVOCATION = "equivocation"
    REPLAYED = "replayed"
    GAP = "gap"
    GROWTH = "growth"
    UNREADABLE = "unreadable"
    NOT_FOR_US = "not_for_us"
    REVOKED = "revoked"


class Distrusted(PartnerError):
    """What a publisher serves was refused; the list stays as it is, and the exchange raises an alarm."""

    def __init__(self, reason: Distrust, text: str) -> None:
        super().__init__(f"{text}; nothing was taken, the list stays as it is")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Alarm:
    """Since when (UTC) an exchange refuses what it gets, how often in a row, and the last reason with its line."""

    reason: Distrust
    text: str
    since: dt.datetime
    times: int


def standing_alarm(folder: Path) -> Alarm | None:
    """The alarm of the exchange in `folder`. One that cannot be read is an alarm too."""
    path = folder / _FILE
    if not path.exists():
        return None
    try:
        said = json.loads(path.read_bytes())
        since = dt.datetime.fromisoformat(said["since"])
        return Alarm(Distrust(said["reason"]), str(said["text"]), since, int(said["times"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Alarm(Distrust.UNREADABLE, f"{path}: the alarm cannot be read", dt.datetime.fromtimestamp(0, dt.UTC), 1)


def raise_alarm(folder: Path, why: Distrusted, *, at: dt.datetime) -> Alarm:
    """Note that a fetch was refused; what stood since before keeps its time."""
    before = standing_alarm(folder)
    since, times = (at, 0) if before is None else (before.since, before.times)
    alarm = Alarm(why.reason, str(why), since, times + 1)
    said = {
        "reason": alarm.reason.value,
        "text": alarm.text,
        "since": alarm.since.astimezone(dt.UTC).isoformat(),
        "times": alarm.times,
    }
    with write_whole(folder / _FILE, replace=True) as file:
        file.write(json.dumps(said, indent=2).encode() + b"\n")
    return alarm


def end_alarm(folder: Path) -> None:
    """A fetch went well again."""
    (folder / _FILE).unlink(missing_ok=True)
