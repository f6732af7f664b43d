"""A sheet of still frames from one film, for the people who judge it: one a second at most, spread evenly, no sound.

What it may cost is counted in decoded pixels, as in `films`. A film whose every frame is affordable is read through;
in a longer one each moment is sought, and its frame is the last that the moment's share reaches from the key frame
before it. Where key frames are rare, the sheet then has fewer frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from havenline.media.films import BROKEN, Film, FilmLimits, read_film, turning_mark, within_film
from havenline.media.orientation import upright
from havenline.vocabulary import Refused

FRAMES = 16
"""The most frames on a sheet."""
SHEET_LIMITS = FilmLimits(max_decoded_pixels=1_000_000_000)
"""As for every film, but for some seconds of one core."""
_LEAST_SIDE = 16
"""Below this many pixels a side there is one frame alone."""
_MOST_ERRORS = 200
_GAP = 2
_GROUND = (16, 16, 16)


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """`rgb` is (h, w, 3) uint8 with `frames` frames in order of time, row by row, turned as the film says to show them.

    `width` and `height` are those of a frame as stored. `seconds` is the length that the film states, or how far it
    was read. With `cut_short` some of it could not be read, or was not reached.
    """

    rgb: NDArray[np.uint8]
    frames: int
    width: int
    height: int
    seconds: float
    cut_short: bool


def contact_sheet(
    source: BinaryIO, kind: str, *, width: int, height: int, most: int = FRAMES, limits: FilmLimits = SHEET_LIMITS
) -> Sheet | Refused:
    """The sheet of the film in `source`, `width` x `height` pixels and `most` frames at the most, or why there is none.

    `source` is seekable, `kind` one of `kinds.FILMS`, `most` 1 to `FRAMES`. Raises nothing of the decoder's.
    Not checked: what was not sampled, sound, and further picture streams.
    """
    taken = _Taken(width, height)
    most = min(most, FRAMES) if min(width, height) >= _LEAST_SIDE else 1

    def look(container: Any, stream: Any) -> _Length:
        return _Length.of(container, stream, most=most)

    length = within_film(source, kind, look, limits=limits)
    if isinstance(length, Refused):
        return length
    source.seek(0)
    if length.seconds is None or length.pixels <= limits.max_decoded_pixels:
        every = length.seconds / length.moments if length.seconds else 1.0
        found = read_film(source, kind, taken.take, every=every, limits=limits)
    else:
        found = _by_seeking(source, kind, length, taken, limits)
    if isinstance(found, Refused):
        return found
    seconds = length.seconds if length.seconds is not None else taken.last
    chosen = taken.chosen(length.moments if length.seconds else most)
    return Sheet(_laid_out(chosen, width, height), len(chosen), found.width, found.height, seconds, found.cut_short)


@dataclass(frozen=True, slots=True)
class _Length:
    """What a film says of itself before a frame is decoded; `seconds` None where it does not say how long it is."""

    seconds: float | None
    pixels: float
    """Of all frames together."""
    moments: int
    """How many frames are wanted: one a second, and no more than fit."""

    @classmethod
    def of(cls, container: Any, stream: Any, *, most: int) -> _Length:
        context = stream.codec_context
        if stream.duration and stream.time_base:
            seconds = float(stream.duration * stream.time_base)
        else:
            seconds = (container.duration or 0) / 1_000_000
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        frames = max(stream.frames or 0, seconds * rate)
        moments = min(most, max(1, math.ceil(seconds)))
        return cls(seconds if seconds > 0 else None, frames * context.width * context.height, moments)


class _Taken:
    """Frames as they come, shrunk at once; thinned where they are many, for no film need say how long it is."""

    def __init__(self, width: int, height: int) -> None:
        self._room = width, height
        self._kept: list[Image.Image] = []
        self._one_in, self._seen = 1, 0
        self.last = 0.0

    def take(self, second: float, rgb: NDArray[np.uint8], mark: int) -> None:
        number, self._seen, self.last = self._seen, self._seen + 1, second
        if number % self._one_in:
            return
        image = Image.fromarray(np.ascontiguousarray(upright(rgb, mark)))
        self._kept.append(_within(image, self._room))
        if len(self._kept) == 2 * FRAMES:
            self._kept, self._one_in = self._kept[::2], self._one_in * 2

    def chosen(self, most: int) -> list[Image.Image]:
        count = min(most, len(self._kept))
        return [self._kept[each * len(self._kept) // count] for each in range(count)]


def _by_seeking(source: BinaryIO, kind: str, length: _Length, taken: _Taken, limits: FilmLimits) -> Film | Refused:
    """One frame at each moment, within its share of what may be decoded."""
    share = limits.max_decoded_pixels / length.moments

    def read(container: Any, stream: Any) -> Film | Refused:
        begin = Fraction((stream.start_time or 0) * stream.time_base)
        first: Any = None
        shown: set[Fraction] = set()
        for number in range(length.moments):
            moment = begin + Fraction(length.seconds or 0) * number / length.moments
            frame = _frame_at(container, stream, moment, share, limits)
            if frame is None or frame.pts is None or frame.pts in shown:
                continue
            shown.add(frame.pts)
            first = first or frame
            second = float(frame.pts * frame.time_base - begin)
            taken.take(second, frame.to_ndarray(format="rgb24"), turning_mark(frame))
        if first is None:
            return BROKEN
        short = len(shown) < length.moments
        return Film(first.width, first.height, len(shown), cut_short=short, orientation=turning_mark(first))

    return within_film(source, kind, read, limits=limits)


def _frame_at(container: Any, stream: Any, moment: Fraction, share: float, limits: FilmLimits) -> Any:
    """The frame of that moment, or the nearest before it that the share reaches; None where none can be read."""
    nearest = None
    try:
        container.seek(int(moment / stream.time_base), stream=stream, backward=True)
        for frame in _decoded(container, stream):
            pixels = frame.width * frame.height
            share -= pixels
            if frame.pts is None or frame.is_corrupt or pixels > limits.max_pixels:
                continue
            nearest = frame
            if frame.pts * frame.time_base >= moment or share < 0:
                break
    except Exception:  # a damaged place of the film; the others may be whole
        return nearest
    return nearest


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    """The frames from here on; a place that was sought may lie before a key frame, and what is there is passed over."""
    errors = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except Exception:
            errors += 1
            if errors > _MOST_ERRORS:
                raise
            continue
        yield from frames


def _laid_out(frames: list[Image.Image], width: int, height: int) -> NDArray[np.uint8]:
    """The frames in as many columns as leave the largest room to the first."""
    wide, high = frames[0].size
    best: tuple[float, int, int, int] = (0.0, 1, 1, 1)
    for columns in range(1, len(frames) + 1):
        rows = math.ceil(len(frames) / columns)
        room = (width - _GAP * (columns - 1)) // columns, (height - _GAP * (rows - 1)) // rows
        if min(room) < 1:
            continue
        scale = min(1.0, room[0] / wide, room[1] / high)
        best = max(best, (scale, columns, max(1, int(wide * scale)), max(1, int(high * scale))))
    _, columns, wide, high = best
    rows = math.ceil(len(frames) / columns)
    sheet = Image.new("RGB", (columns * (wide + _GAP) - _GAP, rows * (high + _GAP) - _GAP), _GROUND)
    for place, frame in enumerate(frames):
        small = _within(frame, (wide, high))
        left, top = place % columns * (wide + _GAP), place // columns * (high + _GAP)
        sheet.paste(small, (left + (wide - small.width) // 2, top + (high - small.height) // 2))
    return np.asarray(sheet)


def _within(image: Image.Image, room: tuple[int, int]) -> Image.Image:
    scale = min(1.0, room[0] / image.width, room[1] / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image if size == image.size else image.resize(size, Image.Resampling.BOX)
