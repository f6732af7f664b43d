"""The records of one investigation as the tables that `havenline.figures` counts."""

from __future__ import annotations

import pyarrow as pa

from havenline import frameworks
from havenline.figures import Funnel, funnel
from havenline.figures.funnel import Labels, Law, Records

from ..models import Assessment, Investigation, Outcome, Selection


def funnel_of(investigation: Investigation) -> Funnel:
    """Count by the general rules; nothing here knows which investigation it is."""
    return funnel(records_of(investigation))
