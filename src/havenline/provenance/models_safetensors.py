"""safetensors: 8 bytes of length, a JSON header, the data (huggingface/safetensors, format description of 0.8)."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any, BinaryIO

from havenline.provenance.model_layout import (
    LARGEST_HEADER,
    MOST_FIELDS,
    MOST_TENSORS,
    Layout,
    LayoutError,
    in_order,
    read_exactly,
)

_LONGEST = 100_000_000


def safetensors_layout(stream: BinaryIO, size: int) -> Layout:
    """The layout of a safetensors file of `size` bytes.

    A header too large to be read gives the place of the body alone. Raises LayoutError. Not checked: that shapes fit
    the lengths, that the data has no holes.
    """
    stream.seek(0)
    length = int.from_bytes(read_exactly(stream, 8), "little")
    body = 8 + length
    if not 2 <= length <= _LONGEST or body > size:
        raise LayoutError("its header is longer than the file, or than 100 MB")
    if length > LARGEST_HEADER:
        return Layout("safetensors", body, whole=False)
    try:
        header = json.loads(read_exactly(stream, length))
    except (ValueError, RecursionError):
        raise LayoutError("its header is no JSON") from None
    if not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise LayoutError("its header is no table of tensors, or has more than 50,000 of them")
    said = header.pop("__metadata__", {})
    spans = [_span(tensor, body) for tensor in header.values()]
    fields = (
        [(str(name), _text(value)) for name, value in islice(said.items(), MOST_FIELDS + 1)]
        if isinstance(said, dict)
        else []
    )
    return Layout("safetensors", body, in_order(spans, size), tuple(fields))


def _span(tensor: Any, body: int) -> tuple[int, int]:
    match tensor:
        case {"data_offsets": [int(start), int(end)]} if 0 <= start <= end:
            return body + start, body + end
    raise LayoutError("a tensor of its header has no place")


def _text(value: Any) -> bytes:
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "surrogatepass")
