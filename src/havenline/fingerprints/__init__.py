"""Bytes or pixels to a `Fingerprint`, or the named reason why there is none."""

from havenline.fingerprints.fingerprint import (
    FileUnreadableError,
    fingerprint_bytes,
    fingerprint_file,
    fingerprint_stream,
)
from havenline.vocabulary import FULL_EFFORT, Effort, FilmMode, Lane

__all__ = [
    "FULL_EFFORT",
    "Effort",
    "FileUnreadableError",
    "FilmMode",
    "Lane",
    "fingerprint_bytes",
    "fingerprint_file",
    "fingerprint_stream",
]
