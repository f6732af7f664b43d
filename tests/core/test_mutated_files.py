"""Files damaged in thousands of ways go through a scan: each ends with a hash or a named reason, none ends the scan."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
from hostile_postings import Held
from PIL import Image

from havenline.scan import fingerprint_postings
from havenline.testing.films import film, still
from havenline.vocabulary import Refusal

SOAK = bool(os.environ.get("HAVENLINE_SOAK"))
COUNT = 10_000 if SOAK else 600
pillow_heif.register_heif_opener()


def saved(form: str, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    frames = [Image.fromarray(still(number)).convert(mode) for number in (0, 10, 20)]
    more = {"save_all": True, "append_images": frames[1:]} if options.pop("moving", False) else {}
    frames[0].save(out, form, **options, **more)
    return out.getvalue()


def whole_files() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        saved("JPEG", exif=exif),
        saved("JPEG", progressive=True),
        saved("JPEG", "CMYK"),
        saved("PNG"),
        saved("PNG", "P"),
        saved("PNG", "LA"),
        saved("PNG", moving=True),
        saved("GIF", moving=True),
        saved("WEBP", moving=True),
        saved("WEBP", lossless=True),
        saved("AVIF", speed=10),
        saved("HEIF"),
        saved("TIFF", compression="tiff_lzw"),
        saved("TIFF", "F"),
        saved("TIFF", compression="jpeg"),
        saved("BMP"),
        bytes(imagecodecs.jpegxl_encode(still(0), level=80)),
        film("mp4", seconds=1),
        film("matroska", seconds=1),
        film("mpegts", seconds=1),
        film("webm", "libvpx-vp9", seconds=1),
        film("avi", "mpeg4", seconds=1),
    ]


def mutated(seed: int) -> Iterator[Held]:
    """Bytes changed, runs cut out, doubled or zeroed, ends cut off: several at once, more near the beginning."""
    chance = np.random.default_rng(seed)
    originals = whole_files()
    for number in range(COUNT):
        content = bytearray(originals[number % len(originals)])
        for _ in range(int(chance.integers(1, 6))):
            at = int(len(content) * chance.random() ** 2)
            run = int(chance.integers(1, 64))
            match int(chance.integers(0, 5)):
                case 0 | 1:
                    content[at : at + 1] = chance.bytes(1)
                case 2:
                    del content[at : at + run]
                case 3:
                    content[at:at] = content[at : at + run]
                case _:
                    content[at : at + run] = bytes(len(content[at : at + run]))
        if chance.random() < 0.1:
            del content[int(len(content) * chance.random()) :]
        yield Held(f"{number}.bin", bytes(content))


def test_every_mutated_file_ends_with_a_hash_or_a_reason() -> None:
    hashed, refused, lost = 0, 0, 0
    for each in fingerprint_postings(mutated(seed=21), workers=2, seconds_per_file=60):
        if each.refused is not None:
            assert each.refused.reason is Refusal.DECODER_FAILED, each
            lost += 1
        else:
            assert each.fingerprint is not None
            hashed += each.fingerprint.refusal is None
            refused += each.fingerprint.refusal is not None
    assert hashed + refused + lost == COUNT
    assert min(hashed, refused) > COUNT // 20
    assert lost <= COUNT // 100
