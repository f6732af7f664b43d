"""Bytes or pixels to a `Fingerprint`, or the named reason why there is none."""

from havenline.fingerprints.fingerprint import (
    FileUnreadableError,
    fingerprint_bytes,
    fingerprint_file,
    fingerprint_posting,
)

__all__ = ["FileUnreadableError", "fingerprint_bytes", "fingerprint_file", "fingerprint_posting"]
