"""What a person may see of a picture at each step of the ladder (`docs/architecture.md`): never more than
asked for.

Step 1 is a mosaic, step 2 small, blurred and grey, step 3 grey, step 4 in colour; step 0 shows nothing and
has no rendition. Every rendition is made from the pixels alone, so no metadata of the file can pass into it.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from havenline.media.decode import Picture
from havenline.media.orientation import upright

STEPS = (1, 2, 3, 4)
LONG_SIDE = {1: 512, 2: 320, 3: 640, 4: 1024}
"""The most pixels a rendition has on its long side, its strip included."""

_BLOCKS = 12
_QUALITY = 80


def room(step: int) -> tuple[int, int]:
    """The most pixels wide and high that the picture itself has at a step, 1 to 4: no more need be had to render it."""
    return LONG_SIDE[step], LONG_SIDE[step] - _strip(step)


def render(picture: Picture, step: int, *, mark: str) -> bytes:
    """A WebP of `picture` at a step of the ladder, 1 to 4, with `mark` in a strip under it; no metadata.

    It is turned as its orientation mark says, for nobody should look longer because it lies on its side, and never
    enlarged. The strip hides nothing of the picture; as much of the mark is shown as fits. Raises ValueError for
    any other step (0 shows nothing) and for an empty mark.
    """
    if step not in STEPS:
        raise ValueError(f"there is no rendition for step {step}; steps 1 to 4 show something")
    if not mark.strip():
        raise ValueError("a rendition needs a mark")
    out = BytesIO()
    shown = Image.fromarray(np.ascontiguousarray(upright(picture.rgb, picture.orientation)))
    sheet = _marked(_less(shown, step, room(step)), mark, _letters(step), _strip(step))
    sheet.save(out, "WEBP", quality=_QUALITY, method=2)
    return out.getvalue()


def _letters(step: int) -> int:
    return max(10, LONG_SIDE[step] // 64)


def _strip(step: int) -> int:
    return _letters(step) + 6


def _less(image: Image.Image, step: int, room: tuple[int, int]) -> Image.Image:
    """The picture with no more in it than the step shows, within `room`."""
    size = _within(image.size, room)
    if step == 1:
        few = min(_BLOCKS, max(1, max(size) // 4))
        blocks = image.resize(_within(image.size, (few, few)), Image.Resampling.BOX)
        return blocks.resize(size, Image.Resampling.NEAREST)
    fitted = image.resize(size, Image.Resampling.BOX)
    if step == 4:
        return fitted
    grey = fitted.convert("L").convert("RGB")
    # A thirty-second of the long side: masses and light remain, whatever the size.
    return grey.filter(ImageFilter.GaussianBlur(max(2.0, max(size) / 32))) if step == 2 else grey


def _within(size: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    scale = min(1.0, room[0] / width, room[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _marked(image: Image.Image, mark: str, letters: int, strip: int) -> Image.Image:
    """`image` above a dark strip with the mark in light letters, on one line."""
    sheet = Image.new("RGB", (image.width, image.height + strip), (16, 16, 16))
    sheet.paste(image, (0, 0))
    font = ImageFont.load_default(size=letters)
    ImageDraw.Draw(sheet).text((4, image.height + 1), " ".join(mark.split()), fill=(240, 240, 240), font=font)
    return sheet
