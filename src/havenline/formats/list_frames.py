"""The frames of a film in one cell of a hash list, as vPDQ writes them and as a scan table does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from havenline.vocabulary import FrameHash, listed_frames

_WRONG = "its frames are no array of PDQ, quality and second (--map frames= leaves such a column out)"


def frames_of(text: str) -> tuple[FrameHash, ...]:
    """The frames in a JSON array, as an entry has them.

    An element is the text `PDQ,QUALITY,SECOND`, as ThreatExchange writes vPDQ, or an object with `pdq` or `hash`,
    `quality`, and `second` or `timestamp`. Raises ValueError with what is wrong, never with a value.
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, list):
        raise ValueError(_WRONG)
    return listed_frames(_each(said))


def frames_text(frames: Iterable[FrameHash]) -> str:
    """What `frames_of` reads again without loss."""
    return json.dumps([f"{pdq},{quality},{second}" for second, pdq, quality in frames], separators=(",", ":"))


def _each(said: list[Any]) -> Iterator[FrameHash]:
    for element in said:
        try:
            pdq, quality, second = _parts(element)
        except (KeyError, ValueError):
            raise ValueError(_WRONG) from None
        if type(second) not in (int, float) or type(pdq) is not str:
            raise ValueError(_WRONG)
        if type(quality) is float and quality.is_integer():
            quality = int(quality)
        if type(quality) is not int:
            raise ValueError(_WRONG)
        yield FrameHash(second, pdq.strip().lower(), quality)


def _parts(element: Any) -> tuple[Any, Any, Any]:
    if isinstance(element, str):
        pdq, quality, second = element.split(",")
        return pdq, int(quality), float(second)
    if not isinstance(element, dict):
        raise ValueError
    return (
        element["pdq"] if "pdq" in element else element["hash"],
        element["quality"],
        element["second"] if "second" in element else element["timestamp"],
    )
