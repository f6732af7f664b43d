"""Bytes or pixels to a `Fingerprint`, or the named reason why there is none."""

from havenline.fingerprints.effort import FULL_EFFORT, Effort, FilmMode, Lane
from havenline.fingerprints.fingerprint import (
    FileUnreadableError,
    fingerprint_bytes,
    fingerprint_file,
    fingerprint_posting,
)

__all__ = [
    "FULL_EFFORT",
    "Effort",
    "FileUnreadableError",
    "FilmMode",
    "Lane",
    "fingerprint_bytes",
    "fingerprint_file",
    "fingerprint_posting",
]
