"""Which column of a foreign list holds what: by canonical names, or as the caller says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from havenline.vocabulary import VALUE_KINDS, HavenlineError, check_text

FRAMES = "frames"
FIELDS = ("entry", "md5", "sha1", "sha256", "pdq", "pdq_quality", "label", FRAMES)
"""What an entry has; the canonical names of its columns."""
HASHES = tuple(kind.value for kind in VALUE_KINDS)
_VALUE = re.compile(r"[0-9a-fA-F]{16,}|(?=.*[0-9])[A-Za-z0-9+/=_-]{20,}")
CARRIED = "carried "
"""Stands before the name of a carried kind where fields are named."""
KIND, VALUE = "kind of value ", "value of kind "
"""Stand for the two columns of a list whose lines say of what kind their one value is."""


class ListError(HavenlineError):
    """A hash list cannot be read or written; the text names the file, the reason and what was kept."""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """`columns`: by field, the column that holds it; an empty name for none. `carried`: the same by kind of value
    that is carried and not compared. A field that is not named is looked for under its canonical name.

    `kind_column` and `value_column`, both or neither: each line has one value, of the kind that it names. `kinds`: by
    that name, what it is here: a hash, another word under which it is carried, or empty where it is passed over.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    carried: Mapping[str, str] = field(default_factory=dict)
    kind_column: str = ""
    value_column: str = ""
    kinds: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        columns: Iterable[str] = (),
        carried: Iterable[str] = (),
        *,
        kind_column: str = "",
        value_column: str = "",
        kinds: Iterable[str] = (),
    ) -> ColumnMap:
        """From `FIELD=COLUMN`, `KIND=COLUMN` and `THEIRS=OURS`. Raises ValueError with what is wrong."""
        fields, carried_kinds = _pairs(columns), _pairs(carried)
        for name in fields:
            if name not in FIELDS:
                raise ValueError(f"{name!r} is none of {', '.join(FIELDS)}")
        for name, column in carried_kinds.items():
            check_text("name of what is carried", name)
            if name in FIELDS or not column:
                raise ValueError(f"{name!r} cannot be carried: use another name, and say its column")
        words = _pairs(kinds)
        if not (bool(kind_column) == bool(value_column) == bool(words)):
            raise ValueError("a column of kinds, a column of values and what the kinds are go together")
        for ours in words.values():
            if ours and ours not in HASHES:
                check_text("name of what is carried", ours)
                if ours in FIELDS:
                    raise ValueError(f"{ours!r} is no kind of value")
        return cls(fields, carried_kinds, kind_column, value_column, words)

    @property
    def carries(self) -> bool:
        """Whether some values are to be carried."""
        return bool(self.carried) or any(each.startswith(CARRIED) for each in self.spread())

    def spread(self) -> tuple[str, ...]:
        """The fields that lines with a kind may give a value to."""
        return tuple(ours if ours in HASHES else CARRIED + ours for ours in dict.fromkeys(self.kinds.values()) if ours)

    def wanted(self) -> tuple[str, ...]:
        """The columns under which a hash, or frames, may be found, lower-case."""
        named = [self.columns.get(kind, kind).lower() for kind in (*HASHES, FRAMES)] + [self.value_column.lower()]
        return tuple(name for name in (*named, *(each.lower() for each in self.carried.values())) if name)

    def asked(self) -> dict[str, tuple[str, bool]]:
        """By field, the column to look for, and whether it must be there because it was named."""
        asked = {field: (self.columns.get(field, field), field in self.columns) for field in FIELDS}
        asked |= {CARRIED + kind: (column, True) for kind, column in self.carried.items()}
        if self.kind_column:
            asked = {field: each for field, each in asked.items() if field not in self.spread()}
            asked |= {KIND: (self.kind_column, True), VALUE: (self.value_column, True)}
        return {field: (column, must) for field, (column, must) in asked.items() if column}

    def chosen(self, columns: Sequence[str]) -> dict[str, int]:
        """By field, the position of its column among `columns`; a name is found in either case.

        Raises ValueError when a named column is not there, when one stands there twice, and when none holds a hash.
        """
        low = [name.lower() for name in columns]
        found: dict[str, int] = {}
        for field_, (column, must) in self.asked().items():
            exact = [at for at, name in enumerate(columns) if name == column] if must else []
            places = exact or [at for at, name in enumerate(low) if name == column.lower()]
            if len(places) > 1:
                raise ValueError(f"its header names {column} twice")
            if places:
                found[field_] = places[0]
            elif must:
                raise ValueError(f"it has no column {column!r}; its columns are {named(columns)}")
        if not any(kind in (*HASHES, FRAMES, VALUE) or kind.startswith(CARRIED) for kind in found):
            raise ValueError(
                f"no hash list: a column named {', '.join(HASHES)} is expected; its columns are {named(columns)}; "
                "`havenline list import --map` takes others"
            )
        return found


def named(columns: Iterable[str]) -> str:
    """Some of the names of columns, for a person; a file without header has values there, which are not told."""
    names = ["…" if len(name) > 40 or _VALUE.fullmatch(name) else repr(name) for name in columns]
    more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more


def _pairs(texts: Iterable[str]) -> dict[str, str]:
    made: dict[str, str] = {}
    for text in texts:
        name, sign, column = text.partition("=")
        if not sign or not name.strip():
            raise ValueError(f"{text!r} is not of the form NAME=COLUMN")
        if name.strip() in made:
            raise ValueError(f"{name.strip()!r} is given twice")
        made[name.strip()] = column.strip()
    return made
