"""The records that figures are computed from: three tables, one declared number, and their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

import pyarrow as pa

from havenline.frameworks import Framework, StatusLabels
from havenline.vocabulary import HavenlineError

SELECTIONS = pa.schema([pa.field("item", pa.string(), nullable=False)])
"""One row per selected item; `item` is any name that is unique in the investigation."""

ASSESSMENTS = pa.schema(
    [
        pa.field("revision", pa.string(), nullable=False),
        pa.field("person", pa.string(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("active_seconds", pa.float64(), nullable=False),
    ]
)
"""One row per submitted assessment of a stack revision; `active_seconds` is working time, not lease time."""

OUTCOMES = pa.schema(
    [
        pa.field("item", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("class_id", pa.string(), nullable=True),
        pa.field("settled_by", pa.string(), nullable=False),
        pa.field("viewed_by_person", pa.bool_(), nullable=False),
    ]
)
"""One row per settled item; `status` as in `LegalStatus`, `class_id` exactly for the criminal ones."""

PER_ITEM = "per item: each item is counted once, by its own outcome"
"""The rule of the funnel, as every table names it. The rule per report is another statistic (practice 9)."""


class FiguresError(HavenlineError):
    """The records contradict each other or break their schema, so no figure may be computed from them."""


@dataclass(frozen=True, slots=True)
class LawLabel:
    """How a class of a framework is named in a table."""

    label: str
    law: str
    group: str | None = None


def laws_of(framework: Framework) -> dict[str, LawLabel]:
    """Return the classes of a framework as tables name them, in the framework's order."""
    return {one.id: LawLabel(one.label, one.law, one.group) for one in framework.classes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What a table says of itself: which records, counted how, under which law.

    `period_start` and `period_end` are the first and the last day, None where that is not stated.
    `laws` holds every class that may occur, in the order in which they are printed.
    """

    investigation: str
    dataset: str
    framework: str
    framework_version: str
    statuses: StatusLabels
    laws: Mapping[str, LawLabel]
    review_plan: str
    unit: str = "item"
    rule: str = PER_ITEM
    period_start: date | None = None
    period_end: date | None = None

    def __post_init__(self) -> None:
        if self.period_start and self.period_end and self.period_end < self.period_start:
            raise FiguresError("the period ends before it starts")
        object.__setattr__(self, "laws", MappingProxyType(dict(self.laws)))

    @classmethod
    def under(
        cls,
        framework: Framework,
        *,
        investigation: str,
        dataset: str,
        review_plan: str,
        period_start: date | None = None,
        period_end: date | None = None,
    ) -> Labels:
        """Return the labels of a table of items that were assessed under `framework`."""
        return cls(
            investigation=investigation,
            dataset=dataset,
            framework=framework.id,
            framework_version=framework.version,
            statuses=framework.labels,
            laws=laws_of(framework),
            review_plan=review_plan,
            period_start=period_start,
            period_end=period_end,
        )

    @property
    def period(self) -> str:
        """The period in words that sort and compare: ISO dates, both days included."""
        if self.period_start and self.period_end:
            return f"{self.period_start.isoformat()} to {self.period_end.isoformat()}"
        if self.period_start:
            return f"from {self.period_start.isoformat()}"
        if self.period_end:
            return f"until {self.period_end.isoformat()}"
        return "not stated"


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """The records of one investigation as tables of `SELECTIONS`, `ASSESSMENTS` and `OUTCOMES`, in any row
    order.

    `posted` is the declared total of the collection's source, in items. Raises FiguresError when a table
    lacks a column, holds another type, or has no value where one is needed. Extra columns are left aside.
    """

    posted: int
    selections: pa.Table
    assessments: pa.Table
    outcomes: pa.Table
    labels: Labels

    def __post_init__(self) -> None:
        schemas = {"selections": SELECTIONS, "assessments": ASSESSMENTS, "outcomes": OUTCOMES}
        for name, schema in schemas.items():
            object.__setattr__(self, name, _conform(name, getattr(self, name), schema))


def _conform(name: str, table: pa.Table, schema: pa.Schema) -> pa.Table:
    missing = [column for column in schema.names if column not in table.schema.names]
    if missing:
        raise FiguresError(f"the table of {name} has no column {', '.join(missing)}")
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as fault:
        raise FiguresError(f"the table of {name} breaks its schema: {str(fault).splitlines()[0]}") from None
