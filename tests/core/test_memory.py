"""What one file costs a worker in memory over its base of code: measured in a child, as growth of its greatest size."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from PIL import Image

WIDE, HIGH = 6000, 4000
MIB = 1 << 20

MEASURE = """
import sys
from havenline import scan_warm
from havenline.fingerprints import fingerprint_bytes
from pathlib import Path

def greatest():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

small, large = (Path(name).read_bytes() for name in sys.argv[1:])
assert fingerprint_bytes(small).refusal is None
Path("/proc/self/clear_refs").write_text("5")
before = greatest()
made = fingerprint_bytes(large)
assert made.refusal is None, made.refusal
print((greatest() - before) * 1024 + len(large))
"""


@cache
def drawn(width: int, height: int) -> Image.Image:
    """Gradients with a little noise: compresses, and is no flat picture."""
    down, along = np.mgrid[0:height, 0:width].astype(np.uint16)
    noise = np.random.default_rng(1).integers(0, 24, (height, width, 1), dtype=np.uint8)
    planes = [(along * 230 // width), (down * 230 // height), ((along + down) * 230 // (width + height))]
    return Image.fromarray(np.stack(planes, axis=2).astype(np.uint8) + noise)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def marked(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(image, "JPEG", quality=80, exif=exif)


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(200)
    return image


FORMS: dict[str, tuple[int, Callable[[Image.Image], bytes]]] = {
    "baseline JPEG": (100, lambda image: saved(image, "JPEG", quality=80)),
    "baseline JPEG with an orientation mark": (100, marked),
    "progressive JPEG": (400, lambda image: saved(image, "JPEG", quality=80, progressive=True)),
    "CMYK JPEG": (400, lambda image: saved(image.convert("CMYK"), "JPEG", quality=80)),
    "PNG": (400, lambda image: saved(image, "PNG", compress_level=1)),
    "PNG with alpha": (400, lambda image: saved(with_alpha(image), "PNG", compress_level=1)),
    "16-bit grey PNG": (
        400,
        lambda image: saved(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257), "PNG"),
    ),
    "float TIFF": (400, lambda image: saved(image.convert("F"), "TIFF", compression="tiff_lzw")),
    "LZW TIFF": (400, lambda image: saved(image, "TIFF", compression="tiff_lzw")),
    "WebP": (400, lambda image: saved(image, "WEBP", quality=60, method=0)),
    "AVIF": (400, lambda image: saved(image, "AVIF", quality=50, speed=10)),
    "HEIF": (400, lambda image: saved(image, "HEIF", quality=50)),
    "JPEG XL": (400, lambda image: bytes(imagecodecs.jpegxl_encode(np.asarray(image), level=80, effort=1))),
    "GIF": (400, lambda image: saved(image.quantize(64), "GIF")),
}

IN_SHORT = ("baseline JPEG", "baseline JPEG with an orientation mark", "PNG with alpha")
SOAK = bool(os.environ.get("HAVENLINE_SOAK"))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured by Linux's own figures")
@pytest.mark.parametrize("form", FORMS if SOAK else IN_SHORT)
def test_a_picture_of_24_megapixels_stays_within_its_allowance(form: str, tmp_path: Path) -> None:
    pillow_heif.register_heif_opener()
    allowed, write = FORMS[form]
    (tmp_path / "small").write_bytes(write(drawn(600, 400)))
    (tmp_path / "large").write_bytes(write(drawn(WIDE, HIGH)))
    ended = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "small", tmp_path / "large"],
        capture_output=True,
        text=True,
        check=True,
    )
    grown = int(ended.stdout) / MIB
    assert grown <= allowed, f"{grown:.0f} MiB"
