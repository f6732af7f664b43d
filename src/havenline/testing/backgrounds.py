"""Grounds of the drawn pictures: noise with a natural spectrum, lit surfaces, and flat blocks of colour.

Each painter takes a random stream, a size in pixels and a palette (rows of RGB in 0..1, dark to light) and
returns an array of shape (height, width, 3), float32, about 0..1; whoever composes the picture clips it.
Painters know nothing of fingerprints: whether a picture is varied enough to be compared is measured later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float32]
Field = NDArray[np.float32]
Size = tuple[int, int]
"""Width and height in pixels."""

# Muted, so that shapes in red, green, blue and yellow stand out on every one of them.
PALETTES: Mapping[str, str] = MappingProxyType(
    {
        "slate": "22303c 3f5866 7f9aa3 c3d2cf f2efe6",
        "moor": "2d2a32 5b5058 8d8178 c5b8a0 efe6d2",
        "sage": "2a3a33 4f6b5a 86a086 bfcdb0 f0efdc",
        "dusk": "2b2540 54446b 94739a d4a5ae f6e0d0",
        "sand": "3d2f26 75593f b08d61 dcc297 f7ecd2",
        "sea": "10303f 1f5a6b 4f93a0 a3cdd0 eaf4ef",
        "clay": "3a2426 70433e ad7461 dbae94 f6e4d3",
        "ice": "26324a 4a6288 86a3c4 c2d5e6 f4f8fb",
        "mauve": "332f3c 655d78 9c93ab cdc4cf f3eeee",
        "olive": "2c2e1f 5a5d3a 929163 c9c59a f3f0dc",
    }
)


def palette_colours(name: str) -> Pixels:
    """The colours of a palette as an array of shape (5, 3) in 0..1, dark to light."""
    rows = [[int(code[at : at + 2], 16) / 255 for at in (0, 2, 4)] for code in PALETTES[name].split()]
    return np.array(rows, dtype=np.float32)


def spectrum_noise(stream: np.random.Generator, size: Size, slope: float) -> Field:
    """Noise whose amplitude falls as 1/frequency**slope; mean 0, deviation 1. Photographs lie near 1."""
    width, height = size
    white = stream.standard_normal((height, width), dtype=np.float32)
    field = np.fft.irfft2(np.fft.rfft2(white) * _gain(size, slope), s=(height, width)).astype(np.float32)
    return np.asarray(field / field.std(), dtype=np.float32)


def smooth_noise(stream: np.random.Generator, size: Size, slope: float) -> Field:
    """Like `spectrum_noise`, made at half the size and enlarged: enough where a slope leaves no detail."""
    half = spectrum_noise(stream, (size[0] // 2, size[1] // 2), slope)
    return np.asarray(Image.fromarray(half).resize(size, Image.Resampling.BICUBIC), dtype=np.float32)


@lru_cache(maxsize=64)
def _gain(size: Size, slope: float) -> Field:
    width, height = size
    fy = np.fft.fftfreq(height, 1 / height)[:, None]
    fx = np.fft.rfftfreq(width, 1 / width)[None, :]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = 1.0
    gain = (frequency**-slope).astype(np.float32)
    gain[0, 0] = 0.0
    return np.asarray(gain, dtype=np.float32)


def _ramp(field: Field, colours: Pixels) -> Pixels:
    """Colour a field of 0..1 along the palette, by a table of 1,024 steps."""
    table = _ramp_table(colours.tobytes())
    steps = (np.clip(field, 0, 1) * np.float32(1023)).astype(np.int32)
    return np.asarray(table.take(steps, axis=0), dtype=np.float32)


@lru_cache(maxsize=64)
def _ramp_table(packed: bytes) -> Pixels:
    colours = np.frombuffer(packed, dtype=np.float32).reshape(-1, 3)
    steps = np.linspace(0, len(colours) - 1, 1024)
    table = np.stack([np.interp(steps, np.arange(len(colours)), colours[:, c]) for c in range(3)], axis=1)
    return table.astype(np.float32)


def _grid(size: Size) -> tuple[Field, Field]:
    """Columns x (1, width) and rows y (height, 1), in pixels at the centre of each pixel."""
    width, height = size
    x = np.arange(width, dtype=np.float32)[None, :] + 0.5
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5
    return x, y


def _light(field: Field, strength: float) -> Field:
    """Light from the upper left on a surface of this height, as a factor around 1."""
    slope_x = np.diff(field, axis=1, append=field[:, -1:])
    slope_y = np.diff(field, axis=0, append=field[-1:, :])
    return np.asarray(1 - strength * np.tanh(4 * (slope_x + slope_y)), dtype=np.float32)


def _vignette(size: Size, depth: float) -> Field:
    x, y = _grid(size)
    width, height = size
    distance = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2
    return np.asarray(1 - depth * distance, dtype=np.float32)


def _photo_finish(stream: np.random.Generator, picture: Pixels, size: Size) -> Pixels:
    """Darker corners and fine grain, as a camera leaves them. Works in place."""
    width, height = size
    grain = (stream.random((height, width), dtype=np.float32) - np.float32(0.5)) * np.float32(0.04)
    picture *= _vignette(size, 0.35)[..., None]
    picture += grain[..., None]
    return picture


def _drift(stream: np.random.Generator, across: NDArray[np.floating], down: NDArray[np.floating]) -> Field:
    """A tone that wanders slowly over the sheet, read at places of 0..1; deviation about 1.

    Pieces follow it in part, so that a picture has large light and dark regions, as photographs have.
    """
    sheet = spectrum_noise(stream, (32, 32), 1.8)
    tone: Field = sheet[np.clip(down * 32, 0, 31).astype(np.int32), np.clip(across * 32, 0, 31).astype(np.int32)]
    return tone


def paint_stone(stream: np.random.Generator, size: Size, colours: Pixels) -> Pixels:
    """A lit surface with veins, like weathered stone seen from above."""
    coarse = smooth_noise(stream, size, 1.7)
    fine = spectrum_noise(stream, size, 1.15)
    value = 0.5 + 0.22 * coarse + 0.05 * fine
    picture = _ramp(value, colours) * _light(coarse * 1.5 + fine * 0.25, 0.2)[..., None]
    return _photo_finish(stream, picture, size)


def paint_clouds(stream: np.random.Generator, size: Size, colours: Pixels) -> Pixels:
    """Clouds before a sky that grows lighter towards the horizon."""
    _, y = _grid(size)
    noise = spectrum_noise(stream, size, 1.45)
    sky = _ramp(np.broadcast_to(np.float32(0.25) + np.float32(0.4 / size[1]) * y, noise.shape), colours)
    thickness = np.clip((noise + 0.35) / 1.5, 0, 1)
    cover = thickness * thickness * (3 - 2 * thickness)
    shade = 0.8 + 0.2 * np.tanh(smooth_noise(stream, size, 1.7))
    cloud = np.ones(3, dtype=np.float32) * shade[..., None]
    picture = sky + (cloud - sky) * cover[..., None]
    return _photo_finish(stream, np.asarray(picture, dtype=np.float32), size)


def paint_dunes(stream: np.random.Generator, size: Size, colours: Pixels) -> Pixels:
    """Wind ripples on a gently rolling surface, lit from the side."""
    x, y = _grid(size)
    angle = stream.uniform(0, np.pi)
    rolling = smooth_noise(stream, size, 2.2)
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    ripple = np.sin(2 * np.pi * along / stream.uniform(44, 70) + 2.2 * rolling)
    value = 0.55 + 0.2 * rolling + 0.09 * ripple + 0.03 * spectrum_noise(stream, size, 0.9)
    return _photo_finish(stream, _ramp(np.asarray(value, dtype=np.float32), colours[1:]), size)


@dataclass(frozen=True, slots=True)
class _Cells:
    """For every pixel the nearest scattered point: its distance, the next one's (in cells), its number."""

    near: Field
    next: Field
    owner: NDArray[np.int32]
    number: int
    across: NDArray[np.float32]
    down: NDArray[np.float32]


def _cells(stream: np.random.Generator, size: Size, pitch: float) -> _Cells:
    """Scatter one point in each square of a grid, so that each pixel has to ask nine squares only."""
    columns, rows = int(size[0] / pitch) + 3, int(size[1] / pitch) + 3
    across = (np.arange(columns)[None, :] + stream.uniform(0.1, 0.9, (rows, columns))).astype(np.float32)
    down = (np.arange(rows)[:, None] + stream.uniform(0.1, 0.9, (rows, columns))).astype(np.float32)
    x, y = _grid(size)
    u, v = x / np.float32(pitch) + 1, y / np.float32(pitch) + 1
    bands = [_cell_band(u, v[top : top + 32], across, down) for top in range(0, size[1], 32)]
    near, following, owner = (np.concatenate(part) for part in zip(*bands, strict=True))
    return _Cells(np.sqrt(near), np.sqrt(following), owner, rows * columns, across.ravel(), down.ravel())


def _cell_band(u: Field, v: Field, across: Field, down: Field) -> tuple[Field, Field, NDArray[np.int32]]:
    """Squared distances and owner for a few rows at a time: what is at work then stays in the cache."""
    columns = across.shape[1]
    column, row = u.astype(np.int32), v.astype(np.int32)
    near = np.full((v.shape[0], u.shape[1]), 99, np.float32)
    following = near.copy()
    owner = np.zeros(near.shape, np.int32)
    for step_y in (-1, 0, 1):
        for step_x in (-1, 0, 1):
            number = (row + step_y) * columns + (column + step_x)
            distance = (across.take(number) - u) ** 2 + (down.take(number) - v) ** 2
            np.minimum(following, np.maximum(near, distance), out=following)
            np.copyto(owner, number, where=distance < near)
            np.minimum(near, distance, out=near)
    return near, following, owner


def paint_pebbles(stream: np.random.Generator, size: Size, colours: Pixels) -> Pixels:
    """Rounded pebbles, each lit like a small dome, with dark gaps between them."""
    pitch = stream.uniform(64, 92)
    cells = _cells(stream, size, pitch)
    drift = _drift(stream, cells.across * pitch / size[0], cells.down * pitch / size[1])
    tone = (0.6 + 0.15 * drift + stream.uniform(-0.3, 0.3, cells.number)).astype(np.float32)[cells.owner]
    gap = np.clip((cells.next - cells.near) * 5, 0, 1)
    dome = np.sqrt(np.clip(1 - (cells.near / 0.85) ** 2, 0.05, 1))
    x, y = _grid(size)
    lean = (cells.across[cells.owner] - x / pitch - 1) + (cells.down[cells.owner] - y / pitch - 1)
    speckle = 0.05 * spectrum_noise(stream, size, 0.8)
    lit = (0.63 + 0.4 * dome + 0.32 * lean) * (0.4 + 0.6 * gap)
    picture = _ramp(np.asarray(tone + speckle, dtype=np.float32), colours) * lit[..., None]
    return _photo_finish(stream, np.asarray(picture, dtype=np.float32), size)


def paint_facets(stream: np.random.Generator, size: Size, colours: Pixels) -> Pixels:
    """Flat many-cornered pieces, like stained glass, with pale joints."""
    pitch = stream.uniform(56, 90)
    cells = _cells(stream, size, pitch)
    drift = _drift(stream, cells.across * pitch / size[0], cells.down * pitch / size[1])
    tone = 0.5 + 0.17 * drift + stream.uniform(-0.28, 0.28, cells.number)
    picture = _ramp(tone.astype(np.float32), colours)[cells.owner]
    joint = np.clip(1.6 - (cells.next - cells.near) * 34, 0, 1)[..., None]
    return np.asarray(picture + (colours[-1] - picture) * joint * 0.35, dtype=np.float32)


def paint_ridges(stream: np.random.Generator, size: Size, colours: Pixels) -> Pixels:
    """Hill ranges cut from flat paper, the nearest darkest, under a plain sky with a pale sun."""
    width, height = size
    x, y = _grid(size)
    sky = np.broadcast_to(colours[-1] * 0.6 + colours[-2] * 0.4, (height, width, 3))
    sun = np.hypot(x - width * stream.uniform(0.15, 0.85), y - height * stream.uniform(0.12, 0.3))
    disc = np.clip(min(size) * stream.uniform(0.06, 0.11) - sun + 0.5, 0, 1)[..., None]
    picture = np.asarray(sky + (1 - sky) * disc * 0.85, dtype=np.float32)
    layers = int(stream.integers(5, 8))
    for layer in range(layers):
        depth = (layer + 1) / layers
        line = spectrum_noise(stream, (width, 64), 1.6)[0] * (0.055 + 0.03 * depth)
        crest = (height * (0.18 + 0.66 * layer / (layers - 1) + line)).astype(np.float32)
        top, full = (int(np.clip(edge, 0, height)) for edge in (crest.min() - 1, crest.max() + 2))
        colour = _ramp(np.array([0.86 - 0.8 * depth], dtype=np.float32), colours)[0]
        inside = np.clip(y[top:full] - crest[None, :] + 0.5, 0, 1)[..., None]
        picture[top:full] += (colour - picture[top:full]) * inside
        picture[full:] = colour
    return picture


def paint_contours(stream: np.random.Generator, size: Size, colours: Pixels) -> Pixels:
    """Flat height bands with a fine line between them, printed on rough paper: speckled, no photograph."""
    height = 0.5 + 0.21 * smooth_noise(stream, size, 2.3)
    bands = 7
    level = np.clip(height, 0, 0.999) * bands
    picture = _ramp((np.floor(level) / (bands - 1)).astype(np.float32), colours)
    slope = np.hypot(*np.gradient(level)) + 1e-4
    line = (np.clip(1.4 - np.abs(level - np.round(level)) / slope, 0, 1) * np.float32(0.3))[..., None]
    speckle = stream.random((size[1], size[0]), dtype=np.float32) + np.float32(0.06) * spectrum_noise(stream, size, 0.5)
    ink = np.where(speckle > 0.86, np.float32(0.3), line[..., 0])[..., None]
    return np.asarray(picture + (colours[0] - picture) * ink, dtype=np.float32)


def paint_patchwork(stream: np.random.Generator, size: Size, colours: Pixels) -> Pixels:
    """A sheet divided again and again into flat rectangles with pale seams."""
    width, height = size
    picture = np.empty((height, width, 3), dtype=np.float32)
    across, down = np.meshgrid(np.linspace(0, 1, 32), np.linspace(0, 1, 32))
    drift = _drift(stream, across.astype(np.float32), down.astype(np.float32))
    pieces = [(0, 0, width, height)]
    while pieces:
        left, top, right, bottom = pieces.pop()
        wide, tall = right - left, bottom - top
        if max(wide, tall) > 150 or (max(wide, tall) > 76 and stream.random() < 0.72):
            if wide * stream.uniform(0.75, 1.3) > tall:
                cut = left + int(wide * stream.uniform(0.35, 0.65))
                pieces += [(left, top, cut, bottom), (cut, top, right, bottom)]
            else:
                cut = top + int(tall * stream.uniform(0.35, 0.65))
                pieces += [(left, top, right, cut), (left, cut, right, bottom)]
            continue
        wander = drift[32 * (top + bottom) // (2 * height), 32 * (left + right) // (2 * width)]
        tone = 0.48 + 0.16 * wander + stream.uniform(-0.34, 0.34, 1)
        colour = _ramp(np.clip(tone, 0.03, 0.93).astype(np.float32), colours)[0]
        picture[top:bottom, left:right] = colour + (colours[-1] - colour) * np.float32(0.3)
        picture[top + 2 : bottom - 1, left + 2 : right - 1] = colour
    return picture


def paint_quilt(stream: np.random.Generator, size: Size, colours: Pixels) -> Pixels:
    """Square patches, each printed with a pattern: stripes, dots, rings, checks or waves."""
    x, y = _grid(size)
    pitch = np.float32(stream.uniform(88, 124))
    column, row = (x / pitch).astype(np.int32), (y / pitch).astype(np.int32)
    columns, rows = int(column.max()) + 1, int(row.max()) + 1
    half = np.float32(0.5)
    u, v = x / pitch - column.astype(np.float32) - half, y / pitch - row.astype(np.float32) - half
    patterns = (
        np.sin((u + v) * 4 * np.pi),
        np.sin(u * 6 * np.pi) + 0 * v,
        np.sin(v * 6 * np.pi) + 0 * u,
        np.sin(np.hypot(u, v) * 9 * np.pi),
        np.sin(u * 6 * np.pi) * np.sin(v * 6 * np.pi) * 3,
        np.sin(v * 6 * np.pi + 1.2 * np.sin(u * 4 * np.pi)),
    )
    choice = stream.integers(0, len(patterns), (rows, columns))[row, column]
    print_ = np.choose(choice, [np.clip(p * 5 + 0.5, 0, 1) for p in patterns])
    across, down = np.meshgrid(np.linspace(0.1, 0.9, columns), np.linspace(0.1, 0.9, rows))
    drift = _drift(stream, across.astype(np.float32), down.astype(np.float32))
    tone = np.clip(0.42 + 0.18 * drift + stream.uniform(-0.32, 0.32, (rows, columns)), 0.04, 0.86)
    contrast = stream.uniform(0.1, 0.18, (rows, columns)) * np.where(tone > 0.45, -1, 1)
    ground = _ramp(tone.astype(np.float32), colours)[row, column]
    ink = _ramp((tone + contrast).astype(np.float32), colours)[row, column]
    return np.asarray(ground + (ink - ground) * print_[..., None], dtype=np.float32)


Painter = Callable[[np.random.Generator, Size, Pixels], Pixels]


@dataclass(frozen=True, slots=True)
class Style:
    """A ground and what a person sees in it: soft light or flat colour, texture or none."""

    name: str
    paint: Painter
    textured: bool
    photographic: bool
    palettes: tuple[str, ...] = tuple(PALETTES)


STYLES: tuple[Style, ...] = (
    Style("stone", paint_stone, textured=True, photographic=True),
    Style("patchwork", paint_patchwork, textured=False, photographic=False),
    Style("clouds", paint_clouds, textured=True, photographic=True, palettes=("sea", "ice", "slate", "dusk")),
    Style("ridges", paint_ridges, textured=False, photographic=False),
    Style("pebbles", paint_pebbles, textured=True, photographic=True),
    Style("contours", paint_contours, textured=True, photographic=False),
    Style("dunes", paint_dunes, textured=True, photographic=True),
    Style("facets", paint_facets, textured=False, photographic=False),
    Style("quilt", paint_quilt, textured=False, photographic=False),
)
