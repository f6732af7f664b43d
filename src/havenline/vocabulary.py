"""The words of the field as frozen values; `docs/glossary.md` explains them, a test keeps both equal.

Values check themselves when made and have no other behaviour. Nothing here reads a file, a clock or a network.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

_HEX = {"md5": 32, "sha1": 40, "sha256": 64, "pdq": 64}
_SHAPES = {kind: re.compile(f"[0-9a-f]{{{digits}}}").fullmatch for kind, digits in _HEX.items()}

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
PDQ_512 = "pdq-512/1"
"""Name of Meta's other pipeline: shrunk to 512 x 512 by nearest neighbour where a side is longer, then PDQ."""
NCII = "ncii."
"""The name of a list of adults' intimate pictures begins so; it is kept apart from lists of child abuse."""
PIPELINES = (PDQ_FULL, PDQ_512)
"""The pipelines that the values of a list can come from."""
UPRIGHT = " upright"
"""What a pipeline's name ends in where the pixels were turned first as the file's orientation mark says."""


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
    TOO_LONG = "too_long"
    DECODER_FAILED = "decoder_failed"
    MODEL_FILE = "model_file"
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


class FrameHash(NamedTuple):
    """PDQ of one frame of a film or of an animated picture, `second` seconds after its beginning; quality 0..100."""

    second: float
    pdq: str
    quality: int


def milliseconds_of(second: float) -> int:
    """A second of a film in whole milliseconds, kept within 0 and 49 days: a file may say what it likes of its time."""
    return round(min(max(second * 1000, 0), (1 << 32) - 1))


class PictureHash(NamedTuple):
    """One perceptual hash and the pipeline that made it; quality 0..100."""

    pipeline: str
    pdq: str
    quality: int


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Digests of the original bytes, and either perceptual hashes or the reason why there are none.

    `md5`, `sha1`, `sha256` and the PDQ values are lower-case hex; a PDQ value is 64 digits as Meta's PDQ
    prints it. Qualities are 0..100. `pdq` is the hash of the still picture by `pipeline`, `pdq_512` that of
    Meta's other pipeline, `vocabulary.PDQ_512`; both of the pixels in stored order. Where the file's
    `orientation` mark (EXIF, 1..8) is not 1, `pdq_upright` and `pdq_512_upright` are those of the picture
    turned as it says. `frames` are those of a film, or a sample of an animated picture, in order of time
    and in stored order of pixels; `frames_upright` are the same turned as the mark says, none where that is 1.
    `cut_short` says that the file ends early and what is missing was left grey. `refusal` is set exactly when
    there is neither `pdq` nor a frame. Of a model file `model_body` and `model_tensors` are the SHA-256 of what follows
    its header and over the sorted digests of its tensors, each where it could be told.
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
    pdq_512: str | None = None
    pdq_512_quality: int | None = None
    orientation: int = 1
    pdq_upright: str | None = None
    pdq_512_upright: str | None = None
    frames: tuple[FrameHash, ...] = ()
    frames_upright: tuple[FrameHash, ...] = ()
    cut_short: bool = False
    model_body: str | None = None
    model_tensors: str | None = None
    refusal: Refused | None = None

    def __post_init__(self) -> None:
        check_hex("md5", self.md5)
        check_hex("sha1", self.sha1)
        check_hex("sha256", self.sha256)
        for part in (self.model_body, self.model_tensors):
            if part is not None:
                check_hex("sha256", part)
        if (self.pdq is None and not self.frames) == (self.refusal is None):
            raise ValueError("a fingerprint has either a perceptual hash or a refusal")
        if self.orientation not in range(1, 9):
            raise ValueError("an orientation mark is 1..8")
        if self.pdq is None and (self.pdq_512 or self.pdq_upright or self.pdq_512_upright):
            raise ValueError("a picture's other hashes come beside its full-size one")
        for value, quality in ((self.pdq, self.pdq_quality), (self.pdq_512, self.pdq_512_quality)):
            _check_hashed(value, quality)
        if self.frames_upright and [each.second for each in self.frames_upright] != [
            each.second for each in self.frames
        ]:
            raise ValueError("upright frames come one beside each frame")
        for frame in (*self.frames, *self.frames_upright):
            _check_hashed(frame.pdq, frame.quality)
            if not math.isfinite(frame.second):
                raise ValueError("a frame is shown at some second")
        if self.pdq is not None and self.pipeline is None:
            raise ValueError("a perceptual hash needs the name of its pipeline")

    @property
    def hashes(self) -> tuple[PictureHash, ...]:
        """The hashes of the still picture, each under its pipeline's name; those that repeat another included."""
        full, reduced = self.pipeline or "", PDQ_512
        made = (
            (full, self.pdq, self.pdq_quality),
            (reduced, self.pdq_512, self.pdq_512_quality),
            (full + UPRIGHT, self.pdq_upright, self.pdq_quality),
            (reduced + UPRIGHT, self.pdq_512_upright, self.pdq_512_quality),
        )
        return tuple(PictureHash(name, pdq, quality or 0) for name, pdq, quality in made if pdq is not None)

    @property
    def listed_films(self) -> tuple[tuple[FrameHash, ...], ...]:
        """The frames as entries of a list have them: as stored, and where a mark turns them as it does, too.

        Both, because a copy may have lost its mark, or have had its pixels turned. None of a film with too many frames.
        """
        made = []
        for frames in (self.frames, self.frames_upright):
            within = (FrameHash(milliseconds_of(each.second) / 1000, each.pdq, each.quality) for each in frames)
            if frames and len({each.pdq for each in frames}) <= MOST_FRAMES:
                made.append(listed_frames(within))
        return tuple(dict.fromkeys(made))

    @property
    def pdq_values(self) -> dict[str, int]:
        """The distinct PDQ values, of all pipelines and frames, with the best quality of each."""
        found: dict[str, int] = {}
        made = [
            *((each.pdq, each.quality) for each in self.hashes),
            *((each.pdq, each.quality) for each in (*self.frames, *self.frames_upright)),
        ]
        for pdq, quality in made:
            found[pdq] = max(quality, found.get(pdq, 0))
        return found

    @property
    def sha256_values(self) -> tuple[str, ...]:
        """The SHA-256 values that lists are asked with: of the file, and of the parts of a model file."""
        return tuple(dict.fromkeys(each for each in (self.sha256, self.model_body, self.model_tensors) if each))

    @property
    def comparable(self) -> bool:
        """Whether a perceptual hash is good enough to be compared by distance."""
        return any(quality >= QUALITY_FLOOR for quality in self.pdq_values.values())


@dataclass(frozen=True, slots=True)
class Leeway:
    """How far a value may lie from the exact one: bits of a PDQ hash, steps of its quality.

    Lists are then asked with a radius so much wider and a floor so much lower, and what is found is to be confirmed.
    """

    bits: int = 0
    quality: int = 0


SCREENING_LEEWAY = Leeway(bits=12, quality=2)
"""The greatest error of the screening lane that was measured, on drawn pictures (`fingerprints.pdq_screening`)."""


class Lane(StrEnum):
    """How still pictures are hashed.

    The exact lane is the canonical hash. The screening lane hashes plain JPEG from a grey picture decoded at a
    fraction of its size; what it finds is to be confirmed by the exact lane. Other pictures go the exact way.
    """

    EXACT = "exact"
    SCREENING = "screening"


class FilmMode(StrEnum):
    """Which frames of a film are hashed: one in each interval, only frames that stand for themselves, or none."""

    EXACT = "exact"
    KEYFRAMES = "keyframes"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Effort:
    """The lane of still pictures, the mode of films, and the seconds between two hashed frames, above 0."""

    lane: Lane = Lane.EXACT
    films: FilmMode = FilmMode.EXACT
    seconds_a_frame: float = 1.0

    def __post_init__(self) -> None:
        if not self.seconds_a_frame > 0:
            raise ValueError("the seconds between two frames are above 0")


FULL_EFFORT = Effort()
"""The exact lane, and of films one frame a second."""


class HashKind(StrEnum):
    """The kinds of value a hash list carries that this version compares; `film`: the frames of one, by their shares."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    PDQ = "pdq"
    FILM = "film"


VALUE_KINDS = (HashKind.MD5, HashKind.SHA1, HashKind.SHA256, HashKind.PDQ)
"""The kinds of which an entry has one value; of a film it has many frames."""
BY_DISTANCE = (HashKind.PDQ, HashKind.FILM)
"""The kinds whose matches lie near, not on, an entry."""
ASKED_SHARE = 0.8
LISTED_SHARE = 0.0
"""The least shares of matched frames at which vPDQ calls two films a match."""
MOST_FRAMES = 65_536
"""So many frames an entry may have: 18 hours at one a second."""


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One entry of a hash list: the values known for one file, and what its publisher says of it.

    `opaque` are values that are carried and never compared or computed, as (kind, text). `frames` are those of a film,
    at most `MOST_FRAMES`, by their second (a whole number of milliseconds, under 2**32 of them), no hash twice:
    `listed_frames` makes them so.
    """

    entry: str
    md5: str | None = None
    sha1: str | None = None
    sha256: str | None = None
    pdq: str | None = None
    pdq_quality: int | None = None
    label: str | None = None
    opaque: tuple[tuple[str, str], ...] = ()
    frames: tuple[FrameHash, ...] = ()

    def __post_init__(self) -> None:
        if not (self.md5 or self.sha1 or self.sha256 or self.pdq or self.opaque or self.frames):
            raise ValueError("an entry needs at least one hash")
        for kind, shaped in _SHAPES.items():
            value = getattr(self, kind)
            if value is not None and not shaped(value):
                check_hex(kind, value)
        if self.frames and listed_frames(self.frames) != self.frames:
            raise ValueError("the frames of an entry come by their second, whole milliseconds, and no hash twice")


def listed_frames(frames: Iterable[FrameHash]) -> tuple[FrameHash, ...]:
    """Frames as an entry has them: of those with equal hashes one, at the earliest second, with the best quality.

    By their second, to the millisecond, then by hash. Raises ValueError for a hash that is none, a quality outside
    0..100, a second under 0 or beyond 49 days, more than `MOST_FRAMES`.
    """
    kept: dict[str, FrameHash] = {}
    for second, pdq, quality in frames:
        _check_hashed(pdq, quality)
        if not 0 <= second * 1000 <= (1 << 32) - 1:
            raise ValueError("the second of a frame lies between 0 and 49 days")
        second = round(second * 1000) / 1000
        known = kept.get(pdq)
        if known is not None:
            second, quality = min(second, known.second), max(quality, known.quality)
        kept[pdq] = FrameHash(second, pdq, quality)
    if len(kept) > MOST_FRAMES:
        raise ValueError(f"a film has at most {MOST_FRAMES:,} different frames in a list")
    return tuple(sorted(kept.values()))


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

    Frames of films are compared within the same radius, from the same floor on. A film is a match of an entry with
    frames where at least one of them matches, and the part `asked_share` of its own different frames, and
    `listed_share` of the entry's: 0..1, else as vPDQ has them.

    A list in `shadow` gives no match, for it is never `enabled`; what it would give is counted.
    """

    radius: int = NEAR_DISTANCE
    quality_floor: int = QUALITY_FLOOR
    allow: bool = False
    enabled: bool = True
    expires_at: dt.datetime | None = None
    asked_share: float = ASKED_SHARE
    listed_share: float = LISTED_SHARE
    shadow: bool = False

    def __post_init__(self) -> None:
        if self.shadow and self.enabled:
            raise ValueError("a list in shadow gives no match, so it is not enabled")
        if not (0 <= self.asked_share <= 1 and 0 <= self.listed_share <= 1):
            raise ValueError("a share of matched frames lies in 0..1")
        if not 0 <= self.radius <= LARGEST_RADIUS:
            raise ValueError(f"a radius lies in 0..{LARGEST_RADIUS}, not {self.radius}")
        if not 0 <= self.quality_floor <= 100:
            raise ValueError(f"a quality floor lies in 0..100, not {self.quality_floor}")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise ValueError("the day on which a list expires needs its time zone")

    def active(self, at: dt.datetime) -> bool:
        """Whether the list takes part at that time, for matches or as an allow-list."""
        return self.enabled and (self.expires_at is None or at < self.expires_at)


class FrameMatch(NamedTuple):
    """A frame of the film asked about, the nearest frame of the listed one, and the bits between them."""

    asked_second: float
    listed_second: float
    distance: int


@dataclass(frozen=True, slots=True)
class FilmMatch:
    """How two films lie to each other, as vPDQ counts: frames below the quality floor not, equal hashes once.

    `asked_share` is the part, 0..1, of the different frames of the film asked about that lie near a frame of the listed
    one; `listed_share` the part of that one's different frames that lie near one of these. `moments` are all sampled
    frames of the film asked about that match, by their second, each with the nearest frame. `upright`: the film asked
    about was turned as its mark says. Not asked: that matching frames come in the same order.
    """

    asked_share: float
    listed_share: float
    moments: tuple[FrameMatch, ...]
    upright: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A fingerprint lies on or near an entry of an edition. A lead, never a verdict.

    `allowed`: an allow-list holds the SHA-256 of the file, so this perceptual match is known to be mistaken.
    `more`: how many further entries of the edition match, which are not told one by one. `seconds`: of a film, when the
    frames are shown that lie near the entry. `film` is there where the entry is a film; `distance` is then that of
    the nearest frame.
    """

    edition: EditionRef
    entry: str
    kind: HashKind
    distance: int
    allowed: bool = False
    more: int = 0
    seconds: tuple[float, ...] = ()
    film: FilmMatch | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """All machine results for one posting at `path`; `refused` only when its bytes could not be read at all."""

    path: str
    fingerprint: Fingerprint | None
    matches: tuple[Match, ...] = ()
    refused: Refused | None = None


def _check_hashed(value: str | None, quality: int | None) -> None:
    if value is not None:
        check_hex("pdq", value)
        if quality is None or not 0 <= quality <= 100:
            raise ValueError("a perceptual hash needs its quality, 0..100")


def check_hex(kind: str, value: str) -> str:
    """Return `value` when it is the lower-case hex of a `kind` of hash, else raise ValueError."""
    if not _SHAPES[kind](value):
        raise ValueError(f"not a {kind} value: {_HEX[kind]} lower-case hex digits are expected")
    return value


def check_text(what: str, text: str) -> str:
    """Return `text` when it is one line of 1 to 200 printable characters without outer blanks, else ValueError."""
    if not text or len(text) > LONGEST_TEXT or not text.isprintable() or text != text.strip():
        raise ValueError(f"the {what} is not one line of 1 to {LONGEST_TEXT} printable characters")
    return text
