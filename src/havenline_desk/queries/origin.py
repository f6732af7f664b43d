"""What files say of their origin, for those who may know: the third person, and who reads a settled record.

Hidden while anybody has yet to assess the file blind, in whichever investigation. Nothing here orders or assigns work.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import TruncMonth

from havenline.frameworks import Question
from havenline.provenance import NOT_SHOWN, SignalKind, Strength

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
)
from ..waiting import blind_and_open, is_assessed_blind

NEWEST = 200
"""So many records are listed, newest first: the list is no search, and knows neither picture nor signal."""
_SHOWN = 12
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
    not_shown: str


@dataclass(frozen=True, slots=True)
class OriginPanel:
    """`could_be_read` is None where the file was taken in before signals were read. No signals mean nothing."""

    could_be_read: bool | None
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
    """Of how many items with such a signal; `by_month` counts those taken in during each of `OriginTrends.months`."""

    name: str
    total: int
    by_month: tuple[int, ...]


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


def origin_panel(file_id: int) -> OriginPanel | None:
    """What the file says of its origin, or None while somebody has yet to assess it blind."""
    if is_assessed_blind(file_id):
        return None
    reading = OriginReading.objects.filter(file=file_id).first()
    if reading is None:
        return OriginPanel(None, (), ())
    signals = tuple(OriginSignal.objects.filter(reading=reading).order_by("place"))
    return OriginPanel(
        could_be_read=reading.could_be_read,
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
    try:
        named = Outcome.objects.filter(audit_id=UUID(record), investigation__reference=reference, correction=None)
    except ValueError:
        return None
    return named.select_related("investigation", "file").first()


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
    settled = Q(file__outcomes__investigation=F("investigation"), file__outcomes__correction=None)
    counted = Item.objects.filter(settled | ~Q(state=ItemState.VIEWABLE), investigation=investigation)
    hidden = StackMember.objects.filter(revision__assignments__in=blind_and_open()).values("file")
    counted = counted.filter(file__origin__could_be_read=True).exclude(file__in=hidden)
    items = Item.objects.filter(pk__in=counted.values("pk")).annotate(month=TruncMonth("imported_at"))
    marked = items.filter(file__origin__signals__isnull=False)
    months = tuple(day.date() for day in items.order_by("month").values_list("month", flat=True).distinct())
    named = items.filter(file__origin__signals__kind__in=_NAMES_A_FAMILY, file__origin__signals__value__gt="")
    return OriginTrends(
        reference=reference,
        months=months,
        items=items.count(),
        marked=marked.values("pk").distinct().count(),
        families=_trend(_named(named, "file__origin__signals__value"), months),
        kinds=_trend(_named(marked, "file__origin__signals__kind"), months),
    )


def _named(items: QuerySet[Item], column: str) -> list[tuple[str, dt.date, int]]:
    rows = items.order_by().values_list(column, "month").annotate(Count("pk", distinct=True))
    return [(str(name), month.date(), count) for name, month, count in rows]


def _trend(rows: list[tuple[str, dt.date, int]], months: tuple[dt.date, ...]) -> tuple[TrendRow, ...]:
    """The commonest first. An item was taken in once, so its months add up."""
    found = {(name, month): count for name, month, count in rows}
    by_month = {name: tuple(found.get((name, month), 0) for month in months) for name, _ in found}
    trend = [TrendRow(name.replace("_", " "), sum(counts), counts) for name, counts in by_month.items()]
    return tuple(sorted(trend, key=lambda row: (-row.total, row.name)))


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
        not_shown=NOT_SHOWN[kind],
    )
