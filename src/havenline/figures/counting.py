"""The cells of the declared statistics, counted by DuckDB over a snapshot: the one code path of every figure.

Every figure is an integer: working time is counted in milliseconds, so neither the order of the rows nor the number of
threads can change one.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from havenline.figures.catalogue import (
    DURATIONS,
    ELSEWHERE,
    MACHINE_MADE,
    NOT_ASKED,
    NOT_YET,
    TIMES,
    UNKNOWN,
    flags_of,
    statistics_of,
)
from havenline.figures.definitions import Definition, Key, Scope, Statistics, key_of
from havenline.figures.records import FiguresError
from havenline.figures.snapshot import FiguresSnapshot, SnapshotHead, column_of
from havenline.frameworks import CANNOT_DETERMINE, LegalStatus

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

COUNTRIES_SHOWN = 15
"""The countries with most confirmed items are shown by themselves; the rest are counted together."""
_KEY_BITS = 63


@dataclass(frozen=True, slots=True)
class Work:
    """Working time in milliseconds over all assessments, how many people assessed, and how many items are assessed."""

    active_ms: int
    people: int
    assessed: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Every cell of every definition, exact and internal. `few` are cells in which fewer than five people stand.

    `countries`, `channels`, `times`: what `statistics_of` was given with the head.
    """

    head: SnapshotHead
    countries: tuple[str, ...]
    channels: tuple[str, ...]
    times: tuple[str, ...]
    statistics: Statistics
    cells: Mapping[Scope, Mapping[Key, int]]
    few: frozenset[Key]
    work: Work


def count(
    snapshot: FiguresSnapshot,
    *,
    countries: Sequence[str] | None = None,
    threads: int | None = None,
    memory: str = "2GB",
    fewest: int = 5,
) -> Counted:
    """Count everything that is declared of a snapshot.

    `countries`: those shown by themselves, as an earlier publication showed them; None for those with most items.
    `threads`: None for as many as there are cores. `memory`: what DuckDB may hold; beyond it, it goes to the disk.
    Raises FiguresError where the records contradict each other, with one line that says how. Not checked: whether
    anything is safe to publish; `havenline.figures.disclosure` sees to that.
    """
    import duckdb

    with tempfile.TemporaryDirectory(prefix="havenline-figures-") as spill:
        # DuckDB would otherwise fetch extensions over the network by itself.
        alone = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
        held = duckdb.connect(config={"memory_limit": memory, "temp_directory": spill, **alone})
        try:
            if threads is not None:
                held.execute(f"SET threads = {int(threads)}")
            for table in ("items", "assessments", "reports", "report_items", "exposure"):
                held.read_parquet(str(snapshot.file(table))).create_view(f"{table}_read")
            return _Counter(held, snapshot.head).counted(fewest, countries)
        except duckdb.Error as fault:
            raise FiguresError(f"the snapshot cannot be counted: {str(fault).splitlines()[0]}") from None
        finally:
            held.close()


class _Counter:
    def __init__(self, held: DuckDBPyConnection, head: SnapshotHead) -> None:
        self._held, self._head = held, head
        self._asked = {one.id for one in head.questions}

    def counted(self, fewest: int, shown: Sequence[str] | None) -> Counted:
        self._check()
        times = [name for name, (column, _) in TIMES.items() if self._one(f"SELECT count({column}) FROM items_read")]
        countries = self._countries() if shown is None else list(shown)
        self._held.execute(f"CREATE TEMP VIEW items AS {self._items(countries, times)}")
        self._held.execute(f"CREATE TEMP VIEW reports AS {self._reports()}")
        self._held.execute(f"CREATE TEMP VIEW pairs AS {self._pairs()}")
        self._held.execute(
            "CREATE TEMP VIEW views AS SELECT ladder_step::VARCHAR AS ladder_step, views FROM exposure_read"
        )
        channels = [row[0] for row in self._rows("SELECT DISTINCT channel FROM reports_read ORDER BY 1")]
        statistics = statistics_of(self._head, countries=countries, channels=channels, times=times)
        cells = {scope: self._cells(statistics, scope) for scope in statistics.scopes()}
        steps = self._rows("SELECT ladder_step::VARCHAR FROM exposure_read WHERE views > 0 AND people < $1", [fewest])
        few = frozenset(key_of({"ladder_step": row[0]}) for row in steps)
        work = Work(
            active_ms=self._one("SELECT coalesce(sum(active_ms), 0)::BIGINT FROM assessments_read"),
            people=self._head.people,
            assessed=cells[Scope.ITEMS][key_of({"step": "assessed"})],
        )
        return Counted(self._head, tuple(countries), tuple(channels), tuple(times), statistics, cells, few, work)

    def _rows(self, sql: str, given: Sequence[object] = ()) -> list[tuple[str, ...]]:
        return self._held.execute(sql, list(given)).fetchall()

    def _one(self, sql: str) -> int:
        found = self._held.execute(sql).fetchone()
        return int(found[0]) if found is not None else 0

    def _check(self) -> None:
        """The rules that every figure rests on. A snapshot that breaks one gives none."""
        statuses = ", ".join(f"'{status.value}'" for status in LegalStatus)
        classes = ", ".join(map(_text, self._head.laws)) or "''"
        criminal = LegalStatus.CRIMINAL.value
        broken = {
            "items have an outcome but were never selected": "status IS NOT NULL AND NOT selected",
            "items have an unknown status": f"status NOT IN ({statuses})",
            "items have a class for which no law is named": f"class_id NOT IN ({classes})",
            "items are criminal without a class, or have a class without being criminal": (
                f"(coalesce(status, '') = '{criminal}') != (class_id IS NOT NULL)"
            ),
        }
        for reason, condition in broken.items():
            found = self._one(f"SELECT count(*) FROM items_read WHERE {condition}")
            if found:
                raise FiguresError(f"{found} {reason}")
        if self._one("SELECT count(*) - count(DISTINCT item) FROM items_read"):
            raise FiguresError("an item stands in the snapshot more than once")
        posted, known = self._head.posted, self._one("SELECT count(*) FROM items_read")
        if posted is not None and known > posted:
            raise FiguresError(f"{known} items were taken in but only {posted} posted; correct that total")
        if self._one("SELECT count(*) FROM assessments_read WHERE active_ms < 0"):
            raise FiguresError("an assessment has active seconds that are negative")

    def _countries(self) -> list[str]:
        found = self._rows(
            "SELECT country FROM items_read WHERE status = 'criminal' AND coalesce(country, '') != '' "
            "GROUP BY country ORDER BY count(*) DESC, country LIMIT $1",
            [COUNTRIES_SHOWN],
        )
        return sorted(row[0] for row in found)

    def _answer(self, question_id: str) -> str:
        if question_id not in self._asked:
            return f"'{NOT_ASKED}'"
        return f"coalesce(nullif({_quoted(column_of(question_id))}, ''), '{NOT_ASKED}')"

    def _machine_made(self) -> str:
        """Yes where any of the questions says yes; no where the first that was asked says no and none is open."""
        asked = [f"coalesce({_quoted(column_of(name))}, '')" for name in MACHINE_MADE if name in self._asked]
        if not asked:
            return f"'{NOT_ASKED}'"
        cases = [f"WHEN {' OR '.join(f'{one} = {_text(code)}' for one in asked)} THEN {_text(code)}"
                 for code in ("yes", CANNOT_DETERMINE, "no")]  # fmt: skip
        return f"CASE {' '.join(cases)} ELSE '{NOT_ASKED}' END"

    def _items(self, countries: Sequence[str], times: Sequence[str]) -> str:
        shown = ", ".join(_text(code) for code in countries) or "''"
        durations = "".join(f", {_bucket(TIMES[name][0])} AS to_{name}" for name in times)
        flags = "".join(f", coalesce(nullif({_quoted(name)}, ''), '{NOT_ASKED}') AS {_quoted(name)}"
                        for name in flags_of(self._head))  # fmt: skip
        asked = self._answer(self._head.severity_question) if self._head.severity_question else "'none'"
        known = ", ".join(_text(code) for code in self._head.severities) or "''"
        return f"""
            SELECT item,
                CASE WHEN NOT selected THEN 'not_selected' WHEN status IS NULL THEN 'waiting' ELSE status END AS step,
                class_id AS class, kind,
                CASE WHEN severity IN ({known}) THEN severity
                     WHEN {asked} = '{CANNOT_DETERMINE}' THEN '{CANNOT_DETERMINE}' ELSE 'none' END AS severity,
                CASE WHEN country IN ({shown}) THEN country
                     WHEN coalesce(country, '') = '' THEN '{UNKNOWN}' ELSE '{ELSEWHERE}' END AS country,
                {self._answer("youngest_band")} AS youngest_band,
                {self._answer("perceived_sex")} AS perceived_sex,
                {self._machine_made()} AS machine_made{flags}{durations}
            FROM items_read"""

    def _reports(self) -> str:
        """The rule per report; where nothing is confirmed, what is open outranks what is not criminal."""
        realistic = [code for code, law in self._head.laws.items() if law.group == "realistic"]
        real = ", ".join(_text(code) for code in realistic) or "''"
        severity = _worst("severity", [*self._head.severities, CANNOT_DETERMINE, "none"])
        bands = self._head.question("youngest_band")
        band = _worst("youngest_band", [*(bands.codes if bands else ()), NOT_ASKED])
        made = _worst("machine_made", ["yes", CANNOT_DETERMINE, "no", NOT_ASKED])
        return f"""
            SELECT any_value(channel) AS channel,
                CASE WHEN bool_or(step = 'criminal') THEN 'criminal'
                     WHEN bool_or(step IN ('waiting', 'not_selected')) THEN 'waiting'
                     WHEN bool_or(step = 'undetermined') THEN 'undetermined' ELSE 'not_criminal' END AS step,
                {severity} AS severity, {band} AS youngest_band, {made} AS machine_made,
                CASE WHEN bool_or(step = 'criminal' AND class IN ({real})) THEN 'yes' ELSE 'no' END AS realistic
            FROM report_items_read JOIN items USING (item) JOIN reports_read USING (report)
            GROUP BY report"""

    def _pairs(self) -> str:
        def same(question_id: str) -> str:
            name = _quoted(column_of(question_id))
            one, other = f"a.{name}", f"b.{name}"
            return (
                f"CASE WHEN coalesce({one}, '') = '' OR coalesce({other}, '') = '' THEN '{NOT_ASKED}' "
                f"WHEN {one} = {other} THEN 'same' ELSE 'differ' END AS {_quoted(f'same:{question_id}')}"
            )

        def says_yes(side: str) -> str:
            asked = [name for name in MACHINE_MADE if name in self._asked]
            said = " OR ".join(f"coalesce({side}.{_quoted(column_of(name))}, '') = 'yes'" for name in asked)
            return f"({said or 'false'})::INTEGER"

        yes = f"{says_yes('a')} + {says_yes('b')}"
        both = f"CASE {yes} WHEN 2 THEN 'both' WHEN 1 THEN 'one' ELSE 'neither' END AS {_quoted('both:machine_made')}"
        return f"""
            SELECT {", ".join([*(same(one.id) for one in self._head.questions), both])}
            FROM assessments_read a JOIN assessments_read b USING (revision)
            WHERE a.step = 'first' AND b.step = 'second'"""

    def _cells(self, statistics: Statistics, scope: Scope) -> dict[Key, int]:
        """One pass over the scope's view for all its tables; the sums are made of the leaves."""
        crosses = {
            tuple(sorted({*by, *one.population})): None
            for one in statistics.definitions
            if one.scope is scope
            for by in one.crosses()
        }
        leaves = self._leaves(scope, list(crosses))
        cells: dict[Key, int] = {}
        for definition in statistics.definitions:
            if definition.scope is scope:
                for by in definition.crosses():
                    found = leaves[tuple(sorted({*by, *definition.population}))]
                    cells |= _summed(statistics, definition, by, found)
        if scope is Scope.ITEMS and self._head.posted is not None:
            absent = self._head.posted - self._one("SELECT count(*) FROM items_read")
            for key in (key_of({}), key_of({"step": "not_selected"})):
                cells[key] += absent
        return cells

    def _leaves(
        self, scope: Scope, crosses: Sequence[tuple[str, ...]]
    ) -> dict[tuple[str, ...], dict[tuple[str, ...], int]]:
        names = sorted({name for cross in crosses for name in cross})
        if len(names) > _KEY_BITS:
            raise FiguresError(f"a snapshot with more than {_KEY_BITS} dimensions cannot be counted")
        sets = ", ".join(f"({', '.join(map(_quoted, cross))})" for cross in crosses)
        listed = ", ".join(map(_quoted, names))
        measure = "sum(views)::BIGINT" if scope is Scope.VIEWS else "count(*)"
        found: dict[tuple[str, ...], dict[tuple[str, ...], int]] = defaultdict(dict)
        sql = f"SELECT GROUPING({listed}), {measure}, {listed} FROM {scope.value} GROUP BY GROUPING SETS ({sets})"
        for mask, counted, *codes in self._held.execute(sql).fetchall():
            # Bit 0 stands for the last name; a bit that is set means that the dimension is summed.
            kept = [place for place in range(len(names)) if not mask >> (len(names) - 1 - place) & 1]
            found[tuple(names[place] for place in kept)][tuple(codes[place] or "" for place in kept)] = int(counted)
        return found


def _summed(
    statistics: Statistics,
    definition: Definition,
    by: tuple[str, ...],
    leaves: Mapping[tuple[str, ...], int],
) -> dict[Key, int]:
    """The cells of one cross, sums among them, from counts at leaves (codes in the order of the names)."""
    names = sorted({*by, *definition.population})
    above: dict[str, dict[str, list[str]]] = {}
    for name in names:
        dimension = statistics.dimension(definition.scope, name)
        root = definition.population.get(name, "")
        codes = dimension.below(root) if name in by else (root,)
        above[name] = defaultdict(list)
        for code in codes:
            for leaf in dimension.leaves(code):
                above[name][leaf].append(code)
    cells: dict[Key, int] = dict.fromkeys(statistics.cells(definition, by), 0)
    for codes, counted in leaves.items():
        at_leaf = dict(zip(names, codes, strict=True))
        if any(at_leaf[name] not in above[name] for name in definition.population):
            continue
        strange = [name for name in names if at_leaf[name] not in above[name]]
        if strange:
            raise FiguresError(f"the records hold “{at_leaf[strange[0]]}” for {strange[0]}, which no definition knows")
        for at in product(*(above[name][at_leaf[name]] for name in names)):
            cells[key_of(dict(zip(names, at, strict=True)))] += counted
    return cells


def _worst(column: str, order: Iterable[str]) -> str:
    """SQL: the first code of `order` among the confirmed items of a report, the last one where there is none."""
    codes = list(order)
    places = " ".join(f"WHEN {_text(code)} THEN {place}" for place, code in enumerate(codes))
    least = f"min(CASE {column} {places} END) FILTER (WHERE step = 'criminal')"
    back = " ".join(f"WHEN {place} THEN {_text(code)}" for place, code in enumerate(codes))
    return f"CASE {least} {back} ELSE {_text(codes[-1])} END"


def _bucket(column: str) -> str:
    cases = " ".join(
        f"WHEN {column} <= {minutes} THEN '{code}'" for code, (_, minutes) in DURATIONS.items() if minutes is not None
    )
    return f"CASE WHEN {column} IS NULL THEN '{NOT_YET}' {cases} ELSE 'later' END"


def _quoted(name: str) -> str:
    """A name as SQL writes it; frameworks are data, so their ids are never taken on trust."""
    return '"' + name.replace('"', '""') + '"'


def _text(code: str) -> str:
    return "'" + code.replace("'", "''") + "'"
