"""One decoding policy: 8-bit RGB out of every picture, or a named refusal. `docs/decisions/0003` says why.

JPEG goes through simplejpeg (libjpeg-turbo, strict: a warning about missing picture is a refusal), everything
else and CMYK JPEG through Pillow. Pixels stand in stored order: EXIF orientation and colour profiles are not
applied. Alpha lies over white. Deeper values are scaled to 8 bits, never clipped. Of an animated picture the
first frame counts.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageCms

from havenline.media import kinds
from havenline.vocabulary import Refusal, Refused

# A worker is one thread: more would only take the other workers' cores, and its limits may allow none.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

_PILLOW_FORMATS = {
    kinds.JPEG: "JPEG",
    kinds.PNG: "PNG",
    kinds.GIF: "GIF",
    kinds.WEBP: "WEBP",
    kinds.AVIF: "AVIF",
    kinds.TIFF: "TIFF",
    kinds.BMP: "BMP",
}
_PNG_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"}

_ORIENTATION = 0x0112
_TURN_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. `max_pixels` is held against the header, before anything is decoded.

    Pictures that go through Pillow never pass its own ceiling of 89 million pixels, whatever `max_pixels`
    says.
    """

    max_bytes: int = 256 * 1024 * 1024
    max_pixels: int = 64_000_000


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Decoded pixels: `rgb` is (height, width, 3) uint8, C-contiguous, in stored order; `frames` is 1 if not
    animated.

    For a TIFF `frames` counts its pages.
    """

    rgb: Pixels
    width: int
    height: int
    media_type: str
    frames: int = 1


class _TooManyPixelsError(Exception):
    """The header declares more pixels than allowed."""


def decode_picture(content: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Picture | Refused:
    """The picture in `content` by the one policy, or the reason why there is none; raises nothing of a
    decoder's.

    Not checked: what the picture shows, whether later frames are whole, and what its metadata say.
    """
    if not content:
        return Refused(Refusal.EMPTY, "the file has no bytes; ask the sender for it again")
    if len(content) > limits.max_bytes:
        allowed = f"{limits.max_bytes:,} bytes"
        return Refused(Refusal.TOO_LARGE, f"the file has {len(content):,} bytes; pictures up to {allowed} are opened")
    kind = kinds.recognise(content[: kinds.HEAD_BYTES])
    if kind is None:
        return Refused(Refusal.UNKNOWN_KIND, "the first bytes are of no kind of file that is known here")
    if kind not in kinds.PICTURES:
        return Refused(Refusal.UNSUPPORTED_KIND, f"the content is {kind}; only still pictures are fingerprinted so far")
    name = _PILLOW_FORMATS[kind]
    try:
        return _decode(content, kind, limits)
    except _TooManyPixelsError as refusal:
        return Refused(Refusal.TOO_MANY_PIXELS, f"{refusal}; up to {limits.max_pixels:,} are opened")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return Refused(Refusal.TOO_MANY_PIXELS, "the picture declares more pixels than the decoder ever opens")
    except MemoryError:
        return Refused(Refusal.DECODER_FAILED, f"there was not enough memory to open this {name} picture")
    except Exception:
        # Decoders raise almost anything on damaged files, and their messages may quote the content.
        return Refused(Refusal.BROKEN, f"the {name} picture is damaged or cut short and could not be read whole")


def _decode(content: bytes, kind: str, limits: Limits) -> Picture:
    rgb, frames = None, 1
    if kind == kinds.JPEG:
        rgb = _plain_jpeg(content, limits)
    if rgb is None:
        rgb, frames = _by_pillow(content, kind, limits)
    height, width = rgb.shape[:2]
    return Picture(rgb=rgb, width=width, height=height, media_type=kind, frames=frames)


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise _TooManyPixelsError(f"the header declares {width:,} x {height:,} pixels")


def _plain_jpeg(content: bytes, limits: Limits) -> Pixels | None:
    """A grey, YCbCr or RGB JPEG by libjpeg-turbo; None when its form is left to Pillow."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        return None  # an odd subsampling, or no JPEG at all: Pillow decides
    _check_pixels(int(width), int(height), limits)
    if colours in ("CMYK", "YCCK"):
        # Decoded here only to learn whether it is whole: Pillow passes over libjpeg's warnings.
        _whole_jpeg(content, "CMYK")
        return None
    return _whole_jpeg(content, "RGB")


def _whole_jpeg(content: bytes, colours: str) -> Pixels:
    """Decode strictly; only stray bytes before the end marker, which cost no pixel, are passed over."""
    try:
        pixels = simplejpeg.decode_jpeg(content, colorspace=colours)
    except ValueError as error:
        if not str(error).endswith("extraneous bytes before marker 0xd9"):
            raise
        pixels = simplejpeg.decode_jpeg(content, colorspace=colours, strict=False)
    return np.asarray(pixels, dtype=np.uint8)


def _by_pillow(content: bytes, kind: str, limits: Limits) -> tuple[Pixels, int]:
    if kind == kinds.WEBP:
        _check_pixels(*_webp_size(content), limits)  # Pillow makes its canvas while it opens the file
    if kind == kinds.PNG:
        content = _png_pixels_only(content)
    # Not safe between threads, but harmless there: at worst these two narrow filters stay.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\b")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(BytesIO(content), formats=[_PILLOW_FORMATS[kind]]) as image:
            _check_pixels(*image.size, limits)
            turned = image.getexif().get(_ORIENTATION, 1) if kind == kinds.TIFF else 1
            image.load()
            back = _TURN_BACK.get(turned)  # of all formats Pillow applies the orientation to TIFF alone
            rgb = _to_rgb(image if back is None else image.transpose(back))
            animated = kind != kinds.JPEG and getattr(image, "is_animated", False)
            return rgb, int(image.n_frames) if animated else 1  # type: ignore[attr-defined]


def _webp_size(content: bytes) -> tuple[int, int]:
    """Width and height from the first chunk of a WebP file (RFC 9649, 2.5 to 2.7)."""
    form, body = content[12:16], content[20:30]
    if form == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if form == b"VP8L":
        packed = int.from_bytes(body[1:5], "little")
        return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def _png_pixels_only(content: bytes) -> bytes:
    """The PNG without text, profiles and the like: a text that unpacks to gigabytes costs nothing."""
    kept, at, dropped = [content[:8]], 8, False
    while at + 8 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        name = content[at + 4 : at + 8]
        if name in _PNG_PIXEL_CHUNKS:
            kept.append(content[at:end])
        else:
            dropped = True
        at = end
        if name == b"IEND":
            break
    return b"".join(kept) if dropped else content


def _to_rgb(image: Image.Image) -> Pixels:
    """(h, w, 3) uint8, writable, from whatever mode Pillow decoded to."""
    if image.mode == "I" or image.mode == "F" or image.mode.startswith("I;16"):
        return _deep_to_rgb(image)
    if image.mode == "LAB":
        image = ImageCms.applyTransform(image, _lab_to_srgb())  # type: ignore[assignment]
    elif image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGB", image.size, (255, 255, 255))
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    elif image.mode != "RGB":
        image = image.convert("RGB")
    return np.array(image, dtype=np.uint8)


@cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")


def _deep_to_rgb(image: Image.Image) -> Pixels:
    """Grey of 16 or 32 bits or float, scaled to 8 bits: by its full range where that is known, else by what
    it holds.

    16-bit values keep their upper byte, as Pillow does for 16-bit RGB. Others: a range within 0..1, 0..255 or
    0..65535 is taken as that; any other range is stretched from its least to its greatest value.
    """
    deep = np.asarray(image)
    if image.mode.startswith("I;16"):
        grey = (deep >> 8).astype(np.uint8)
    else:
        values = np.nan_to_num(deep.astype(np.float32), nan=0.0)
        low, high = float(values.min()), float(values.max())
        if low < 0 or high > 65535:
            values, top = values - np.float32(low), high - low
        else:
            top = 1.0 if high <= 1 and image.mode == "F" else 255.0 if high <= 255 else 65535.0
        grey = np.rint(values * np.float32(255.0 / top)).astype(np.uint8)
    if getattr(image, "tag_v2", {}).get(262) == 0:  # TIFF, WhiteIsZero: Pillow turns only shallow pictures round
        grey = 255 - grey
    return np.repeat(grey[:, :, None], 3, axis=2)
