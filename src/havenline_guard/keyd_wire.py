"""The messages between `keyd` and who asks it, to and from bytes: docs/formats/keyd.md §3, form 1."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from havenline.vocabulary import HavenlineError

FORM = 1
LENGTH = struct.Struct(">I")
LARGEST = 64 << 10
"""Bytes of a question or an answer."""
LONGEST_PATH = 100
MOST_LEAVES = 900
"""Entries of the audit log that one question can add to the tree."""


class Malformed(HavenlineError):
    """Bytes that are no message of this form, or a question with other fields than it must have."""


class KeydRefused(HavenlineError):
    """`keyd` would not; `reason` is one word for programs, the text one line for a person."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Bound:
    """What a grant is bound to: all of it is named again when it is used, and must be the same.

    `grant`: a random id of 32 hex digits that the asker chose, by which both logs name the grant. It opens nothing.
    """

    person: str
    session: str
    item: str
    assignment: str
    purpose: str
    object: str
    grant: str


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one person may open: objects in any hour, day and week, minutes without a pause, bytes in any day."""

    per_hour: int
    per_day: int
    minutes: int
    bytes_per_day: int
    per_week: int


@dataclass(frozen=True, slots=True)
class Exposed:
    """How much one person has opened: in the last hour, day and week, minutes since the last pause, bytes in the day.

    `frees_in`: seconds until the budget lets something be opened again, 0 where it does now; None where no waiting
    helps, because there is no budget or a part of it is nothing. Not known: whether the next object is too large.
    """

    last_hour: int
    last_day: int
    minutes: int
    bytes_last_day: int
    last_week: int
    frees_in: int | None


class Peer(StrEnum):
    """What a system user is to `keyd`: who may ask what."""

    DESK = "desk"
    SEALER = "sealer"
    OFFICER = "officer"
    AUDITOR = "auditor"


Check = Callable[[object], bool]


def _text(pattern: str) -> Check:
    whole = re.compile(pattern)
    return lambda value: isinstance(value, str) and whole.fullmatch(value) is not None


def _number(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _hashes(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MOST_LEAVES and all(map(HASH, value))


NAME = _text(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,63}")
NOBODY = _text(r"|[A-Za-z0-9][A-Za-z0-9:._-]{0,63}")
OBJECT = _text(r"[0-9a-f]{32}")
GRANT = _text(r"[0-9a-f]{32}")
HASH = _text(r"[0-9a-f]{64}")
TOKEN = _text(r"[A-Za-z0-9_-]{32}")
ORIGIN = _text(r"[A-Za-z0-9][A-Za-z0-9:./_-]{0,119}")
COUNT = _number(0, 1 << 62)
TRUTH: Check = lambda value: type(value) is bool  # noqa: E731
_BOUND: Mapping[str, Check] = {
    "person": NAME,
    "session": HASH,
    "item": NAME,
    "assignment": NAME,
    "purpose": NAME,
    "object": OBJECT,
    "grant": GRANT,
}
_TWO: Mapping[str, Check] = {"by": NAME, "second": NOBODY}
_BUDGET: Mapping[str, Check] = dict.fromkeys(("per_hour", "per_day", "minutes", "bytes_per_day", "per_week"), COUNT)


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that can be asked: by whom, and what each of its fields must be. None takes more than one object."""

    peers: frozenset[Peer]
    fields: Mapping[str, Check]


def _of(*peers: Peer, **checks: Check) -> Question:
    return Question(frozenset(peers), checks)


QUESTIONS: Mapping[str, Question] = {
    "mint": _of(Peer.DESK, object=OBJECT, kind=NAME, size=COUNT),
    "grant": _of(Peer.DESK, **_BOUND, seconds=_number(1, 120), escalation=TRUTH),
    "open": _of(Peer.DESK, **_BOUND, token=TOKEN),
    "origin_key": _of(Peer.DESK),
    "exposed": _of(Peer.DESK, person=NAME),
    "set_budget": _of(Peer.DESK, Peer.OFFICER, person=NAME, **_BUDGET, **_TWO),
    "place_hold": _of(Peer.DESK, Peer.SEALER, Peer.OFFICER, object=OBJECT, reference=NAME, by=NAME),
    "release_hold": _of(Peer.OFFICER, object=OBJECT, reference=NAME, **_TWO),
    "shred": _of(Peer.SEALER, object=OBJECT, rule=NAME, **_TWO),
    "sign_checkpoint": _of(Peer.DESK, after=COUNT, leaves=_hashes),
    "sign_own": _of(Peer.AUDITOR),
    "sign_publication": _of(Peer.DESK, Peer.OFFICER, digest=HASH, **_TWO),
    "rotate": _of(Peer.OFFICER, **_TWO),
    "copy": _of(Peer.OFFICER),
    "new_log": _of(Peer.OFFICER, origin=ORIGIN, **_TWO),
    "status": _of(*Peer),
    "log": _of(Peer.AUDITOR, after=COUNT),
}


def message(said: Mapping[str, object]) -> bytes:
    """A whole message: its length and one JSON object in ASCII. Raises Malformed when it is too large."""
    body = json.dumps({"form": FORM, **said}, separators=(",", ":")).encode()
    if len(body) > LARGEST:
        raise Malformed(f"a message has at most {LARGEST:,} bytes")
    return LENGTH.pack(len(body)) + body


def read_message(body: bytes) -> dict[str, Any]:
    """The object of a message without its length. Raises Malformed."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("a message is one JSON object") from None
    if type(said) is not dict or said.pop("form", None) != FORM:
        raise Malformed(f"a message is one JSON object of form {FORM}: use a matching program")
    return said


def read_question(said: dict[str, Any], peers: frozenset[Peer]) -> tuple[str, dict[str, Any]]:
    """What is asked and its fields, each as it must be. Raises Malformed; PermissionError when this peer may not."""
    name = said.pop("ask", None)
    if not isinstance(name, str) or name not in QUESTIONS:
        raise Malformed("this is nothing that can be asked here")
    question = QUESTIONS[name]
    if question.peers.isdisjoint(peers):
        raise PermissionError(name)
    if said.keys() != question.fields.keys():
        raise Malformed(f"{name} has the fields {', '.join(question.fields)}")
    for field, check in question.fields.items():
        if not check(said[field]):
            raise Malformed(f"{name}: {field} is not what it must be")
    return name, said
