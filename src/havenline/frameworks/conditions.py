"""Conditions over answers, in three values: an answer nobody could give is neither yes nor no."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Truth(StrEnum):
    """Kleene's three values."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """All of the tests hold; a test holds when the question's answer is one of its codes.

    `tests` are pairs of (question id, codes), in the order of the file. No tests at all: always true.
    """

    tests: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def as_mapping(self) -> dict[str, list[str]]:
        """Return the condition as JSON-able data: question id -> codes, any of which will do."""
        return {question: list(codes) for question, codes in self.tests}


def all_of(values: Iterable[Truth]) -> Truth:
    """Join by Kleene's "and": one false decides, else one unknown leaves it open. Of nothing: true."""
    joined = Truth.TRUE
    for value in values:
        if value is Truth.FALSE:
            return Truth.FALSE
        if value is Truth.UNKNOWN:
            joined = Truth.UNKNOWN
    return joined
