"""The declared statistics, counted over snapshots: published tables come out, and contradictions give no figure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from havenline.figures import FiguresError, funnel
from havenline.figures.counting import Counted, count
from havenline.figures.definitions import Scope, key_of
from havenline.figures.later_studies import later_snapshot, study_snapshot
from havenline.figures.snapshot import FiguresSnapshot, SnapshotHead, column_of, new_snapshot, read_snapshot
from havenline.figures.study import october_2023, study_records
from havenline.figures.tables import FigureTable, changes_of, tables_of
from havenline.frameworks import load

CONFIRMED = {"step": "criminal"}


@pytest.fixture(scope="module")
def october(tmp_path_factory: pytest.TempPathFactory) -> Counted:
    return count(study_snapshot(tmp_path_factory.mktemp("october") / "snapshot", october_2023()))


def items(counted: Counted, **at: str) -> int:
    return counted.cells[Scope.ITEMS][key_of(at)]


def reports(counted: Counted, **at: str) -> int:
    return counted.cells[Scope.REPORTS][key_of(at)]


def test_october_2023_comes_out_of_the_general_definitions(october: Counted) -> None:
    table = by_id(october, "funnel")
    assert {row.codes["step"] or "posted": row.count for row in table.rows} == {
        "posted": 20_254,
        "not_selected": 9_146,
        "selected": 11_108,
        "waiting": 0,
        "assessed": 11_108,
        "criminal": 2_978,
        "not_criminal": 8_130,
        "undetermined": 0,
    }
    shares = {row.codes["step"]: row.shares for row in table.rows}
    assert shares["selected"][0] == Decimal("54.8")
    assert shares["criminal"][1] == Decimal("26.8")
    laws = {row.codes["class"]: (row.count, *row.shares) for row in by_id(october, "laws").rows}
    assert laws["group:realistic"] == (2_562, Decimal("86.0"), Decimal("23.1"))
    assert laws["prohibited_image"] == (416, Decimal("14.0"), Decimal("3.7"))
    assert (october.work.active_ms / 3_600_000, october.work.people) == (87.5, 12)


def test_the_funnel_of_the_desk_and_that_of_a_snapshot_are_the_same(october: Counted) -> None:
    desk = funnel(study_records(october_2023()))
    assert items(october) == desk.posted
    assert items(october, step="assessed") == desk.assessed
    assert items(october, step="undetermined") == desk.undetermined
    for one in desk.by_class:
        assert items(october, **CONFIRMED, **{"class": one.class_id}) == one.count


def test_the_later_comparisons_come_out(tmp_path: Path) -> None:
    """Published: 7 of 29; 51 → 245 (+380 %) → 193 realistic → 491 (+154 %); 275,652 → 291,273 (+6 %); 65 %."""
    counted = {
        name: count(later_snapshot(tmp_path / name, name))
        for name in ("2023-summer", "2023-machine-made", "2023-all", "2024-machine-made", "2024-all", "2025-one-site",
                     "2025-machine-made")
    }  # fmt: skip
    summer, year_23, year_24, year_25 = (
        counted[name] for name in ("2023-summer", "2023-machine-made", "2024-machine-made", "2025-machine-made")
    )
    assert (reports(summer), reports(summer, **CONFIRMED)) == (29, 7)
    assert (reports(counted["2023-all"]), reports(counted["2023-all"], **CONFIRMED)) == (392_665, 275_652)
    assert items(year_24, **CONFIRMED, kind="picture") == 7_644

    def changed(before: Counted, now: Counted, definition: str, *labels: str) -> tuple[int, int, Decimal | None]:
        (found,) = [
            one
            for one in changes_of(now.statistics, now.cells, before.cells)
            if one.definition.id == definition and one.labels == labels
        ]
        return found.before, found.now, found.per_cent

    confirmed = f"Confirmed: {load('gb-eaw', '2023-09.2').labels.criminal}"
    assert changed(year_23, year_24, "reports", confirmed) == (51, 245, Decimal("380.4"))
    assert changed(year_24, year_25, "report_realistic", "Realistic") == (193, 491, Decimal("154.4"))
    assert changed(counted["2023-all"], counted["2024-all"], "reports", confirmed) == (
        275_652,
        291_273,
        Decimal("5.7"),
    )
    before, now, _ = changed(year_24, year_25, "kinds", "Video", "All")
    assert (before, now, now // before) == (13, 3_443, 264)
    videos = {tuple(row.codes.values()): row for row in by_id(year_25, "kinds").rows}
    assert (videos["video", "A"].count, videos["video", "A"].shares[0]) == (2_233, Decimal("64.9"))
    site = {tuple(row.codes.values()): row for row in by_id(counted["2025-one-site"], "report_severity_age").rows}
    assert (site["", ""].count, site["C", "11-13"].count, site["", "7-10"].count) == (17, 16, 1)
    assert site["C", "11-13"].shares[0] == Decimal("94.1")


def test_every_sum_that_is_declared_adds_up(october: Counted) -> None:
    sums = [(scope, *one) for scope in october.statistics.scopes() for one in october.statistics.sums(scope)]
    assert len(sums) > 50
    for scope, whole, parts in sums:
        cells = october.cells[scope]
        assert cells[whole] == sum(cells[part] for part in parts), (whole, parts)


def test_a_report_counts_by_its_youngest_and_most_severe(tmp_path: Path) -> None:
    rows = [("A", "11-13"), ("C", "3-6"), ("B", "cannot_determine"), ("C", "16-17")]
    made = small(
        tmp_path,
        items=[criminal(number, severity=severity, band=band) for number, (severity, band) in enumerate(rows)],
        reports={0: [0, 1], 1: [2, 3]},
    )
    cells = count(made).cells[Scope.REPORTS]
    assert cells[key_of({**CONFIRMED, "severity": "A", "youngest_band": "3-6"})] == 1
    assert cells[key_of({**CONFIRMED, "severity": "B", "youngest_band": "16-17"})] == 1
    assert cells[key_of(CONFIRMED)] == 2


def test_two_blind_answers_are_compared_by_question(tmp_path: Path) -> None:
    looks = [
        {"revision": revision, "step": step, "active_ms": 1000, "q_child": answer, "q_ai_generated_wholly": made}
        for revision, (one, other, machine) in enumerate(
            [("yes", "yes", "yes"), ("yes", "no", "no"), ("no", "no", "no")]
        )
        for step, answer, made in (("first", one, "yes"), ("second", other, machine))
    ]
    looks.append({"revision": 9, "step": "first", "active_ms": 500, "q_child": "yes"})
    counted = count(small(tmp_path, items=[criminal(0)], assessments=looks))
    cells = counted.cells[Scope.PAIRS]
    assert (cells[key_of({})], cells[key_of({"same:child": "same"})], cells[key_of({"same:child": "differ"})]) == (
        3,
        2,
        1,
    )
    assert [cells[key_of({"both:machine_made": code})] for code in ("both", "one", "neither")] == [1, 2, 0]
    assert counted.work.active_ms == 6_500


def test_times_stand_only_where_they_are_recorded(tmp_path: Path) -> None:
    durations = [5, 60, 61, 40_000, 50_000, None]
    rows = [criminal(number, minutes_to_outcome=minutes) for number, minutes in enumerate(durations)]
    counted = count(small(tmp_path, items=rows))
    ids = {one.id for one in counted.statistics.definitions}
    assert "time_to_outcome" in ids
    assert "time_to_notice" not in ids
    spent = {row.codes["to_outcome"]: row.count for row in by_id(counted, "time_to_outcome").rows}
    assert spent == {"": 6, "hour": 2, "day": 1, "week": 0, "month": 1, "later": 1, "not_yet": 1}


def test_countries_beyond_the_first_fifteen_are_counted_together(tmp_path: Path) -> None:
    rows = [criminal(number, country=f"C{chr(65 + number % 17)}") for number in range(17 * 3 + 15)]
    rows.append(criminal(999))
    table = by_id(count(small(tmp_path, items=rows)), "hosting")
    found = {row.codes["country"]: row.count for row in table.rows}
    assert (len(found), found["elsewhere"], found["unknown"], found[""]) == (18, 6, 1, 67)


BREACHES: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "never selected": (lambda row: row | {"selected": False}, "never selected"),
    "unknown status": (lambda row: row | {"status": "guilty"}, "unknown status"),
    "unknown class": (lambda row: row | {"class_id": "other"}, "no law is named"),
    "class without crime": (lambda row: row | {"status": "not_criminal"}, "without being criminal"),
    "unknown answer": (lambda row: row | {"q_youngest_band": "40-50"}, "which no definition knows"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_records_that_contradict_each_other_give_no_figure(tmp_path: Path, breach: str) -> None:
    broken, reason = BREACHES[breach]
    made = small(tmp_path, items=[criminal(0), broken(criminal(1))])
    with pytest.raises(FiguresError, match=reason):
        count(made)


def test_more_items_than_were_posted_give_no_figure(tmp_path: Path) -> None:
    with pytest.raises(FiguresError, match="only 1 posted"):
        count(small(tmp_path, items=[criminal(0), criminal(1)], posted=1))


def test_a_commitment_changes_with_the_salt_and_with_every_record(tmp_path: Path) -> None:
    made = small(tmp_path, items=[criminal(0)])
    before = made.commitment()
    assert before == read_snapshot(made.folder).commitment()
    (made.folder / "salt").write_text("1" * 64)
    assert read_snapshot(made.folder).commitment() != before
    (made.folder / "salt").write_text(made.salt)
    table = pq.read_table(made.file("items"))
    changed = table.set_column(0, "item", pa.array([7], pa.int64()))
    pq.write_table(changed, made.file("items"))
    assert read_snapshot(made.folder).commitment() != before


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    made = small(tmp_path, items=[criminal(0)])
    with pytest.raises(FiguresError, match="holds something already"), new_snapshot(made.folder, made.head):
        pytest.fail("a snapshot was begun in a folder that holds another")
    with pytest.raises(FiguresError, match="no snapshot"):
        read_snapshot(tmp_path)


def by_id(counted: Counted, definition: str) -> FigureTable:
    return next(one for one in tables_of(counted.statistics, counted.cells) if one.definition.id == definition)


def criminal(number: int, *, severity: str = "B", band: str = "7-10", **others: Any) -> dict[str, Any]:
    return {
        "item": number,
        "kind": "picture",
        "selected": True,
        "status": "criminal",
        "class_id": "pseudo_photograph",
        "severity": severity,
        column_of("youngest_band"): band,
        **others,
    }


def small(
    folder: Path,
    *,
    items: list[dict[str, Any]],
    reports: dict[int, list[int]] | None = None,
    assessments: list[dict[str, Any]] | None = None,
    posted: int | None = None,
) -> FiguresSnapshot:
    head = SnapshotHead.under(
        load("gb-eaw", "2023-09.2"),
        investigation="small",
        dataset="synthetic",
        period="2024",
        review_plan="double",
        posted=len(items) if posted is None else posted,
        people=6,
    )
    links = [(report, item) for report, listed in (reports or {}).items() for item in listed]
    rows: dict[str, list[dict[str, Any]]] = {
        "items": items,
        "assessments": assessments or [],
        "reports": [{"report": report, "channel": "public"} for report in reports or {}],
        "report_items": [{"report": report, "item": item} for report, item in links],
    }
    with new_snapshot(folder / "snapshot", head) as writer:
        for table, listed in rows.items():
            plain = pa.schema(
                [
                    (one.name, pa.string() if pa.types.is_dictionary(one.type) else one.type)
                    for one in head.schema(table)
                ]
            )
            writer.add(table, pa.Table.from_pylist(listed, schema=plain))
    return read_snapshot(folder / "snapshot")
