"""A column mapping that is kept under a name. Specified in `docs/formats/hash-list-csv.md`, section 10."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from havenline.formats.hash_list import Form
from havenline.formats.list_mapping import ColumnMap, ListError

FORM = "havenline-mapping/1"
LONGEST = 1 << 16
_TABLES, _TEXTS = ("columns", "carried", "kinds"), ("kind_column", "value_column")


@dataclass(frozen=True, slots=True)
class SavedMapping:
    """Which column holds what, and the form of file, None where that is told by the content."""

    mapping: ColumnMap
    form: Form | None = None

    def written(self) -> bytes:
        """As it is kept."""
        said: dict[str, Any] = {"form": FORM, "format": self.form}
        said |= {name: dict(getattr(self.mapping, name)) for name in _TABLES}
        said |= {name: getattr(self.mapping, name) for name in _TEXTS}
        return json.dumps(said, indent=2, sort_keys=True).encode() + b"\n"


def read_mapping(content: bytes, *, name: str) -> SavedMapping:
    """What was kept under `name`. Raises ListError for anything else than a whole mapping of this form."""
    try:
        if len(content) > LONGEST:
            raise ValueError("it is too long")
        said = json.loads(content)
        if not isinstance(said, dict) or said.get("form") != FORM:
            raise ValueError(f"it is no {FORM}")
        if set(said) != {"form", "format", *_TABLES, *_TEXTS}:
            raise ValueError("it has a member more or less")
        if not all(map(_is_table, map(said.get, _TABLES))) or not all(isinstance(said[each], str) for each in _TEXTS):
            raise ValueError("a member is of another type")
        columns, carried, kinds = ([f"{key}={value}" for key, value in said[table].items()] for table in _TABLES)
        mapping = ColumnMap.of(
            columns, carried, kind_column=said["kind_column"], value_column=said["value_column"], kinds=kinds
        )
        return SavedMapping(mapping, None if said["format"] is None else Form(said["format"]))
    except (ValueError, RecursionError) as error:
        raise ListError(f"the mapping {name} cannot be used: {error}; save it anew") from None


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
