"""Where in a model file the tensors lie and what its header says, read by seeking; nothing is loaded or run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from havenline.vocabulary import HavenlineError

MOST_TENSORS = 50_000
MOST_FIELDS = 5_000
"""Fields of a header that are told; of more only that there are more."""
LARGEST_HEADER = 16 << 20
"""Bytes of a header that are read; larger ones are refused, and the file is digested as a whole alone."""


class LayoutError(HavenlineError):
    """The file is not laid out as its kind demands; the text says in what, never with words of the file."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a reader found.

    `form`: safetensors, gguf, onnx, torch or pickle. `body`: the byte at which what follows the header begins, where
    the form has one. `tensors`: (first byte, end) of each, in order of their place, not overlapping. `fields`: (name,
    bytes) of the header as the file has them. `pickles`: (place in words, bytes) that are scanned for what they name.
    `whole`: whether all tensors are among `tensors`.
    """

    form: str
    body: int | None = None
    tensors: tuple[tuple[int, int], ...] = ()
    fields: tuple[tuple[str, bytes], ...] = ()
    pickles: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)
    whole: bool = True


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """The next `size` bytes, or LayoutError where the file ends before."""
    found = stream.read(size)
    if len(found) != size:
        raise LayoutError("the file ends inside its header")
    return found


def in_order(spans: list[tuple[int, int]], end: int) -> tuple[tuple[int, int], ...]:
    """The spans by place. Raises LayoutError where two overlap or one goes beyond `end`."""
    ordered = sorted(spans)
    last = 0
    for start, stop in ordered:
        if start < last or stop < start or stop > end:
            raise LayoutError("its tensors overlap, or lie beyond its end")
        last = stop
    return tuple(ordered)
