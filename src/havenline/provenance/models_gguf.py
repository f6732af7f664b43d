"""GGUF, versions 2 and 3: typed fields, a table of tensors, the data (ggml-org/ggml, docs/gguf.md)."""

from __future__ import annotations

from typing import BinaryIO

from havenline.provenance.model_layout import LARGEST_HEADER, MOST_TENSORS, Layout, LayoutError, in_order, read_exactly

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _ARRAY = 8, 9
_MOST_FIELDS = 10_000
_MOST_ITEMS = 1_000_000
_DEEPEST = 4
_MOST_TOLD = 64


def gguf_layout(stream: BinaryIO, size: int) -> Layout:
    """The layout of a GGUF file of `size` bytes.

    A tensor ends where the next begins, or the file: filling bytes between two belong to the first. Of arrays only
    texts in general fields are told, 64 each and behind all other fields; the rest, words of a tokenizer among it, is
    stepped over. Raises LayoutError. Not checked: the types of tensors.
    """
    return _Gguf(stream, size).layout()


class _Gguf:
    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size, self._items = stream, size, 0
        self._alignment = 32
        self._listed: list[tuple[str, bytes]] = []

    def layout(self) -> Layout:
        self._stream.seek(0)
        if self._take(4) != b"GGUF" or self._number(4) not in (2, 3):
            raise LayoutError("it is a GGUF of another version than 2 or 3")
        tensors, fields = self._number(8), self._number(8)
        if tensors > MOST_TENSORS or fields > _MOST_FIELDS:
            raise LayoutError("its header has more fields or tensors than are read")
        found = [self._field() for _ in range(fields)]
        starts = sorted({self._tensor() for _ in range(tensors)})
        here = self._stream.tell()
        body = -(-here // self._alignment) * self._alignment
        ends = [*starts[1:], max(self._size - body, 0)] if starts else []
        spans = [(body + start, body + end) for start, end in zip(starts, ends, strict=True)]
        kept = (*((name, text) for name, text in found if text is not None), *self._listed)
        return Layout("gguf", body if body <= self._size else None, in_order(spans, self._size), kept)

    def _take(self, size: int) -> bytes:
        if self._stream.tell() + size > LARGEST_HEADER:
            raise LayoutError("its header is larger than 16 MiB")
        return read_exactly(self._stream, size)

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def _text(self) -> bytes:
        return self._take(self._number(8))

    def _field(self) -> tuple[str, bytes | None]:
        name = self._text().decode("utf-8", "replace")
        value = self._value(self._number(4), 0, name if name.startswith("general.") else None)
        if name == "general.alignment" and value is not None:
            self._alignment = int.from_bytes(value, "little")
            if not 1 <= self._alignment <= 1 << 20:
                raise LayoutError("the alignment of its tensors makes no sense")
        return name, value

    def _value(self, kind: int, depth: int, listed: str | None = None) -> bytes | None:
        if kind == _TEXT:
            return self._text()
        if kind != _ARRAY:
            if kind not in _WIDTHS:
                raise LayoutError("a field of its header has an unknown type")
            return self._take(_WIDTHS[kind])
        inner, count = self._number(4), self._number(8)
        self._items += 0 if inner in _WIDTHS else count
        if self._items > _MOST_ITEMS or depth >= _DEEPEST:
            raise LayoutError("its header has longer or deeper arrays than are read")
        if inner in _WIDTHS:
            self._take(_WIDTHS[inner] * count)
        else:
            for number in range(count):
                value = self._value(inner, depth + 1)
                if value is not None and listed is not None and number < _MOST_TOLD:
                    self._listed.append((listed, value))
        return None

    def _tensor(self) -> int:
        """Where a tensor begins, from the first byte of the data on."""
        self._text()
        dimensions = self._number(4)
        if dimensions > 8:
            raise LayoutError("a tensor of its header has more than 8 dimensions")
        self._take(8 * dimensions + 4)
        return self._number(8)
