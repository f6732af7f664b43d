"""The screening lane: close to the exact lane for every plain JPEG, and a named refusal for everything else."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from havenline.fingerprints.pdq import hash_picture, screening_hash
from havenline.fingerprints.pdq_screening import PDQ_SCREEN, screen_jpeg
from havenline.media.decode import Limits, Picture, decode_picture
from havenline.media.grey_jpeg import GreyJpeg, decode_grey_jpeg
from havenline.vocabulary import Refusal, Refused

SOAK = bool(os.environ.get("HAVENLINE_SOAK"))
PICTURES = 400 if SOAK else 40


def drawn(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (int(random.integers(5, 40)), int(random.integers(5, 40)), 3)).astype(np.uint8)
    large = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    grain = random.normal(size=(height // 2 + 1, width // 2 + 1, 3)).repeat(2, axis=0).repeat(2, axis=1) * 6
    return np.clip(large + grain[:height, :width], 0, 255).astype(np.uint8)


def jpeg(pixels: NDArray[np.uint8], mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, "JPEG", **options)
    return out.getvalue()


def apart(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_the_error_stays_within_what_the_help_says() -> None:
    random = np.random.default_rng(9)
    distances = []
    for seed in range(PICTURES):
        height, width = (int(each) for each in random.integers(260, 1500, 2))
        options = {"quality": int(random.integers(60, 96)), "subsampling": seed % 3, "progressive": seed % 5 == 0}
        content = jpeg(drawn(height, width, seed), **options)
        picture, screened = decode_picture(content), screen_jpeg(content)
        assert isinstance(picture, Picture)
        assert not isinstance(screened, Refused)
        value, quality, pipeline = screened
        exact, its_quality = hash_picture(picture.rgb)
        assert pipeline == PDQ_SCREEN
        assert abs(quality - its_quality) <= 2
        if its_quality >= 50:
            distances.append(apart(value, exact))
    assert len(distances) >= PICTURES // 2
    assert max(distances) <= 12
    # Of 40 distances the last hundredth is the greatest alone.
    assert np.percentile(distances, 99 if SOAK else 95) <= 6


@pytest.mark.parametrize(
    ("height", "width", "scale"),
    [(90, 300, 1), (511, 900, 1), (512, 513, 2), (1024, 1030, 4), (1023, 4000, 2), (2048, 2051, 8), (2047, 2048, 4)],
)
def test_the_decoded_size_is_the_least_that_keeps_256_pixels(height: int, width: int, scale: int) -> None:
    found = decode_grey_jpeg(jpeg(drawn(height, width, 1)))
    assert isinstance(found, GreyJpeg)
    assert (found.height, found.width, found.scale) == (height, width, scale)
    assert found.grey.shape == (-(-height // scale), -(-width // scale))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_and_colour_are_screened(mode: str) -> None:
    content = jpeg(drawn(600, 700, 2), mode)
    picture, screened = decode_picture(content), screen_jpeg(content)
    assert isinstance(picture, Picture)
    assert not isinstance(screened, Refused)
    assert apart(screened[0], hash_picture(picture.rgb)[0]) <= 12


def reason(answer: object) -> Refusal:
    assert isinstance(answer, Refused)
    return answer.reason


def test_what_is_no_plain_jpeg_is_refused() -> None:
    picture = drawn(300, 400, 3)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    whole = jpeg(picture)
    assert reason(screen_jpeg(b"")) is Refusal.EMPTY
    assert reason(screen_jpeg(out.getvalue())) is Refusal.UNSUPPORTED_KIND
    assert reason(screen_jpeg(jpeg(picture, "CMYK"))) is Refusal.UNSUPPORTED_KIND
    assert reason(screen_jpeg(whole[: len(whole) // 2])) is Refusal.BROKEN
    assert reason(screen_jpeg(whole[:40])) is Refusal.BROKEN
    assert reason(screen_jpeg(whole, limits=Limits(max_bytes=1000))) is Refusal.TOO_LARGE


def test_the_pixel_limit_holds_only_where_the_whole_picture_must_be_kept() -> None:
    picture, few = drawn(300, 400, 4), Limits(max_pixels=100 * 100)
    assert not isinstance(screen_jpeg(jpeg(picture), limits=few), Refused)
    assert reason(screen_jpeg(jpeg(picture, progressive=True), limits=few)) is Refusal.TOO_MANY_PIXELS


def test_a_header_beyond_every_limit_is_refused_before_decoding() -> None:
    whole = jpeg(drawn(300, 400, 5))
    at = whole.index(b"\xff\xc0") + 5
    huge = whole[:at] + (65_000).to_bytes(2, "big") * 2 + whole[at + 4 :]
    assert reason(screen_jpeg(huge)) is Refusal.TOO_MANY_PIXELS


def test_a_shrunk_picture_of_another_size_than_said_is_no_input() -> None:
    with pytest.raises(ValueError, match="shrunk by the block"):
        screening_hash(np.zeros((50, 50), np.uint8), height=101, width=100, block=2)


def test_a_picture_too_small_has_the_empty_hash() -> None:
    assert screen_jpeg(jpeg(drawn(4, 60, 6))) == ("0" * 64, 0, PDQ_SCREEN)
