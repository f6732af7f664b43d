"""Synthetic records of figures that were published after October 2023, as far as their numbers are complete.

Published totals alone stand here; every figure is counted from the records by the definitions, as for any
investigation. Sources: press releases and annual reports of the Internet Watch Foundation, 2023 to 2026. A split that
was not published is made up where records need one, and is named `unpublished`; no figure that is compared uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from havenline.figures.records import FiguresError
from havenline.figures.snapshot import FiguresSnapshot, SnapshotHead, column_of, new_snapshot, read_snapshot
from havenline.figures.study import StudyPlan
from havenline.frameworks import CANNOT_DETERMINE, Framework, LegalStatus, load


@dataclass(frozen=True, slots=True)
class ReportGroup:
    """So many reports alike, and the items of each kind that came in through them together, with the same answers."""

    reports: int
    items: Mapping[str, int]
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LaterStudy:
    """One published period: its reports in groups of those that are alike."""

    reference: str
    period: str
    groups: tuple[ReportGroup, ...]


def _facts(**given: str) -> dict[str, str]:
    return given


_REALISTIC = _facts(child="yes", image_kind="pseudo_photograph", indecent="yes", ai_generated_wholly="yes")
_PROHIBITED = _facts(child="yes", image_kind="other_image", prohibited="yes", ai_generated_wholly="yes")
_PHOTOGRAPH = _facts(child="yes", image_kind="photograph", indecent="yes", ai_generated_wholly="no")
_NOT_CRIMINAL = _facts(child="no", image_kind="other_image", ai_generated_wholly="yes")


def _each(count: int, facts: Mapping[str, str]) -> ReportGroup:
    return ReportGroup(count, {"picture": count}, facts)


LATER_STUDIES: Mapping[str, LaterStudy] = {
    study.reference: study
    for study in (
        # 29 addresses reported as machine-made, 7 confirmed.
        LaterStudy("2023-summer", "2023-05-24 to 2023-06-30", (_each(7, _REALISTIC), _each(22, _NOT_CRIMINAL))),
        # 51 actionable reports of machine-made material; 392,665 reports assessed, 275,652 confirmed.
        LaterStudy("2023-machine-made", "2023-01-01 to 2023-12-31", (_each(51, _REALISTIC),)),
        LaterStudy(
            "2023-all",
            "2023-01-01 to 2023-12-31",
            (_each(275_652, _PHOTOGRAPH), _each(392_665 - 275_652, _NOT_CRIMINAL)),
        ),
        # 245 actionable reports (+380 %), 193 of them realistic; 7,644 pictures, 13 videos. Unpublished: how pictures
        # divide between realistic and other reports.
        LaterStudy(
            "2024-machine-made",
            "2024-01-01 to 2024-12-31",
            (
                ReportGroup(193, {"picture": 6_000, "video": 13}, _REALISTIC),
                ReportGroup(245 - 193, {"picture": 1_644}, _PROHIBITED),
            ),
        ),
        # 291,273 confirmed reports (+6 %).
        LaterStudy("2024-all", "2024-01-01 to 2024-12-31", (_each(291_273, _PHOTOGRAPH),)),
        # 17 reports of one site: 16 of category C with 11–13, one with 7–10, whose category was not published.
        LaterStudy(
            "2025-one-site",
            "2025-06-01 to 2025-08-07",
            (
                _each(16, _REALISTIC | _facts(severity="C", youngest_band="11-13")),
                _each(1, _REALISTIC | _facts(youngest_band="7-10")),
            ),
        ),
        # 491 realistic reports (193 before); 8,029 realistic pictures and videos, 3,443 of them videos, 2,233 of those
        # category A. Unpublished: the categories of the rest, and how items divide between reports.
        LaterStudy(
            "2025-machine-made",
            "2025-01-01 to 2025-12-31",
            (
                ReportGroup(200, {"video": 2_233}, _REALISTIC | _facts(severity="A")),
                ReportGroup(100, {"video": 3_443 - 2_233}, _REALISTIC | _facts(severity="B")),
                ReportGroup(191, {"picture": 8_029 - 3_443}, _REALISTIC),
            ),
        ),
    )
}


def later_snapshot(folder: Path, reference: str) -> FiguresSnapshot:
    """Write the records of one later study into an empty folder. Raises KeyError for a study that is not there."""
    study, framework = LATER_STUDIES[reference], load("gb-eaw", "2023-09.2")
    total = sum(sum(group.items.values()) for group in study.groups)
    head = SnapshotHead.under(
        framework,
        investigation=study.reference,
        dataset="synthetic records of published figures, without content",
        period=study.period,
        review_plan="single",
        posted=total,
        people=0,
    )
    with new_snapshot(folder, head, salt="0" * 64) as writer:
        items, reports = 0, 0
        for group in study.groups:
            count = sum(group.items.values())
            kinds = [kind for kind, number in group.items.items() for _ in range(number)]
            writer.add("items", _items(framework, head, group.facts, kinds, first=items))
            numbers = np.arange(count)
            writer.add("report_items", pa.table({"report": reports + numbers % group.reports, "item": items + numbers}))
            writer.add(
                "reports",
                pa.table(
                    {
                        "report": reports + np.arange(group.reports),
                        "channel": pa.array(["public"] * group.reports),
                    }
                ),
            )
            items, reports = items + count, reports + group.reports
    return read_snapshot(folder)


def study_snapshot(folder: Path, plan: StudyPlan) -> FiguresSnapshot:
    """Write the records of the October 2023 study into an empty folder, as a desk would export them."""
    framework = load(plan.framework, plan.framework_version)
    head = SnapshotHead.under(
        framework,
        investigation=plan.reference,
        dataset=plan.dataset,
        period="not stated",
        review_plan=plan.review_plan,
        posted=len(plan.postings),
        people=len(plan.analysts),
    )
    with new_snapshot(folder, head, salt="0" * 64) as writer:
        looked = {look.posting for look in plan.looks}
        waiting = [place for place in range(len(plan.postings)) if place not in looked]
        bare: dict[str, pa.Array] = {
            "item": pa.array(waiting, pa.int64()),
            "kind": pa.array(["picture"] * len(waiting)),
            "selected": pa.array([False] * len(waiting)),
        }
        writer.add("items", _filled(head, "items", bare, len(waiting)))
        for facts in {tuple(sorted(look.facts.items())): look.facts for look in plan.looks}.values():
            looks = [look for look in plan.looks if look.facts == facts]
            table = _items(framework, head, facts, ["picture"] * len(looks), first=0)
            writer.add("items", table.set_column(0, "item", pa.array([look.posting for look in looks], pa.int64())))
        columns = {
            "revision": pa.array([look.posting for look in plan.looks], pa.int64()),
            "step": pa.array(["first"] * len(plan.looks)),
            "active_ms": pa.array([look.active_seconds * 1000 for look in plan.looks], pa.int64()),
        }
        answers = {
            column_of(one.id): pa.array([look.facts.get(one.id) for look in plan.looks], pa.string())
            for one in head.questions
        }
        writer.add("assessments", pa.table(columns | answers))
    return read_snapshot(folder)


def _items(
    framework: Framework, head: SnapshotHead, facts: Mapping[str, str], kinds: list[str], *, first: int
) -> pa.Table:
    whole = _whole(framework, facts)
    legality = framework.derive(whole, approved=True)
    count = len(kinds)
    columns: dict[str, pa.Array] = {
        "item": pa.array(np.arange(first, first + count)),
        "kind": pa.array(kinds),
        "selected": pa.array(np.ones(count, dtype=bool)),
        "status": pa.array([legality.status.value] * count),
        "severity": pa.array([legality.severity] * count, pa.string()),
        "class_id": pa.array([legality.class_id] * count, pa.string()),
    } | {column_of(name): pa.array([answer] * count) for name, answer in whole.items()}
    if (legality.class_id is not None) != (legality.status is LegalStatus.CRIMINAL):
        raise FiguresError("the study's answers do not fit its framework")
    return _filled(head, "items", columns, count)


def _whole(framework: Framework, facts: Mapping[str, str]) -> dict[str, str]:
    """The answers, and “cannot determine” to every other question that they call for."""
    answers = dict(facts)
    while True:
        missing = [one.id for one in framework.asked(answers) if one.id not in answers]
        if not missing:
            return answers
        answers |= dict.fromkeys(missing, CANNOT_DETERMINE)


def _filled(head: SnapshotHead, table: str, columns: Mapping[str, pa.Array], count: int) -> pa.Table:
    """The columns in the order of the schema, those that are not given without values."""
    schema = head.schema(table)
    empty = pa.nulls(count, pa.string())
    return pa.table(
        {
            one.name: columns.get(one.name, empty if pa.types.is_dictionary(one.type) else pa.nulls(count, one.type))
            for one in schema
        }
    )
