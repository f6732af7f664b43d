"""Whether one picture may have been made of another: the parts that lie alike, and a coarse map of what differs.

One to one, of two pictures that somebody has before them; nothing is kept and nothing can be looked up. A suggestion
for a person, with a score that was calibrated on drawn pictures alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from havenline.provenance.keypoints import Grey, Keypoints, Plane, blurred, keypoints, shrunk

NOT_SHOWN = (
    "which of the two was first, that either shows a real child or none, or that anything was altered: what differs "
    "may be light, text or damage. No likeness found means nothing"
)
"""What a comparison does not show, as the end of the sentence that begins with these words."""
GRID = 16
"""Cells of the map across and down the first picture."""
_RATIO = 0.86
_NEXT_DOOR = 12
_NEAREST = 96
"""Of 256 bits, so many may differ at most in a pair of corners."""
_TOLERANCE = 0.018
"""How far a corner may lie from where the other picture has it, as a part of the longer side."""
_LEAST = 5
"""Pairs of corners that agree, so that pictures are laid over each other at all."""
_WIDEST = 4.0
_ALIKE, _TEXTURE, _STEP_OF_GREY = 0.62, 5.0, 14.0
_MAPPED = 192


class Cell(StrEnum):
    """What one cell of the first picture is in the other one: alike, different, outside it, or too plain to say."""

    ALIKE = "alike"
    DIFFERS = "differs"
    OUTSIDE = "outside"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the second picture lies over the first.

    `score` is the part of drawn pairs with these measures of which one was made of the other: 0 to 1, and for other
    pictures only an order. `pairs` of corners agree with one placing, out of `tried`. `scale`, `turn` in degrees and
    `mirrored` say how the first is laid onto the second; `overlap` is the part of the first that the second covers.
    `cells` are `GRID` rows of `GRID`, empty where the pictures cannot be laid over each other.
    """

    score: float
    pairs: int
    tried: int
    scale: float
    turn: float
    mirrored: bool
    overlap: float
    cells: tuple[tuple[Cell, ...], ...]

    @property
    def differing(self) -> float:
        """The part of the cells that could be told of in which the pictures differ."""
        told = [cell for row in self.cells for cell in row if cell in (Cell.ALIKE, Cell.DIFFERS)]
        return sum(cell is Cell.DIFFERS for cell in told) / len(told) if told else 0.0


def compare(one: Grey, other: Grey) -> Comparison:
    """Lay `other` over `one`, both grey (height, width) uint8 as they are shown; the same answer for the same pixels.

    Looked at in 512 pixels on the longer side. Not checked: which came first. About half a second of one core.
    """
    first, second = shrunk(one), shrunk(other)
    of_first = keypoints(first)
    best: _Placing | None = None
    for mirrored in (False, True):
        shown = np.ascontiguousarray(second[:, ::-1]) if mirrored else second
        found = _placing(of_first, keypoints(shown), tolerance=_TOLERANCE * max(second.shape), mirrored=mirrored)
        if best is None or found.pairs > best.pairs:
            best, over = found, shown
    assert best is not None
    if best.pairs < _LEAST:
        return Comparison(_score(best, 0.0, 0.0, 0.0), best.pairs, best.tried, 1.0, 0.0, best.mirrored, 0.0, ())
    cells, overlap = _map(first, over, best.onto)
    told = [cell for row in cells for cell in row if cell in (Cell.ALIKE, Cell.DIFFERS)]
    alike = sum(cell is Cell.ALIKE for cell in told)
    return Comparison(
        score=_score(best, alike / len(told) if told else 0.0, alike, overlap),
        pairs=best.pairs,
        tried=best.tried,
        scale=float(np.sqrt(abs(np.linalg.det(best.onto[:, :2])))) * max(other.shape) / max(second.shape)
        / (max(one.shape) / max(first.shape)),
        turn=float(np.degrees(np.arctan2(best.onto[1, 0], best.onto[0, 0]))),
        mirrored=best.mirrored,
        overlap=overlap,
        cells=cells,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Placing:
    """`onto` (2, 3) takes points of the first picture to the second."""

    onto: NDArray[np.float64]
    pairs: int
    tried: int
    mirrored: bool


def _placing(one: Keypoints, other: Keypoints, *, tolerance: float, mirrored: bool) -> _Placing:
    """The placing that most pairs agree with. Each pair gives one by its own size and turn, so none is drawn by lot."""
    first, second = _pairs(one, other)
    nothing = _Placing(np.eye(2, 3), 0, len(first), mirrored)
    if len(first) < 2:
        return nothing
    here, there = one.at[first].astype(np.float64), other.at[second].astype(np.float64)
    z, w = here[:, 0] + 1j * here[:, 1], there[:, 0] + 1j * there[:, 1]
    factor = other.size[second] / one.size[first] * np.exp(1j * (other.turn[second] - one.turn[first]))
    placed = w[:, None] + factor[:, None] * (z[None, :] - z[:, None])
    agree = np.abs(placed - w[None, :]) < 2.5 * tolerance
    best = np.argmax(agree.sum(axis=1))
    chosen, onto = agree[best], np.eye(2, 3)
    for _ in range(4):
        if chosen.sum() < _LEAST:
            return nothing
        onto = _fitted(here[chosen], there[chosen], slanted=bool(chosen.sum() >= 12))
        chosen = np.hypot(*(here @ onto[:, :2].T + onto[:, 2] - there).T) < tolerance
    spread = np.linalg.svd(onto[:, :2], compute_uv=False)
    if spread[1] < 1 / _WIDEST / 2 or spread[0] > 2 * _WIDEST or spread[0] > 1.6 * spread[1]:
        return nothing
    # Two corners in one place are one piece of evidence.
    apart = len(np.unique(np.rint(here[chosen] / 4), axis=0))
    return _Placing(onto, min(apart, len(np.unique(np.rint(there[chosen] / 4), axis=0))), len(first), mirrored)


def _pairs(one: Keypoints, other: Keypoints) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Corners whose bits are nearest to each other, both ways, and clearly nearer than to any second one."""
    if len(one.bits) < 2 or len(other.bits) < 2:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    far = (one.bits.shape[1] - one.bits @ other.bits.T) / 2
    nearest = far.argmin(axis=1)
    rows = np.arange(len(far))
    distance = far[rows, nearest]
    # The corner next door, found in another size, is no second one.
    x, y = other.at.T
    next_door = (x[nearest][:, None] - x) ** 2 + (y[nearest][:, None] - y) ** 2 < _NEXT_DOOR**2
    second = np.where(next_door, np.inf, far).min(axis=1)
    good = (distance <= _NEAREST) & (distance < _RATIO * second) & (far.argmin(axis=0)[nearest] == rows)
    return rows[good], nearest[good]


def _fitted(here: NDArray[np.float64], there: NDArray[np.float64], *, slanted: bool) -> NDArray[np.float64]:
    """By least squares: sizes, turns and shifts, or with `slanted` any six numbers."""
    ones = np.ones(len(here))
    if slanted:
        across = np.column_stack([here, ones])
        return np.asarray(np.linalg.lstsq(across, there, rcond=None)[0].T, np.float64)
    x, y = here.T
    zeros = np.zeros(len(here))
    rows = np.vstack([np.column_stack([x, -y, ones, zeros]), np.column_stack([y, x, zeros, ones])])
    a, b, right, down = np.linalg.lstsq(rows, np.concatenate(there.T), rcond=None)[0]
    return np.array([[a, -b, right], [b, a, down]])


def _map(first: Plane, second: Plane, onto: NDArray[np.float64]) -> tuple[tuple[tuple[Cell, ...], ...], float]:
    """Both pictures cell by cell, the second laid over the first; and the part of the first that is covered."""
    height, width = first.shape
    scale = min(1.0, _MAPPED / max(first.shape))
    size = max(GRID, round(width * scale)), max(GRID, round(height * scale))
    back = np.diag([width / size[0], height / size[1], 1.0])
    taken = (np.vstack([onto, [0, 0, 1]]) @ back)[:2]
    there, ratio = _as_coarse(second, float(np.sqrt(abs(np.linalg.det(taken[:, :2])))))
    taken *= np.array([ratio]).T
    covers = Image.fromarray(np.ones((there.height, there.width), np.float32))
    how = Image.Transform.AFFINE, tuple(taken.ravel()), Image.Resampling.BILINEAR
    laid, inside = (np.asarray(each.transform(size, *how), np.float32) for each in (there, covers))
    laid = blurred(laid, 1)
    small = blurred(np.asarray(Image.fromarray(first).resize(size, Image.Resampling.BOX), np.float32), 1)
    covered = inside > 0.99
    rows = np.linspace(0, size[1], GRID + 1).astype(int)
    columns = np.linspace(0, size[0], GRID + 1).astype(int)
    places = [
        (slice(rows[y], rows[y + 1]), slice(columns[x], columns[x + 1])) for y in range(GRID) for x in range(GRID)
    ]
    whole = [bool(covered[place].mean() > 0.6) for place in places]
    means = np.array([(small[place].mean(), laid[place].mean()) for place in places])
    tone = _tone(means[np.array(whole)]) if sum(whole) > 8 else (1.0, 0.0)
    cells = [
        _cell(small[place], laid[place], tone) if each else Cell.OUTSIDE
        for place, each in zip(places, whole, strict=True)
    ]
    table = tuple(tuple(cells[GRID * y : GRID * (y + 1)]) for y in range(GRID))
    return table, float(covered.mean())


def _as_coarse(second: Plane, scale: float) -> tuple[Image.Image, tuple[float, float]]:
    """Shrunk where `scale` of its pixels go into one of the map, so that fine texture is evened out as in the first;
    and what its width and height were multiplied by."""
    image = Image.fromarray(second)
    size = max(1, round(image.width / max(1.0, scale))), max(1, round(image.height / max(1.0, scale)))
    return image.resize(size, Image.Resampling.BOX), (size[0] / image.width, size[1] / image.height)


def _tone(means: NDArray[np.floating]) -> tuple[float, float]:
    """The line from the first picture's brightness to the second's that most cells lie on."""
    x, y = means.T
    kept = np.ones(len(x), bool)
    slope, rest = 1.0, 0.0
    for _ in range(4):
        if kept.sum() < 4 or np.ptp(x[kept]) < 4:
            return 1.0, float(np.median(y - x))
        slope, rest = np.polyfit(x[kept], y[kept], 1)
        off = np.abs(slope * x + rest - y)
        kept = off <= max(4.0, 1.5 * float(np.median(off)))
    return float(slope), float(rest)


def _cell(here: Plane, there: Plane, tone: tuple[float, float]) -> Cell:
    expected = tone[0] * float(here.mean()) + tone[1]
    if abs(float(there.mean()) - expected) > _STEP_OF_GREY + 0.1 * abs(expected - 128):
        return Cell.DIFFERS
    spread, other = float(here.std()), float(there.std())
    if max(spread, other) < _TEXTURE:
        return Cell.PLAIN
    product = float(((here - here.mean()) * (there - there.mean())).mean())
    like = float(np.sign(tone[0])) * product / (spread * other) if min(spread, other) > 0 else 0.0
    return Cell.ALIKE if like >= _ALIKE else Cell.DIFFERS


@cache
def _weights() -> tuple[float, ...]:
    """What `bench/derived.py` fitted on drawn pairs."""
    return tuple(json.loads((files("havenline.provenance") / "derived_fit.json").read_text())["weights"])


def measures(pairs: int, tried: int, alike: float, cells: float, overlap: float) -> tuple[float, ...]:
    """What the score is made of: 1, then pairs, their part of those tried, the alike part of the cells, how many are
    alike, the overlap."""
    return (1.0, float(np.log1p(pairs)), pairs / max(1, tried), alike, float(np.log1p(cells)), overlap)


def _score(placing: _Placing, alike: float, cells: float, overlap: float) -> float:
    found = measures(placing.pairs, placing.tried, alike, cells, overlap)
    return float(1 / (1 + np.exp(-np.dot(_weights(), found))))
