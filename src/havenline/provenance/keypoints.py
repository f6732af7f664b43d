"""Corners of one picture in many sizes, each with 256 bits that say what lies around it, turned with it.

The methods are Harris' corners (Harris and Stephens 1988), oriented by the centroid of their brightness and described
by comparisons of pairs of points (Calonder et al. 2010, Rublee et al. 2011). For comparing two pictures with each
other, one to one: nothing here is kept, and nothing could be looked up by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from havenline.media.orientation import upright

Grey = NDArray[np.uint8]
Plane = NDArray[np.float32]
LONGEST = 512
"""Pixels of the longer side to which a picture is shrunk before it is looked at; it is never enlarged."""
_STEP = 1.25
_LEVELS = 7
_SMALLEST = 48
_MOST = 900
_A_CELL = 12
_REACH = 15
"""Pixels around a corner that its bits are of; so far from the edge it lies at least."""
_BITS = 256
_SEED = 20_110
_HARRIS = 0.04
_FAINTEST = 1e-4
"""The part of the strongest corner's response that a corner has at least."""


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints:
    """`at` is float32 (n, 2): across and down in the shrunk picture. `size` and `turn` (radians) are of each, `bits`
    is float32 (n, 256) of -1 and 1."""

    at: Plane
    size: Plane
    turn: Plane
    bits: Plane


def as_shown(rgb: NDArray[np.uint8], mark: int) -> Grey:
    """Grey (height, width) uint8 of pixels in stored order, turned as their orientation `mark` says."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(upright(rgb, mark))).convert("L"))


def shrunk(grey: Grey) -> Plane:
    """A grey picture (height, width) uint8 as float32 with at most 512 pixels on its longer side."""
    scale = LONGEST / max(grey.shape)
    image = Image.fromarray(grey)
    if scale < 1:
        image = image.resize(_scaled(image.size, scale), Image.Resampling.BOX)
    return np.asarray(image, np.float32)


def keypoints(plane: Plane) -> Keypoints:
    """At most some 900 corners of a picture of `shrunk`, the same for the same pixels; none of a plain one."""
    found = []
    image = Image.fromarray(plane)
    for level in range(_LEVELS):
        size = _scaled(image.size, _STEP**-level)
        if min(size) < _SMALLEST:
            break
        small = np.asarray(image.resize(size, Image.Resampling.BILINEAR) if level else image, np.float32)
        found.append(_of_level(small, plane.shape[1] / size[0], max(20, round(_MOST * 0.36 * _STEP ** (-1.6 * level)))))
    if not found:
        nothing = np.zeros((0, 2), np.float32)
        return Keypoints(nothing, nothing[:, 0], nothing[:, 0], np.zeros((0, _BITS), np.float32))
    return Keypoints(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _of_level(small: Plane, scale: float, most: int) -> tuple[Plane, Plane, Plane, Plane]:
    smooth = blurred(small, 2)
    across, down = _corners(blurred(small, 1), most)
    turn = _turns(smooth, across, down)
    bits = _bits(smooth, across, down, turn)
    at = (np.stack([across, down], axis=1).astype(np.float32) + np.float32(0.5)) * np.float32(scale)
    return at, np.full(len(at), scale, np.float32), turn, bits


def _corners(smooth: Plane, most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the response is the greatest of its neighbours, spread over the picture: few of each cell."""
    dy, dx = (np.asarray(each, np.float32) for each in np.gradient(smooth))
    xx, yy, xy = (blurred(each, 2) for each in (dx * dx, dy * dy, dx * dy))
    response = xx * yy - xy * xy - np.float32(_HARRIS) * (xx + yy) ** 2
    edge = _REACH + 4
    response[:edge] = response[-edge:] = 0
    response[:, :edge] = response[:, -edge:] = 0
    strongest = float(response.max(initial=0))
    if strongest <= 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    greatest = response
    for axis in (0, 1):
        greatest = np.maximum.reduce([np.roll(greatest, by, axis) for by in range(-3, 4)])
    down, across = np.nonzero((response == greatest) & (response > _FAINTEST * strongest))
    order = np.lexsort((across, down, -response[down, across]))
    down, across = down[order], across[order]
    cell = down * 8 // smooth.shape[0] * 8 + across * 8 // smooth.shape[1]
    by_cell = np.argsort(cell, kind="stable")
    first = np.searchsorted(cell[by_cell], cell[by_cell])
    rank = np.empty(len(cell), np.intp)
    rank[by_cell] = np.arange(len(cell)) - first
    kept = np.sort(np.argsort(np.minimum(rank, _A_CELL), kind="stable")[:most])
    return across[kept], down[kept]


def _turns(smooth: Plane, across: NDArray[np.intp], down: NDArray[np.intp]) -> Plane:
    """From each corner to the centroid of the brightness around it."""
    y, x = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1]
    disc = np.nonzero(x * x + y * y <= _REACH * _REACH)
    x, y = x[disc], y[disc]
    around = smooth[down[:, None] + y, across[:, None] + x]
    turn: Plane = np.arctan2(around @ y.astype(np.float32), around @ x.astype(np.float32))
    return turn


@cache
def _pairs() -> tuple[Plane, Plane]:
    """256 pairs of points around the origin, as complex numbers in two columns, drawn once from a seed."""
    chance = np.random.default_rng(_SEED)
    drawn = np.clip(chance.normal(0, _REACH / 2.5, (4, _BITS)), -_REACH * 0.7, _REACH * 0.7)
    return drawn[0] + 1j * drawn[1], drawn[2] + 1j * drawn[3]


def _bits(smooth: Plane, across: NDArray[np.intp], down: NDArray[np.intp], turn: Plane) -> Plane:
    by = np.exp(1j * turn)[:, None]
    values = []
    for points in _pairs():
        turned = points[None, :] * by
        x = np.rint(turned.real).astype(np.intp) + across[:, None]
        y = np.rint(turned.imag).astype(np.intp) + down[:, None]
        values.append(smooth[y, x])
    return np.where(values[0] > values[1], np.float32(1), np.float32(-1))


def blurred(plane: Plane, times: int) -> Plane:
    """The binomial of five points, `times` over, in both directions."""
    for _ in range(times):
        for axis in (0, 1):
            wide = np.pad(plane, [(2, 2) if each == axis else (0, 0) for each in (0, 1)], mode="edge")
            long = plane.shape[axis]
            part = [wide[by : by + long] if axis == 0 else wide[:, by : by + long] for by in range(5)]
            plane = (part[0] + part[4] + 4 * (part[1] + part[3]) + 6 * part[2]) * np.float32(1 / 16)
    return plane


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
