"""One picture of the demo collection: a ground, up to three shapes, and the words BENIGN SAMPLE.

What is drawn is decided first (`Subject`, from the seed and a number alone) and drawn afterwards, so what a
person will see is known without looking. Nothing here writes a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from havenline.testing.backgrounds import PALETTES, STYLES, Field, Pixels, Size, Style, palette_colours

MARK = "BENIGN SAMPLE"
"""The words every drawn picture shows."""

RGB = NDArray[np.uint8]
"""A picture as the files carry it: shape (height, width, 3)."""

COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {"red": (217, 48, 49), "green": (31, 150, 78), "blue": (38, 92, 214), "yellow": (250, 204, 21)}
)
SHAPES = ("triangle", "circle", "square")
_COUNT_WORDS = ("none", "one", "two", "three")
# Chosen by measuring: resized to a quarter, pictures of these sizes keep a margin to the distance that is near.
_SIZES: tuple[Size, ...] = ((720, 512), (768, 512), (512, 512), (512, 384), (512, 720))


@dataclass(frozen=True, slots=True)
class Subject:
    """What one picture shows. `shapes` are (shape, colour), the largest first; at most three."""

    style: Style
    palette: str
    size: Size
    shapes: tuple[tuple[str, str], ...]

    def facts(self) -> dict[str, str]:
        """The answers to the questions of `demo.shapes` for the unaltered picture."""
        facts = {
            "picture_kind": "textured" if self.style.textured else "drawn",
            "photographic": "yes" if self.style.photographic else "no",
            "shapes": _COUNT_WORDS[len(self.shapes)],
            "altered": "no",
        }
        if self.shapes:
            facts["largest_shape"], facts["largest_colour"] = self.shapes[0]
        return facts


def choose_subject(seed: int, number: int) -> Subject:
    """Decide what picture `number` of this seed shows; the styles take turns, so that none is rare."""
    stream = np.random.default_rng([seed, number, 0])
    shapes = tuple(
        (str(stream.choice(SHAPES)), str(stream.choice(list(COLOURS)))) for _ in range(int(stream.integers(0, 4)))
    )
    style = STYLES[number % len(STYLES)]
    return Subject(
        style=style,
        palette=str(stream.choice(style.palettes)),
        size=_SIZES[int(stream.integers(len(_SIZES)))],
        shapes=shapes,
    )


def draw_subject(subject: Subject, *, seed: int, number: int, attempt: int) -> RGB:
    """Draw the subject; another `attempt` gives another picture of it. Pure in its arguments."""
    stream = np.random.default_rng([seed, number, 1 + attempt])
    canvas = subject.style.paint(stream, subject.size, palette_colours(subject.palette))
    canvas = np.array(np.clip(canvas, 0, 1), dtype=np.float32)
    for shape, colour, x, y, reach in _place(stream, subject):
        turn = float(stream.uniform(-0.35, 0.35))
        look: Look = "solid" if subject.style.photographic else "paper"
        _stamp(canvas, shape, colour, at=(x, y), reach=reach, turn=turn, look=look)
    return mark(_to_bytes(canvas))


def _to_bytes(canvas: Pixels) -> RGB:
    return np.asarray(np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


_Spot = tuple[str, str, float, float, float]
"""Shape, colour, centre x, centre y and reach (radius of the circle of the same area), in pixels."""


def _place(stream: np.random.Generator, subject: Subject) -> list[_Spot]:
    """Find room for all shapes, the largest first, so that none touches another, the border or the mark."""
    side = min(subject.size)
    largest = side * float(stream.uniform(0.19, 0.24))
    reaches = [
        largest,
        largest * float(stream.uniform(0.48, 0.58)),
        largest * float(stream.uniform(0.36, 0.44)),
    ]
    while len(placed := _scatter(stream, subject, reaches)) < len(subject.shapes):
        reaches = [reach * 0.999 for reach in reaches]  # smaller at every try: room is found in the end
    return placed


def _scatter(stream: np.random.Generator, subject: Subject, reaches: list[float]) -> list[_Spot]:
    width, height = subject.size
    placed: list[_Spot] = []
    for (shape, colour), reach in zip(subject.shapes, reaches, strict=False):
        room = reach * 1.4 + 0.02 * min(width, height)
        x = float(stream.uniform(room, width - room))
        y = float(stream.uniform(room, height - room - 0.06 * min(width, height)))  # above the mark
        if any(np.hypot(x - px, y - py) < (reach + pr) * 1.25 for _, _, px, py, pr in placed):
            break
        placed.append((shape, colour, x, y, reach))
    return placed


def _distance(shape: str, x: Field, y: Field, reach: float) -> Field:
    """Signed distance to the edge in pixels, negative inside; the area is pi * reach**2 for every shape."""
    if shape == "circle":
        return np.asarray(np.hypot(x, y) - reach, dtype=np.float32)
    if shape == "square":
        return np.asarray(np.maximum(np.abs(x), np.abs(y)) - reach * 0.886, dtype=np.float32)
    inner = reach * 0.778  # radius of the circle inside an equilateral triangle of that area
    slanted = np.maximum(0.866 * x - 0.5 * y, -0.866 * x - 0.5 * y)
    return np.asarray(np.maximum(slanted, y) - inner, dtype=np.float32)


Look = Literal["solid", "paper", "plain"]


def _stamp(
    canvas: Pixels, shape: str, colour: str, *, at: tuple[float, float], reach: float, turn: float, look: Look
) -> None:
    """Put a shape onto the canvas: a lit "solid", a "paper" sticker with a pale rim, or "plain" colour."""
    height, width = canvas.shape[:2]
    span = reach * 1.95
    left, right = max(0, int(at[0] - span)), min(width, int(at[0] + span))
    top, bottom = max(0, int(at[1] - span)), min(height, int(at[1] + span))
    x = np.arange(left, right, dtype=np.float32)[None, :] + np.float32(0.5 - at[0])
    ink = np.array(COLOURS[colour], dtype=np.float32) / np.float32(255)
    stamp = _Stamp(shape, ink, np.float32(reach), np.float32(np.cos(turn)), np.float32(np.sin(turn)))
    for row in range(top, bottom, 32):  # a few rows at a time stay in the cache
        last = min(row + 32, bottom)
        y = np.arange(row, last, dtype=np.float32)[:, None] + np.float32(0.5 - at[1])
        getattr(stamp, look)(canvas[row:last, left:right], x, y)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """One shape about the origin; each look blends it into an area with pixel centres x and y."""

    shape: str
    ink: Pixels
    reach: np.float32
    cos: np.float32
    sin: np.float32

    def solid(self, area: Pixels, x: Field, y: Field) -> None:
        self._shadow(area, x, y, blur=0.22, fall=0.14, depth=0.5)
        inside, reach = self._edge(x, y), self.reach
        lit = 1 - np.float32(0.154) * (x + y) / reach
        rim = np.clip(1 + inside / (reach * np.float32(0.3)), 0, 1)
        shade = lit * (1 - np.float32(0.28) * rim * rim)
        lamp = np.float32(0.35) * reach
        glow = np.exp(-((x + lamp) ** 2 + (y + lamp) ** 2) / (np.float32(0.3) * reach) ** 2)
        paint = self.ink * shade[..., None] + np.float32(0.3) * glow[..., None]
        _blend(area, np.clip(paint, 0, 1), np.float32(0.5) - inside)

    def plain(self, area: Pixels, x: Field, y: Field) -> None:
        _blend(area, self.ink, np.float32(0.5) - self._edge(x, y))

    def paper(self, area: Pixels, x: Field, y: Field) -> None:
        self._shadow(area, x, y, blur=0.06, fall=0.05, depth=0.3)
        inside = self._edge(x, y)
        rim = max(np.float32(3), self.reach * np.float32(0.05))
        _blend(area, np.full(3, 0.98, dtype=np.float32), np.float32(0.5) - inside)
        _blend(area, self.ink, np.float32(0.5) - inside - rim)

    def _edge(self, x: Field, y: Field) -> Field:
        return _distance(self.shape, self.cos * x + self.sin * y, self.cos * y - self.sin * x, float(self.reach))

    def _shadow(self, area: Pixels, x: Field, y: Field, *, blur: float, fall: float, depth: float) -> None:
        away, soften = self.reach * np.float32(fall), self.reach * np.float32(blur)
        dark = np.clip((soften - self._edge(x - away, y - away)) / (2 * soften), 0, 1)
        area *= (1 - dark * dark * (3 - 2 * dark) * np.float32(depth))[..., None]


def _blend(area: Pixels, paint: Pixels, cover: Field) -> None:
    """Mix the paint into the area in place, by a cover that is cut to 0..1."""
    area += (paint - area) * np.clip(cover, 0, 1)[..., None]


@cache
def font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Letters of that height in pixels."""
    return ImageFont.load_default(points)  # comes with Pillow, so no font of the machine is needed


def mark(picture: RGB) -> RGB:
    """Return the picture with a small label of the words BENIGN SAMPLE near its lower left corner."""
    height, width = picture.shape[:2]
    side = min(width, height)
    points = max(12, round(side * 0.036))
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image, "RGBA")
    letters = font(points)
    left, top = round(side * 0.045), height - round(side * 0.045) - round(points * 1.7)
    length = pen.textlength(MARK, font=letters)
    right, bottom = left + round(length + points * 1.2), top + round(points * 1.7)
    pen.rounded_rectangle((left, top, right, bottom), radius=round(points * 0.5), fill=(20, 24, 28, 205))
    pen.text((left + points * 0.6, top + points * 0.85), MARK, font=letters, fill=(255, 255, 255), anchor="lm")
    return np.asarray(image)


HARD_KINDS = ("gradient", "single shape", "text card")
"""Pictures on which perceptual hashing is known to fail: too flat, or unlike only in a number."""


def hard_facts(kind: str, *, seed: int, number: int) -> dict[str, str]:
    """What picture `number` of a hard kind shows, as answers to the questions of `demo.shapes`."""
    facts = {"picture_kind": "drawn", "photographic": "no", "shapes": "none", "altered": "no"}
    if kind == "single shape":
        stream = _hard_stream(kind, seed, number)
        facts |= {"shapes": "one", "largest_shape": str(stream.choice(SHAPES))}
        facts["largest_colour"] = str(stream.choice(list(COLOURS)))
    return facts


def draw_hard(kind: str, *, seed: int, number: int) -> RGB:
    """Draw picture `number` of a hard kind. Pure in its arguments."""
    stream = _hard_stream(kind, seed, number)
    if kind == "text card":
        return _draw_card(int(stream.integers(1000, 10000)))
    width, height = 480, 360
    canvas = np.empty((height, width, 3), dtype=np.float32)
    if kind == "gradient":
        colours = palette_colours(str(stream.choice(list(PALETTES))))
        x = (np.arange(width, dtype=np.float32) + 0.5)[None, :] / width
        y = (np.arange(height, dtype=np.float32) + 0.5)[:, None] / height
        angle = float(stream.uniform(0, 2 * np.pi))
        along = 0.5 + 0.5 * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))
        canvas[:] = colours[1] + (colours[4] - colours[1]) * along[..., None]
        return mark(_to_bytes(canvas))
    shape, colour = str(stream.choice(SHAPES)), str(stream.choice(list(COLOURS)))
    canvas[:] = palette_colours(str(stream.choice(list(PALETTES))))[2]
    at = (width * float(stream.uniform(0.42, 0.58)), height * float(stream.uniform(0.4, 0.5)))
    _stamp(canvas, shape, colour, at=at, reach=height * 0.11, turn=0.0, look="plain")
    return mark(_to_bytes(canvas))


def _hard_stream(kind: str, seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, number, HARD_KINDS.index(kind), 7])


def _draw_card(number: int) -> RGB:
    """A card of printed lines; any two of them differ in one number only."""
    image = Image.new("RGB", (560, 400), (246, 243, 235))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((18, 18, 541, 342), radius=14, outline=(60, 72, 84), width=5)
    pen.rectangle((18, 42, 541, 112), fill=(60, 72, 84))
    pen.text((44, 77), "LENDING LIBRARY", font=font(40), fill=(246, 243, 235), anchor="lm")
    for row, line in enumerate(("Reading room, first floor", "Please return within two weeks")):
        pen.text((44, 155 + 42 * row), line, font=font(28), fill=(40, 48, 56), anchor="lm")
    pen.text((516, 285), f"No. {number}", font=font(44), fill=(150, 40, 40), anchor="rm")
    return mark(np.asarray(image))
