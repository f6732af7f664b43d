"""JSON of any length, read without holding more than one of its values."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import IO, Any

_STEP = 1 << 20
_BLANK = " \t\n\r\ufeff"
_DECODER = json.JSONDecoder()


class JsonBroken(Exception):
    """The text is no JSON, of another form, broken off, or has a value that is too long; no value stands in it."""


class JsonStream:
    """A JSON text from its beginning, a piece at a time; each value is decoded whole, arrays of records one by one.

    Each step raises JsonBroken where the text goes another way. Not for several threads.
    """

    def __init__(self, file: IO[bytes], *, longest: int) -> None:
        """Read `file`; a value of more than `longest` characters is refused."""
        self.file, self._longest = file, longest
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at, self._over = "", 0, False

    def sign(self, sign: str) -> None:
        """Pass over this sign, which must come next."""
        if not self.found(sign):
            raise JsonBroken(f"is of another form, or broken off: {sign} is expected")

    def found(self, sign: str) -> bool:
        """Pass over this sign where it comes next; whether it did."""
        if self._next() != sign:
            return False
        self._at += 1
        return True

    def name(self) -> str:
        """The name of a member and its colon."""
        name, _ = self.value()
        if not isinstance(name, str):
            raise JsonBroken("is of another form: a name is expected")
        self.sign(":")
        return name

    def elements(self, *, whole: bool) -> Iterator[None]:
        """Stand before each element of an array in turn; the caller reads it. `whole`: null stands for an empty one."""
        if whole and self._next() == "n":
            self.value()
            return
        self.sign("[")
        if self.found("]"):
            return
        yield
        while self.found(","):
            yield
        self.sign("]")

    def value(self) -> tuple[Any, str]:
        """The next value, and its text."""
        self._next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError):
                value, end = None, len(self._text)
            # A number at the very end of a piece may go on in the next one.
            if end < len(self._text):
                text, self._at = self._text[self._at : end], end
                return value, text
            if self._over or len(self._text) - self._at > self._longest:
                raise JsonBroken("is no JSON, broken off, or has a record that is too long")
            self._more()

    def end(self) -> None:
        """Nothing but blanks may be left."""
        if self._next():
            raise JsonBroken("has more behind its end")

    def _next(self) -> str:
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._text) or self._over:
                return self._text[self._at : self._at + 1]
            self._more()

    def _more(self) -> None:
        # Longer pieces for longer values, so that a long one is not decoded again for each short piece.
        piece = self.file.read(max(_STEP, len(self._text) - self._at))
        self._over = not piece
        try:
            read = self._decode.decode(piece, final=self._over)
        except UnicodeDecodeError:
            raise JsonBroken("is not UTF-8") from None
        self._text, self._at = self._text[self._at :] + read, 0
