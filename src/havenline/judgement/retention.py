"""How long kept content stays: classes as data with their citation, and the rule that says where one object stands.

Pure: time comes in as `at`. Shredding waits for the decision, for the receipt of a referral, and for the end of the
time in which the decision may be disputed; a hold stops it. Not checked: whether a class says what its citation says.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from .settle import JudgementError

MOST_AT_ONCE = 0.02
"""Which part of all kept objects one run may destroy; more is a sign of a wrong clock or a wrong setting."""
ALWAYS_AT_ONCE = 10
"""Objects that one run may destroy whatever part that is: of a small house two in a hundred is nothing."""


class Starts(StrEnum):
    """What the clock of a retention class starts at."""

    DECISION = "decision"
    RECEIPT = "receipt"


class Standing(StrEnum):
    """Where one kept object stands: it waits for something, is held, is kept for its time, or is due."""

    WAITS = "waits"
    HELD = "held"
    KEPT = "kept"
    DUE = "due"


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """How many days an object stays after its clock started, between which bounds, and by which law."""

    id: str
    title: str
    starts: Starts
    keep: int
    least: int
    most: int
    citation: str

    def __post_init__(self) -> None:
        if not 0 <= self.least <= self.keep <= self.most:
            raise JudgementError(f"retention class {self.id}: {self.keep} days lie outside {self.least} to {self.most}")
        if not self.citation:
            raise JudgementError(f"retention class {self.id} cites no law")


@dataclass(frozen=True, slots=True)
class RetentionFacts:
    """What is known of one kept object; every time with its zone.

    `referred`: it was sent to an authority, so that its receipt is waited for. `disputable_until`: end of the time in
    which the decision may be disputed.
    """

    retention_class: RetentionClass
    decided_at: dt.datetime | None
    held: bool = False
    referred: bool = False
    receipt_at: dt.datetime | None = None
    disputable_until: dt.datetime | None = None


def standing(facts: RetentionFacts, *, at: dt.datetime) -> Standing:
    """Where the object stands at `at`. A time before the decision never makes anything due."""
    if facts.held:
        return Standing.HELD
    due = due_at(facts)
    if due is None:
        return Standing.WAITS
    return Standing.DUE if at >= due else Standing.KEPT


def due_at(facts: RetentionFacts) -> dt.datetime | None:
    """When the object is due if no hold stands, or None while something is waited for."""
    waited = [facts.decided_at]
    if facts.referred or facts.retention_class.starts is Starts.RECEIPT:
        waited.append(facts.receipt_at)
    started = [each for each in waited if each is not None]
    if len(started) < len(waited):
        return None
    due = max(started) + dt.timedelta(days=facts.retention_class.keep)
    return due if facts.disputable_until is None else max(due, facts.disputable_until)


def too_many(due: Collection[str], *, kept: int) -> bool:
    """Whether so many of `kept` objects are due at once that a person must look before any is destroyed."""
    return len(due) > max(ALWAYS_AT_ONCE, MOST_AT_ONCE * kept)


@cache
def retention_classes() -> dict[str, RetentionClass]:
    """The shipped classes by id."""
    text = files("havenline.judgement").joinpath("retention.toml").read_text(encoding="utf-8")
    made = [RetentionClass(**{**each, "starts": Starts(each["starts"])}) for each in tomllib.loads(text)["class"]]
    return {each.id: each for each in made}
