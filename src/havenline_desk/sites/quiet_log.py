"""What the desk writes to its own log: which kind of page and which kind of error, never an address or a value.

An address names a case or holds a token, and the text of a database's error quotes the row that it is about.
"""

from __future__ import annotations

import logging
import traceback
from types import TracebackType

from havenline.vocabulary import HavenlineError


def first_part(path: str) -> str:
    """`/investigations/…` of any address below it: enough to find the page."""
    first, slash, rest = path.lstrip("/").partition("/")
    known = first if first.replace("-", "").isalpha() and len(first) < 20 and first.islower() else "…"
    return f"/{known}/…" if slash and rest else f"/{known}" if first else "/"


class WithoutAddresses(logging.Filter):
    """Cuts what `django.request` and `django.security` say of an address down to its first part."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true; the record is changed."""
        if isinstance(record.args, tuple):
            cut = (first_part(each) if isinstance(each, str) and each.startswith("/") else each for each in record.args)
            record.args = tuple(cut)
        return True


class WithoutValues(logging.Formatter):
    """Of an exception: where and of which class; its text only where this software wrote it."""

    def formatException(  # noqa: N802 - the name is logging's
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The frames without their source lines' values, and the class."""
        kind, error, frames = ei
        if kind is None or error is None:
            return ""
        lines = "".join(traceback.format_tb(frames))
        text = f": {error}" if isinstance(error, HavenlineError) else ""
        return f"{lines}{kind.__module__}.{kind.__qualname__}{text}"
