"""A JSON answer as values, and the elements of one array in it each with its own bytes as they were sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from havenline.connectors.frame import PartnerRecord, UnreadRecord

_DECODER = json.JSONDecoder()
_BLANK = " \t\n\r"


class JsonRefused(Exception):
    """No JSON object in UTF-8, cut short, or nested too deep."""


def parsed(body: bytes, *, array: str) -> tuple[dict[str, Any], list[tuple[Any, bytes]]]:
    """The fields of a JSON object but `array`, and the elements of that, each with its bytes.

    Raises JsonRefused where it is no such object, and where `array` is there and is none.
    """
    try:
        reading = _Reading(body.decode())
        return reading.document(array)
    except (ValueError, RecursionError):
        raise JsonRefused("no JSON object, or cut short") from None


def reread(raw: bytes, record_of: Callable[[Any, bytes], PartnerRecord | UnreadRecord]) -> PartnerRecord | UnreadRecord:
    """A record by `record_of` from the bytes that were kept of it."""
    try:
        return record_of(json.loads(raw), raw)
    except (ValueError, RecursionError):
        return UnreadRecord(raw, "no JSON can be read from the bytes that were kept")


class _Reading:
    """One text, read from its beginning; each step raises ValueError where the text goes another way."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def document(self, array: str) -> tuple[dict[str, Any], list[tuple[Any, bytes]]]:
        fields: dict[str, Any] = {}
        elements: list[tuple[Any, bytes]] = []
        self._sign("{")
        more = not self._found("}")
        while more:
            name, _ = self._value()
            if not isinstance(name, str):
                raise ValueError("a name is expected")
            self._sign(":")
            if name == array:
                elements = self._array()
            else:
                fields[name], _ = self._value()
            more = self._found(",")
            if not more:
                self._sign("}")
        self._past_blanks()
        if self._at != len(self._text):
            raise ValueError("more behind the object")
        return fields, elements

    def _array(self) -> list[tuple[Any, bytes]]:
        if self._text.startswith("null", self._past_blanks()):
            self._at += 4
            return []
        self._sign("[")
        if self._found("]"):
            return []
        elements = [self._value()]
        while self._found(","):
            elements.append(self._value())
        self._sign("]")
        return elements

    def _value(self) -> tuple[Any, bytes]:
        start = self._past_blanks()
        value, self._at = _DECODER.raw_decode(self._text, start)
        return value, self._text[start : self._at].encode()

    def _past_blanks(self) -> int:
        while self._text[self._at : self._at + 1] and self._text[self._at] in _BLANK:
            self._at += 1
        return self._at

    def _found(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._past_blanks()):
            return False
        self._at += 1
        return True

    def _sign(self, sign: str) -> None:
        if not self._found(sign):
            raise ValueError(f"{sign} is expected")
