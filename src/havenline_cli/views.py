"""Views for each confirmed item, in words: what was seen, what a plain review would have seen, and what saved it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from havenline_desk.queries.views import Views


def view_lines(views: Views) -> Iterator[str]:
    """A line for each thing to know; nothing where nothing is settled."""
    if views.share is None:
        yield "views: nothing is settled yet"
        return
    yield (
        f"full views {views.full:,} of {views.plain:,} in a plain review, where {_people(views.people)} every posting "
        f"in full: {_rounded(100 * views.share, 1)} %"
    )
    yield (
        f"  for each of {views.confirmed:,} confirmed items: {_told(views.per_confirmed(views.full))} full views "
        f"against {_told(views.per_confirmed(views.plain))}; views at any step "
        f"{_told(views.per_confirmed(views.any_step))}"
    )
    yield (
        f"  full views saved by copies that were settled before {views.copies:,}, by byte-identical postings "
        f"{views.identical:,}, by the ladder {views.ladder:,}; added by third persons and second looks {views.more:,}"
    )


def _people(people: int) -> str:
    return "two people each view" if people == 2 else "one person views"


def _told(value: Fraction | None) -> str:
    return "–" if value is None else _rounded(value, 2)


def _rounded(value: Fraction, digits: int) -> str:
    return f"{float(value):.{digits}f}"
