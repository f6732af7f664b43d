"""A sample of the frames of an animated picture: GIF, WebP, PNG, AVIF, HEIF and JPEG XL; a TIFF's pages are none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from havenline.media import jpeg_xl, kinds
from havenline.media.decode import Picture, opened
from havenline.media.to_rgb import to_rgb

SAMPLED = 16
"""How many frames of an animated picture are looked at, spread evenly, the first and the last among them."""

_MOST_PIXELS = 1_000_000_000
_DEFAULT_MILLISECONDS = 100


def sampled_frames(content: bytes, picture: Picture) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """(second, (h, w, 3) uint8 RGB) of up to `SAMPLED` frames of the bytes that `picture` was decoded from.

    None where there is only one frame. By the same rules as `decode_picture`. Frames build on each other, so all
    are decoded, up to 1,000,000,000 pixels; what comes after that, or after damage, is left out. Where a file
    does not say how long a frame is shown, a tenth of a second counts. Raises nothing of the decoder's.
    """
    if picture.frames < 2 or picture.media_type == kinds.TIFF:
        return
    count = min(picture.frames, max(1, _MOST_PIXELS // (picture.width * picture.height)))
    places = {round(each * (count - 1) / (SAMPLED - 1)) for each in range(SAMPLED)}
    try:
        if picture.media_type == kinds.JXL:
            for number, frame in enumerate(jpeg_xl.decode(content)):
                if number in places:
                    yield number * _DEFAULT_MILLISECONDS / 1000, frame
            return
        with opened(content, picture.media_type) as image:
            yield from _by_pillow(image, places)
    except Exception:  # the first frame is whole and has its hash; a later one that is not is no reason to refuse
        return


def _by_pillow(image: Image.Image, places: set[int]) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    milliseconds = 0.0
    for number in range(max(places) + 1):
        image.seek(number)
        image.load()
        if number in places:
            yield round(milliseconds / 1000, 3), to_rgb(image)
        shown = image.info.get("duration", _DEFAULT_MILLISECONDS)
        milliseconds += shown if isinstance(shown, int | float) and shown > 0 else _DEFAULT_MILLISECONDS
