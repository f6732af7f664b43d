"""The screening lane: an approximate PDQ hash of a plain JPEG for bulk triage, from a fraction of its pixels."""

from __future__ import annotations

from havenline.fingerprints.pdq import screening_hash
from havenline.media.decode import DEFAULT_LIMITS, Limits
from havenline.media.grey_jpeg import decode_grey_jpeg
from havenline.vocabulary import Refused

PDQ_SCREEN = "pdq-screen/1"
"""PDQ over the grey, DCT-scaled picture, with the weights of the full size."""


def screen_jpeg(content: bytes, *, limits: Limits = DEFAULT_LIMITS) -> tuple[str, int, str] | Refused:
    """(hash as 64 hex digits, quality 0..100, `PDQ_SCREEN`) of a plain JPEG, or why there is none.

    An approximation of `pdq-full/1` for triage: whatever it finds is to be hashed again by the exact lane
    (`decode_picture` and `hash_picture`) before it counts. Measured by `./dev bench fingerprints` and the tests
    on drawn JPEGs of quality 60 to 95, at PDQ quality 50 and above: mostly 0 and on average half a bit from
    the exact lane, 99 of 100 within 6 bits, none beyond 12. Below PDQ quality 50 it may be farther off.
    Refused are other kinds of file, CMYK and YCCK JPEG, damaged files, and what is beyond the limits of
    `decode_grey_jpeg`; raises nothing of the decoder's. Not checked: how far this one picture's hash lies from
    the exact lane's.
    """
    found = decode_grey_jpeg(content, limits=limits)
    if isinstance(found, Refused):
        return found
    value, quality = screening_hash(found.grey, height=found.height, width=found.width, block=found.scale)
    return value, quality, PDQ_SCREEN
