"""A model file's digests, and what its header claims: read as bytes, never loaded.

Digests by the names that hosts use: AutoV1, AutoV2, AutoV3 (`docs/formats/model-digests.md`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from havenline.media import kinds
from havenline.provenance.architectures import FIELDS, architecture
from havenline.provenance.model_layout import MOST_FIELDS, Layout, LayoutError
from havenline.provenance.models_gguf import gguf_layout
from havenline.provenance.models_onnx import onnx_layout
from havenline.provenance.models_pickle import pickle_layout, torch_layout
from havenline.provenance.models_safetensors import safetensors_layout
from havenline.provenance.pickle_names import pickle_names
from havenline.provenance.signals import Notes, Signal, SignalKind, Strength

READER = "models/1"
_PIECE = 1 << 20
_CHUNK = 1 << 17
_AUTO_V1 = (0x100000, 0x110000)
_LAYOUTS: dict[str, Callable[[BinaryIO, int], Layout]] = {
    kinds.SAFETENSORS: safetensors_layout,
    kinds.GGUF: gguf_layout,
    kinds.ONNX: onnx_layout,
    kinds.TORCH: torch_layout,
    kinds.PICKLE: pickle_layout,
}
_ARCHITECTURES = frozenset({"modelspec.architecture", "general.architecture", "ss_base_model_version"})
_SHA256 = re.compile(rb"(?:0x)?([0-9a-fA-F]{64})\Z")


@dataclass(frozen=True, slots=True)
class ModelDigests:
    """Digests of a model file's bytes, lower-case hex; `size` in bytes.

    `auto_v1`: 8 digits of the SHA-256 of 64 KiB at 1 MiB, None in a smaller file. `auto_v2`: 10 digits of `sha256`.
    `body`: SHA-256 of what follows the header, which AutoV3 (`auto_v3`, 12 digits) shortens; it outlasts a rewritten
    header. `tensor_set`: SHA-256 over the sorted SHA-256 digests of the `tensors`, in bytes; it outlasts other names,
    orders and headers. Both None where the form has no such thing or the file is not laid out as it says.
    """

    sha256: str
    size: int
    auto_v1: str | None
    auto_v2: str
    body: str | None
    tensor_set: str | None
    tensors: tuple[str, ...] = field(default=(), repr=False)

    @property
    def auto_v3(self) -> str | None:
        """The first 12 digits of `body`."""
        return None if self.body is None else self.body[:12]


@dataclass(frozen=True, slots=True)
class ModelReading:
    """What was read of a model file: its kind, its digests, the signals of its header, and why it was not laid out."""

    media_type: str
    digests: ModelDigests
    signals: tuple[Signal, ...]
    trouble: str | None = None


def read_model(stream: BinaryIO, *, key: bytes) -> ModelReading | None:
    """Read a model file from its beginning, or None where its first bytes are no model file's.

    Twice: by seeking for the layout, then once through in pieces of 1 MiB for all digests. `key`: what the digests of
    texts are keyed with, at least 16 bytes, else ValueError. Raises what reading the stream raises. Not checked:
    what the model does, and whether anything that its header says is true.
    """
    notes = Notes(key)
    found = note_model(notes, stream)
    if found is None:
        return None
    kind, digests, trouble = found
    return ModelReading(kind, digests, notes.done(), trouble)


def note_model(notes: Notes, stream: BinaryIO) -> tuple[str, ModelDigests, str | None] | None:
    """As `read_model`, into `notes`: kind, digests, and why it was not laid out."""
    stream.seek(0)
    kind = kinds.recognise(stream.read(kinds.HEAD_BYTES))
    if kind not in _LAYOUTS:
        return None
    layout, trouble = layout_of(stream, kind)
    digests = digest_model(stream, layout)
    if trouble is not None:
        notes.add(SignalKind.UNREAD, "the layout of the model file", Strength.HINT, READER, value=trouble)
    _note_digests(notes, digests)
    _note_fields(notes, layout, digests)
    for place, content in layout.pickles:
        _note_names(notes, place, content)
    return kind, digests, trouble


def layout_of(stream: BinaryIO, kind: str) -> tuple[Layout, str | None]:
    """The layout of a model file of that kind; where it is not laid out as it says, an empty one, and why."""
    try:
        return _LAYOUTS[kind](stream, stream.seek(0, 2)), None
    except LayoutError as error:
        return Layout(kind, whole=False), str(error)


def digest_model(stream: BinaryIO, layout: Layout) -> ModelDigests:
    """All digests of a model file, read once from its beginning."""
    parts = _Parts(layout)
    stream.seek(0)
    while piece := stream.read(_PIECE):
        parts.update(piece)
    return parts.digests()


class _Parts:
    """The sums of a file and of its parts in the making."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._whole, self._v1 = hashlib.sha256(), hashlib.sha256()
        self._body = None if layout.body is None else hashlib.sha256()
        self._spans, self._next, self._sum = layout.tensors, 0, hashlib.sha256()
        self._tensors: list[bytes] = []
        self.size = 0

    def update(self, piece: bytes) -> None:
        view = memoryview(piece)
        for start in range(0, len(view), _CHUNK):
            part = view[start : start + _CHUNK]
            at, self.size = self.size, self.size + len(part)
            self._whole.update(part)
            if at < _AUTO_V1[1]:
                self._v1.update(_cut(part, at, *_AUTO_V1))
            if self._body is not None and self._layout.body is not None:
                self._body.update(_cut(part, at, self._layout.body, self.size))
            self._take_tensors(part, at)

    def _take_tensors(self, part: memoryview, at: int) -> None:
        while self._next < len(self._spans):
            start, end = self._spans[self._next]
            if start >= at + len(part) and end > start:
                return
            self._sum.update(_cut(part, at, start, end))
            if end > at + len(part):
                return
            self._tensors.append(self._sum.digest())
            self._sum, self._next = hashlib.sha256(), self._next + 1

    def digests(self) -> ModelDigests:
        while self._next < len(self._spans):  # empty ones at the very end of the file
            self._tensors.append(self._sum.digest())
            self._sum, self._next = hashlib.sha256(), self._next + 1
        whole, tensors = self._whole.hexdigest(), self._tensors
        every = tensors and self._layout.whole
        return ModelDigests(
            sha256=whole,
            size=self.size,
            auto_v1=self._v1.hexdigest()[:8] if self.size > _AUTO_V1[0] else None,
            auto_v2=whole[:10],
            body=None if self._body is None else self._body.hexdigest(),
            tensor_set=hashlib.sha256(b"".join(sorted(tensors))).hexdigest() if every else None,
            tensors=tuple(each.hex() for each in tensors),
        )


def _cut(part: memoryview, at: int, start: int, end: int) -> memoryview:
    """What of the bytes from `at` on lies between two places of the file."""
    return part[max(start - at, 0) : max(end - at, 0)]


def _note_digests(notes: Notes, digests: ModelDigests) -> None:
    told: dict[str, Any] = {
        "SHA-256 of the file": digests.sha256,
        "AutoV1": digests.auto_v1,
        "AutoV2": digests.auto_v2,
        "AutoV3, SHA-256 of what follows the header": digests.body,
        f"SHA-256 over the sorted digests of {len(digests.tensors):,} tensors": digests.tensor_set,
    }
    for place, value in told.items():
        if value is not None:
            notes.add(SignalKind.MODEL_DIGEST, place, Strength.CLAIMED, READER, value=value)


def _note_fields(notes: Notes, layout: Layout, digests: ModelDigests) -> None:
    if len(layout.fields) > MOST_FIELDS:
        notes.add(SignalKind.UNREAD, f"{layout.form} header", Strength.HINT, READER, value="more fields than are told")
    for name, text in layout.fields[:MOST_FIELDS]:
        known = name if name in FIELDS else "another field"
        place, value = f"{layout.form} header, {known}", None
        if name == "modelspec.hash_sha256":
            stated = _SHA256.match(text)
            same = stated is not None and stated[1].decode().lower() == digests.body
            value = "equal to what follows the header" if same else "not the digest of what follows the header"
        notes.add(SignalKind.HEADER_FIELD, place, Strength.CLAIMED, READER, text=text, value=value)
        said = architecture(text.decode("utf-8", "replace")) if name in _ARCHITECTURES else None
        if said is not None:
            notes.add(SignalKind.ARCHITECTURE, place, Strength.CLAIMED, READER, value=said)


def _note_names(notes: Notes, place: str, content: bytes) -> None:
    names, whole = pickle_names(content)
    for verdict, name in names:
        told = f"{verdict}: {name}" if verdict == "usual" else verdict
        notes.add(SignalKind.PICKLE_NAME, place, Strength.HINT, READER, text=name, value=told)
    if not whole:
        notes.add(SignalKind.UNREAD, place, Strength.HINT, READER, value="its opcodes could not be followed to the end")
