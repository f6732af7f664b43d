"""Numbers as forms send them."""

from __future__ import annotations


def whole_number(text: str) -> int | None:
    """The number that `text` writes in ASCII digits, small enough for a primary key; else None."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
