"""Signals as another process told them: each checked against the words that its kind can have."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from havenline.provenance.architectures import architecture
from havenline.provenance.c2pa_manifest import ACTIONS, RELATIONS
from havenline.provenance.generators import FAMILIES
from havenline.provenance.signals import MOST_SIGNALS, Signal, SignalKind, Strength
from havenline.provenance.source_types import CODES

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_MODEL_DIGEST = re.compile(r"[0-9a-f]{8,64}\Z")
_READER = re.compile(r"[a-z0-9_]{1,24}/\d{1,3}\Z")
_WORDS = re.compile(r"[A-Za-z0-9 ,.:;/()_+'-]{1,200}\Z")
_LONGEST = 1 << 40

_of_a_family = FAMILIES.__contains__


def _is_architecture(value: str) -> bool:
    return architecture(value) == value


_CLOSED: dict[SignalKind, Callable[[str], object]] = {
    SignalKind.GENERATOR: _of_a_family,
    SignalKind.SOFTWARE: _of_a_family,
    SignalKind.CREDIT: _of_a_family,
    SignalKind.AI_FIELD: _of_a_family,
    SignalKind.C2PA_GENERATOR: _of_a_family,
    SignalKind.SOURCE_TYPE: CODES.__contains__,
    SignalKind.C2PA_ACTION: ACTIONS.__contains__,
    SignalKind.C2PA_INGREDIENT: RELATIONS.__contains__,
    SignalKind.ARCHITECTURE: _is_architecture,
    SignalKind.MODEL_DIGEST: _MODEL_DIGEST.match,
}
"""Kinds whose values are of a list. Those of the other kinds are our readers' own sentences, known by form alone."""


def read_back(rows: Any) -> tuple[Signal, ...]:
    """The signals of which `rows` are the fields, as `dataclasses.asdict` gives them.

    Raises ValueError for anything that no reader says: other fields, a value outside its kind's words, a digest that is
    none, more than are ever told. Not checked: that a file says so; who took the reader over can make signals up, and
    write up to 200 plain characters where a kind's values are sentences.
    """
    if not isinstance(rows, list) or len(rows) > MOST_SIGNALS + 1:
        raise ValueError("signals are a list of at most 513")
    return tuple(_signal(row) for row in rows)


def _signal(row: Any) -> Signal:
    try:
        made = Signal(**{**row, "kind": SignalKind(row["kind"]), "strength": Strength(row["strength"])})
    except (TypeError, KeyError):
        raise ValueError("a signal has other fields") from None
    if not _is_text(made.reader, _READER) or not _is_text(made.location, _WORDS):
        raise ValueError("a signal has a reader and a place in words")
    if type(made.inferred) is not bool or (made.digest is None) != (made.length is None):
        raise ValueError("a text has both a digest and a length")
    if made.digest is not None and not _is_text(made.digest, _DIGEST):
        raise ValueError("a digest is 64 hexadecimal digits")
    if made.length is not None and not (type(made.length) is int and 0 <= made.length < _LONGEST):
        raise ValueError("a length is a number of bytes")
    closed = _CLOSED.get(made.kind)
    if made.value is not None and not (_is_text(made.value, _WORDS) and (closed is None or closed(made.value))):
        raise ValueError("a value is outside the words of its kind")
    return made


def _is_text(value: object, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.match(value) is not None
