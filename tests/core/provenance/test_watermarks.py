"""Public marks in pixels: pictures as invisible-watermark 0.2.0 itself marks them, and many that nobody did."""

from __future__ import annotations

import hashlib
import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.core.provenance import drawn_marks as marks
from tests.core.provenance.drawn_marks import KEY
from tests.core.provenance.invisible_marks import BY_THE_PACKAGE, MARKS, package_made
from tests.core.provenance.test_pixel_marks import FORMS, families, marked

from havenline.media import kinds
from havenline.provenance import Signal, SignalKind, Strength, read_picture
from havenline.provenance.one_text import text_at
from havenline.provenance.watermarks import READER, watermark

PROGRAMS = {
    "sd1": ("Stable Diffusion 1", "stable-diffusion"),
    "sd2": ("Stable Diffusion 2", "stable-diffusion"),
    "sdxl": ("Stable Diffusion XL", "stable-diffusion"),
    "flux": ("FLUX", "flux"),
}


def saved(picture: Image.Image, form: str, **options: object) -> bytes:
    made = io.BytesIO()
    picture.save(made, form, **options)
    return made.getvalue()


def jpeg(name: str) -> bytes:
    return saved(Image.fromarray(package_made(name)), "JPEG", quality=90, subsampling=0)


def looked_at(content: bytes) -> tuple[Signal, ...]:
    return read_picture(content, key=KEY, pixels=True)


@pytest.mark.parametrize("name", MARKS)
def test_what_the_package_itself_marked_is_a_hint_where_pixels_are_asked_for(name: str) -> None:
    made = package_made(name)
    assert hashlib.sha256(made.tobytes()).hexdigest() == BY_THE_PACKAGE[name]
    content = jpeg(name)
    assert read_picture(content, key=KEY) == ()
    (signal,) = looked_at(content)
    program, family = PROGRAMS[name]
    assert (signal.kind, signal.value, signal.strength) == (SignalKind.GENERATOR, family, Strength.HINT)
    assert signal.location.startswith(f"pixels, invisible mark of {program}, ")
    assert (signal.reader, signal.digest, signal.inferred) == (READER, None, False)
    assert "real child" in signal.not_shown


@pytest.mark.parametrize(("form", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_other_containers_of_the_same_pixels_say_the_same(form: str, options: dict[str, object]) -> None:
    picture = Image.fromarray(package_made("sdxl"))
    for each in (saved(picture, form, **options), saved(picture.convert("RGBA"), form, **options)):
        found = watermark(each, kinds.recognise(each[: kinds.HEAD_BYTES]))
        assert found is not None
        assert (found.name, found.agree, found.bits) == ("Stable Diffusion XL", 48, 48)


def test_what_was_cut_turned_or_resized_has_lost_it() -> None:
    picture = Image.fromarray(package_made("sd1"))
    changed = {
        "cut": picture.crop((3, 5, 500, 500)),
        "turned": picture.transpose(Image.Transpose.ROTATE_90),
        "smaller": picture.resize((400, 400)),
        "under the least size": picture.crop((0, 0, 256, 248)),
    }
    assert [name for name, each in changed.items() if watermark(saved(each, "PNG"), kinds.PNG) is not None] == []
    assert watermark(saved(picture.crop((0, 0, 512, 264)), "PNG"), kinds.PNG) is not None, "cut at the bottom alone"


def drawn(number: int, chance: np.random.Generator) -> NDArray[np.uint8]:
    height, width = chance.integers(256, 420, 2)
    down, right = np.mgrid[0:height, 0:width]
    match number % 4:
        case 0:
            made = chance.integers(0, 256, (height, width, 3))
        case 1:
            waves = chance.uniform(2, 90, 3)
            made = 128 + 90 * np.sin(np.stack([right, down, right + down], axis=2) / waves + number)
        case 2:
            made = chance.integers(0, 56, 3) + (right // chance.integers(4, 40) % 2 * 180)[..., None]
        case _:
            made = np.full((height, width, 3), 255)
            for _ in range(40):
                top, left = chance.integers(0, height), chance.integers(0, width)
                made[top : top + 50, left : left + 60] = chance.integers(0, 256, 3)
    return np.clip(made, 0, 255).astype(np.uint8)


def test_nobody_marked_these() -> None:
    chance = np.random.default_rng(5)
    for number in range(60):
        content = saved(Image.fromarray(drawn(number, chance)), "PNG", compress_level=1)
        assert watermark(content, kinds.PNG) is None, f"seed 5, picture {number}"


def test_what_cannot_be_decoded_or_is_too_large_says_nothing() -> None:
    whole = jpeg("flux")
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    vast = b"\x89PNG\r\n\x1a\n" + marks.chunk(b"IHDR", header) + marks.chunk(b"IDAT", b"") + marks.chunk(b"IEND", b"")
    for content, kind in ((whole[:4000], kinds.JPEG), (vast, kinds.PNG), (b"", kinds.WEBP), (whole, kinds.GIF)):
        assert watermark(content, kind) is None
    assert looked_at(vast) == ()


@pytest.mark.parametrize("form", FORMS)
def test_texts_in_the_lowest_bits_of_webp_are_read_where_pixels_are_asked_for(form: str) -> None:
    content = saved(Image.fromarray(marked(form, marks.A1111.encode())), "WEBP", lossless=True, exact=True)
    assert read_picture(content, key=KEY) == ()
    signals = looked_at(content)
    assert families(signals) == {"a1111"}
    assert all(each.location.startswith("WebP pixels, lowest bits of ") for each in signals)
    assert not [word for word in marks.SECRETS if word in repr(signals).lower()]
    place = next(place for place, each in enumerate(signals) if each.kind is SignalKind.TEXT)
    assert text_at(content, place) is not None, "who was granted to read it can"
