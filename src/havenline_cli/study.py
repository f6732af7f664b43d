"""The study of October 2023, recomputed from synthetic records in a database that is thrown away."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from . import desk as opening
from .told import now

if TYPE_CHECKING:
    from havenline.figures import Funnel


def october_2023() -> Funnel:
    """Seed 20,254 records without any content, and count them by the general rules."""
    from havenline_desk.sites.cluster import throwaway_folder

    os.environ.pop("HAVENLINE_DATABASE_URL", None)  # never into a server of the operator's own
    folder = throwaway_folder()
    try:
        with opening.desk(opening.made_home(folder / "study", "desk")):
            from havenline.figures.study import october_2023 as plan
            from havenline_desk.actions.record_study import record_study
            from havenline_desk.queries.figures import funnel_of

            return funnel_of(record_study(plan(), at=now()))
    finally:
        shutil.rmtree(folder)
