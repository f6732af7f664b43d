"""Hash a file that a program sent: in a process that is closed off and ends with it, and never on a disk."""

from __future__ import annotations

import threading
from contextlib import closing

from havenline.scan import fingerprint_postings
from havenline.scan_workers import CloseOff, WorkersFailedError
from havenline.vocabulary import Fingerprint

from .questions import LARGEST_FILE, Refused

SECONDS = 30
"""For which a file may keep its process."""
AT_ONCE = 2
_turns = threading.BoundedSemaphore(AT_ONCE)
_PATIENCE = 30.0
close_off: CloseOff | None = None
"""What closes such a process off. The program that serves sets it; without it no file is taken."""


def hashed(content: bytes) -> Fingerprint:
    """What is made of the file. Raises Refused where it cannot be hashed at all, or too many wait for their turn.

    A file without a perceptual hash still has its digests; its `refusal` says why.
    """
    from havenline.media.postings import Posting

    if not content:
        raise Refused("empty", 422)
    if len(content) > LARGEST_FILE:
        raise Refused("too_large", 413)
    if close_off is None:
        raise Refused("unavailable", 503, retry_after=60)
    if not _turns.acquire(timeout=_PATIENCE):
        raise Refused("busy", 503, retry_after=5)
    try:
        posting = Posting(path="sent", size=len(content), content=content)
        with closing(
            fingerprint_postings([posting], workers=1, seconds_per_file=SECONDS, close_off=close_off)
        ) as scanned:
            (made,) = scanned
    except WorkersFailedError:
        raise Refused("unavailable", 503, retry_after=60) from None
    finally:
        _turns.release()
    if made.fingerprint is None:
        raise Refused("decoder_failed", 422)
    return made.fingerprint
