"""A funnel in print: every table names itself, the numbers are the same in all forms, nothing overflows."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal

import pytest

from havenline.figures import ClassCount, Funnel, Labels, LawLabel, to_csv, to_json, to_text
from havenline.frameworks import load

SHAPES = load("demo.shapes", "1")


def sample(*, dataset: str = "drawn pictures", period: bool = True, withheld: bool = False, label: str = "") -> Funnel:
    labels = Labels.under(
        SHAPES,
        investigation="drawn-1",
        dataset=dataset,
        review_plan="double",
        period_start=date(2024, 1, 1) if period else None,
        period_end=date(2024, 1, 31) if period else None,
    )
    classes = [
        ClassCount(one, LawLabel(label or law.label, law.law, law.group), count)
        for (one, law), count in zip(labels.laws.items(), (3, 1), strict=True)
    ]
    return Funnel(
        labels=labels,
        posted=12_000,
        selected=11_000,
        assessed=10,
        confirmed=4,
        not_criminal=5,
        undetermined=1,
        by_class=tuple(classes),
        analysts=3 if withheld else 6,
        hours=None if withheld else Decimal("1234.5"),
        seconds_per_item=None if withheld else Decimal("28.4"),
        withheld="working time is withheld: fewer than 5 people assessed" if withheld else None,
        settled_by={"agreement": 9, "adjudication": 1},
        settled_without_view=2,
    )


def test_json_has_the_figures_at_the_top_and_names_its_table() -> None:
    told = json.loads(json.dumps(to_json(sample())))
    assert {key: told[key] for key in ("posted", "not_selected", "assessed", "confirmed", "realistic")} == {
        "posted": 12_000,
        "not_selected": 1_000,
        "assessed": 10,
        "confirmed": 4,
        "realistic": 3,
    }
    assert (told["prohibited"], told["analysts"], told["hours"], told["seconds_per_item"]) == (
        1,
        6,
        1234.5,
        28.4,
    )
    assert told["shares"]["realistic_of_assessed"] == 30.0
    assert told["shares"]["realistic_of_confirmed"] == 75.0
    assert told["table"] == {
        "investigation": "drawn-1",
        "dataset": "drawn pictures",
        "unit": "item",
        "period": "2024-01-01 to 2024-01-31",
        "framework": "demo.shapes 1",
        "rule": "per item: each item is counted once, by its own outcome",
        "review_plan": "double",
        "audience": "internal",
        "rounding": ("shares, hours and seconds to one decimal, halves up; rounded shares need not add up to 100"),
    }


def test_withheld_figures_are_null_with_the_reason_beside_them() -> None:
    funnel = sample(withheld=True)
    told = to_json(funnel)
    assert (told["hours"], told["seconds_per_item"]) == (None, None)
    assert told["withheld"] == "working time is withheld: fewer than 5 people assessed"
    row = {row["figure"]: row for row in csv.DictReader(io.StringIO(to_csv(funnel)))}["hours"]
    assert (row["value"], row["note"]) == ("", told["withheld"])
    assert "s per item" not in to_text(funnel)
    assert "People who assessed: 3; working time is withheld" in to_text(funnel)


def test_every_row_of_the_csv_names_its_table() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(sample()))))
    for row in rows:
        assert row["dataset"] == "drawn pictures"
        assert row["period"] == "2024-01-01 to 2024-01-31"
        assert row["framework"] == "demo.shapes 1"
        assert row["rule"].startswith("per item")
        assert row["unit"]
    by_figure = {row["figure"]: row for row in rows}
    assert len(by_figure) == len(rows)
    confirmed = by_figure["class:textured_triangle"]
    assert (confirmed["value"], confirmed["share_of_assessed"], confirmed["share_of_confirmed"]) == (
        "3",
        "30.0",
        "75.0",
    )
    assert confirmed["law"] == "Training rule 1"
    assert by_figure["undetermined"]["value"] == "1"
    assert (by_figure["hours"]["unit"], by_figure["analysts"]["unit"]) == ("hour", "person")


def test_csv_and_json_give_the_same_numbers() -> None:
    told = to_json(sample())
    for row in csv.DictReader(io.StringIO(to_csv(sample()))):
        if row["figure"] in told:
            assert float(row["value"]) == float(told[row["figure"]])


def test_the_text_shows_both_denominators() -> None:
    lines = to_text(sample()).splitlines()
    (line,) = [line for line in lines if "Textured triangle (realistic)" in line]
    assert line.split()[-5:] == ["3", "30.0", "%", "75.0", "%"]
    (line,) = [line for line in lines if "├ not counted" in line]
    assert line.split()[-3:] == ["5", "50.0", "%"]
    assert any("demo.shapes" in line for line in lines)
    assert "Internal: small cells are not suppressed" in to_text(sample())


@pytest.mark.parametrize("dataset", ["short", "a name of many words " * 20, "x" * 300])
@pytest.mark.parametrize("label", ["", "a label that goes on and on " * 6])
@pytest.mark.parametrize("withheld", [False, True])
def test_no_line_of_the_text_is_wider_than_a_terminal(dataset: str, label: str, withheld: bool) -> None:
    text = to_text(sample(dataset=dataset, label=label, withheld=withheld))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.endswith("\n")
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_control_characters_in_a_name_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in to_text(sample(dataset="a\x1b[2Jb"))


def test_a_period_that_is_not_stated_is_said_to_be_so() -> None:
    assert to_json(sample(period=False))["table"]["period"] == "not stated"
