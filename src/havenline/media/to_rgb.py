"""8-bit RGB from every mode that Pillow decodes to, one rule a mode; in bands, so that it costs no second picture."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]

_BAND_PIXELS = 1 << 20
_GREATEST = float(np.finfo(np.float32).max)
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_SAMPLE_FORMAT, _UNSIGNED = 339, (1,)


def to_rgb(image: Image.Image) -> Pixels:
    """(h, w, 3) uint8, writable, C-contiguous, of a loaded image in any mode.

    Palettes and YCbCr by Pillow; CMYK by Pillow, inks as stored (a JPEG's come inverted as Adobe writes them and
    Pillow turns them round); LAB to sRGB by littleCMS; deep grey by `_deep`; what is transparent lies over
    white. Colour profiles are not applied. Raises what Pillow raises for a mode it cannot convert.
    """
    width, height = image.size
    out = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(1, _BAND_PIXELS // width)
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    # Pillow hands out 32 unsigned bits as signed ones.
    unsigned = image.mode == "I" and image.format == "TIFF" and _tag(image, _SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED
    low, scale = _range(image, rows, unsigned) if deep and not image.mode.startswith("I;16") else (0.0, 0.0)
    clear = image.info.get("transparency") if image.mode.startswith("I;16") else None
    flipped = _tag(image, _PHOTOMETRIC, None) == _WHITE_IS_ZERO
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        target = out[top : top + rows]
        if deep:
            grey = _deep(band, low, scale, unsigned)
            # Pillow turns only shallow pictures round.
            target[:] = (255 - grey if flipped else grey)[:, :, None]
            if clear is not None:
                target[np.asarray(band) == clear] = 255
        else:
            target[:] = np.asarray(_shallow(band), dtype=np.uint8)
    return out


def _shallow(band: Image.Image) -> Image.Image:
    if band.mode == "LAB":
        band = ImageCms.applyTransform(band, _lab_to_srgb()) or band
    elif band.mode == "La":
        band = band.convert("LA")
    if band.has_transparency_data:
        band = band.convert("RGBA")
        ground = Image.new("RGB", band.size, (255, 255, 255))
        ground.paste(band, mask=band.getchannel("A"))
        return ground
    return band if band.mode == "RGB" else band.convert("RGB")


@cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")


def _range(image: Image.Image, rows: int, unsigned: bool) -> tuple[float, float]:
    """What to take off 32-bit or float values, and what to multiply them by, so that they fill 0..255.

    A range within 0..1 (float), 0..255 or 0..65535 is taken as that; any other is stretched from its least to
    its greatest value.
    """
    low, high = np.inf, -np.inf
    for top in range(0, image.height, rows):
        values = _numbers(image.crop((0, top, image.width, min(top + rows, image.height))), unsigned)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    if low < 0 or high > 65535:
        return low, 255.0 / (high - low)
    return 0.0, 255.0 / (1.0 if high <= 1 and image.mode == "F" else 255.0 if high <= 255 else 65535.0)


def _deep(band: Image.Image, low: float, scale: float, unsigned: bool) -> Pixels:
    """Grey of 16 bits by its upper byte, as Pillow does for 16-bit RGB; of 32 bits or float by `_range`."""
    if band.mode.startswith("I;16"):
        return (np.asarray(band) >> 8).astype(np.uint8)
    grey: Pixels = np.rint((_numbers(band, unsigned) - low) * scale).clip(0, 255).astype(np.uint8)
    return grey


def _numbers(band: Image.Image, unsigned: bool) -> NDArray[np.float64]:
    """The values; in doubles, for the difference of two floats may be no float."""
    values = np.asarray(band)
    wide: NDArray[np.float64] = (values.view(np.uint32) if unsigned else values).astype(np.float64)
    return np.nan_to_num(wide, copy=False, nan=0.0, posinf=_GREATEST, neginf=-_GREATEST)


def _tag(image: Image.Image, number: int, default: object) -> object:
    """A TIFF's tag, or `default` where it has none or is no TIFF."""
    return getattr(image, "tag_v2", {}).get(number, default)
