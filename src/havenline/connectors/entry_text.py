"""An entry as the state of an exchange keeps it: one line of JSON, without its id."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from havenline.entries import Entries
from havenline.vocabulary import VALUE_KINDS, ListEntry

_VALUES = tuple(kind.value for kind in VALUE_KINDS)
_CODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def said_entry(entry: ListEntry) -> str:
    """The line. Not kept: frames, which no connector gives."""
    # Values and the quality are digits, as `ListEntry` checks; the rest is for the library to write.
    said = [f'"{name}":"{value}"' for name in _VALUES if (value := getattr(entry, name)) is not None]
    if entry.pdq_quality is not None:
        said.append(f'"pdq_quality":{entry.pdq_quality}')
    if entry.label is not None:
        said.append(f'"label":{_CODER.encode(entry.label)}')
    if entry.opaque:
        said.append(f'"opaque":{_CODER.encode(entry.opaque)}')
    return f"{{{','.join(said)}}}"


def entry_of(id_: str, text: str) -> ListEntry:
    """The entry of that line, under that id."""
    said = json.loads(text)
    opaque = tuple((kind, value) for kind, value in said.pop("opaque", ()))
    return ListEntry(id_, opaque=opaque, **said)


def entries_of(ids: Sequence[str], texts: Sequence[str]) -> Entries:
    """The entries of many lines as columns; what they say was checked when they were written and is not again."""
    lines: list[dict[str, Any]] = json.loads(f"[{','.join(texts)}]")
    return Entries.of_cells(
        ids,
        {kind: [line.get(field) for line in lines] for kind, field in zip(VALUE_KINDS, _VALUES, strict=True)},
        quality=[line.get("pdq_quality") for line in lines],
        labels=[line.get("label") for line in lines],
        opaque=[line.get("opaque", ()) for line in lines],
    )
