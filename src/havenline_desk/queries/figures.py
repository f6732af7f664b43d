"""The records of one investigation as the tables that `havenline.figures` counts."""

from __future__ import annotations

import pyarrow as pa
from django.db.models import CharField, F
from django.db.models.functions import Cast
from havenline.figures.records import ASSESSMENTS, OUTCOMES, SELECTIONS

from havenline import frameworks
from havenline.figures import Funnel, Labels, Records, funnel

from ..models import Assessment, InstallationKind, Investigation, Item, Policy, Selection


def funnel_of(investigation: Investigation) -> Funnel:
    """Count by the general rules; nothing here knows which investigation it is."""
    return funnel(records_of(investigation))


def records_of(investigation: Investigation) -> Records:
    """An item's outcome is the standing one of its file: byte-identical postings share it."""
    framework = frameworks.load(investigation.framework, investigation.framework_version)
    named = Cast("item_id", CharField())
    selections = Selection.objects.filter(item__investigation=investigation).values(item=named)
    assessments = Assessment.objects.filter(revision__stack__investigation=investigation).values(
        "step",
        "active_seconds",
        revision_name=Cast("revision_id", CharField()),
        person_name=Cast("person_id", CharField()),
    )
    settled = Item.objects.filter(
        selection__isnull=False,
        investigation=investigation,
        file__outcomes__investigation=investigation,
        file__outcomes__correction=None,
    ).values(
        item=Cast("pk", CharField()),
        status=F("file__outcomes__status"),
        class_id=F("file__outcomes__class_id"),
        settled_by=F("file__outcomes__settled_by"),
        viewed_by_person=F("file__outcomes__viewed_by_person"),
    )
    return Records(
        posted=investigation.posted_total,
        selections=pa.Table.from_pylist(list(selections), schema=SELECTIONS),
        assessments=pa.Table.from_pylist(
            [
                {
                    "revision": row["revision_name"],
                    "person": row["person_name"],
                    "step": row["step"],
                    "active_seconds": float(row["active_seconds"]),
                }
                for row in assessments
            ],
            schema=ASSESSMENTS,
        ),
        outcomes=pa.Table.from_pylist(
            [row | {"class_id": row["class_id"] or None} for row in settled], schema=OUTCOMES
        ),
        labels=Labels.under(
            framework,
            investigation=investigation.reference,
            dataset=_dataset(),
            review_plan=investigation.plan,
            period_start=investigation.period_start,
            period_end=investigation.period_end,
        ),
    )


def _dataset() -> str:
    """Whose records these are: a desk's own, a demonstration's or a study's."""
    policy = Policy.objects.order_by("-pk").first()
    return {
        InstallationKind.DEMO: "items, drawn pictures of a demonstration",
        InstallationKind.STUDY: "items, synthetic records of a published study",
    }.get(InstallationKind(policy.kind) if policy else InstallationKind.DESK, "items")
