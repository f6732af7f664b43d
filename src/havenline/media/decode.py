"""One decoding policy: 8-bit RGB out of every picture, or a named refusal. `docs/decisions/0003` says why.

JPEG goes through simplejpeg (libjpeg-turbo, strict: a warning about missing picture is a refusal, unless only
the end is missing), JPEG XL through libjxl, everything else and CMYK JPEG through Pillow. Pixels stand in
stored order; the orientation mark comes beside them. Colour profiles are not applied. Alpha lies over white.
Deeper values are scaled to 8 bits, never clipped. Of an animated picture the first frame counts here, and
`animation` has the others.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, UnidentifiedImageError

from havenline.media import jpeg_xl, kinds, orientation
from havenline.media.jpeg_segments import ARITHMETIC_FRAMES, FRAMES, segments
from havenline.media.to_rgb import to_rgb
from havenline.vocabulary import Refusal, Refused

# A worker is one thread: more would only take the other workers' cores, and its limits may allow none.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

PILLOW_FORMATS = {
    kinds.JPEG: "JPEG",
    kinds.PNG: "PNG",
    kinds.GIF: "GIF",
    kinds.WEBP: "WEBP",
    kinds.AVIF: "AVIF",
    kinds.TIFF: "TIFF",
    kinds.BMP: "BMP",
    kinds.HEIF: "HEIF",
}
_NAMES = PILLOW_FORMATS | {kinds.JXL: "JPEG XL"}
_EXTRAS = {kinds.HEIF: "heif", kinds.JXL: "jxl"}
_PNG_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"}
_ORIENTATION = 0x0112
_LEAST_PART_OF_ROWS = 7 / 8
"""A JPEG that ends early is hashed when at least this part of its rows is there."""

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

    For a TIFF `frames` counts its pages. `orientation` is the file's mark, 1..8, not applied to `rgb`. With
    `cut_short` the file ended early, and the rows or the detail that it lacks were left grey or coarse.
    """

    rgb: Pixels
    width: int
    height: int
    media_type: str
    frames: int = 1
    orientation: int = 1
    cut_short: bool = False


class _TooManyPixelsError(Exception):
    """The header declares more pixels than allowed."""


class _UnsupportedFormError(Exception):
    """The kind is known, this form of it is not opened; the text says which."""


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
        return Refused(Refusal.UNSUPPORTED_KIND, f"the content is {kind}; it is not opened as a picture")
    name = _NAMES[kind]
    try:
        return _decode(content, kind, limits)
    except ImportError:
        extra = _EXTRAS.get(kind, "")
        return Refused(Refusal.UNSUPPORTED_KIND, f"{name} needs the extra {extra!r}: install havenline[{extra}]")
    except _TooManyPixelsError as refusal:
        return Refused(Refusal.TOO_MANY_PIXELS, f"{refusal}; up to {limits.max_pixels:,} are opened")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return Refused(Refusal.TOO_MANY_PIXELS, "the picture declares more pixels than the decoder ever opens")
    except _UnsupportedFormError as refusal:
        return Refused(Refusal.UNSUPPORTED_KIND, f"{name} {refusal} is not opened here")
    except MemoryError:
        return Refused(Refusal.DECODER_FAILED, f"there was not enough memory to open this {name} picture")
    except UnidentifiedImageError:
        return Refused(Refusal.BROKEN, f"the {name} picture is damaged, or stored in a form that is not opened here")
    except Exception:
        # Decoders raise almost anything on damaged files, and their messages may quote the content.
        return Refused(Refusal.BROKEN, f"the {name} picture is damaged or cut short and could not be read whole")


def _decode(content: bytes, kind: str, limits: Limits) -> Picture:
    if kind == kinds.JPEG:
        plain = _plain_jpeg(content, limits)
        if plain is not None:
            return plain
    elif kind == kinds.JXL:
        _check_pixels(*jpeg_xl.size(content), limits)
        frames = jpeg_xl.decode(content)
        return _picture(frames[0], kind, frames=len(frames))
    return _by_pillow(content, kind, limits)


def _picture(rgb: Pixels, kind: str, *, frames: int = 1, mark: int = 1, cut_short: bool = False) -> Picture:
    height, width = rgb.shape[:2]
    return Picture(rgb, width, height, kind, frames=frames, orientation=mark, cut_short=cut_short)


def _check_pixels(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise _TooManyPixelsError(f"the header declares {width:,} x {height:,} pixels")


def _plain_jpeg(content: bytes, limits: Limits) -> Picture | None:
    """A grey, YCbCr or RGB JPEG by libjpeg-turbo; None when its form is left to Pillow."""
    bits = {content[start] for name, start, end in segments(content) if name in FRAMES and end <= len(content)}
    if bits and bits != {8}:
        raise _UnsupportedFormError("of more than 8 bits a colour")
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
    except ValueError:
        if not bits:
            raise UnidentifiedImageError from None  # Pillow would look for a frame byte by byte, for minutes
        return None  # an odd subsampling: Pillow decides
    _check_pixels(int(width), int(height), limits)
    if colours in ("CMYK", "YCCK"):
        # Decoded here only to learn whether it is whole: Pillow passes over libjpeg's warnings.
        _whole_jpeg(content, "CMYK")
        return None
    rgb, cut_short = _whole_jpeg(content, "RGB")
    return _picture(rgb, kinds.JPEG, mark=orientation.jpeg_mark(content), cut_short=cut_short)


def _whole_jpeg(content: bytes, colours: str) -> tuple[Pixels, bool]:
    """Decode strictly, and whether the end is missing.

    Passed over are stray bytes before the end marker, which cost no pixel, and an end that is missing while most
    rows are there. What a later scan of a progressive picture would have added is detail, and not missed.
    """
    try:
        return np.asarray(simplejpeg.decode_jpeg(content, colorspace=colours), dtype=np.uint8), False
    except ValueError as error:
        ends_early = str(error).startswith("Premature end of JPEG file") and colours == "RGB"
        if not ends_early and not str(error).endswith("extraneous bytes before marker 0xd9"):
            raise
        pixels = np.asarray(simplejpeg.decode_jpeg(content, colorspace=colours, strict=False), dtype=np.uint8)
        if ends_early and _rows_there(content, pixels) < len(pixels) * _LEAST_PART_OF_ROWS:
            raise
    return pixels, ends_early


def _rows_there(content: bytes, pixels: Pixels) -> int:
    """How many rows there are before those at the end that libjpeg left at its middle grey.

    None with arithmetic coding, where it invents the rest instead.
    """
    if any(name in ARITHMETIC_FRAMES for name, _, _ in segments(content)):
        return 0
    for row in range(len(pixels), 0, -1):
        if np.any(pixels[row - 1] != 128):
            return row
    return 0


def _by_pillow(content: bytes, kind: str, limits: Limits) -> Picture:
    if kind == kinds.WEBP:
        _check_pixels(*webp_size(content), limits)  # Pillow makes its canvas while it opens the file
    mark = orientation.png_mark(content) if kind == kinds.PNG else 1
    with opened(content, kind) as image:
        _check_pixels(*image.size, limits)
        if kind in (kinds.JPEG, kinds.WEBP, kinds.AVIF, kinds.TIFF):
            mark = orientation.known(image.getexif().get(_ORIENTATION, 1))
        image.load()
        rgb = to_rgb(image)
        animated = kind != kinds.JPEG and getattr(image, "is_animated", False)
        frames = int(image.n_frames) if animated else 1  # type: ignore[attr-defined]
    if kind == kinds.TIFF:  # of all formats Pillow applies the mark to TIFF alone
        rgb = np.ascontiguousarray(orientation.stored(rgb, mark))
    return _picture(rgb, kind, frames=frames, mark=mark)


@contextmanager
def opened(content: bytes, kind: str) -> Iterator[Image.Image]:
    """The picture as Pillow opens it, by the one format that `kind` names; nothing is decoded yet.

    Raises what Pillow raises, DecompressionBombWarning among it, and ImportError where HEIF's extra is missing.
    """
    if kind == kinds.HEIF:
        _register_heif()
    if kind == kinds.PNG:
        content = _png_pixels_only(content)
    # Not safe between threads, but harmless there: at worst these two narrow filters stay.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\b")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(BytesIO(content), formats=[PILLOW_FORMATS[kind]]) as image:
            yield image


@cache
def _register_heif() -> None:
    """Let Pillow know HEIF. The container's own turns are applied by libheif, as by every program that reads it."""
    import pillow_heif

    pillow_heif.options.DECODE_THREADS = 1
    pillow_heif.options.THUMBNAILS = False
    pillow_heif.options.DEPTH_IMAGES = False
    pillow_heif.options.AUX_IMAGES = False
    pillow_heif.register_heif_opener()


def webp_size(content: bytes) -> tuple[int, int]:
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
