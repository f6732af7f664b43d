"""The score says what was found, missed and mixed up; every figure is checked on a truth small enough to count."""

from __future__ import annotations

import pytest

from havenline.testing import HardKind, Score, Truth, TruthFile, score
from havenline.testing.truth import Group


def file(path: str, original: str, variant: str, group: Group, refusal: str | None = None) -> TruthFile:
    return TruthFile(path, original, variant, group, refusal, {})


TRUTH = Truth(
    (
        file("a1", "a", "original", "near"),
        file("a2", "a", "resized", "near"),
        file("a3", "a", "re-encoded", "near"),
        file("a4", "a", "exact copy", "exact"),
        file("a5", "a", "rotated", "separate"),
        file("a6", "a", "framed", "hard"),
        file("b1", "b", "original", "near"),
        file("b2", "b", "resized", "near"),
        file("c1", "card-1", "text card", "hard"),
        file("c2", "card-2", "text card", "hard"),
        file("g1", "gradient-1", "gradient", "hard"),
        file("g2", "gradient-1", "exact copy", "exact"),
        file("x1", "x", "empty", "refused", "empty"),
    )
)
ALL: dict[str, int | None] = dict.fromkeys((f.path for f in TRUTH.files), 100) | {"g1": 20, "g2": 20, "x1": None}
BEST = [{"a1", "a2", "a3", "a4", "a6"}, {"b1", "b2"}, {"c1", "c2"}, {"g1", "g2"}]


def test_a_perfect_grouping_passes_and_the_hard_set_is_counted_apart() -> None:
    result = score(TRUTH, BEST, ALL)
    assert result.passed
    assert (result.promised, result.found, result.missed, result.too_flat) == (4, 4, (), 1)
    assert (result.unrelated, result.unanswered) == ((), ())
    assert (result.files, result.hashed, result.refused) == (13, 12, 1)
    assert (result.refusals_met, result.refusals_due) == (1, 1)
    assert (result.exact_met, result.exact_due) == (2, 2)
    assert (result.separate_met, result.separate_due) == (1, 1)
    assert result.hard == (
        HardKind("framed", files=1, comparable=1, found=1, strangers=0, own_original=False),
        HardKind("gradient", files=1, comparable=0, found=0, strangers=0, own_original=True),
        HardKind("text card", files=2, comparable=2, found=2, strangers=2, own_original=True),
    )


def without(path: str) -> list[set[str]]:
    return [stack - {path} for stack in BEST]


@pytest.mark.parametrize(
    ("stacks", "broken"),
    [
        pytest.param(without("a2"), {"missed": (("a2", "a1"),)}, id="a resized picture alone"),
        pytest.param(without("a4"), {"missed": (("a4", "a1"),), "exact_met": 1}, id="an exact copy alone"),
        pytest.param(without("g2"), {"exact_met": 1}, id="a copy of a flat picture alone"),
        pytest.param([BEST[0] | {"b1"}, *BEST[2:]], {"missed": (("b2", "b1"),)}, id="an original elsewhere"),
        pytest.param([BEST[0] | {"a5"}, *BEST[1:]], {"separate_met": 0}, id="what should stand apart does not"),
        pytest.param([*BEST, {"a5", "x1"}], {"separate_met": 0, "unrelated": (("a5", "x1"),)}, id="refused, stacked"),
    ],
)
def test_each_broken_promise_fails_the_score(stacks: list[set[str]], broken: dict[str, object]) -> None:
    result = score(TRUTH, stacks, ALL)
    assert not result.passed
    assert {name: getattr(result, name) for name in broken} == broken


def test_unrelated_files_in_one_stack_are_named_pair_by_pair() -> None:
    result = score(TRUTH, [{"a1", "a2", "b1"}], ALL)
    assert result.unrelated == (("a1", "b1"), ("a2", "b1"))


@pytest.mark.parametrize("stack", [{"a1", "c1"}, {"a6", "b1"}, {"g2", "b1"}, {"c1", "g1"}])
def test_strangers_of_the_hard_set_are_counted_apart(stack: set[str]) -> None:
    result = score(TRUTH, [stack], ALL)
    assert result.unrelated == ()
    hard = {path for path in stack if path in ("a6", "c1", "g1")}
    assert sum(kind.strangers for kind in result.hard) == len(hard)


def test_pairs_under_the_quality_floor_are_not_promised() -> None:
    result = score(TRUTH, [], ALL | {"a1": 49})
    assert (result.promised, result.too_flat) == (1, 4)
    assert result.missed == (("b2", "b1"),)


def test_a_file_that_ended_with_neither_fails_the_score() -> None:
    prints = {path: quality for path, quality in ALL.items() if path != "b2"}
    result = score(TRUTH, BEST, prints)
    assert result.unanswered == ("b2",)
    assert result.hashed + result.refused + len(result.unanswered) == result.files
    assert not result.passed


@pytest.mark.parametrize(("path", "quality"), [("b2", None), ("x1", 80)])
def test_a_wrong_refusal_and_a_missing_one_fail_the_score(path: str, quality: int | None) -> None:
    assert not score(TRUTH, BEST, ALL | {path: quality}).passed


def test_unknown_paths_are_ignored_and_a_path_in_two_stacks_is_an_error() -> None:
    assert score(TRUTH, [*BEST, {"elsewhere", "b1x"}], ALL | {"elsewhere": 3}) == score(TRUTH, BEST, ALL)
    with pytest.raises(ValueError, match="b1 is in two stacks"):
        score(TRUTH, [{"b1", "b2"}, {"b1"}], ALL)


def rendered(result: Score) -> dict[str, str]:
    return {line[2:34].strip(): " ".join(line[34:].split()) for line in result.render().splitlines()[1:]}


def test_the_table_shows_the_counts_and_the_verdicts() -> None:
    table = rendered(score(TRUTH, without("a2"), ALL))
    assert table["files"] == "13 12 hashed, 1 refused"
    assert table["near-duplicates found"] == "3 of 4 NOT AS PROMISED"
    assert table["exact copies together"] == "2 of 2 as promised"
    assert table["gradient"] == "1 1 too flat to compare, 0 with strangers"
    assert table["text card"] == "2 0 too flat to compare, 2 with strangers"


def test_the_table_never_says_which_change_to_a_picture_does_what() -> None:
    text = score(TRUTH, BEST, ALL).render()
    assert "other forms of a picture" in text
    assert not any(word in text for word in ("framed", "cropped", "rotated", "recoloured", "grey"))
    assert max(len(line) for line in text.splitlines()) <= 90
