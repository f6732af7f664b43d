"""What files say of their origin, for those who may know: the third person, and who reads a settled record.

Hidden while anybody has yet to assess the file blind, in whichever investigation. Nothing here orders or assigns work.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import TruncMonth
from django.utils import timezone

from havenline.figures.disclosure import LinkedCells, hidden_cells
from havenline.frameworks import Question
from havenline.provenance import NOT_SHOWN, SignalKind, Strength
from havenline.provenance.signals import meaning_of

from .. import law
from ..models import (
    Investigation,
    Item,
    ItemState,
    OriginReading,
    OriginSignal,
    Outcome,
    SettledBy,
    StackMember,
    row_named,
)
from ..waiting import blind_and_open, is_assessed_blind

NEWEST = 200
"""So many records are listed, newest first: the list is no search, and knows neither picture nor signal."""
_SHOWN = 12
_MONTHS = 12
_Cell = tuple[str, str, int]
"""Table, row, and number of the month, 0 for all of them."""
_NAMES_A_FAMILY = (
    SignalKind.GENERATOR,
    SignalKind.SOFTWARE,
    SignalKind.CREDIT,
    SignalKind.AI_FIELD,
    SignalKind.C2PA_GENERATOR,
)


@dataclass(frozen=True, slots=True)
class SignalRow:
    """One signal. `digest` is the beginning of the keyed digest of a text of `length` bytes, which is not told."""

    place: int
    kind: str
    value: str
    length: int | None
    digest: str
    location: str
    strength: str
    reader: str
    means: str
    not_shown: str


@dataclass(frozen=True, slots=True)
class OriginPanel:
    """`could_be_read` is None where the file was taken in before signals were read. No signals mean nothing.

    `older_key`: the digests are under another key than those of the file that was read last, so none equals those.
    """

    could_be_read: bool | None
    older_key: bool
    observed: tuple[SignalRow, ...]
    inferred: tuple[SignalRow, ...]


@dataclass(frozen=True, slots=True)
class RecordLine:
    record: str
    settled_at: dt.datetime
    settled_by: SettledBy
    status: str


@dataclass(frozen=True, slots=True)
class RecordList:
    """One page of records. `newest`: it is the first; `next`: after which record the next page begins, or empty."""

    lines: tuple[RecordLine, ...]
    newest: bool
    next: str


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One settled file of one investigation. `panel` is None while somebody assesses the file blind elsewhere.

    `questions` and `facts`: what was asked and answered, for whoever corrects it; `copied` is corrected elsewhere.
    """

    reference: str
    line: RecordLine
    answers: tuple[tuple[str, str], ...]
    questions: tuple[Question, ...]
    facts: Mapping[str, str]
    copied: bool
    panel: OriginPanel | None


@dataclass(frozen=True, slots=True)
class TrendRow:
    """Of how many items with such a signal; `by_month` counts those taken in during each of the months beside it.

    None: hidden, as a small count or with one.
    """

    name: str
    total: int | None
    by_month: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class OriginTrends:
    """Items of one investigation that nobody has yet to assess: `items` were read, `marked` have any signal.

    For inside: small cells are not suppressed. Counts say nothing of how many pictures a machine made.
    """

    reference: str
    months: tuple[dt.date, ...]
    items: int
    marked: int
    families: tuple[TrendRow, ...]
    kinds: tuple[TrendRow, ...]


@dataclass(frozen=True, slots=True)
class HouseTrends:
    """As `OriginTrends` over all investigations, for the months that are over; None where a count is hidden.

    Hidden are counts of 1 to 9, and with them what they could be worked out from, by the same code as in published
    figures. Not protected against: two looks with changes between them, the pages of single investigations, and how
    many items have no signal, or none of a kind.
    """

    months: tuple[dt.date, ...]
    items: int | None
    marked: int | None
    families: tuple[TrendRow, ...]
    kinds: tuple[TrendRow, ...]


def origin_panel(file_id: int) -> OriginPanel | None:
    """What the file says of its origin, or None while somebody has yet to assess it blind."""
    if is_assessed_blind(file_id):
        return None
    reading = OriginReading.objects.filter(file=file_id).first()
    if reading is None:
        return OriginPanel(None, older_key=False, observed=(), inferred=())
    newest = OriginReading.objects.order_by("-read_at", "-pk").values_list("keyed_by", flat=True).first()
    signals = tuple(OriginSignal.objects.filter(reading=reading).order_by("place"))
    return OriginPanel(
        could_be_read=reading.could_be_read,
        older_key=reading.keyed_by != newest,
        observed=tuple(_row(each) for each in signals if not each.inferred),
        inferred=tuple(_row(each) for each in signals if each.inferred),
    )


def record_lines(reference: str, *, after: str = "") -> RecordList | None:
    """Settled files of an investigation, the newest first, 200 at most; None when there is none of that reference.

    `after`: the random id of the last record of the page before; one that stands no longer begins at the newest.
    """
    investigation = Investigation.objects.filter(reference=reference).first()
    if investigation is None:
        return None
    settled = Outcome.objects.filter(investigation=investigation, correction=None).order_by("-settled_at", "-pk")
    last = settled_record(reference, after) if after else None
    if last is not None:
        older = Q(settled_at__lt=last.settled_at) | Q(settled_at=last.settled_at, pk__lt=last.pk)
        settled = settled.filter(older)
    rows = list(settled[: NEWEST + 1])
    lines = tuple(_line(each) for each in rows[:NEWEST])
    return RecordList(lines, newest=last is None, next=lines[-1].record if len(rows) > NEWEST else "")


def settled_record(reference: str, record: str) -> Outcome | None:
    """The outcome in force of that investigation that has this random id, or None."""
    standing = Outcome.objects.filter(investigation__reference=reference, correction=None)
    return row_named(standing.select_related("investigation", "file"), record)


def record_page(reference: str, record: str) -> RecordPage | None:
    """The record of `settled_record` for reading, or None."""
    settled = settled_record(reference, record)
    if settled is None:
        return None
    return RecordPage(
        reference=reference,
        line=_line(settled),
        answers=_answers(settled),
        questions=law.load(settled.framework, settled.framework_version).questions,
        facts=settled.facts,
        copied=settled.copy_of_id is not None,
        panel=origin_panel(settled.file_id),
    )


def origin_trends(reference: str) -> OriginTrends | None:
    """How many items have signals of each kind and family, by month of intake; None without that investigation.

    Counted are items that are settled, or were never to be looked at, and whose file nobody has yet to assess blind.
    """
    investigation = Investigation.objects.filter(reference=reference).first()
    if investigation is None:
        return None
    items = _counted(investigation=investigation)
    marked, named = _marked(items)
    months = _months(items)
    return OriginTrends(
        reference=reference,
        months=months,
        items=items.count(),
        marked=marked.values("pk").distinct().count(),
        families=_trend(named, "file__origin__signals__value", months),
        kinds=_trend(marked, "file__origin__signals__kind", months),
    )


def house_trends(*, at: dt.datetime) -> HouseTrends:
    """How many items of all investigations have signals of each kind and family, in the newest twelve months.

    Counted as by `origin_trends`; the month of `at` is not over and left out.
    """
    until = timezone.localtime(at).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    months = _months(_counted(imported_at__lt=until))[-_MONTHS:]
    since = timezone.make_aware(dt.datetime.combine(months[0], dt.time.min)) if months else until
    items = _counted(imported_at__lt=until, imported_at__gte=since)
    marked, named = _marked(items)
    families = _trend(named, "file__origin__signals__value", months)
    kinds = _trend(marked, "file__origin__signals__kind", months)
    all_items, all_marked = items.count(), marked.values("pk").distinct().count()
    cells: dict[_Cell, int] = {("", "items", 0): all_items, ("", "marked", 0): all_marked}
    sums: list[tuple[_Cell, tuple[_Cell, ...]]] = []
    for table, rows in (("family", families), ("kind", kinds)):
        for row in rows:
            parts = tuple((table, row.name, number) for number in range(1, len(months) + 1))
            cells |= dict(zip(parts, (count or 0 for count in row.by_month), strict=True))
            cells[table, row.name, 0] = row.total or 0
            sums.append(((table, row.name, 0), parts))
    hidden = hidden_cells(LinkedCells(cells, sums))
    return HouseTrends(
        months=months,
        items=None if ("", "items", 0) in hidden else all_items,
        marked=None if ("", "marked", 0) in hidden else all_marked,
        families=_shown("family", families, hidden),
        kinds=_shown("kind", kinds, hidden),
    )


def _shown(table: str, rows: tuple[TrendRow, ...], hidden: Collection[_Cell]) -> tuple[TrendRow, ...]:
    """Without the counts that are hidden, and by name, for an order by count would tell of them."""
    return tuple(
        TrendRow(
            row.name,
            None if (table, row.name, 0) in hidden else row.total,
            tuple(
                None if (table, row.name, number) in hidden else count for number, count in enumerate(row.by_month, 1)
            ),
        )
        for row in sorted(rows, key=lambda row: row.name)
    )


def _counted(**of: Any) -> QuerySet[Item]:
    """Items that are settled, or were never to be looked at, and whose file nobody has yet to assess blind."""
    settled = Q(file__outcomes__investigation=F("investigation"), file__outcomes__correction=None)
    counted = Item.objects.filter(settled | ~Q(state=ItemState.VIEWABLE), **of)
    hidden = StackMember.objects.filter(revision__assignments__in=blind_and_open()).values("file")
    counted = counted.filter(file__origin__could_be_read=True).exclude(file__in=hidden)
    return Item.objects.filter(pk__in=counted.values("pk"))


def _marked(items: QuerySet[Item]) -> tuple[QuerySet[Item], QuerySet[Item]]:
    """Items with any signal, and those with one that names a family."""
    named = items.filter(file__origin__signals__kind__in=_NAMES_A_FAMILY, file__origin__signals__value__gt="")
    return items.filter(file__origin__signals__isnull=False), named


def _months(items: QuerySet[Item]) -> tuple[dt.date, ...]:
    days = items.annotate(month=TruncMonth("imported_at")).order_by("month").values_list("month", flat=True)
    return tuple(day.date() for day in days.distinct())


def _trend(items: QuerySet[Item], column: str, months: tuple[dt.date, ...]) -> tuple[TrendRow, ...]:
    """The commonest first. An item was taken in once, so its months add up."""
    by_intake = items.annotate(month=TruncMonth("imported_at")).order_by()
    rows = by_intake.values_list(column, "month").annotate(Count("pk", distinct=True))
    found = {(str(name), month.date()): count for name, month, count in rows}
    by_month = {name: tuple(found.get((name, month), 0) for month in months) for name, _ in found}
    totals = sorted(by_month.items(), key=lambda each: (-sum(each[1]), each[0]))
    return tuple(TrendRow(name.replace("_", " "), sum(counts), counts) for name, counts in totals)


def _answers(settled: Outcome) -> tuple[tuple[str, str], ...]:
    """The questions of the framework that it was settled under, with the labels of the answers that were given."""
    questions = law.load(settled.framework, settled.framework_version).questions
    return tuple(
        (question.text, next((each.label for each in question.options if each.code == settled.facts[question.id]), ""))
        for question in questions
        if question.id in settled.facts
    )


def _line(settled: Outcome) -> RecordLine:
    return RecordLine(settled.audit_id.hex, settled.settled_at, SettledBy(settled.settled_by), settled.status)


def _row(each: OriginSignal) -> SignalRow:
    kind = SignalKind(each.kind)
    return SignalRow(
        place=each.place,
        kind=kind.value.replace("_", " "),
        value=each.value,
        length=each.length,
        digest=each.digest[:_SHOWN],
        location=each.location,
        strength=Strength(each.strength).value,
        reader=each.reader,
        means=meaning_of(kind, each.location, each.value) or "",
        not_shown=NOT_SHOWN[kind],
    )
