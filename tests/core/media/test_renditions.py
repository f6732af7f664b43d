"""A rendition shows what its step of the ladder allows, and nothing of the file but pixels."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from havenline.media.decode import Picture, decode_picture
from havenline.media.renditions import LONG_SIDE, STEPS, render

MARK = "item 7 · first analyst"


def picture(height: int, width: int) -> Picture:
    random = np.random.default_rng(height * 7919 + width)
    rgb = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    rgb[:, : width // 2, 0] = 255
    return Picture(rgb=rgb, width=width, height=height, media_type="image/png")


def opened(content: bytes) -> Image.Image:
    image = Image.open(BytesIO(content))
    image.load()
    return image


def strip_height(step: int) -> int:
    return max(10, LONG_SIDE[step] // 64) + 6


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("height", "width"),
    [(900, 1200), (1200, 900), (40, 3000), (3000, 40), (300, 200), (42, 34), (1, 1)],
)
def test_a_rendition_is_never_larger_than_its_step_or_its_original(height: int, width: int, step: int) -> None:
    image = opened(render(picture(height, width), step, mark=MARK))
    assert image.format == "WEBP"
    assert image.width <= min(width, LONG_SIDE[step])
    assert image.height - strip_height(step) <= height
    assert image.height <= max(LONG_SIDE[step], 1 + strip_height(step))


def test_a_picture_is_shown_as_its_orientation_mark_turns_it() -> None:
    lying = picture(300, 600)  # its left half is red
    turned = opened(render(replace(lying, orientation=6), 4, mark=MARK))
    assert turned.width < turned.height
    top, bottom = (np.asarray(turned.convert("RGB"))[rows, :, 0].mean() for rows in (slice(20, 250), slice(350, 550)))
    assert top > 200 > bottom


def test_a_large_picture_fills_its_step() -> None:
    for step in STEPS:
        assert opened(render(picture(600, 1200), step, mark=MARK)).width == LONG_SIDE[step]


def shown(step: int, height: int = 900, width: int = 1200) -> np.ndarray:
    image = np.asarray(opened(render(picture(height, width), step, mark=MARK)).convert("RGB")).astype(int)
    return image[: image.shape[0] - strip_height(step)]


def spread(pixels: np.ndarray) -> int:
    """The greatest difference of a pixel's channels, apart from what the codec adds."""
    return int((pixels.max(axis=2) - pixels.min(axis=2)).max())


def test_step_one_has_about_twelve_flat_blocks() -> None:
    row = shown(1)[100, :, 1:].mean(axis=1)
    inside = np.abs(np.diff(row)) < 8
    assert inside.mean() > 0.9
    small = Image.fromarray(shown(1).astype(np.uint8)).resize((12, 9), Image.Resampling.BOX)
    back = np.asarray(small.resize((512, shown(1).shape[0]), Image.Resampling.NEAREST)).astype(int)
    assert np.abs(back - shown(1)).mean() < 4


def test_steps_two_and_three_are_grey_and_four_is_not() -> None:
    assert spread(shown(2)) <= 2
    assert spread(shown(3)) <= 2
    assert spread(shown(4)) > 60


def test_step_two_is_blurred_beyond_step_three() -> None:
    edges = {step: np.abs(np.diff(shown(step)[:, :, 0], axis=1)).mean() for step in (2, 3)}
    assert edges[2] < edges[3] / 4


def test_even_a_tiny_picture_is_a_mosaic_at_step_one() -> None:
    tiny = shown(1, 16, 16)
    assert len(np.unique(tiny[:4, :4].reshape(-1, 3) // 64, axis=0)) <= 2


def test_the_mark_is_light_on_dark_and_changes_with_its_words() -> None:
    one, other = (opened(render(picture(700, 900), 3, mark=mark)) for mark in ("item 1", "item 2"))
    strips = [np.asarray(image.convert("L"))[-strip_height(3) :] for image in (one, other)]
    for strip in strips:
        assert strip.max() > 180
        assert np.median(strip) < 40
    assert (np.abs(strips[0].astype(int) - strips[1].astype(int)) > 60).any()


def test_no_metadata_of_the_file_pass_through() -> None:
    buffer = BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a secret caption"
    Image.new("RGB", (400, 300), (10, 120, 90)).save(buffer, "JPEG", exif=exif, comment=b"a secret comment")
    decoded = decode_picture(buffer.getvalue())
    assert isinstance(decoded, Picture)
    for step in STEPS:
        content = render(decoded, step, mark=MARK)
        assert b"secret" not in content
        assert {content[at : at + 4] for at in (12,)} == {b"VP8 "}
        assert not opened(content).getexif()


@pytest.mark.parametrize("step", [0, 5, -1])
def test_there_is_no_rendition_for_other_steps(step: int) -> None:
    with pytest.raises(ValueError, match="steps 1 to 4"):
        render(picture(20, 20), step, mark=MARK)


def test_a_rendition_needs_a_mark() -> None:
    with pytest.raises(ValueError, match="mark"):
        render(picture(20, 20), 4, mark="  ")
