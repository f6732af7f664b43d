"""The records of one investigation as the tables that `havenline.figures` counts."""

from __future__ import annotations

from havenline.figures import Funnel, funnel

from ..models import Investigation


def funnel_of(investigation: Investigation) -> Funnel:
    """Count by the general rules; nothing here knows which investigation it is."""
    return funnel(records_of(investigation))
