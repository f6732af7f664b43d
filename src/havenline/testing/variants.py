"""The other forms in which a drawn picture is posted again: encoded anew, resized, altered, another format.

Encoder options are fixed and encoders run on one thread, so that the same picture gives the same bytes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from PIL import Image, ImageOps

from havenline.testing.drawing import RGB
from havenline.testing.truth import Group


@dataclass(frozen=True, slots=True)
class Recipe:
    """One form of a picture. `amount` is a JPEG quality or a scale where the form has one.

    `greys` says that colours are lost: such forms are made only of pictures in which no colour is asked for.
    """

    variant: str
    ending: str
    group: Group
    amount: float = 0.0
    altered: bool = False
    greys: bool = False


ORIGINAL = Recipe("original", "jpg", "near", amount=90)

RECIPES: tuple[Recipe, ...] = (
    *(Recipe("re-encoded", "jpg", "near", amount=quality) for quality in (40, 50, 62, 75, 85, 95)),
    *(Recipe("resized", "jpg", "near", amount=scale) for scale in (0.25, 0.4, 0.5, 0.75, 1.5, 2.0)),
    Recipe("exact copy", "jpg", "exact"),
    Recipe("exact copy", "jpeg", "exact"),
    Recipe("png", "png", "near"),
    Recipe("png 16-bit", "png", "near"),
    Recipe("tiff", "tif", "near"),
    Recipe("bmp", "bmp", "near"),
    Recipe("webp lossless", "webp", "near"),
    Recipe("mislabelled", "png", "near", amount=80),
    Recipe("webp", "webp", "hard"),
    Recipe("avif", "avif", "hard"),
    Recipe("gif", "gif", "hard"),
    Recipe("gif animated", "gif", "hard"),
    Recipe("png palette", "png", "hard"),
    Recipe("jpeg cmyk", "jpg", "hard"),
    Recipe("cropped", "jpg", "hard", altered=True),
    Recipe("recoloured", "jpg", "hard", altered=True),
    Recipe("framed", "jpg", "hard", altered=True),
    Recipe("rotated", "jpg", "separate", altered=True),
)
"""The forms any picture may take."""

GREY_RECIPES: tuple[Recipe, ...] = (
    Recipe("png grey", "png", "hard", altered=True, greys=True),
    Recipe("png grey 16-bit", "png", "hard", altered=True, greys=True),
    Recipe("png 1-bit", "png", "hard", altered=True, greys=True),
)
"""Further forms of pictures without shapes: nobody could answer which colour the largest shape has."""


def encode_original(picture: RGB) -> bytes:
    """The file as first posted: a JPEG of quality 90."""
    return _jpeg(Image.fromarray(picture), ORIGINAL.amount)


def make_variant(recipe: Recipe, *, original: bytes, stream: np.random.Generator) -> bytes:
    """Bytes of this form of the original file; `stream` chooses crops, tints and frames. No other input."""
    if recipe.group == "exact":
        return original
    with Image.open(io.BytesIO(original)) as opened:
        image = opened.convert("RGB")
    return _MAKERS[recipe.variant](image, recipe.amount, stream)


_Maker = Callable[[Image.Image, float, np.random.Generator], bytes]


def _save(image: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def _jpeg(image: Image.Image, quality: float) -> bytes:
    return _save(image, "JPEG", quality=int(quality), subsampling="4:2:0", optimize=False)


def _resized(image: Image.Image, scale: float, stream: np.random.Generator) -> bytes:
    filters = (Image.Resampling.LANCZOS, Image.Resampling.BICUBIC, Image.Resampling.BILINEAR)
    size = (round(image.width * scale), round(image.height * scale))
    return _jpeg(image.resize(size, filters[int(stream.integers(len(filters)))]), 88)


def _png(image: Image.Image, amount: float, stream: np.random.Generator) -> bytes:
    return _save(image, "PNG", compress_level=1)


def _png_16bit(image: Image.Image, amount: float, stream: np.random.Generator) -> bytes:
    """Sixteen bits a channel, which Pillow cannot write; 257 maps 0..255 onto 0..65535 exactly."""
    samples = np.asarray(image, dtype=np.uint16) * 257
    rows = np.zeros((image.height, 1 + image.width * 6), dtype=np.uint8)  # each row opens with filter type 0
    rows[:, 1:] = samples.astype(">u2").reshape(image.height, -1).view(np.uint8)
    return png_file(image.width, image.height, bits=16, colour=2, compressed=zlib.compress(rows.tobytes(), 1))


def png_file(width: int, height: int, *, bits: int, colour: int, compressed: bytes) -> bytes:
    """A PNG of one IDAT chunk with right checksums, whatever it holds (ISO/IEC 15948:2004, 5 and 11)."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", compressed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def _animated(image: Image.Image, amount: float, stream: np.random.Generator) -> bytes:
    """Three frames: the picture itself, then it mirrored, then it upside down."""
    frames = [ImageOps.mirror(image), ImageOps.flip(image)]
    small = [_paletted(frame) for frame in (image, *frames)]
    return _save(small[0], "GIF", save_all=True, append_images=small[1:], duration=700, loop=0)


def _paletted(image: Image.Image) -> Image.Image:
    return image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _grey_16bit(image: Image.Image, amount: float, stream: np.random.Generator) -> bytes:
    grey = np.asarray(image.convert("L"), dtype=np.uint16) * 257
    return _save(Image.fromarray(grey.astype(np.uint16)), "PNG", compress_level=1)


def _cropped(image: Image.Image, amount: float, stream: np.random.Generator) -> bytes:
    """Up to 3 % of the width and of the height are cut away, never less than 1 %."""
    cut_x, cut_y = (int(side * stream.uniform(0.01, 0.03)) for side in image.size)
    left, top = int(stream.integers(0, cut_x + 1)), int(stream.integers(0, cut_y + 1))
    box = (left, top, image.width - cut_x + left, image.height - cut_y + top)
    return _jpeg(image.crop(box), 88)


def _recoloured(image: Image.Image, amount: float, stream: np.random.Generator) -> bytes:
    """Another brightness and a slight tint; little enough that red stays red to a person."""
    gamma = stream.uniform(0.75, 0.9) if stream.random() < 0.5 else stream.uniform(1.12, 1.35)
    tint = stream.uniform(0.88, 1.12, 3)
    levels = np.linspace(0, 1, 256)[None, :] ** gamma * tint[:, None]
    table = np.clip(levels * 255 + 0.5, 0, 255).astype(np.uint8)
    return _jpeg(image.point(table.ravel().tolist()), 88)


def _framed(image: Image.Image, amount: float, stream: np.random.Generator) -> bytes:
    edge = round(min(image.size) * stream.uniform(0.03, 0.06))
    dark, pale = ((28, 30, 34), (238, 234, 224))
    outer, inner = (dark, pale) if stream.random() < 0.5 else (pale, dark)
    return _jpeg(ImageOps.expand(ImageOps.expand(image, 3, inner), edge, outer), 88)


_MAKERS: Mapping[str, _Maker] = MappingProxyType(
    {
        "re-encoded": lambda image, amount, stream: _jpeg(image, amount),
        "mislabelled": lambda image, amount, stream: _jpeg(image, amount),
        "resized": _resized,
        "png": _png,
        "png 16-bit": _png_16bit,
        "tiff": lambda image, amount, stream: _save(image, "TIFF", compression="tiff_lzw"),
        "bmp": lambda image, amount, stream: _save(image, "BMP"),
        "webp lossless": lambda image, amount, stream: _save(image, "WEBP", lossless=True, quality=0, method=0),
        "webp": lambda image, amount, stream: _save(image, "WEBP", quality=75, method=0),
        "avif": lambda image, amount, stream: _save(image, "AVIF", quality=60, speed=10, max_threads=1),
        "gif": lambda image, amount, stream: _save(_paletted(image), "GIF"),
        "gif animated": _animated,
        "png palette": lambda image, amount, stream: _png(_paletted(image), amount, stream),
        "jpeg cmyk": lambda image, amount, stream: _save(image.convert("CMYK"), "JPEG", quality=88),
        "cropped": _cropped,
        "recoloured": _recoloured,
        "framed": _framed,
        "rotated": lambda image, amount, stream: _jpeg(image.transpose(Image.Transpose.ROTATE_90), 90),
        "png grey": lambda image, amount, stream: _png(image.convert("L"), amount, stream),
        "png grey 16-bit": _grey_16bit,
        "png 1-bit": lambda image, amount, stream: _save(image.convert("1"), "PNG"),
    }
)
