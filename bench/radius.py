"""How far PDQ moves when a picture is encoded anew or resized, and nothing else: the figures of docs/howto/radius.md.

Drawn pictures alone: noise with the spectrum of photographs, with and without shapes. Both pipelines are
compared with their own hash of the original. No peer: this is about the hash, not about speed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from havenline.fingerprints import fingerprint_bytes
from havenline.vocabulary import QUALITY_FLOOR, Fingerprint

PICTURES = 60


def drawn() -> Iterator[Image.Image]:
    """Pictures of phone and board sizes."""
    chance = np.random.default_rng(17)
    for number in range(PICTURES):
        width, height = ((1280, 960), (960, 1280), (1600, 900))[number % 3]
        canvas = np.zeros((height, width, 3), np.float32)
        for octave in range(1, 8):
            noise = chance.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8)
            grown = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
            canvas += (np.asarray(grown, dtype=np.float32) - 128) / octave
        picture = Image.fromarray(np.clip(canvas + 128, 0, 255).astype(np.uint8))
        if number % 2:
            pen = ImageDraw.Draw(picture)
            for _ in range(6):
                left, top = int(chance.integers(0, width - 200)), int(chance.integers(0, height - 200))
                colour = tuple(int(each) for each in chance.integers(0, 256, 3))
                (pen.ellipse if chance.random() < 0.5 else pen.rectangle)((left, top, left + 200, top + 200), colour)
        yield picture


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    """The picture as bytes of that form."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def resized(scale: float) -> Callable[[Image.Image], bytes]:
    """At that scale by bicubic interpolation, as JPEG of quality 85."""
    return lambda image: saved(
        image.resize((round(image.width * scale), round(image.height * scale))), "JPEG", quality=85
    )


FORMS: dict[str, Callable[[Image.Image], bytes]] = {
    **{f"JPEG, quality {each}": (lambda image, each=each: saved(image, "JPEG", quality=each)) for each in (95, 75, 50)},
    "WebP, quality 75": lambda image: saved(image, "WEBP", quality=75),
    "AVIF, quality 60": lambda image: saved(image, "AVIF", quality=60, speed=9),
    "GIF": lambda image: saved(image, "GIF"),
    **{f"resized to {round(each * 100)} %, JPEG 85": resized(each) for each in (2.0, 0.75, 0.5, 0.25)},
}


def main() -> None:
    """Draw, encode, hash, print."""
    gaps: dict[str, list[tuple[int, int]]] = {}
    for picture in drawn():
        original = fingerprint_bytes(saved(picture, "PNG", compress_level=1))
        if (original.pdq_quality or 0) < QUALITY_FLOOR:
            continue
        for name, encode in FORMS.items():
            gaps.setdefault(name, []).append(_gap(original, fingerprint_bytes(encode(picture))))
    print(f"{len(next(iter(gaps.values())))} drawn pictures; bits from the original: median, 95 of 100, greatest")
    print(f"{'':<28} {'pdq-full/1':>16} {'pdq-512/1':>16}")
    for name, pairs in gaps.items():
        columns = (
            f"{np.median(each):3.0f} {np.percentile(each, 95):4.0f} {max(each):4d}" for each in zip(*pairs, strict=True)
        )
        print(f"{name:<28} {'   '.join(f'{column:>14}' for column in columns)}")


def _gap(one: Fingerprint, other: Fingerprint) -> tuple[int, int]:
    def bits(left: str | None, right: str | None) -> int:
        assert left is not None
        assert right is not None
        return (int(left, 16) ^ int(right, 16)).bit_count()

    return bits(one.pdq, other.pdq), bits(one.pdq_512, other.pdq_512)


if __name__ == "__main__":
    main()
