"""Whole files of every form, and the ways in which bytes are damaged. Needs all extras."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from havenline.testing.films import film, still


def _saved(form: str, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    frames = [Image.fromarray(still(number)).convert(mode) for number in (0, 10, 20)]
    more = {"save_all": True, "append_images": frames[1:]} if options.pop("moving", False) else {}
    frames[0].save(out, form, **options, **more)
    return out.getvalue()


def whole_pictures() -> list[bytes]:
    """One drawn picture in each form that is opened."""
    import imagecodecs
    import pillow_heif

    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        _saved("JPEG", exif=exif),
        _saved("JPEG", progressive=True),
        _saved("JPEG", "CMYK"),
        _saved("PNG"),
        _saved("PNG", "P"),
        _saved("PNG", "LA"),
        _saved("PNG", moving=True),
        _saved("GIF", moving=True),
        _saved("WEBP", moving=True),
        _saved("WEBP", lossless=True),
        _saved("AVIF", speed=10),
        _saved("HEIF"),
        _saved("TIFF", compression="tiff_lzw"),
        _saved("TIFF", "F"),
        _saved("TIFF", compression="jpeg"),
        _saved("BMP"),
        bytes(imagecodecs.jpegxl_encode(still(0), level=80)),
    ]


def whole_films() -> list[bytes]:
    """A second of moving shapes in each form that is opened."""
    return [
        film("mp4", seconds=1),
        film("matroska", seconds=1),
        film("mpegts", seconds=1),
        film("webm", "libvpx-vp9", seconds=1),
        film("avi", "mpeg4", seconds=1),
    ]


def whole_files() -> list[bytes]:
    """All of them."""
    return whole_pictures() + whole_films()


def mutated(content: bytes, chance: np.random.Generator) -> bytes:
    """Bytes changed, runs cut out, doubled or zeroed, ends cut off: several at once, more near the beginning."""
    changed = bytearray(content)
    for _ in range(int(chance.integers(1, 6))):
        at = int(len(changed) * chance.random() ** 2)
        run = int(chance.integers(1, 64))
        match int(chance.integers(0, 5)):
            case 0 | 1:
                changed[at : at + 1] = chance.bytes(1)
            case 2:
                del changed[at : at + run]
            case 3:
                changed[at:at] = changed[at : at + run]
            case _:
                changed[at : at + run] = bytes(len(changed[at : at + run]))
    if chance.random() < 0.1:
        del changed[int(len(changed) * chance.random()) :]
    return bytes(changed)
