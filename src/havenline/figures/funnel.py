"""The funnel: posted, selected, assessed, confirmed, by law; each share with its denominator named."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pyarrow.compute as pc

from havenline.figures.records import FiguresError, Labels, LawLabel, Records
from havenline.frameworks import LegalStatus

PEOPLE_FLOOR = 5
"""Working time is told only of at least this many people together (practice 15)."""

ROUNDING = "shares, hours and seconds to one decimal, halves up; rounded shares need not add up to 100"
"""The rounding rule, as every table names it."""


@dataclass(frozen=True, slots=True)
class ClassCount:
    """How many items fall into one class of the law; `law` names it."""

    class_id: str
    law: LawLabel
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """The figures of one investigation; all counts in `labels.unit`.

    posted = not_selected + selected; selected = waiting + assessed;
    assessed = confirmed + not_criminal + undetermined; confirmed = the sum over `by_class`.

    `hours` is the sum of active seconds of all assessments over 3,600, also of those whose items are not yet
    settled; `seconds_per_item` is the same sum over assessed items. Both are None, and `withheld` says why,
    where fewer than `PEOPLE_FLOOR` people assessed; seconds per item also where nothing is assessed.
    """

    labels: Labels
    posted: int
    selected: int
    assessed: int
    confirmed: int
    not_criminal: int
    undetermined: int
    by_class: tuple[ClassCount, ...]
    analysts: int
    hours: Decimal | None
    seconds_per_item: Decimal | None
    withheld: str | None
    settled_by: Mapping[str, int]
    settled_without_view: int

    @property
    def not_selected(self) -> int:
        """Posted, but without a selection record."""
        return self.posted - self.selected

    @property
    def waiting(self) -> int:
        """Selected, but without an outcome so far."""
        return self.selected - self.assessed

    @property
    def realistic(self) -> int:
        """Confirmed in a class that the law treats like a real photograph although it is none."""
        return self._of_group("realistic")

    @property
    def prohibited(self) -> int:
        """Confirmed in a class of prohibited images that are not treated like a photograph."""
        return self._of_group("prohibited")

    def _of_group(self, group: str) -> int:
        return sum(one.count for one in self.by_class if one.law.group == group)


def funnel(records: Records) -> Funnel:
    """Compute the funnel from the records by the rules that `Funnel` states.

    Raises FiguresError, with one line that says which rule they break, for records that contradict each
    other. Not checked: whether people and items are who and what they are said to be, and whether the figures
    are safe to publish; small cells are not suppressed here (practice 21).
    """
    outcomes, laws = records.outcomes, records.labels.laws
    _check_items(records)
    _check_classes(outcomes, laws)
    statuses = _count(outcomes, "status")
    classes = _count(outcomes, "class_id")
    assessed = outcomes.num_rows
    hours, seconds_per_item, withheld = _working_time(records.assessments, assessed)
    return Funnel(
        labels=records.labels,
        posted=records.posted,
        selected=records.selections.num_rows,
        assessed=assessed,
        confirmed=statuses[LegalStatus.CRIMINAL.value],
        not_criminal=statuses[LegalStatus.NOT_CRIMINAL.value],
        undetermined=statuses[LegalStatus.UNDETERMINED.value],
        by_class=tuple(ClassCount(class_id, law, classes[class_id]) for class_id, law in laws.items()),
        analysts=pc.count_distinct(records.assessments["person"]).as_py(),
        hours=hours,
        seconds_per_item=seconds_per_item,
        withheld=withheld,
        settled_by=dict(sorted(_count(outcomes, "settled_by").items())),
        settled_without_view=pc.sum(pc.invert(outcomes["viewed_by_person"])).as_py() or 0,
    )


def percent(part: int, whole: int) -> Decimal | None:
    """Return `part` of `whole` in per cent, to one decimal, halves up; None where `whole` is 0."""
    return one_decimal(Fraction(100 * part, whole)) if whole else None


def one_decimal(value: Fraction) -> Decimal:
    """Round a value of at least 0 to one decimal, halves up; exact, as no float takes part."""
    return Decimal(math.floor(10 * value + Fraction(1, 2))).scaleb(-1)


def _working_time(assessments: pa.Table, assessed: int) -> tuple[Decimal | None, Decimal | None, str | None]:
    seconds = assessments["active_seconds"].to_pylist()
    if not all(math.isfinite(one) and one >= 0 for one in seconds):
        raise FiguresError("an assessment has active seconds that are negative or not a number")
    people = pc.count_distinct(assessments["person"]).as_py()
    if people < PEOPLE_FLOOR:
        return None, None, f"working time is withheld: fewer than {PEOPLE_FLOOR} people assessed"
    # fsum: the exact sum, rounded once, so the order of the rows cannot change a figure.
    total = Fraction(math.fsum(seconds))
    per_item = one_decimal(total / assessed) if assessed else None
    return one_decimal(total / 3600), per_item, None


def _check_items(records: Records) -> None:
    selected = records.selections["item"]
    settled = records.outcomes["item"]
    posted = records.posted
    if posted < 0:
        raise FiguresError("the number posted is negative")
    for name, items in (("selected", selected), ("settled", settled)):
        if pc.count_distinct(items).as_py() != len(items):
            raise FiguresError(f"an item is {name} more than once")
    if len(selected) > posted:
        raise FiguresError(f"{len(selected)} items are selected but only {posted} posted; correct that total")
    strangers = len(settled) - (pc.sum(pc.is_in(settled, value_set=selected)).as_py() or 0)
    if strangers:
        raise FiguresError(f"{strangers} items have an outcome but were never selected")


def _check_classes(outcomes: pa.Table, laws: Mapping[str, LawLabel]) -> None:
    unknown = _count(outcomes, "status").keys() - {status.value for status in LegalStatus}
    if unknown:
        raise FiguresError(f"an outcome has the unknown status “{min(unknown)}”")
    unlabelled = _count(outcomes, "class_id").keys() - laws.keys()
    if unlabelled:
        raise FiguresError(f"an outcome has the class “{min(unlabelled)}”, for which no law is named")
    criminal = pc.equal(outcomes["status"], LegalStatus.CRIMINAL.value)
    if pc.any(pc.xor(criminal, pc.is_valid(outcomes["class_id"]))).as_py():
        raise FiguresError("an outcome has a class without being criminal, or is criminal without a class")


def _count(table: pa.Table, column: str) -> Counter[str]:
    pairs = pc.value_counts(table[column]).to_pylist()
    return Counter({pair["values"]: pair["counts"] for pair in pairs if pair["values"] is not None})
