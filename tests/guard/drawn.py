"""Entries of lists and fingerprints whose values follow from a name by seeded chance: no pictures."""

from __future__ import annotations

import random
from dataclasses import replace

from havenline.entries import Entries
from havenline.matching import Edition
from havenline.vocabulary import EditionRef, Fingerprint, FrameHash, ListEntry, ListTerms


def entry(name: str) -> ListEntry:
    value = random.Random(name).getrandbits(256)
    return ListEntry(name, sha256=f"{value:064x}", pdq=f"{value ^ 7:064x}", pdq_quality=100)


def fingerprint(name: str, *, near: bool = False) -> Fingerprint:
    """What has the SHA-256 of the entry of that name, or, with `near`, its PDQ within three bits alone."""
    value = random.Random(name).getrandbits(256)
    sha256 = f"{value:064x}" if not near else f"{random.Random(name + ' ').getrandbits(256):064x}"
    return Fingerprint(
        md5="0" * 32, sha1="0" * 40, sha256=sha256, size=1, pdq=f"{value:064x}", pdq_quality=100, pipeline="x"
    )


def film(count: int, *, turned: bool = False) -> Fingerprint:
    """A film with so many different frames, a second apart; with `turned` they are told once more, as its mark says."""
    values = (f"{number * 0x1111_1111_1111_1111 << 90:064x}" for number in range(count))
    frames = tuple(FrameHash(float(second), value, 90) for second, value in enumerate(values))
    upright = frames if turned else ()
    return replace(fingerprint("x"), pdq=None, pdq_quality=None, frames=frames, frames_upright=upright)


def edition(*names: str, of: str = "shapes", number: int = 1, terms: ListTerms | None = None) -> Edition:
    entries = Entries.of(entry(name) for name in names)
    return Edition(EditionRef(of, number, entries.digest()), entries, terms or ListTerms())
