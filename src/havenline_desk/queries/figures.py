"""The records of one investigation as the tables that `havenline.figures` counts."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from havenline.figures import Funnel, Labels, Records, funnel
from havenline.figures.records import ASSESSMENTS, OUTCOMES, SELECTIONS

from .. import law
from ..models import Assessment, InstallationKind, Investigation, Item, Policy, Selection


def funnel_of(investigation: Investigation) -> Funnel:
    """Count by the general rules; nothing here knows which investigation it is."""
    return funnel(records_of(investigation))


def records_of(investigation: Investigation) -> Records:
    """An item's outcome is the standing one of its file: byte-identical postings share it."""
    framework = law.own(investigation)
    selections = Selection.objects.filter(item__investigation=investigation)
    assessments = Assessment.objects.filter(revision__stack__investigation=investigation)
    settled = Item.objects.filter(
        selection__isnull=False,
        investigation=investigation,
        file__outcomes__investigation=investigation,
        file__outcomes__correction=None,
    )
    return Records(
        posted=investigation.posted_total,
        selections=_table(SELECTIONS, selections.values_list("item_id")),
        assessments=_table(ASSESSMENTS, assessments.values_list("revision_id", "person_id", "step", "active_seconds")),
        outcomes=_table(
            OUTCOMES,
            settled.values_list(
                "pk",
                "file__outcomes__status",
                "file__outcomes__class_id",
                "file__outcomes__settled_by",
                "file__outcomes__viewed_by_person",
            ),
        ),
        labels=Labels.under(
            framework,
            investigation=investigation.reference,
            dataset=dataset_words(),
            review_plan=investigation.plan,
            period_start=investigation.period_start,
            period_end=investigation.period_end,
        ),
    )


def _table(schema: pa.Schema, rows: Iterable[tuple[Any, ...]]) -> pa.Table:
    """The rows as a table of `schema`: names are text there, seconds are floats, an empty text is no value."""
    as_text = [pa.types.is_string(field.type) for field in schema]
    columns: list[list[Any]] = [[] for _ in schema]
    for row in rows:
        for column, value, text in zip(columns, row, as_text, strict=True):
            column.append((str(value) or None) if text else float(value) if isinstance(value, Decimal) else value)
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def dataset_words() -> str:
    """Whose records these are: a desk's own, a demonstration's or a study's."""
    policy = Policy.objects.order_by("-pk").first()
    return {
        InstallationKind.DEMO: "items, drawn pictures of a demonstration",
        InstallationKind.STUDY: "items, synthetic records of a published study",
    }.get(InstallationKind(policy.kind) if policy else InstallationKind.DESK, "items")
