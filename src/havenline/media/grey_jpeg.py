"""Grey pixels of a JPEG, decoded at a fraction of its size: what bulk triage looks at, and nothing else.

libjpeg-turbo leaves out the high frequencies and the colours that nobody asked for, so that most of the time
is spent on unpacking alone. The pixels are close to, but not, the grey of the full-size picture shrunk.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from havenline.media import kinds
from havenline.media.decode import DEFAULT_LIMITS, Limits
from havenline.vocabulary import Refusal, Refused

LEAST_SIDE = 256
"""The shorter side of the decoded picture is never below this, unless the whole picture's is."""
MAX_ONE_SCAN_PIXELS = 1_000_000_000
"""A JPEG of one scan is decoded row by row and needs no memory for its full size."""

_SCALES = (8, 4, 2, 1)
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_BARE = {0x01, *range(0xD0, 0xD9)}


@dataclass(frozen=True, slots=True, eq=False)
class GreyJpeg:
    """(ceil(height / scale), ceil(width / scale)) uint8 grey, C-contiguous; width and height of the whole."""

    grey: NDArray[np.uint8]
    width: int
    height: int
    scale: int


def decode_grey_jpeg(content: bytes, *, limits: Limits = DEFAULT_LIMITS) -> GreyJpeg | Refused:
    """The grey picture of a plain JPEG at 1/8, 1/4, 1/2 or full size, or the reason why there is none.

    The greatest divisor s of these counts for which the shorter side is at least 256 s pixels. Plain means
    grey, YCbCr or RGB by libjpeg-turbo; CMYK, YCCK and everything that is no JPEG are refused. A JPEG whose
    picture comes in one scan may have up to 1,000,000,000 pixels, any other `limits.max_pixels`. Raises
    nothing of the decoder's. Strict, as `decode_picture`: damage that costs picture is `BROKEN`. Not checked:
    what the picture shows.
    """
    if not content:
        return Refused(Refusal.EMPTY, "the file has no bytes; ask the sender for it again")
    if len(content) > limits.max_bytes:
        allowed = f"{limits.max_bytes:,} bytes"
        return Refused(Refusal.TOO_LARGE, f"the file has {len(content):,} bytes; pictures up to {allowed} are opened")
    if kinds.recognise(content[: kinds.HEAD_BYTES]) != kinds.JPEG:
        return Refused(Refusal.UNSUPPORTED_KIND, "the screening lane opens plain JPEG only")
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours in ("CMYK", "YCCK"):
            return Refused(Refusal.UNSUPPORTED_KIND, "the screening lane opens no JPEG in four colours")
        allowed_pixels = MAX_ONE_SCAN_PIXELS if _one_scan(content) else limits.max_pixels
        if width * height > allowed_pixels:
            detail = f"the header declares {width:,} x {height:,} pixels; up to {allowed_pixels:,} are opened"
            return Refused(Refusal.TOO_MANY_PIXELS, detail)
        return _decode(content, int(width), int(height))
    except MemoryError:
        return Refused(Refusal.DECODER_FAILED, "there was not enough memory to open this JPEG picture")
    except Exception:
        # Decoders raise almost anything on damaged files, and their messages may quote the content.
        return Refused(Refusal.BROKEN, "the JPEG picture is damaged or cut short and could not be read whole")


def _decode(content: bytes, width: int, height: int) -> GreyJpeg:
    scale = next((each for each in _SCALES if min(width, height) >= LEAST_SIDE * each), 1)
    wanted = {"min_height": -(-height // scale), "min_width": -(-width // scale), "min_factor": scale}
    try:
        grey = simplejpeg.decode_jpeg(content, colorspace="GRAY", **wanted)
    except ValueError as error:
        if not str(error).endswith("extraneous bytes before marker 0xd9"):
            raise
        grey = simplejpeg.decode_jpeg(content, colorspace="GRAY", strict=False, **wanted)
    grey = np.asarray(grey, dtype=np.uint8)[:, :, 0]
    if grey.shape != (wanted["min_height"], wanted["min_width"]):
        raise ValueError("the decoder chose another size")
    return GreyJpeg(grey=grey, width=width, height=height, scale=scale)


def _one_scan(content: bytes) -> bool:
    """Whether all colours of a sequential JPEG come in its first scan, by its markers (ITU-T T.81, annex B)."""
    at, parts = 2, 0
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            return False
        name = content[at + 1]
        if name == 0xFF or name in _BARE:
            at += 1 if name == 0xFF else 2
            continue
        if name == 0xDA:
            return parts > 0 and content[at + 4 : at + 5] == bytes([parts])
        if name in _FRAMES:
            parts = content[at + 9] if name in (0xC0, 0xC1, 0xC9) and at + 9 < len(content) else 0
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return False
