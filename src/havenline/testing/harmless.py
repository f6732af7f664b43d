"""Drawn pictures of nothing: the layouts that very many harmless pictures share, for screening partners' lists.

Flat colours, gradients, logos, documents, forms, tables, charts, screens, captioned pictures, text cards, patterns, and
the grounds of the demonstration. What is kept of them are fingerprints; `python -m havenline.testing.harmless FOLDER`
draws them anew and writes both files of `havenline/connectors/harmless/` (docs/formats/harmless.md). Pure in the seed.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import distributions
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from havenline.fingerprints.fingerprint import fingerprint_bytes
from havenline.testing.backgrounds import PALETTES, STYLES, palette_colours
from havenline.testing.drawing import COLOURS, HARD_KINDS, draw_hard, font

VERSION = 1
SEED = 20261128
EACH = 500
"""Pictures of each layout."""
_WORDS = (
    "minutes",
    "of",
    "the",
    "meeting",
    "garden",
    "tools",
    "library",
    "opening",
    "hours",
    "invoice",
    "total",
    "menu",
)
_Pen = ImageDraw.ImageDraw
_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")


def _colour(chance: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    red, green, blue = chance.integers(low, high, 3).tolist()
    return red, green, blue


def _size(chance: np.random.Generator) -> tuple[int, int]:
    sizes = ((320, 240), (240, 320), (256, 256), (384, 216), (216, 384), (280, 396))
    return sizes[int(chance.integers(len(sizes)))]


def _text(chance: np.random.Generator, words: int) -> str:
    return " ".join(str(chance.choice(_WORDS)) for _ in range(words))


def _blank(chance: np.random.Generator, low: int = 200) -> tuple[Image.Image, _Pen, int, int]:
    width, height = _size(chance)
    image = Image.new("RGB", (width, height), _colour(chance, low))
    return image, ImageDraw.Draw(image), width, height


def _flat(chance: np.random.Generator) -> Image.Image:
    image, pen, width, height = _blank(chance, 0)
    edge = int(chance.integers(0, 30))
    pen.rectangle((edge, edge, width - 1 - edge, height - 1 - edge), fill=_colour(chance))
    return image


def _gradient(chance: np.random.Generator) -> Image.Image:
    width, height = _size(chance)
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle = chance.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle) if chance.random() < 0.6 else np.hypot(x - chance.uniform(-1, 1), y)
    share = ((along - along.min()) / np.ptp(along))[..., None]
    first, last = np.array(_colour(chance)), np.array(_colour(chance))
    return Image.fromarray((first + (last - first) * share).astype(np.uint8))


def _logo(chance: np.random.Generator) -> Image.Image:
    image, pen, width, height = _blank(chance, 180)
    middle, reach = (width // 2, height // 2 - height // 10), min(width, height) // 4
    for _ in range(int(chance.integers(1, 4))):
        sides, turn = int(chance.integers(3, 9)), float(chance.uniform(0, 360))
        grown = int(reach * chance.uniform(0.4, 1.2))
        pen.regular_polygon((*middle, max(grown, 6)), sides, rotation=turn, fill=_colour(chance))
    pen.text(
        (width // 2, height * 0.85), _text(chance, 1).title(), font=font(28), fill=_colour(chance, 0, 90), anchor="mm"
    )
    return image


def _document(chance: np.random.Generator) -> Image.Image:
    image, pen, _, height = _blank(chance, 235)
    size = int(chance.integers(9, 20))
    left, line = int(chance.integers(10, 40)), int(chance.integers(10, 40))
    pen.text((left, line), _text(chance, 3).title(), font=font(size + 8), fill=(20, 20, 20))
    line += size * 2 + 10
    while line < height - size:
        if chance.random() < 0.85:
            pen.text((left, line), _text(chance, int(chance.integers(2, 9))), font=font(size), fill=(40, 40, 40))
        line += size + int(chance.integers(3, 9))
    return image


def _form(chance: np.random.Generator) -> Image.Image:
    image, pen, width, height = _blank(chance, 225)
    pen.rectangle((0, 0, width, int(chance.integers(20, 60))), fill=_colour(chance))
    line = 70
    while line < height - 20:
        pen.text((14, line), _text(chance, 1), font=font(13), fill=(60, 60, 60))
        pen.rectangle((width * 0.4, line - 3, width * chance.uniform(0.6, 0.95), line + 16), outline=(120, 120, 120))
        line += int(chance.integers(24, 44))
    return image


def _table(chance: np.random.Generator) -> Image.Image:
    image, pen, width, height = _blank(chance, 230)
    rows, columns = int(chance.integers(4, 14)), int(chance.integers(2, 8))
    for row in range(rows):
        top = height * row // rows
        if row == 0 or (row % 2 and chance.random() < 0.7):
            pen.rectangle((0, top, width, height * (row + 1) // rows), fill=_colour(chance, 150))
        for column in range(columns):
            place = (width * column // columns + 4, top + 3)
            pen.text(place, str(chance.integers(0, 9999)), font=font(11), fill=(40, 40, 40))
    for column in range(columns):
        pen.line((width * column // columns, 0, width * column // columns, height), fill=(150, 150, 150))
    return image


def _chart(chance: np.random.Generator) -> Image.Image:
    image, pen, width, height = _blank(chance, 235)
    count, colour = int(chance.integers(3, 16)), _colour(chance, 0, 200)
    heights = (chance.random(count) * height * 0.8).tolist()
    if chance.random() < 0.5:
        for number, tall in enumerate(heights):
            left = 20 + (width - 30) * number / count
            pen.rectangle((left, height - 16 - tall, left + (width - 30) / count * 0.7, height - 16), fill=colour)
    else:
        places = [(20 + (width - 30) * number / count, height - 16 - tall) for number, tall in enumerate(heights)]
        pen.line(places, fill=colour, width=int(chance.integers(2, 7)))
    pen.line((18, 4, 18, height - 16, width - 4, height - 16), fill=(60, 60, 60), width=2)
    return image


def _screen(chance: np.random.Generator) -> Image.Image:
    image, pen, width, height = _blank(chance, 215)
    pen.rectangle((0, 0, width, 26), fill=_colour(chance))
    if chance.random() < 0.6:
        pen.rectangle((0, 26, int(width * chance.uniform(0.15, 0.35)), height), fill=_colour(chance, 120))
    columns, rows = int(chance.integers(1, 5)), int(chance.integers(2, 6))
    for row in range(rows):
        for column in range(columns):
            left, top = width * (0.3 + 0.7 * column / columns), 34 + (height - 34) * row / rows
            right, bottom = left + width * 0.6 / columns, top + (height - 40) / rows * 0.8
            pen.rounded_rectangle((left, top, right, bottom), 5, fill=_colour(chance, 150), outline=(170, 170, 170))
            pen.text((left + 4, top + 2), _text(chance, 1), font=font(10), fill=(50, 50, 50))
    return image


def _ground(chance: np.random.Generator) -> Image.Image:
    style = STYLES[int(chance.integers(len(STYLES)))]
    drawn = style.paint(chance, _size(chance), palette_colours(str(chance.choice(list(PALETTES)))))
    return Image.fromarray((np.clip(drawn, 0, 1) * 255).astype(np.uint8))


def _captioned(chance: np.random.Generator) -> Image.Image:
    """A picture between two bars of large words, as shared jokes have them."""
    image = _ground(chance) if chance.random() < 0.5 else _gradient(chance)
    pen, (width, height) = ImageDraw.Draw(image), image.size
    bar = int(height * chance.uniform(0.12, 0.25))
    ground, ink = ((0, 0, 0), (255, 255, 255)) if chance.random() < 0.5 else ((255, 255, 255), (0, 0, 0))
    for top in (0, height - bar):
        pen.rectangle((0, top, width, top + bar), fill=ground)
        line = _text(chance, 3).upper()
        pen.text((width / 2, top + bar / 2), line, font=font(max(12, bar // 3)), fill=ink, anchor="mm")
    return image


def _pattern(chance: np.random.Generator) -> Image.Image:
    image, pen, width, height = _blank(chance, 60)
    pitch, colour = int(chance.integers(10, 80)), _colour(chance)
    kind = int(chance.integers(4))
    for row in range(0, height, pitch):
        for column in range(0, width, pitch):
            box = (column, row, column + pitch // 2, row + pitch // 2)
            if kind == 0 and (row // pitch + column // pitch) % 2:
                pen.rectangle((column, row, column + pitch, row + pitch), fill=colour)
            elif kind == 1:
                pen.ellipse(box, fill=colour)
            elif kind == 2 and chance.random() < 0.5:
                pen.rectangle((column, row, column + pitch, row + pitch), fill=colour)
        if kind == 3:
            pen.rectangle((0, row, width, row + pitch // 2), fill=colour)
    return image.rotate(90 * int(chance.integers(4)), expand=True)


def _shapes(chance: np.random.Generator) -> Image.Image:
    image, pen, width, height = _blank(chance, 60)
    for _ in range(int(chance.integers(1, 6))):
        colour = COLOURS[str(chance.choice(list(COLOURS)))]
        reach = int(min(width, height) * chance.uniform(0.08, 0.35))
        at = (int(chance.integers(width)), int(chance.integers(height)), max(reach, 4))
        pen.regular_polygon(at, int(chance.choice((3, 4, 24))), rotation=float(chance.uniform(0, 90)), fill=colour)
    return image


def _card(chance: np.random.Generator) -> Image.Image:
    kind = HARD_KINDS[int(chance.integers(len(HARD_KINDS)))]
    return Image.fromarray(draw_hard(kind, seed=SEED, number=int(chance.integers(1 << 30))))


LAYOUTS: Mapping[str, Callable[[np.random.Generator], Image.Image]] = {
    "flat": _flat,
    "gradient": _gradient,
    "logo": _logo,
    "document": _document,
    "form": _form,
    "table": _table,
    "chart": _chart,
    "screen": _screen,
    "ground": _ground,
    "captioned": _captioned,
    "pattern": _pattern,
    "shapes": _shapes,
    "card": _card,
}


def draw_harmless(layout: str, number: int, *, seed: int = SEED) -> bytes:
    """Picture `number` of that layout as a PNG file. Pure in its arguments."""
    chance = np.random.default_rng([seed, number, list(LAYOUTS).index(layout)])
    file = BytesIO()
    LAYOUTS[layout](chance).save(file, "PNG", compress_level=1)
    return file.getvalue()


def shipped_pictures() -> Iterator[tuple[str, bytes]]:
    """The pictures that the installed packages bring along, by package, each content once."""
    seen = set()
    for package in sorted(distributions(), key=lambda each: each.name.lower()):
        for file in sorted(package.files or (), key=str):
            path = Path(str(package.locate_file(file)))
            if path.suffix.lower() in _ENDINGS and path.is_file():
                content = path.read_bytes()
                if (digest := hashlib.sha256(content).digest()) not in seen:
                    seen.add(digest)
                    yield package.name, content


def codes_of(content: bytes) -> list[bytes]:
    """The fingerprints of a picture by both pipelines; none of what cannot be hashed."""
    made = fingerprint_bytes(content)
    return [bytes.fromhex(value) for value in dict.fromkeys((made.pdq, made.pdq_512)) if value]


def write_harmless(folder: Path, *, each: int = EACH) -> None:
    """Draw all and write `harmless.json` and `harmless.bin` into `folder`, in place of earlier ones."""
    counts: dict[str, int] = {}
    codes: set[bytes] = set()
    for layout in LAYOUTS:
        for number in range(each):
            codes.update(codes_of(draw_harmless(layout, number)))
        counts[layout] = each
    for package, content in shipped_pictures():
        if found := codes_of(content):
            codes.update(found)
            counts[f"shipped by {package}"] = counts.get(f"shipped by {package}", 0) + 1
    whole: NDArray[np.uint8] = np.frombuffer(b"".join(sorted(codes)), np.uint8)
    said = {
        "form": 1,
        "version": VERSION,
        "seed": SEED,
        "pictures": counts,
        "fingerprints": len(codes),
        "sha256": hashlib.sha256(whole.tobytes()).hexdigest(),
    }
    (folder / "harmless.bin").write_bytes(whole.tobytes())
    (folder / "harmless.json").write_text(json.dumps(said, indent=2) + "\n")


if __name__ == "__main__":
    write_harmless(Path(sys.argv[1]))
