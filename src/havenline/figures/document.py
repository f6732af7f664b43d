"""What a publication says, as plain values: the web page, the PDF and the method note are three faces of it.

Everything is made of the cube and its definitions; no number and no sentence about a figure is written anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from havenline.figures.charts import HIDDEN, number, text_of
from havenline.figures.cube import Cube
from havenline.figures.definitions import Dataset, Definition, Scope, Statistics, key_of
from havenline.figures.funnel import ROUNDING
from havenline.figures.tables import Change, FigureTable, changes_of, tables_of

GROUPS = {
    Dataset.ITEMS: "Items",
    Dataset.REPORTS: "Reports",
    Dataset.ASSESSMENTS: "How sure these figures are",
    Dataset.WORK: "The people who looked",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """One of the few large numbers; `table` is the id of the table in which it stands."""

    figure: str
    what: str
    note: str
    table: str


@dataclass(frozen=True, slots=True)
class GridRow:
    """One printed row: its label, how deep it stands, its cells as printed."""

    label: str
    depth: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One table with all that names it. `notes` are its unit, dataset, rule and what is left out, in words."""

    id: str
    title: str
    says: str
    group: str
    heads: tuple[str, ...]
    rows: tuple[GridRow, ...]
    text: str
    notes: tuple[tuple[str, str], ...]
    charted: bool


@dataclass(frozen=True, slots=True)
class PublicationDocument:
    """A whole publication in words. `empty` are the titles of tables in which nothing was counted."""

    reference: str
    title: str
    publisher: str
    period: str
    framework: str
    dataset: str
    headlines: tuple[Headline, ...]
    summary: str
    sections: tuple[Section, ...]
    work: tuple[tuple[str, str], ...]
    changes: tuple[tuple[str, str, str, str, str], ...]
    earlier: str
    empty: tuple[str, ...]
    method: tuple[tuple[str, str], ...]
    definitions: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def document_of(cube: Cube, earlier: Cube | None = None) -> PublicationDocument:
    """Say a cube, beside the one of an earlier period. Raises FiguresError where the two were not counted alike."""
    statistics = cube.statistics()
    tables = tables_of(statistics, cube.cells)
    sections = [_section(statistics, cube, table) for table in tables if _holds(table)]
    changes = changes_of(statistics, cube.cells, earlier.cells) if earlier is not None else ()
    headlines = _headlines(cube, {table.definition.id: table for table in tables})
    return PublicationDocument(
        reference=cube.imprint.reference,
        title=cube.imprint.title,
        publisher=cube.imprint.publisher,
        period=cube.head.period,
        framework=f"{cube.head.framework} {cube.head.framework_version} ({cube.head.framework_title})",
        dataset=cube.head.dataset,
        headlines=tuple(headlines),
        summary=_summary(cube),
        sections=tuple(sorted(sections, key=lambda one: list(GROUPS.values()).index(one.group))),
        work=_work(cube),
        changes=tuple(_changed(one) for one in changes),
        earlier="" if earlier is None else f"{earlier.imprint.reference}, {earlier.head.period}",
        empty=tuple(table.definition.title for table in tables if not _holds(table)),
        method=_method(cube),
        definitions=tuple((one.title, _notes(cube, statistics, one)) for one in statistics.definitions),
    )


def _holds(table: FigureTable) -> bool:
    return any(row.count != 0 for row in table.rows)


def _section(statistics: Statistics, cube: Cube, table: FigureTable) -> Section:
    one = table.definition
    heads, rows = _crossed(statistics, table) if one.each or len(one.by) > 1 else _listed(statistics, table)
    return Section(
        id=one.id,
        title=one.title,
        says=one.says,
        group=GROUPS[one.dataset],
        heads=heads,
        rows=rows,
        text=text_of(table),
        notes=_notes(cube, statistics, one),
        charted=any(row.count for row in table.rows),
    )


def _listed(statistics: Statistics, table: FigureTable) -> tuple[tuple[str, ...], tuple[GridRow, ...]]:
    one = table.definition
    heads = (
        statistics.dimension(one.scope, one.by[0]).title,
        f"{one.unit.value}s".capitalize(),
        *(f"% of {share.of}" for share in one.shares),
    )
    rows = (
        GridRow(row.labels[0], row.depth, (number(row.count), *(_share(row.count, share) for share in row.shares)))
        for row in table.rows
    )
    return heads, tuple(rows)


def _crossed(statistics: Statistics, table: FigureTable) -> tuple[tuple[str, ...], tuple[GridRow, ...]]:
    """Two dimensions as a grid, the sums last; of `each`, a row per dimension and a column per answer."""
    one = table.definition
    cells: dict[tuple[str, str], str] = {}
    down: dict[str, int] = {}
    across: dict[str, None] = {}
    for row in table.rows:
        if one.each:
            (name, code), label = next(iter(row.codes.items())), row.labels[0]
            side = statistics.dimension(one.scope, name).title
            if not code:
                label = "All"
            depth = 0
        else:
            (side, label), depth = row.labels, row.depth
        cells[side, label] = number(row.count)
        down.setdefault(side, depth)
        across.setdefault(label)
    first = next(iter(across))
    columns = [*(label for label in across if label != first), first]
    title = "Question" if one.each else statistics.dimension(one.scope, one.by[0]).title
    rows = (
        GridRow(side, depth, tuple(cells.get((side, label), "") for label in columns)) for side, depth in down.items()
    )
    return (title, *columns), tuple(rows)


def _share(count: int | None, share: Decimal | None) -> str:
    if share is not None:
        return str(share)
    return HIDDEN if count is None else "–"


def _headlines(cube: Cube, tables: dict[str, FigureTable]) -> list[Headline]:
    found = []
    wanted = [
        ("funnel", "assessed", "assessed"),
        ("funnel", "criminal", "confirmed"),
        ("laws", "group:realistic", "realistic"),
    ]
    for name, code, what in wanted:
        table = tables.get(name)
        row = next((one for one in table.rows if code in one.codes.values()), None) if table else None
        if table is None or row is None or row.count is None:
            continue
        shares = [
            (share, whole.of)
            for share, whole in zip(row.shares, table.definition.shares, strict=True)
            if share is not None
        ]
        note = "{} % of {}".format(*max(shares)) if shares else ""
        found.append(Headline(number(row.count), what, note, name))
    if cube.hours is not None and cube.people is not None:
        found.append(Headline(f"{cube.hours:,} h", "of attention", f"{cube.people} people together", "work"))
    return found


def _summary(cube: Cube) -> str:
    cells = cube.cells[Scope.ITEMS]
    assessed, confirmed = cells[key_of({"step": "assessed"})], cells[key_of({"step": "criminal"})]
    posted = cells[key_of({})]
    said = [f"{number(posted)} items were posted in the period"] if posted is not None else []
    if assessed is not None:
        said.append(f"{number(assessed)} were assessed")
    if confirmed is not None:
        said.append(f"{number(confirmed)} of them were confirmed as {cube.head.statuses.criminal}")
    return f"{'; '.join(said)}." if said else ""


def _work(cube: Cube) -> tuple[tuple[str, str], ...]:
    if cube.hours is None or cube.people is None:
        return (("Working time", "not published: fewer than five people assessed"),)
    rows = [("People who assessed", f"{cube.people:,}"), ("Hours of attention, all people together", f"{cube.hours:,}")]
    if cube.seconds_per_item is not None:
        rows.append(("Seconds for each assessed item, all assessments together", f"{cube.seconds_per_item:,}"))
    return tuple(rows)


def _changed(one: Change) -> tuple[str, str, str, str, str]:
    per_cent = "–" if one.per_cent is None else f"{one.per_cent:+,}"
    return (one.definition.title, ", ".join(one.labels), number(one.before), number(one.now), per_cent)


def _notes(cube: Cube, statistics: Statistics, one: Definition) -> tuple[tuple[str, str], ...]:
    population = ", ".join(
        _first_down(statistics.dimension(one.scope, name).nodes[code].label) for name, code in one.population.items()
    )
    notes = [
        ("Counts", f"{one.says}."),
        ("Unit", one.unit.value),
        ("Dataset", one.dataset.value),
        ("Population", population or f"all {one.unit.value}s of the period"),
        ("Rule", f"{one.rule.value}."),
        ("Shares of", "; ".join(dict.fromkeys(share.of for share in one.shares))),
        ("Left out", "; ".join(one.exclusions) or "nothing"),
        ("Framework", f"{cube.head.framework} {cube.head.framework_version}"),
        ("Period", cube.head.period),
    ]
    return tuple((name, text) for name, text in notes if text)


def _method(cube: Cube) -> tuple[tuple[str, str], ...]:
    rounded = f" Counts are rounded to multiples of {cube.rounding}." if cube.rounding > 1 else ""
    cells = sum(map(len, cube.cells.values()))
    assessed = (
        f"Review plan: {cube.head.review_plan}. People recorded what they saw; the law was applied to that by the "
        f"rules of {cube.head.framework_title}, version {cube.head.framework_version}. A match against a list, and "
        "what a file says of its own origin, decided nothing. Ages are apparent ages and sexes perceived ones."
    )
    hidden = (
        f"{HIDDEN} stands for a hidden count. Counts of 1 to {cube.threshold - 1} are hidden, and others with them, "
        "until no hidden count can be narrowed to fewer than three values from everything that is published here and "
        f"in an earlier publication of an overlapping period. {cube.hidden:,} of {cells:,} cells are hidden. Which of "
        f"them are small is not told.{rounded} Names of sites, services, models and generators, and counts of a victim "
        "or a series, are never published."
    )
    check = (
        "Every file here can be made again from cube.json: havenline publish --verify FOLDER. Whoever holds the "
        "records under contract recomputes the cube too, with --snapshot. The snapshot of the records is committed to "
        f"by {cube.commitment}, salted, so that it tells nothing."
    )
    return (
        ("How it was assessed", assessed),
        ("What is not shown", hidden),
        ("Rounding", f"{ROUNDING[0].upper()}{ROUNDING[1:]}."),
        ("How to check it", check),
    )


def _first_down(text: str) -> str:
    return text[:1].lower() + text[1:]
