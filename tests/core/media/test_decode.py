"""One decoding policy: 8-bit RGB from every mode, else a named refusal, and never half a picture."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from havenline.media.decode import Limits, Picture, decode_picture
from havenline.vocabulary import Refusal, Refused

Grey = NDArray[np.uint8]


def ramp(height: int = 60, width: int = 90) -> Image.Image:
    """A smooth coloured picture, so that lossy codecs stay close to it."""
    down, along = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None, :]
    planes = [
        220 * along + 0 * down + 20,
        200 * down + 0 * along + 30,
        120 + 100 * np.sin(3 * (along + down)),
    ]
    return Image.fromarray(np.stack(planes, axis=2).astype(np.uint8))


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def decoded(content: bytes, **limits: int) -> Picture:
    picture = decode_picture(content, limits=Limits(**limits))
    assert isinstance(picture, Picture), picture
    assert picture.rgb.dtype == np.uint8
    assert picture.rgb.shape == (picture.height, picture.width, 3)
    assert picture.rgb.flags.c_contiguous
    return picture


def refusal(content: bytes, **limits: int) -> Refused:
    refused = decode_picture(content, limits=Limits(**limits))
    assert isinstance(refused, Refused)
    assert refused.detail
    assert "\n" not in refused.detail
    return refused


def far(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    out = b"\x89PNG\r\n\x1a\n"
    for name, body in chunks:
        out += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return out


def png_header(width: int, height: int, depth: int, colour: int) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


RGB = ramp()
GREY = RGB.convert("L")
ALPHA = RGB.copy()
ALPHA.putalpha(255)

EXACT: dict[str, Callable[[], bytes]] = {
    "png": lambda: saved(RGB, "PNG"),
    "png-alpha": lambda: saved(ALPHA, "PNG"),
    "webp-lossless": lambda: saved(RGB, "WEBP", lossless=True),
    "tiff": lambda: saved(RGB, "TIFF"),
    "tiff-lzw": lambda: saved(RGB, "TIFF", compression="tiff_lzw"),
    "tiff-cmyk": lambda: saved(RGB.convert("CMYK"), "TIFF"),
    "bmp": lambda: saved(RGB, "BMP"),
    "heif-lossless": lambda: heif(RGB, quality=-1, chroma=444, matrix_coefficients=0),
    "jxl-lossless": lambda: jxl(np.asarray(RGB), lossless=True),
}
CLOSE: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved(RGB, "JPEG", quality=92),
    "jpeg-progressive": lambda: saved(RGB, "JPEG", quality=92, progressive=True),
    "jpeg-rgb": lambda: saved(RGB, "JPEG", quality=92, keep_rgb=True),
    "jpeg-444": lambda: saved(RGB, "JPEG", quality=92, subsampling="4:4:4"),
    "jpeg-cmyk": lambda: saved(RGB.convert("CMYK"), "JPEG", quality=92),
    "webp": lambda: saved(RGB, "WEBP", quality=90),
    "avif": lambda: saved(RGB, "AVIF", quality=90),
    "gif": lambda: saved(RGB, "GIF"),
    "png-palette": lambda: saved(RGB.quantize(256), "PNG"),
    "bmp-palette": lambda: saved(RGB.quantize(256), "BMP"),
    "tiff-ycbcr": lambda: saved(RGB.convert("YCbCr"), "TIFF"),
    "tiff-lab": lambda: saved(lab(), "TIFF"),
    "heif": lambda: heif(RGB, quality=90),
    "jxl": lambda: jxl(np.asarray(RGB), level=90),
}


PLAIN_JPEG = ("jpeg", "jpeg-progressive", "jpeg-rgb", "jpeg-444")


def heif(image: Image.Image, **options: object) -> bytes:
    pillow_heif.register_heif_opener()
    return saved(image, "HEIF", **options)


def jxl(values: NDArray[Any], **options: Any) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(values, **options))


def lab() -> Image.Image:
    srgb, cielab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(RGB, srgb, cielab, outputMode="LAB")
    assert image is not None
    return image


# -- every mode


@pytest.mark.parametrize("form", EXACT)
def test_lossless_forms_give_the_very_pixels(form: str) -> None:
    np.testing.assert_array_equal(decoded(EXACT[form]()).rgb, np.asarray(RGB))


@pytest.mark.parametrize("form", CLOSE)
def test_lossy_and_reduced_forms_stay_close(form: str) -> None:
    assert far(decoded(CLOSE[form]()).rgb, np.asarray(RGB)) < 6


def deep(kind: str) -> bytes:
    values = np.asarray(GREY)
    if kind == "png-16":
        return saved(Image.fromarray(values.astype(np.uint16) * 257), "PNG")
    if kind == "tiff-16":
        return saved(Image.fromarray(values.astype(np.uint16) * 257), "TIFF")
    if kind == "tiff-16-big-endian":
        return saved(Image.fromarray(values.astype(">u2") * 257), "TIFF")
    if kind == "tiff-32":
        return saved(Image.fromarray(values.astype(np.int32) * 257), "TIFF")
    if kind == "tiff-float-1":
        return saved(Image.fromarray(values.astype(np.float32) / 255), "TIFF")
    return saved(GREY.convert("F"), "TIFF")


@pytest.mark.parametrize(
    "kind", ["png-16", "tiff-16", "tiff-16-big-endian", "tiff-32", "tiff-float-1", "tiff-float-255"]
)
def test_deep_grey_is_scaled_and_not_clipped(kind: str) -> None:
    rgb = decoded(deep(kind)).rgb
    for channel in range(3):
        np.testing.assert_allclose(rgb[:, :, channel], np.asarray(GREY), atol=1)


def test_values_beyond_any_known_range_are_stretched() -> None:
    values = np.linspace(-5e6, 9e6, 60 * 90).reshape(60, 90)
    for image in (Image.fromarray(values.astype(np.float32)), Image.fromarray(values.astype(np.int32))):
        rgb = decoded(saved(image, "TIFF")).rgb[:, :, 0]
        np.testing.assert_allclose(rgb, (values + 5e6) / 14e6 * 255, atol=1)


def test_a_float_picture_without_numbers_is_no_crash() -> None:
    values = np.full((8, 8), np.nan, dtype=np.float32)
    values[0, :3] = np.inf, -np.inf, 3e38
    assert decoded(saved(Image.fromarray(values), "TIFF")).rgb.shape == (8, 8, 3)


def test_a_jpeg_of_more_than_eight_bits_is_refused_by_name() -> None:
    content = imagecodecs.jpeg8_encode(np.asarray(RGB).astype(np.uint16) * 16, bitspersample=12)
    assert refusal(content).reason is Refusal.UNSUPPORTED_KIND


def test_white_is_zero_is_turned_round_at_every_depth() -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    values = np.asarray(GREY)
    shallow = saved(Image.fromarray(255 - values), "TIFF", tiffinfo=tags)
    content = bytearray(saved(Image.fromarray(65535 - values.astype(np.uint16) * 257), "TIFF"))
    at = content.index(struct.pack("<HHI", 262, 3, 1)) + 8
    content[at : at + 2] = b"\0\0"
    np.testing.assert_allclose(decoded(bytes(content)).rgb[:, :, 0], values, atol=1)
    assert decoded(shallow).rgb.shape == (60, 90, 3)


def test_sixteen_bit_rgb_keeps_its_upper_byte() -> None:
    values = np.asarray(RGB).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    content = png(png_header(90, 60, 16, 2), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    np.testing.assert_array_equal(decoded(content).rgb, np.asarray(RGB))


def test_one_bit_is_black_and_white() -> None:
    for form in ("PNG", "TIFF", "BMP"):
        rgb = decoded(saved(RGB.convert("1"), form)).rgb
        assert set(np.unique(rgb)) == {0, 255}
        np.testing.assert_array_equal(rgb[:, :, 0] > 0, np.asarray(RGB.convert("1")))


def test_grey_jpeg_has_three_equal_channels() -> None:
    rgb = decoded(saved(GREY, "JPEG", quality=95)).rgb
    np.testing.assert_array_equal(rgb[:, :, 0], rgb[:, :, 2])
    assert far(rgb[:, :, 1], np.asarray(GREY)) < 2


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})])
def test_alpha_lies_over_white(form: str, options: dict[str, bool]) -> None:
    image = RGB.copy()
    image.putalpha(Image.new("L", image.size, 128))
    expected = np.asarray(RGB) * (128 / 255) + 255 * (127 / 255)
    np.testing.assert_allclose(decoded(saved(image, form, **options)).rgb, expected, atol=1)


def test_every_form_of_transparency_lies_over_white() -> None:
    flat = Image.new("P", (4, 4), 0)
    flat.putpalette([10, 20, 30, 200, 0, 0])
    flat.putpixel((0, 0), 1)
    forms = [
        saved(flat, "PNG", transparency=0),
        saved(flat, "PNG", transparency=b"\x00\xff"),
        saved(flat, "GIF", transparency=0),
        saved(flat.convert("RGB"), "PNG", transparency=(10, 20, 30)),
    ]
    for content in forms:
        rgb = decoded(content).rgb
        assert rgb[0, 0].tolist() == [200, 0, 0]
        assert rgb[1, 1].tolist() == [255, 255, 255]
    grey = decoded(saved(Image.new("LA", (4, 4), (0, 0)), "PNG")).rgb
    assert grey.min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_pixels_stand_in_stored_order_whatever_exif_says(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert far(decoded(saved(RGB, form, exif=exif)).rgb, np.asarray(RGB)) < 6


def test_of_an_animated_picture_the_first_frame_counts() -> None:
    others = [Image.new("RGB", RGB.size, (k * 60, 0, 0)) for k in range(1, 4)]
    for form in ("GIF", "WEBP", "PNG", "AVIF", "TIFF"):
        picture = decoded(saved(RGB, form, save_all=True, append_images=others))
        assert picture.frames == 4
        assert far(picture.rgb, np.asarray(RGB)) < 8
    assert decoded(saved(RGB, "GIF")).frames == 1


# -- damage


@pytest.mark.parametrize("part", [0.02, 0.2, 0.5, 0.8, 0.97])
@pytest.mark.parametrize("form", [*EXACT, *(form for form in CLOSE if form not in PLAIN_JPEG)])
def test_a_picture_that_is_cut_short_is_never_half_read(form: str, part: float) -> None:
    whole = (EXACT | CLOSE)[form]()
    assert refusal(whole[: max(30, int(len(whole) * part))]).reason is Refusal.BROKEN


@pytest.mark.parametrize("part", [0.02, 0.2, 0.5, 0.7, 0.8, 0.9, 0.97, 0.995])
@pytest.mark.parametrize("form", ["jpeg", "jpeg-rgb", "jpeg-444"])
def test_a_jpeg_that_ends_early_is_read_when_most_of_its_rows_are_there_and_says_so(form: str, part: float) -> None:
    whole = CLOSE[form]()
    expected = decoded(whole)
    found = decode_picture(whole[: max(30, int(len(whole) * part))])
    if isinstance(found, Refused):
        assert found.reason is Refusal.BROKEN
        assert part <= 0.97
        return
    assert found.cut_short
    assert not expected.cut_short
    assert part >= 0.7
    kept = found.height * 7 // 8 - 16
    np.testing.assert_array_equal(found.rgb[:kept], expected.rgb[:kept])


def test_a_progressive_jpeg_that_ends_early_lacks_detail_and_no_rows() -> None:
    whole = CLOSE["jpeg-progressive"]()
    found = decoded(whole[: len(whole) * 6 // 10])
    assert found.cut_short
    assert far(found.rgb, decoded(whole).rgb) < 12
    assert refusal(whole[: len(whole) // 5]).reason is Refusal.BROKEN


@pytest.mark.skipif(shutil.which("jpegtran") is None, reason="no jpegtran here to code a JPEG arithmetically")
@pytest.mark.parametrize("more", [(), ("-progressive",)])
def test_an_arithmetically_coded_jpeg_gives_the_very_pixels_of_its_plain_one(more: tuple[str, ...]) -> None:
    plain = CLOSE["jpeg"]()
    coded = subprocess.run(["jpegtran", "-arithmetic", *more], input=plain, capture_output=True, check=True).stdout
    assert coded != plain
    np.testing.assert_array_equal(decoded(coded).rgb, decoded(plain).rgb)
    assert refusal(coded[: len(coded) // 3]).reason is Refusal.BROKEN


@pytest.mark.parametrize("form", ["jpeg", "jpeg-progressive", "jpeg-rgb", "jpeg-cmyk"])
def test_a_jpeg_whose_middle_is_lost_is_broken_although_it_ends_well(form: str) -> None:
    content = CLOSE[form]()
    assert refusal(content[: len(content) * 6 // 10] + b"\xff\xd9").reason is Refusal.BROKEN


def test_a_jpeg_without_a_frame_is_not_looked_through_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow steps over fill bytes one at a time: a hundred megabytes of them kept it for forty seconds."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("havenline.media.decode.Image.open", fail)
    for filled in (b"\xff\xd8\xff\xe0\0\4aa" + b"\xff" * 5000, b"\xff\xd8" + b"\xff" * 5000 + b"\xd9", b"\xff\xd8\xff"):
        found = decode_picture(filled)
        assert isinstance(found, Refused)
        assert found.reason is Refusal.BROKEN


def test_bytes_between_a_jpegs_picture_and_its_end_cost_nothing() -> None:
    whole = saved(RGB, "JPEG", quality=92)
    for content in (whole[:-2] + b"\0\1\2" + whole[-2:], whole + b"trailing junk" * 9):
        np.testing.assert_array_equal(decoded(content).rgb, decoded(whole).rgb)


def test_a_broken_picture_says_so_without_quoting_itself() -> None:
    content = saved(RGB, "PNG")
    detail = refusal(content[:200]).detail
    assert "PNG" in detail
    assert "0x" not in detail
    assert "Error" not in detail


@settings(deadline=None, max_examples=150)
@given(form=st.sampled_from([*EXACT, *CLOSE]), seed=st.integers(0, 2**32 - 1))
def test_no_changed_bytes_make_a_decoder_raise(form: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    content = bytearray((EXACT | CLOSE)[form]())
    for at in random.integers(0, len(content), random.integers(1, 9)):
        content[at] = random.integers(256)
    assert isinstance(decode_picture(bytes(content), limits=Limits(max_pixels=1_000_000)), Picture | Refused)


# -- refusals


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Refusal.EMPTY),
        (b"only words", Refusal.UNKNOWN_KIND),
        (bytes(5000), Refusal.UNKNOWN_KIND),
        (b"%PDF-1.7\n" + bytes(99), Refusal.UNSUPPORTED_KIND),
        (b"\0\0\0\x18ftypisom" + bytes(99), Refusal.UNSUPPORTED_KIND),
        (b"\0\0\0\x18ftypheic" + bytes(99), Refusal.BROKEN),
        (b"\xff\x0a", Refusal.BROKEN),
        (b"\0\0\0\x0cJXL \r\n\x87\n", Refusal.BROKEN),
        (b"ID3\x04" + bytes(99), Refusal.UNSUPPORTED_KIND),
        (b"PK\x03\x04" + bytes(99), Refusal.UNSUPPORTED_KIND),
        (b"\x89PNG\r\n\x1a\n", Refusal.BROKEN),
        (b"\xff\xd8\xff\xe0", Refusal.BROKEN),
        (b"GIF89a", Refusal.BROKEN),
        (b"RIFF\0\0\0\0WEBP", Refusal.BROKEN),
        (b"II*\0\x08\0\0\0", Refusal.BROKEN),
    ],
)
def test_what_is_no_picture_has_a_reason(content: bytes, reason: Refusal) -> None:
    assert refusal(content).reason is reason


def test_more_bytes_than_allowed_are_not_opened() -> None:
    content = saved(RGB, "PNG")
    assert refusal(content, max_bytes=len(content) - 1).reason is Refusal.TOO_LARGE
    assert decoded(content, max_bytes=len(content)).width == 90


def huge_png() -> bytes:
    rows = zlib.compress(bytes(1 << 20), 9) * 100
    return png(png_header(50_000, 50_000, 8, 2), (b"IDAT", rows), (b"IEND", b""))


def huge_gif() -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + saved(RGB, "GIF")[13:]


def wide_frame_gif() -> bytes:
    content = bytearray(saved(Image.new("P", (10, 10)), "GIF"))
    at = content.index(b"\x2c\0\0\0\0")
    content[at + 5 : at + 9] = struct.pack("<HH", 60_000, 60_000)
    return bytes(content)


def patched(content: bytes, at: int, *, with_: bytes) -> bytes:
    return content[:at] + with_ + content[at + len(with_) :]


def huge_jpeg() -> bytes:
    content = saved(RGB, "JPEG")
    return patched(content, content.index(b"\xff\xc0") + 5, with_=struct.pack(">HH", 60_000, 60_000))


def huge_bmp() -> bytes:
    return patched(saved(RGB, "BMP"), 18, with_=struct.pack("<ii", 60_000, 60_000))


def huge_webp() -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0" * 2 + saved(RGB, "WEBP", lossless=True)[12:]
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


HUGE = {
    "png": huge_png,
    "gif": huge_gif,
    "gif-frame": wide_frame_gif,
    "jpeg": huge_jpeg,
    "bmp": huge_bmp,
    "webp": huge_webp,
}


@pytest.mark.parametrize("form", HUGE)
def test_too_many_pixels_are_refused_from_the_header_alone(form: str) -> None:
    content = HUGE[form]()
    tracemalloc.start()
    try:
        assert refusal(content).reason is Refusal.TOO_MANY_PIXELS
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", [*EXACT, *CLOSE])
def test_the_pixel_limit_holds_for_every_form_and_is_exact(form: str) -> None:
    content = (EXACT | CLOSE)[form]()
    assert refusal(content, max_pixels=90 * 60 - 1).reason is Refusal.TOO_MANY_PIXELS
    assert decoded(content, max_pixels=90 * 60).width == 90


def test_pillows_own_ceiling_is_no_leaking_warning() -> None:
    content = png(png_header(10_000, 9_500, 8, 0), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    assert refusal(content, max_pixels=10**9).reason is Refusal.TOO_MANY_PIXELS


def test_text_and_profiles_in_a_png_cost_nothing_and_hide_nothing() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "x" * 40_000_000, zip=True)
    profile = zlib.compress(bytes(40_000_000))
    plain = saved(RGB, "PNG")
    content = saved(RGB, "PNG", pnginfo=notes)
    at = plain.index(b"IDAT") - 4
    with_profile = plain[:at] + png((b"iCCP", b"p\0\0" + profile))[8:] + plain[at:]
    for noisy in (content, with_profile):
        tracemalloc.start()
        try:
            np.testing.assert_array_equal(decoded(noisy).rgb, np.asarray(RGB))
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()


def test_a_picture_is_opened_by_content_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(saved(RGB, "PNG"))
    assert decoded(path.read_bytes()).media_type == "image/png"
