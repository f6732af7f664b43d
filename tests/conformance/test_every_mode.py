"""One drawn picture in every mode and container has one hash, and is found in a list made from its PNG."""

from __future__ import annotations

import datetime as dt
import io
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from functools import cache

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from havenline.entries import Entries
from havenline.fingerprints import fingerprint_bytes
from havenline.matching import Edition, Lists
from havenline.media.orientation import upright
from havenline.vocabulary import EditionRef, Fingerprint, HashKind, ListEntry

pillow_heif.register_heif_opener()


def clouds(height: int = 450, width: int = 600, seed: int = 3) -> Image.Image:
    """Coloured noise with a natural spectrum, larger than what the 512-first pipeline leaves as it is."""
    noise = np.random.default_rng(seed).normal(size=(3, height, width))
    pitch = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    soft = np.fft.irfft2(np.fft.rfft2(noise) / (0.01 + pitch) ** 1.3, s=(height, width))
    return Image.fromarray(np.clip(soft / soft.std() * 50 + 128, 0, 255).astype(np.uint8).transpose(1, 2, 0).copy())


NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
RGB = clouds()
GREY = RGB.convert("L")
COLOURS, LEVELS = np.asarray(RGB), np.asarray(GREY)
TURNED = RGB.rotate(180)
INKS = np.asarray(RGB.convert("CMYK"))
ONE_BIT = RGB.convert("1")  # by error diffusion, which keeps the local means that PDQ looks at


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def moving(form: str, **options: object) -> bytes:
    return saved(RGB, form, save_all=True, append_images=[TURNED], **options)


def with_alpha() -> Image.Image:
    image = RGB.copy()
    image.putalpha(255)
    return image


def lab() -> Image.Image:
    image = ImageCms.profileToProfile(
        RGB, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert image is not None
    return image


def plain_tiff(planes: NDArray[np.generic], *, bits: int, form: int, photometric: int, extra: bool = False) -> bytes:
    """An uncompressed TIFF of one strip, for what Pillow does not write (TIFF 6.0, sections 2 and 7)."""
    height, width = planes.shape[:2]
    samples = 1 if planes.ndim == 2 else planes.shape[2]
    pixels, beyond = planes.tobytes(), b""

    def shorts(value: int) -> bytes:
        nonlocal beyond
        packed = struct.pack("<H", value) * samples
        if len(packed) <= 4:
            return packed.ljust(4, b"\0")
        beyond += packed
        return struct.pack("<I", 8 + len(pixels) + len(beyond) - len(packed))

    def long(value: int) -> bytes:
        return struct.pack("<I", value)

    tags = [
        (256, 4, 1, long(width)), (257, 4, 1, long(height)), (258, 3, samples, shorts(bits)), (259, 3, 1, long(1)),
        (262, 3, 1, long(photometric)), (273, 4, 1, long(8)), (277, 3, 1, long(samples)), (278, 4, 1, long(height)),
        (279, 4, 1, long(len(pixels))), *([(338, 3, 1, long(2))] if extra else []), (339, 3, samples, shorts(form)),
    ]  # fmt: skip
    listed = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in tags)
    at = 8 + len(pixels) + len(beyond)
    return b"II*\0" + long(at) + pixels + beyond + struct.pack("<H", len(tags)) + listed + bytes(4)


def arithmetic(*more: str) -> bytes:
    coded = subprocess.run(
        ["jpegtran", "-arithmetic", *more], input=saved(RGB, "JPEG"), capture_output=True, check=True
    )
    return coded.stdout


def unsigned(levels: NDArray[np.uint8], depth: type[np.unsignedinteger]) -> NDArray[np.generic]:
    return levels.astype(depth) * depth(np.iinfo(depth).max // 255)


MODES: dict[str, Callable[[], bytes]] = {
    "palette-png": lambda: saved(RGB.quantize(256), "PNG"),
    "gif": lambda: saved(RGB, "GIF"),
    "animated-gif": lambda: saved(RGB, "GIF", save_all=True, append_images=[clouds(seed=4)]),
    # Pillow's error diffusion keeps local means, which is all that PDQ sees; measured distance 4.
    "one-bit-png": lambda: saved(ONE_BIT, "PNG"),
    "one-bit-tiff": lambda: saved(ONE_BIT, "TIFF"),
    "grey-png": lambda: saved(GREY, "PNG"),
    "grey-16-png": lambda: saved(Image.fromarray(LEVELS.astype(np.uint16) * 257), "PNG"),
    "grey-16-tiff": lambda: saved(Image.fromarray(LEVELS.astype(np.uint16) * 257), "TIFF"),
    "grey-32-tiff": lambda: saved(Image.fromarray(LEVELS.astype(np.int32) * 257), "TIFF"),
    "float-tiff": lambda: saved(Image.fromarray(LEVELS.astype(np.float32) / 255), "TIFF"),
    "alpha-png": lambda: saved(with_alpha(), "PNG"),
    "grey-alpha-png": lambda: saved(GREY.convert("LA"), "PNG"),
    "jpeg": lambda: saved(RGB, "JPEG"),
    "progressive-jpeg": lambda: saved(RGB, "JPEG", progressive=True),
    "grey-jpeg": lambda: saved(GREY, "JPEG"),
    "cmyk-jpeg": lambda: saved(RGB.convert("CMYK"), "JPEG"),
    "rgb-jpeg": lambda: saved(RGB, "JPEG", keep_rgb=True),
    "webp": lambda: saved(RGB, "WEBP"),
    "alpha-webp": lambda: saved(with_alpha(), "WEBP"),
    "avif": lambda: saved(RGB, "AVIF"),
    "tiff": lambda: saved(RGB, "TIFF"),
    "big-tiff": lambda: saved(RGB, "TIFF", big_tiff=True),
    "pages-tiff": lambda: saved(RGB, "TIFF", save_all=True, append_images=[TURNED]),
    "12-bit-avif": lambda: imagecodecs.avif_encode(COLOURS.astype(np.uint16) * 16, bitspersample=12, level=90),
    "two-pictures-jpeg": lambda: saved(RGB, "JPEG") + saved(TURNED, "JPEG"),
    "mpo-jpeg": lambda: saved(RGB, "MPO", save_all=True, append_images=[TURNED]),
    "jpeg-in-tiff": lambda: saved(RGB, "TIFF", compression="jpeg"),
    "lab-tiff": lambda: saved(lab(), "TIFF"),
    "cmyk-tiff": lambda: saved(RGB.convert("CMYK"), "TIFF"),
    "ycbcr-tiff": lambda: saved(RGB.convert("YCbCr"), "TIFF"),
    "bmp": lambda: saved(RGB, "BMP"),
    "palette-bmp": lambda: saved(RGB.quantize(256), "BMP"),
    "one-bit-bmp": lambda: saved(ONE_BIT, "BMP"),
    "one-bit-gif": lambda: saved(ONE_BIT, "GIF"),
    "one-bit-fax-tiff": lambda: saved(ONE_BIT, "TIFF", compression="group4"),
    "adaptive-palette-png": lambda: saved(RGB.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    "palette-tiff": lambda: saved(RGB.quantize(256), "TIFF"),
    "grey-gif": lambda: saved(GREY, "GIF"),
    "grey-bmp": lambda: saved(GREY, "BMP"),
    "grey-tiff": lambda: saved(GREY, "TIFF"),
    "grey-alpha-tiff": lambda: saved(GREY.convert("LA"), "TIFF"),
    "grey-webp": lambda: saved(GREY, "WEBP"),
    "grey-avif": lambda: saved(GREY, "AVIF"),
    "grey-heif": lambda: saved(GREY, "HEIF"),
    "grey-jxl": lambda: imagecodecs.jpegxl_encode(LEVELS, lossless=True),
    "grey-16-heif": lambda: saved(Image.fromarray(LEVELS.astype(np.uint16) * 257), "HEIF"),
    "grey-16-jxl": lambda: imagecodecs.jpegxl_encode(unsigned(LEVELS, np.uint16), lossless=True),
    "grey-32-unsigned-tiff": lambda: plain_tiff(unsigned(LEVELS, np.uint32), bits=32, form=1, photometric=1),
    "grey-16-signed-tiff": lambda: plain_tiff(LEVELS.astype(np.int16) * 128, bits=16, form=2, photometric=1),
    "float-255-tiff": lambda: saved(Image.fromarray(LEVELS.astype(np.float32)), "TIFF"),
    "rgb-16-png": lambda: imagecodecs.png_encode(unsigned(COLOURS, np.uint16)),
    "alpha-16-png": lambda: imagecodecs.png_encode(unsigned(np.asarray(with_alpha()), np.uint16)),
    "rgb-16-tiff": lambda: plain_tiff(unsigned(COLOURS, np.uint16), bits=16, form=1, photometric=2),
    "alpha-16-tiff": lambda: plain_tiff(
        unsigned(np.asarray(with_alpha()), np.uint16), bits=16, form=1, photometric=2, extra=True
    ),
    "cmyk-16-tiff": lambda: plain_tiff(unsigned(INKS, np.uint16), bits=16, form=1, photometric=5),
    "rgb-16-jxl": lambda: imagecodecs.jpegxl_encode(unsigned(COLOURS, np.uint16), lossless=True),
    "float-jxl": lambda: imagecodecs.jpegxl_encode(COLOURS.astype(np.float32) / 255, level=95),
    "alpha-jxl": lambda: imagecodecs.jpegxl_encode(np.asarray(with_alpha()), lossless=True),
    "boxed-jxl": lambda: imagecodecs.jpegxl_encode(COLOURS, usecontainer=True),
    "animated-jxl": lambda: imagecodecs.jpegxl_encode(np.stack([COLOURS, COLOURS[::-1]]), lossless=True),
    "rgb-10-avif": lambda: imagecodecs.avif_encode(COLOURS.astype(np.uint16) * 4, bitspersample=10, level=90),
    "alpha-avif": lambda: saved(with_alpha(), "AVIF"),
    "heif": lambda: saved(RGB, "HEIF"),
    "alpha-heif": lambda: saved(with_alpha(), "HEIF"),
    "ycck-jpeg": lambda: imagecodecs.jpeg8_encode(255 - INKS, level=90, colorspace="CMYK", outcolorspace="YCCK"),
    "lossless-jpeg": lambda: imagecodecs.jpeg8_encode(COLOURS, lossless=True),
    "jpeg-411": lambda: imagecodecs.jpeg8_encode(COLOURS, subsampling="411"),
    "jpeg-440": lambda: imagecodecs.jpeg8_encode(COLOURS, subsampling="440"),
    "jpeg-cut-short": lambda: saved(RGB, "JPEG")[:-400],
    "progressive-jpeg-cut-short": lambda: saved(RGB, "JPEG", progressive=True)[:-20_000],
    "deflated-tiff": lambda: saved(RGB, "TIFF", compression="tiff_adobe_deflate"),
    "packbits-tiff": lambda: saved(RGB, "TIFF", compression="packbits"),
    "zstd-tiff": lambda: saved(RGB, "TIFF", compression="zstd"),
    "alpha-tiff": lambda: saved(with_alpha(), "TIFF"),
    "alpha-bmp": lambda: saved(with_alpha(), "BMP"),
    "animated-webp": lambda: moving("WEBP"),
    "animated-png": lambda: moving("PNG"),
    "animated-avif": lambda: moving("AVIF"),
}
NEEDS_JPEGTRAN: dict[str, Callable[[], bytes]] = {
    "arithmetic-jpeg": arithmetic,
    "arithmetic-progressive-jpeg": lambda: arithmetic("-progressive"),
}


@cache
def plain() -> Fingerprint:
    return fingerprint_bytes(saved(RGB, "PNG"))


@cache
def listed() -> Lists:
    """A list made from the PNG by its PDQ value alone, among hashes of nothing."""
    chance = np.random.default_rng(9)
    entries = [ListEntry(f"s{number}", pdq=chance.bytes(32).hex()) for number in range(2000)]
    entries.append(ListEntry("the picture", pdq=plain().pdq, pdq_quality=plain().pdq_quality))
    return Lists.build([edition(*entries)])


def edition(*entries: ListEntry) -> Edition:
    return Edition(EditionRef("drawn", 1, "0" * 64), Entries.of(entries))


def check(content: bytes) -> Fingerprint:
    made = fingerprint_bytes(content)
    assert made.pdq is not None, made.refusal
    assert plain().pdq is not None
    assert (int(made.pdq, 16) ^ int(plain().pdq or "", 16)).bit_count() <= 10
    assert made.pdq_quality == 100
    (matches,) = listed().lookup([made], at=NOON)
    assert [(match.entry, match.kind) for match in matches] == [("the picture", HashKind.PDQ)]
    return made


@pytest.mark.parametrize("mode", MODES)
def test_the_mode_a_picture_is_stored_in_does_not_change_its_hash(mode: str) -> None:
    made = check(MODES[mode]())
    assert made.cut_short == mode.endswith("cut-short")
    assert len(made.frames) == (2 if mode.startswith("animated") else 0)


@pytest.mark.skipif(shutil.which("jpegtran") is None, reason="no jpegtran here to code a JPEG arithmetically")
@pytest.mark.parametrize("mode", NEEDS_JPEGTRAN)
def test_nor_does_arithmetic_coding(mode: str) -> None:
    check(NEEDS_JPEGTRAN[mode]())


@pytest.mark.parametrize("mark", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_picture_is_found_whether_its_orientation_mark_was_applied_or_not(form: str, mark: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = mark
    made = check(saved(RGB, form, exif=exif))
    assert made.orientation == mark
    turned = RGB.copy()
    turned.getexif()[0x0112] = mark
    applied = fingerprint_bytes(saved(ImageOps.exif_transpose(turned), "PNG"))
    for turned_hash, expected in (
        (made.pdq_upright or made.pdq, applied.pdq),
        (made.pdq_512_upright or made.pdq_512, applied.pdq_512),
    ):
        assert turned_hash is not None
        assert expected is not None
        assert (int(turned_hash, 16) ^ int(expected, 16)).bit_count() <= (0 if form in ("PNG", "TIFF") else 10)
    assert (made.pdq_upright is None) == (mark == 1)


def drawn_png(levels: NDArray[np.generic], depth: int, transparent: int) -> bytes:
    """A grey PNG of 8 or 16 bits with one value that is transparent (PNG 3rd edition, 11.3.1.1)."""
    height, width = levels.shape

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    rows = b"".join(b"\0" + row.tobytes() for row in levels.astype(">u2" if depth == 16 else "u1"))
    head = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    chunks = (
        (b"IHDR", head),
        (b"tRNS", struct.pack(">H", transparent)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


@pytest.mark.parametrize(("depth", "step"), [(8, 1), (16, 257)])
def test_a_grey_that_is_transparent_lies_over_white_at_every_depth(depth: int, step: int) -> None:
    down, along = np.mgrid[: LEVELS.shape[0], : LEVELS.shape[1]]
    cut_out = ((along - 150) ** 2 + (down - 300) ** 2 < 110**2) | (along * 3 + down * 5 < 600)
    levels = np.where(cut_out, 7, np.maximum(LEVELS, 8)).astype(np.uint16)
    expected = fingerprint_bytes(saved(Image.fromarray(np.where(cut_out, 255, levels).astype(np.uint8)), "PNG"))
    dark = fingerprint_bytes(saved(Image.fromarray(levels.astype(np.uint8)), "PNG"))
    made = fingerprint_bytes(drawn_png(levels * step, depth, 7 * step))
    assert made.pdq == expected.pdq != dark.pdq


@pytest.mark.parametrize("mark", [3, 6, 8])
def test_a_heif_is_turned_as_its_container_says(mark: int) -> None:
    image = RGB.copy()
    exif = Image.Exif()
    exif[0x0112] = mark
    image.info["exif"] = exif.tobytes()  # written as the container's own turn, and read back as no mark
    content = saved(image, "HEIF")
    assert b"irot" in content
    made = fingerprint_bytes(content)
    shown = np.ascontiguousarray(upright(COLOURS, mark))
    assert (made.width, made.height, made.orientation) == (shown.shape[1], shown.shape[0], 1)
    expected = fingerprint_bytes(saved(Image.fromarray(shown), "PNG")).pdq or ""
    assert (int(made.pdq or "", 16) ^ int(expected, 16)).bit_count() <= 10


def test_a_list_made_by_the_other_pipeline_is_matched() -> None:
    entry = ListEntry("by the other", pdq=plain().pdq_512)
    index = Lists.build([edition(entry)])
    (matches,) = index.lookup([plain()], at=NOON)
    assert [(match.entry, match.distance) for match in matches] == [("by the other", 0)]
