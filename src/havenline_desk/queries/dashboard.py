"""How the work on one investigation stands now, for leads: a few figures that are cheap to look at again and again.

Internal and of the moment: small counts are shown as they are, and nothing here is published. No figure is of a person.
Each query reads an index or a bounded number of rows, so that looking costs the desk little however much it holds.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Count, Min

from havenline.figures.catalogue import DURATIONS
from havenline.frameworks import LegalStatus

from ..models import Assignment, Edition, Investigation, Item, Outcome, Person, Step
from .exposure import team_exposure
from .incoming import stale_lists

DAYS = 14
NEWEST = 2_000
"""Time to outcome is of so many files that were settled last."""
FEWEST_PAIRS = 10
"""Agreement is told of at least so many stacks that two people assessed."""
_AGES = (
    ("Up to one hour", dt.timedelta(hours=1)),
    ("Up to a day", dt.timedelta(days=1)),
    ("Up to a week", dt.timedelta(weeks=1)),
    ("Up to 30 days", dt.timedelta(days=30)),
    ("Longer", None),
)


@dataclass(frozen=True, slots=True)
class DashboardRow:
    """`width`: share of the longest row in per cent; `note` stands behind the count."""

    label: str
    count: int
    width: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class DashboardChart:
    """One chart, and in `counts` what exactly it counts. `withheld` says why there are no rows, where that is so."""

    id: str
    title: str
    counts: str
    rows: tuple[DashboardRow, ...]
    withheld: str = ""


def dashboard_of(
    investigation: Investigation, *, seen_by: Person, exposure: bool, at: dt.datetime
) -> tuple[DashboardChart, ...]:
    """Everything that is shown, in order. `exposure`: whether the reader may see what the team is exposed to."""
    charts = [
        inflow(investigation, at=at),
        backlog(investigation, at=at),
        progress(investigation),
        agreement(investigation, at=at),
        time_to_outcome(investigation),
        list_freshness(at=at),
    ]
    if exposure:
        charts.append(team(seen_by=seen_by, at=at))
    return tuple(charts)


def inflow(investigation: Investigation, *, at: dt.datetime) -> DashboardChart:
    """Items by the day on which they were taken in."""
    today = at.astimezone(dt.UTC).date()
    first = dt.datetime.combine(today - dt.timedelta(days=DAYS - 1), dt.time(), dt.UTC)
    counted: Counter[dt.date] = Counter()
    # By moment, which the index gives in order; a batch of an import shares one.
    taken_in = Item.objects.filter(investigation=investigation, imported_at__gte=first, imported_at__lte=at)
    for moment, count in taken_in.order_by().values_list("imported_at").annotate(count=Count("pk")).iterator():
        counted[moment.astimezone(dt.UTC).date()] += count
    days = [today - dt.timedelta(days=ago) for ago in range(DAYS)]
    rows = _rows([(day.isoformat(), counted[day]) for day in days])
    return DashboardChart("inflow", "Inflow", f"Items taken in, by day (UTC), the last {DAYS} days.", rows)


def backlog(investigation: Investigation, *, at: dt.datetime) -> DashboardChart:
    """Assignments that are not done, by how long they have been open."""
    counted: Counter[str] = Counter()
    opened = Assignment.objects.filter(investigation=investigation, done_at=None, opened_at__lte=at)
    for moment, count in opened.order_by().values_list("opened_at").annotate(count=Count("pk")):
        counted[_age(at - moment)] += count
    # At most one is open for each quality lead, so they are taken out one by one.
    for moment in opened.filter(person__isnull=False, step=Step.QUALITY).values_list("opened_at", flat=True):
        counted[_age(at - moment)] -= 1
    rows = _rows([(label, counted[label]) for label, _ in _AGES])
    says = "Steps of the review plan that are open: they wait for a person or are with one. By the age of the step."
    return DashboardChart("backlog", "Backlog and its age", says, rows)


def _age(open_for: dt.timedelta) -> str:
    return next(label for label, age in _AGES if age is None or open_for <= age)


def progress(investigation: Investigation) -> DashboardChart:
    """The funnel as far as it has come: items taken in, and those that are settled."""
    counted = _settled(investigation)
    posted = investigation.posted_total
    taken_in = Item.objects.filter(investigation=investigation).count()
    rows = [("Posted, as declared", posted), ("Items taken in", taken_in), ("Items settled", counted.total())]
    names = {
        LegalStatus.CRIMINAL: "– confirmed",
        LegalStatus.NOT_CRIMINAL: "– not criminal under the law",
        LegalStatus.UNDETERMINED: "– undetermined",
    }
    rows += [(name, counted[status.value]) for status, name in names.items()]
    says = (
        "Posted is the declared total of the source; items are postings; an item is settled by the outcome of its file "
        "that stands now, and postings of the very same bytes share it."
    )
    return DashboardChart("progress", "Funnel so far", says, _rows(rows))


def _settled(investigation: Investigation) -> Counter[str]:
    """Items by the status of the outcome that stands, from an index of each table alone, in the order of files."""
    of_item = (
        "FROM desk_outcome o JOIN desk_item i ON i.investigation_id = o.investigation_id AND i.file_id = o.file_id"
    )
    here = "WHERE o.investigation_id = %s AND i.investigation_id = %s"
    ids = [investigation.pk, investigation.pk]
    with transaction.atomic(), connection.cursor() as cursor:
        # Two processes that each read half of both tables take four times as long.
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        cursor.execute(f"SELECT o.status, count(*) {of_item} {here} GROUP BY 1", ids)
        counted = Counter(dict(cursor.fetchall()))
        # Corrections are few; to count them apart is cheaper than to leave them out.
        corrected = "AND EXISTS (SELECT FROM desk_outcome c WHERE c.corrects_id = o.id)"
        cursor.execute(f"SELECT o.status, count(*) {of_item} {here} {corrected} GROUP BY 1", ids)
        counted.subtract(dict(cursor.fetchall()))
    return counted


def agreement(investigation: Investigation, *, at: dt.datetime) -> DashboardChart:
    """Of the stacks that a second person assessed lately, those that went to a third."""
    since = at - dt.timedelta(days=28)
    here = Assignment.objects.filter(investigation=investigation)
    pairs = here.filter(step=Step.SECOND, done_at__gte=since, done_at__lte=at).count()
    disputes = here.filter(step=Step.THIRD, opened_at__gte=since, opened_at__lte=at).count()
    says = (
        "Stacks whose second blind assessment came in during the last 28 days, and how many were opened for a third "
        "person in that time because the two differ in what counts."
    )
    if pairs < FEWEST_PAIRS:
        withheld = f"fewer than {FEWEST_PAIRS} stacks were assessed twice in 28 days"
        return DashboardChart("agreement", "Agreement", says, (), withheld)
    rows = _rows([("In agreement", max(0, pairs - disputes)), ("To a third person", disputes)])
    return DashboardChart("agreement", "Agreement", says, rows)


def time_to_outcome(investigation: Investigation) -> DashboardChart:
    """How long the files that were settled last had been here."""
    newest = (
        Outcome.objects.filter(investigation=investigation, corrects=None).order_by("-pk").values_list("pk", flat=True)
    )
    settled = (
        Outcome.objects.filter(pk__in=list(newest[:NEWEST]), file__items__investigation=investigation)
        .order_by()
        .values_list("pk", "settled_at")
        .annotate(first=Min("file__items__imported_at"))
    )
    counted: Counter[str] = Counter()
    for _, settled_at, first in settled:
        minutes = max(0.0, (settled_at - first).total_seconds() / 60)
        counted[next(code for code, (_, most) in DURATIONS.items() if most is None or minutes <= most)] += 1
    rows = _rows([(label, counted[code]) for code, (label, _) in DURATIONS.items()])
    says = f"From the first posting's intake to the outcome, of the {NEWEST:,} files that were settled last."
    return DashboardChart("time_to_outcome", "Time to outcome", says, rows)


def list_freshness(*, at: dt.datetime) -> DashboardChart:
    """For each hash list that was read, how long ago its newest edition came."""
    newest: dict[str, tuple[int, dt.datetime]] = {}
    for name, number, read_at in Edition.objects.order_by("number").values_list("list_name", "number", "first_read_at"):
        newest[name] = (number, read_at)
    rows = [
        (name, max(0, (at - read_at).days), f"edition {number}") for name, (number, read_at) in sorted(newest.items())
    ]
    rows += [
        (f"▲ {name}", days or 0, "never here whole" if days is None else "no longer fresh: nothing was fetched")
        for name, days in stale_lists(at=at)
    ]
    says = (
        "Whole days since the newest edition of each hash list was first read here. Behind ▲: exchanges with partners "
        "of which not everything was here within 26 hours, and the days since."
    )
    return DashboardChart("lists", "Freshness of hash lists", says, _rows(rows), "" if rows else "no list was read yet")


def team(*, seen_by: Person, at: dt.datetime) -> DashboardChart:
    """Views of the whole team in whole weeks, by the rules of `queries.exposure`."""
    weeks = [week for week in team_exposure(seen_by=seen_by, at=at) if week.people is not None]
    rows = _rows([(f"Week of {week.begins.isoformat()}", week.views) for week in weeks])
    says = "Views of all people together in whole weeks, of all investigations; no week of fewer than five people."
    withheld = "" if rows else "no whole week of at least five people yet"
    return DashboardChart("exposure", "Exposure", says, rows, withheld)


def _rows(counted: list[tuple[str, int]] | list[tuple[str, int, str]]) -> tuple[DashboardRow, ...]:
    most = max((one[1] for one in counted), default=0)
    return tuple(
        DashboardRow(one[0], one[1], 100 * one[1] // most if most else 0, one[2] if len(one) > 2 else "")
        for one in counted
    )
