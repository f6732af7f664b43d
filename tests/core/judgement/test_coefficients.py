"""Agreement: each coefficient equals its published worked example, and intervals do what intervals must."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest

from havenline.judgement import agreement, drifted
from havenline.judgement.coefficients import (
    Counts,
    Estimate,
    cohen_kappa,
    gwet_ac1,
    krippendorff_alpha,
    observed_agreement,
)

N = None
# Krippendorff 2011, examples A and B: two observers; C: four, missing values; it is cac.raw4raters of Gwet.
EXAMPLE_A = [(0, 1), (1, 1), (0, 1), (0, 0), (0, 0), (0, 1), (0, 0), (0, 0), (1, 0), (0, 0)]
EXAMPLE_B = list(zip("aabbdcccedda", "babbbccceddd", strict=True))
EXAMPLE_C = list(
    zip(
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
        strict=True,
    )
)
# Gwet 2014, cont3x3abstractors: Ectopic, AIU, NIU by two abstractors.
ABSTRACTORS = np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]], dtype=float)
# Cohen 1960, table 2 as frequencies.
COHEN = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]], dtype=float)


def counted(units: list[tuple[object, ...]], categories: list[object]) -> Counts:
    return np.array([[sum(answer == one for answer in unit) for one in categories] for unit in units], dtype=float)


def of_table(table: Counts) -> tuple[Counts, Counts]:
    """The pairs of a table as rows of counts, and how often each occurs."""
    k = len(table)
    eye = np.eye(k)
    return np.array([eye[i] + eye[j] for i in range(k) for j in range(k)]), table.reshape(-1)


@pytest.mark.parametrize(
    ("found", "published", "digits", "source"),
    [
        (cohen_kappa(ABSTRACTORS), 0.7964094, 7, "Gwet 2014, irrCAC kappa2.table(cont3x3abstractors)"),
        (cohen_kappa(COHEN), 0.492, 3, "Cohen 1960, table 2"),
        (gwet_ac1(*of_table(ABSTRACTORS)), 0.8493305, 7, "Gwet 2014, irrCAC gwet.ac1.table(cont3x3abstractors)"),
        (gwet_ac1(counted(EXAMPLE_C, [1, 2, 3, 4, 5])), 0.77544, 5, "Gwet 2014, irrCAC gwet.ac1.raw(cac.raw4raters)"),
        (observed_agreement(*of_table(ABSTRACTORS)), 0.89, 4, "Gwet 2014, irrCAC pa2.table(cont3x3abstractors)"),
        (observed_agreement(counted(EXAMPLE_C, [1, 2, 3, 4, 5])), 0.8182, 4, "Gwet 2014, irrCAC pa.coeff.raw"),
        (krippendorff_alpha(counted(EXAMPLE_A, [0, 1])), 0.095, 3, "Krippendorff 2011, example A"),
        (krippendorff_alpha(counted(EXAMPLE_B, list("abcde"))), 0.692, 3, "Krippendorff 2011, example B"),
        (krippendorff_alpha(counted(EXAMPLE_C, [1, 2, 3, 4, 5])), 0.743, 3, "Krippendorff 2011, example C"),
        (krippendorff_alpha(counted(EXAMPLE_C, [1, 2, 3, 4, 5])), 0.74342, 5, "Gwet 2014, irrCAC krippen.alpha.raw"),
        (
            krippendorff_alpha(counted(EXAMPLE_C, [1, 2, 3, 4, 5]), ordinal=True),
            0.815,
            3,
            "Krippendorff 2011, example C, ordinal",
        ),
    ],
)
def test_every_coefficient_equals_its_published_worked_example(
    found: float, published: float, digits: int, source: str
) -> None:
    assert round(found, digits) == published, source


def test_alpha_equals_a_kept_library_to_many_decimals_on_the_published_data_and_on_drawn_data() -> None:
    seed = 20261
    stream = np.random.default_rng(seed)
    tables = [counted(EXAMPLE_C, [1, 2, 3, 4, 5])]
    for _ in range(50):
        people = int(stream.integers(2, 5))
        tables.append(stream.multinomial(people, stream.dirichlet(np.ones(5)), size=30).astype(float))
    for table in tables:
        for ordinal in (False, True):
            level = "ordinal" if ordinal else "nominal"
            theirs = krippendorff.alpha(value_counts=table, level_of_measurement=level)
            assert krippendorff_alpha(table, ordinal=ordinal) == pytest.approx(theirs, abs=1e-10), f"seed {seed}"


def test_rows_with_weights_are_rows_that_stand_there_so_often() -> None:
    rows, weights = of_table(ABSTRACTORS)
    spelled = np.repeat(rows, weights.astype(int), axis=0)
    for ordinal in (False, True):
        assert krippendorff_alpha(rows, ordinal=ordinal, weights=weights) == pytest.approx(
            krippendorff_alpha(spelled, ordinal=ordinal)
        )
    assert gwet_ac1(rows, weights) == pytest.approx(gwet_ac1(spelled))


def test_without_any_variation_what_corrects_for_chance_is_not_defined_and_ac1_is_whole() -> None:
    pairs = {("yes", "yes"): 40}
    found = agreement(
        pairs, codes=("yes", "no", "cannot_determine"), ordinal=False, no_order="cannot_determine", seed=1
    )
    assert (found.per_cent.value, found.ac1.value) == (100, 1)
    assert (found.kappa, found.alpha) == (Estimate(None, None, None), Estimate(None, None, None))


def test_a_pair_table_gives_the_published_figures_and_intervals_around_them_that_a_seed_repeats() -> None:
    codes = ("Ectopic", "AIU", "NIU")
    pairs = {(codes[i], codes[j]): int(ABSTRACTORS[i, j]) for i in range(3) for j in range(3)}
    found = agreement(pairs, codes=codes, ordinal=False, no_order="cannot_determine", seed=7)
    assert found.units == 100
    assert round(found.kappa.value or 0, 7) == 0.7964094
    assert round(found.ac1.value or 0, 7) == 0.8493305
    assert round(found.per_cent.value or 0, 4) == 89
    for one in (found.per_cent, found.kappa, found.alpha, found.ac1):
        assert one.low is not None
        assert one.high is not None
        assert one.value is not None
        assert one.low < one.value < one.high
    # Gwet's analytic interval of the kappa is (0.68, 0.913); a bootstrap need not equal it, but cannot lie far off.
    assert found.kappa.low == pytest.approx(0.68, abs=0.03)
    assert found.kappa.high == pytest.approx(0.913, abs=0.03)
    assert found == agreement(pairs, codes=codes, ordinal=False, no_order="cannot_determine", seed=7)
    assert found != agreement(pairs, codes=codes, ordinal=False, no_order="cannot_determine", seed=8)


def test_cannot_determine_is_a_category_but_has_no_place_in_an_order() -> None:
    codes = ("0-2", "3-6", "7-10", "cannot_determine")
    pairs = {("0-2", "0-2"): 10, ("3-6", "7-10"): 5, ("7-10", "7-10"): 10, ("7-10", "cannot_determine"): 5}
    found = agreement(pairs, codes=codes, ordinal=True, no_order="cannot_determine", seed=3)
    assert (found.units, found.units_in_order) == (30, 25)
    in_order = np.array([[2, 0, 0]] * 10 + [[0, 1, 1]] * 5 + [[0, 0, 2]] * 10, dtype=float)
    assert found.alpha.value == pytest.approx(krippendorff_alpha(in_order, ordinal=True))
    assert found.per_cent.value == pytest.approx(100 * 20 / 30)


def test_a_near_miss_costs_less_than_a_far_one_where_there_is_an_order() -> None:
    codes = ("0-2", "3-6", "7-10", "cannot_determine")
    same = {(code, code): 20 for code in codes[:3]}

    def alpha(miss: tuple[str, str]) -> float:
        found = agreement(same | {miss: 10}, codes=codes, ordinal=True, no_order="cannot_determine", seed=3).alpha.value
        assert found is not None
        return found

    assert alpha(("0-2", "3-6")) > alpha(("0-2", "7-10"))


def test_an_answer_that_is_no_code_is_refused() -> None:
    with pytest.raises(ValueError, match="none of the codes"):
        agreement({("yes", "perhaps"): 1}, codes=("yes", "no"), ordinal=False, no_order="", seed=1)


def test_the_alarm_of_drift_needs_the_whole_interval_below() -> None:
    assert drifted(Estimate(0.9, 0.85, 0.95), Estimate(0.7, 0.6, 0.84))
    assert not drifted(Estimate(0.9, 0.85, 0.95), Estimate(0.8, 0.7, 0.86))
    assert not drifted(Estimate(0.7, 0.6, 0.8), Estimate(0.9, 0.85, 0.95))
    assert not drifted(Estimate(0.9, 0.85, 0.95), Estimate(None, None, None))
