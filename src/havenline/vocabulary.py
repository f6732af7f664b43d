"""The words of the field as frozen values; `docs/glossary.md` explains them, a test keeps both equal.

Values check themselves when made and have no other behaviour. Nothing here reads a file, a clock or a network.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from enum import StrEnum

_HEX = {"md5": 32, "sha1": 40, "sha256": 64, "pdq": 64}
_HEX_DIGITS = re.compile(r"[0-9a-f]*\Z")

LONGEST_TEXT = 200
"""Characters of a list's name, an entry's id, a label."""
PDQ_BITS = 256
NEAR_DISTANCE = 31
"""Two PDQ hashes at most this many bits apart are near (Meta's recommendation for PDQ)."""
LARGEST_RADIUS = 64
"""The farthest that entries are searched for."""
QUALITY_FLOOR = 50
"""A PDQ hash below this quality is never compared by distance: flat pictures collide."""
PDQ_FULL = "pdq-full/1"
"""Name of the fingerprint pipeline: PDQ over the full-size picture, decoded by `havenline.media` policy 1."""


class HavenlineError(Exception):
    """Base of every error Havenline raises on purpose; its text is one clear line for a person."""


class Refusal(StrEnum):
    """Why a posting could not be fingerprinted or taken in. Unhashable is never the same as no match."""

    EMPTY = "empty"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    UNKNOWN_KIND = "unknown_kind"
    UNSUPPORTED_KIND = "unsupported_kind"
    BROKEN = "broken"
    TOO_MANY_PIXELS = "too_many_pixels"
    DECODER_FAILED = "decoder_failed"
    NOT_A_FILE = "not_a_file"
    LINK = "link"
    ARCHIVE_BROKEN = "archive_broken"
    ARCHIVE_ENCRYPTED = "archive_encrypted"
    ARCHIVE_PATH = "archive_path"
    ARCHIVE_RATIO = "archive_ratio"
    ARCHIVE_NESTED = "archive_nested"
    ARCHIVE_TOO_MANY = "archive_too_many"


@dataclass(frozen=True, slots=True)
class Refused:
    """A named reason with one line of detail that says what happened and what to do; never content or a hash."""

    reason: Refusal
    detail: str


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Digests of the original bytes, and either a perceptual hash or the reason why there is none.

    `md5`, `sha1`, `sha256`, `pdq` are lower-case hex; `pdq` is 64 digits as Meta's PDQ prints them.
    `pdq_quality` is 0..100. `refusal` is set exactly when `pdq` is not.
    """

    md5: str
    sha1: str
    sha256: str
    size: int
    media_type: str | None = None
    width: int | None = None
    height: int | None = None
    pdq: str | None = None
    pdq_quality: int | None = None
    pipeline: str | None = None
    refusal: Refused | None = None

    def __post_init__(self) -> None:
        check_hex("md5", self.md5)
        check_hex("sha1", self.sha1)
        check_hex("sha256", self.sha256)
        if (self.pdq is None) == (self.refusal is None):
            raise ValueError("a fingerprint has either a perceptual hash or a refusal")
        if self.pdq is not None:
            check_hex("pdq", self.pdq)
            if self.pdq_quality is None or not 0 <= self.pdq_quality <= 100:
                raise ValueError("a perceptual hash needs its quality, 0..100")
            if self.pipeline is None:
                raise ValueError("a perceptual hash needs the name of its pipeline")

    @property
    def comparable(self) -> bool:
        """Whether the perceptual hash is good enough to be compared by distance."""
        return self.pdq_quality is not None and self.pdq_quality >= QUALITY_FLOOR


class HashKind(StrEnum):
    """The kinds of value a hash list carries that this version compares."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    PDQ = "pdq"


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One entry of a hash list: the values known for one file, and what its publisher says of it.

    `opaque` are values that are carried and never compared or computed, as (kind, text).
    """

    entry: str
    md5: str | None = None
    sha1: str | None = None
    sha256: str | None = None
    pdq: str | None = None
    pdq_quality: int | None = None
    label: str | None = None
    opaque: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        values = {kind: getattr(self, kind) for kind in _HEX}
        if not any(values.values()) and not self.opaque:
            raise ValueError("an entry needs at least one hash")
        for kind, value in values.items():
            if value is not None:
                check_hex(kind, value)


@dataclass(frozen=True, slots=True)
class EditionRef:
    """Which immutable edition of which hash list; `digest` is the SHA-256 of its canonical entries."""

    list_name: str
    number: int
    digest: str


@dataclass(frozen=True, slots=True)
class ListTerms:
    """On which terms a hash list takes part in matching.

    A PDQ value is near within `radius` bits, 0..64, and is compared where both sides have a quality of at least
    `quality_floor`, 0..100. A list that is not `enabled`, or whose `expires_at` (with its time zone) has passed,
    gives no match. An `allow` list gives none either: a file whose SHA-256 it holds was found to be near listed
    entries by mistake, so the file's perceptual matches are marked as allowed; exact ones are not touched.
    """

    radius: int = NEAR_DISTANCE
    quality_floor: int = QUALITY_FLOOR
    allow: bool = False
    enabled: bool = True
    expires_at: dt.datetime | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= LARGEST_RADIUS:
            raise ValueError(f"a radius lies in 0..{LARGEST_RADIUS}, not {self.radius}")
        if not 0 <= self.quality_floor <= 100:
            raise ValueError(f"a quality floor lies in 0..100, not {self.quality_floor}")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise ValueError("the day on which a list expires needs its time zone")

    def active(self, at: dt.datetime) -> bool:
        """Whether the list takes part at that time, for matches or as an allow-list."""
        return self.enabled and (self.expires_at is None or at < self.expires_at)


@dataclass(frozen=True, slots=True)
class Match:
    """A fingerprint lies on or near an entry of an edition. A lead, never a verdict.

    `allowed`: an allow-list holds the SHA-256 of the file, so this perceptual match is known to be mistaken.
    `more`: how many further entries of the edition match, which are not told one by one.
    """

    edition: EditionRef
    entry: str
    kind: HashKind
    distance: int
    allowed: bool = False
    more: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """All machine results for one posting at `path`; `refused` only when its bytes could not be read at all."""

    path: str
    fingerprint: Fingerprint | None
    matches: tuple[Match, ...] = ()
    refused: Refused | None = None


def check_hex(kind: str, value: str) -> str:
    """Return `value` when it is the lower-case hex of a `kind` of hash, else raise ValueError."""
    if len(value) != _HEX[kind] or not _HEX_DIGITS.match(value):
        raise ValueError(f"not a {kind} value: {_HEX[kind]} lower-case hex digits are expected")
    return value


def check_text(what: str, text: str) -> str:
    """Return `text` when it is one line of 1 to 200 printable characters without outer blanks, else ValueError."""
    if not text or len(text) > LONGEST_TEXT or not text.isprintable() or text != text.strip():
        raise ValueError(f"the {what} is not one line of 1 to {LONGEST_TEXT} printable characters")
    return text
