"""How well people agree: per cent, Cohen's kappa, Krippendorff's alpha, Gwet's AC1, and intervals by bootstrap.

Sources: J. Cohen, "A coefficient of agreement for nominal scales", 1960; K. Krippendorff, "Computing Krippendorff's
Alpha-Reliability", 2011; K. L. Gwet, "Handbook of Inter-Rater Reliability", 4th edition, 2014. The tests compare
each to the worked examples published there. Written here because a bootstrap over a table of counts costs microseconds
where a library walks over every unit again; and because scikit-learn, for the kappa alone, would bring SciPy along.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]
FEWEST_UNITS = 20
"""Below this many units no figure is given: its interval would say nothing, and the few could be known."""
FEWEST_PEOPLE = 3
"""Below this many people in a group its figure would be one of a pair of people (practice 15)."""
RESAMPLES = 1000
_CONFIDENCE = 0.95
_NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """A coefficient with its 95 % percentile interval; None where it is not defined, for want of any variation."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How two independent answers to one question agree over `units`.

    `per_cent` is from 0 to 100. `alpha` is ordinal where the question is; "cannot determine" has no place in an
    order, so there a unit with such an answer counts for nothing in `alpha` (`units_in_order` says how many are left),
    while it is a category like any other in the rest.
    """

    units: int
    units_in_order: int
    ordinal: bool
    per_cent: Estimate
    kappa: Estimate
    alpha: Estimate
    ac1: Estimate


def observed_agreement(counts: Counts, weights: Counts | None = None) -> float | None:
    """Share of agreeing pairs of answers, averaged over units with two or more; None where there is no such unit.

    `counts`: units by categories, how many people gave each answer. `weights`: how often each row occurs, else once.
    """
    return _number(_observed(counts, _weights(counts, weights)))


def cohen_kappa(table: Counts) -> float | None:
    """Cohen's kappa of two raters; `table`: answers of the first by answers of the second. None without variation."""
    return _number(_kappa(table))


def krippendorff_alpha(counts: Counts, *, ordinal: bool = False, weights: Counts | None = None) -> float | None:
    """Krippendorff's alpha for any number of people and missing answers, nominal or ordinal; None without variation.

    `counts` and `weights` as in `observed_agreement`; for ordinal the categories stand in their order.
    """
    return _number(_alpha(counts, _weights(counts, weights), ordinal=ordinal))


def gwet_ac1(counts: Counts, weights: Counts | None = None) -> float | None:
    """Gwet's AC1 for any number of people and missing answers; `counts` and `weights` as in `observed_agreement`.

    The number of categories is that of the columns: those that could be answered, whether anybody did or not.
    """
    return _number(_ac1(counts, _weights(counts, weights)))


def agreement(
    pairs: Mapping[tuple[str, str], int], *, codes: Sequence[str], ordinal: bool, no_order: str, seed: int
) -> Agreement:
    """Return how first and second answers agree; `pairs`: (first, second) -> how many units, `codes`: all answers.

    `codes` stand in their order; the one named `no_order` is outside it. Intervals come from `RESAMPLES` resamples
    of whole units, drawn from `seed`. Raises ValueError for an answer that is none of the codes. Not checked: that the
    two answers of a unit are independent, and that few units are suppressed: that is for whoever shows the figure.
    """
    place = {code: number for number, code in enumerate(codes)}
    if not all(first in place and second in place for first, second in pairs):
        raise ValueError("an answer is none of the codes")
    k = len(codes)
    cells = np.zeros((k, k))
    for (first, second), units in pairs.items():
        cells[place[first], place[second]] += units
    rows = np.zeros((k * k, k))
    for number in range(k * k):
        rows[number, number // k] += 1
        rows[number, number % k] += 1
    in_order = [number for number, code in enumerate(codes) if code != no_order]
    whole = np.array([first in in_order and second in in_order for first in range(k) for second in range(k)])
    ordered_rows = rows[whole][:, in_order]

    flat = cells.reshape(-1)
    units = int(flat.sum())
    drawn = np.vstack([flat, _resampled(flat, seed)])  # the first is what was counted
    tables = drawn.reshape(-1, k, k)
    with np.errstate(divide="ignore", invalid="ignore"):
        per_cent = 100 * np.trace(tables, axis1=1, axis2=2) / drawn.sum(axis=1)
    alpha = _alpha(ordered_rows, drawn[:, whole], ordinal=True) if ordinal else _alpha(rows, drawn, ordinal=False)
    return Agreement(
        units=units,
        units_in_order=int(flat[whole].sum()) if ordinal else units,
        ordinal=ordinal,
        per_cent=_estimate(per_cent),
        kappa=_estimate(_kappa(tables)),
        alpha=_estimate(alpha),
        ac1=_estimate(_ac1(rows, drawn)),
    )


def drifted(before: Estimate, lately: Estimate) -> bool:
    """Whether agreement fell by more than chance explains: the later interval lies wholly below the earlier one."""
    return before.low is not None and lately.high is not None and lately.high < before.low


# Below, `weights` may carry samples in front: (…, rows). What is not defined is not a number.


def _weights(counts: Counts, weights: Counts | None) -> Counts:
    return np.ones(len(counts)) if weights is None else weights


def _observed(counts: Counts, weights: Counts) -> Counts:
    m = counts.sum(axis=1)
    weight = weights * (m >= 2)
    agreeing = (counts * (counts - 1)).sum(axis=1) / np.maximum(m * (m - 1), 1)
    return _ratio(weight @ agreeing, weight.sum(axis=-1))


def _kappa(tables: Counts) -> Counts:
    total = tables.sum(axis=(-2, -1))
    agreed = _ratio(np.trace(tables, axis1=-2, axis2=-1), total)
    by_chance = _ratio((tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1), total**2)
    return _ratio(agreed - by_chance, 1 - by_chance)


def _alpha(counts: Counts, weights: Counts, *, ordinal: bool) -> Counts:
    m = counts.sum(axis=1)
    scale = (m >= 2) / np.maximum(m - 1, 1)
    own = np.einsum("ri,rj->rij", counts, counts) - np.einsum("ri,ij->rij", counts, np.eye(counts.shape[1]))
    coincidences = np.tensordot(weights * scale, own, axes=(-1, 0))
    n = coincidences.sum(axis=-1)
    total = n.sum(axis=-1)
    distance = _ordinal(n) if ordinal else 1 - np.eye(counts.shape[1])
    by_chance = (n[..., :, None] * n[..., None, :] * distance).sum(axis=(-2, -1))
    alpha: Counts = 1 - (total - 1) * _ratio((coincidences * distance).sum(axis=(-2, -1)), by_chance)
    return alpha


def _ordinal(n: Counts) -> Counts:
    """Krippendorff's ordinal metric: the number of answers from the one category to the other, less half of both ends,
    squared."""
    middle = np.cumsum(n, axis=-1) - n / 2
    metric: Counts = (middle[..., :, None] - middle[..., None, :]) ** 2
    return metric


def _ac1(counts: Counts, weights: Counts) -> Counts:
    categories = counts.shape[1]
    if categories < 2:
        return np.full(weights.shape[:-1], np.nan)
    m = counts.sum(axis=1)
    weight = weights * (m >= 1)
    shares = _ratio(weight @ (counts / np.maximum(m, 1)[:, None]), weight.sum(axis=-1)[..., None])
    by_chance = (shares * (1 - shares)).sum(axis=-1) / (categories - 1)
    return _ratio(_observed(counts, weights) - by_chance, 1 - by_chance)


def _ratio(part: Counts, whole: Counts) -> Counts:
    ratio: Counts = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.abs(whole) > _NOTHING)
    return ratio


def _number(value: Counts) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _resampled(cells: Counts, seed: int) -> Counts:
    units = int(cells.sum())
    if not units:
        return np.zeros((0, len(cells)))
    drawn = np.random.default_rng(seed).multinomial(units, cells / units, size=RESAMPLES)
    return drawn.astype(np.float64)


def _estimate(values: Counts) -> Estimate:
    """`values`: what was counted, then the samples. Without a figure in half of the samples there is no interval."""
    value, drawn = _number(values[0]), values[1:]
    found = drawn[np.isfinite(drawn)]
    if value is None or len(found) == 0 or 2 * len(found) < len(drawn):
        return Estimate(value, None, None)
    low, high = np.quantile(found, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return Estimate(value, float(low), float(high))
