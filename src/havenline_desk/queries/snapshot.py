"""The records of one investigation written as a snapshot of figures: no person, digest, address or text among them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from django.db import connection, transaction
from django.db.models import Count, F, Min, Q, QuerySet

from havenline.figures import FiguresError
from havenline.figures.snapshot import (
    FiguresSnapshot,
    SnapshotHead,
    SnapshotWriter,
    column_of,
    new_snapshot,
    read_snapshot,
)
from havenline.frameworks import Framework

from .. import law
from ..models import Assessment, Investigation, Item, Outcome, ReleasedEntry, Report, Reveal
from .figures import dataset_words

_BATCH = 20_000
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class FiguresPeriod:
    """Days in UTC, both included."""

    first: dt.date
    last: dt.date

    @property
    def words(self) -> str:
        return f"{self.first.isoformat()} to {self.last.isoformat()}"

    def of(self, moment: str) -> Q:
        """Rows whose `moment` lies in the period."""
        start = dt.datetime.combine(self.first, dt.time(), dt.UTC)
        end = dt.datetime.combine(self.last + dt.timedelta(days=1), dt.time(), dt.UTC)
        return Q(**{f"{moment}__gte": start, f"{moment}__lt": end})


def write_snapshot(investigation: Investigation, folder: Path, *, period: FiguresPeriod | None) -> FiguresSnapshot:
    """Write the records of an investigation into a new or empty folder, as they stand at one moment, and open them.

    `period`: items that were taken in then, what was assessed and viewed then; None for the whole investigation, with
    its declared total and its declared period. Outcomes are those that stand now. Raises FiguresError where the folder
    holds something. Not checked: whether the records agree with each other; counting them does.
    """
    framework = law.own(investigation)
    every = period or _declared(investigation)
    whole = period is None or every == _declared(investigation)
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        within = None if whole else period
        assessments = _within(
            Assessment.objects.filter(revision__stack__investigation=investigation), within, "submitted_at"
        )
        head = SnapshotHead.under(
            framework,
            investigation=investigation.reference,
            dataset=dataset_words(),
            period=every.words if every is not None else "not stated",
            review_plan=investigation.plan,
            posted=investigation.posted_total if whole else None,
            people=assessments.values("person").distinct().count(),
        )
        with new_snapshot(folder, head) as writer:
            _Export(writer, head, investigation, framework, within).write(assessments)
    return read_snapshot(folder)


def _declared(investigation: Investigation) -> FiguresPeriod | None:
    first, last = investigation.period_start, investigation.period_end
    return FiguresPeriod(first, last) if first and last else None


def _within(rows: QuerySet[Any], period: FiguresPeriod | None, moment: str) -> QuerySet[Any]:
    return rows if period is None else rows.filter(period.of(moment))


class _Export:
    def __init__(
        self,
        writer: SnapshotWriter,
        head: SnapshotHead,
        investigation: Investigation,
        framework: Framework,
        period: FiguresPeriod | None,
    ) -> None:
        self._writer, self._head, self._investigation = writer, head, investigation
        self._period, self._framework = period, framework
        self._reports: dict[int, int] = {}

    def write(self, assessments: QuerySet[Assessment]) -> None:
        items = _within(Item.objects.filter(investigation=self._investigation), self._period, "imported_at")
        first = 0
        columns = ("pk", "file_id", "kind", "imported_at", "selection__pk")
        for batch in _batches(items.order_by("pk").values_list(*columns).iterator(chunk_size=_BATCH)):
            self._add_items(batch, first)
            first += len(batch)
        channels = Report.objects.filter(pk__in=self._reports).values_list("pk", "channel").order_by("pk")
        for lines in _batches(channels.iterator(chunk_size=_BATCH)):
            self._add("reports", [{"report": self._reports[pk], "channel": channel} for pk, channel in lines])
        self._add_assessments(assessments)
        used = _within(Reveal.objects.filter(used_at__isnull=False), self._period, "used_at")
        steps = (
            used.filter(assignment__revision__stack__investigation=self._investigation)
            .order_by("ladder_step")
            .values_list("ladder_step")
            .annotate(views=Count("pk"), people=Count("person", distinct=True))
        )
        self._add("exposure", [{"ladder_step": step, "views": views, "people": who} for step, views, who in steps])

    def _add_items(self, batch: list[tuple[Any, ...]], first: int) -> None:
        keys = [row[0] for row in batch]
        outcomes = {
            row[0]: row
            for row in Outcome.objects.filter(
                investigation=self._investigation, correction=None, file__in={row[1] for row in batch if row[1]}
            ).values_list("file_id", "status", "class_id", "severity", "facts", "settled_at")
        }
        places = Item.locations.through.objects.filter(item_id__in=keys).order_by("-pk")
        countries = dict(places.values_list("item_id", "location__country"))
        listed = _listed({row[1] for row in batch if row[1]})
        rows = []
        for number, (pk, file, kind, taken_in, selected) in enumerate(batch, first):
            row: dict[str, Any] = {"item": number, "kind": kind, "selected": selected is not None}
            row["country"] = countries.get(pk) or None
            outcome = outcomes.get(file)
            if outcome is not None and selected is not None:
                _, status, class_id, severity, facts, settled_at = outcome
                row |= {"status": status, "class_id": class_id or None, "severity": severity or None}
                # A copy's outcome may be older than its posting.
                row["minutes_to_outcome"] = max(0, int((settled_at - taken_in).total_seconds() // 60))
                row |= _answers(self._head, facts)
                if file in listed:
                    row["minutes_to_list"] = max(0, int((listed[file] - taken_in).total_seconds() // 60))
            rows.append(row)
        self._add("items", rows)
        number_of = {pk: first + place for place, pk in enumerate(keys)}
        links = Item.reports.through.objects.filter(item_id__in=keys).order_by("pk").values_list("report_id", "item_id")
        self._add(
            "report_items",
            [
                {"report": self._reports.setdefault(report, len(self._reports)), "item": number_of[item]}
                for report, item in links
            ],
        )

    def _add_assessments(self, assessments: QuerySet[Assessment]) -> None:
        revisions: dict[int, int] = {}
        columns = ("revision_id", "step", "active_seconds", "facts", "framework")
        for batch in _batches(assessments.order_by("pk").values_list(*columns).iterator(chunk_size=_BATCH)):
            rows: list[dict[str, Any]] = []
            for revision, step, seconds, facts, _ in batch:
                row = {"revision": revisions.setdefault(revision, len(revisions)), "step": step}
                row["active_ms"] = int(seconds * Decimal(1000))
                rows.append(row | _answers(self._head, facts))
            self._add("assessments", rows)

    def _add(self, table: str, rows: list[dict[str, Any]]) -> None:
        schema = self._head.schema(table)
        plain = [
            pa.field(one.name, pa.string() if pa.types.is_dictionary(one.type) else one.type, nullable=one.nullable)
            for one in schema
        ]
        if rows:
            self._writer.add(table, pa.Table.from_pylist(rows, schema=pa.schema(plain)))


def _listed(files: set[int]) -> dict[int, dt.datetime]:
    """When the first edition of a list of this house that carries a file was made; what was withdrawn later counts."""
    carried = ReleasedEntry.objects.filter(file__in=files, list__editions__number=F("first_number")).order_by()
    return dict(carried.values_list("file_id").annotate(first=Min("list__editions__made_at")))


def _answers(head: SnapshotHead, facts: Mapping[str, str]) -> dict[str, str]:
    return {column_of(one.id): facts[one.id] for one in head.questions if one.id in facts}


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    left = iter(rows)
    while batch := list(islice(left, _BATCH)):
        yield batch


def period_of(text: str) -> FiguresPeriod:
    """The period that `FIRST..LAST` names, ISO days. Raises FiguresError."""
    first, _, last = text.partition("..")
    try:
        period = FiguresPeriod(dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    except ValueError:
        raise FiguresError("a period is two days, such as 2025-01-01..2025-12-31") from None
    if period.last < period.first:
        raise FiguresError("the period ends before it starts")
    return period
