"""An entry as the state of an exchange keeps it: one line of JSON, without its id."""

from __future__ import annotations

import json

from havenline.vocabulary import ListEntry

_FIELDS = ("md5", "sha1", "sha256", "pdq", "pdq_quality", "label")


def said_entry(entry: ListEntry) -> str:
    """The line. Not kept: frames, which no connector gives."""
    said = {name: value for name in _FIELDS if (value := getattr(entry, name)) is not None}
    if entry.opaque:
        said["opaque"] = entry.opaque
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False)


def entry_of(id_: str, text: str) -> ListEntry:
    """The entry of that line, under that id."""
    said = json.loads(text)
    opaque = tuple((kind, value) for kind, value in said.pop("opaque", ()))
    return ListEntry(id_, opaque=opaque, **said)
