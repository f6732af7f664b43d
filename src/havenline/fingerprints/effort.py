"""How closely files are looked at: a choice of whoever asks, carried to whoever decodes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
