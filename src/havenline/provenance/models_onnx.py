"""ONNX: a ModelProto of protocol buffers, of which the fields that say what it is and the initialisers are walked.

onnx/onnx, `onnx/onnx.proto`: ModelProto 1 to 8 and 14, GraphProto 5, TensorProto 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from havenline.provenance.model_layout import MOST_TENSORS, Layout, LayoutError, in_order, read_exactly

_FIELDS = {2: "producer_name", 3: "producer_version", 4: "domain", 6: "doc_string"}
_GRAPH, _PROPERTY, _INITIALISER, _RAW, _EXTERNAL = 7, 14, 5, 9, 13
_LONGEST = 1 << 20
_MOST_STEPS = 2_000_000


def onnx_layout(stream: BinaryIO, size: int) -> Layout:
    """The layout of an ONNX file of `size` bytes.

    `whole` is False where a tensor holds its values in typed fields, or in another file. Raises LayoutError. Not read:
    subgraphs, sparse and quantised extras.
    """
    walk = _Walk(stream)
    fields: list[tuple[str, bytes]] = []
    spans: list[tuple[int, int]] = []
    whole, graph = True, False
    for number, start, end in walk.fields(0, size):
        if number in _FIELDS and end - start <= _LONGEST:
            fields.append((_FIELDS[number], walk.at(start, end)))
        elif number == _PROPERTY and end - start <= _LONGEST:
            pair = {inner: walk.at(at, stop) for inner, at, stop in walk.fields(start, end)}
            fields.append((pair.get(1, b"").decode("utf-8", "replace"), pair.get(2, b"")))
        elif number == _GRAPH:
            graph = True
            for inner, at, stop in walk.fields(start, end):
                if inner == _INITIALISER:
                    raw = [(a, b) for name, a, b in walk.fields(at, stop) if name in (_RAW, _EXTERNAL)]
                    whole = whole and len(raw) == 1
                    spans += raw[:1]
        if len(spans) > MOST_TENSORS or len(fields) > MOST_TENSORS:
            raise LayoutError("it has more tensors or fields than are read")
    if not graph:
        raise LayoutError("it has no graph")
    return Layout("onnx", None, in_order(spans, size), tuple(fields), whole=whole)


class _Walk:
    """Fields of nested messages by their place (protobuf.dev, encoding); a group is refused."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._steps = stream, 0

    def at(self, start: int, end: int) -> bytes:
        self._stream.seek(start)
        return read_exactly(self._stream, end - start)

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(number, first byte, end) of each field between two places; those of fixed width without their tag."""
        here = start
        while here < end:
            self._steps += 1
            if self._steps > _MOST_STEPS:
                raise LayoutError("it has more fields than are read")
            self._stream.seek(here)
            head = self._stream.read(20)
            tag, used = _varint(head, 0)
            number, form = tag >> 3, tag & 7
            if form == 0:
                _, stop = _varint(head, used)
                first, last = here + used, here + stop
            elif form in (1, 5):
                first, last = here + used, here + used + (8 if form == 1 else 4)
            elif form == 2:
                length, stop = _varint(head, used)
                first, last = here + stop, here + stop + length
            else:
                raise LayoutError("it is no protocol buffer")
            if last > end or number == 0:
                raise LayoutError("a part of it is longer than what it stands in")
            yield number, first, last
            here = last


def _varint(head: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(at, min(at + 10, len(head))):
        value |= (head[place] & 0x7F) << 7 * (place - at)
        if head[place] < 0x80:
            return value, place + 1
    raise LayoutError("it is no protocol buffer")
