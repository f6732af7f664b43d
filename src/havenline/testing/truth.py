"""What is known of every file of the demo collection, because the demo drew it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast, get_args

from havenline.vocabulary import HavenlineError, Refusal

Group = Literal["near", "exact", "separate", "hard", "refused"]
"""near: promised to share a stack with its original. exact: the same bytes. separate: promised to share none.
hard: reported, not promised. refused: has no perceptual hash, for the reason named."""

_FORMAT = "havenline demo truth 1"


class TruthUnreadableError(HavenlineError):
    """A truth file is missing, of another format, or damaged."""


@dataclass(frozen=True, slots=True)
class TruthFile:
    """One file: its path below the collection folder, the original it comes from, and how.

    `facts` are the answers to the questions of `demo.shapes`; empty when the file is refused. `refusal` is a
    value of `vocabulary.Refusal`, set exactly when the group is "refused".
    """

    path: str
    original: str
    variant: str
    group: Group
    refusal: str | None
    facts: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.group not in get_args(Group):
            raise ValueError(f"no such group: {self.group}")
        if (self.refusal is None) == (self.group == "refused"):
            raise ValueError("a refusal is named exactly when the group is refused")
        if self.refusal is not None:
            Refusal(self.refusal)
        object.__setattr__(self, "facts", MappingProxyType(dict(self.facts)))

    def __reduce__(self) -> tuple[object, ...]:
        # Read-only mappings cannot be pickled; worker processes need the value whole.
        parts = (self.path, self.original, self.variant, self.group, self.refusal, dict(self.facts))
        return TruthFile, parts


@dataclass(frozen=True, slots=True)
class Truth:
    """All files of one drawn collection, in the order of their paths, which is the order of posting."""

    files: tuple[TruthFile, ...]

    def originals(self) -> Mapping[str, str]:
        """The path of each original: of the files that come from it, the one posted first."""
        return {file.original: file.path for file in reversed(self.files)}

    def save(self, path: Path) -> None:
        """Write the truth as JSON; the same truth gives the same bytes. Raises OSError."""
        rows = [
            {
                "path": file.path,
                "original": file.original,
                "variant": file.variant,
                "group": file.group,
                "refusal": file.refusal,
                "facts": dict(sorted(file.facts.items())),
            }
            for file in self.files
        ]
        path.write_text(json.dumps({"format": _FORMAT, "files": rows}, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Truth:
        """Read what `save` wrote. Raises TruthUnreadableError. Not checked: that the files exist."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["format"] != _FORMAT:
                raise TruthUnreadableError(f"{path} is of another format than this version reads; draw it again")
            return cls(tuple(_read_file(row) for row in document["files"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TruthUnreadableError(f"{path} cannot be read as the truth of a demo collection: {error}") from error


def _read_file(row: Mapping[str, object]) -> TruthFile:
    refusal = row["refusal"]
    return TruthFile(
        path=str(row["path"]),
        original=str(row["original"]),
        variant=str(row["variant"]),
        group=cast(Group, row["group"]),
        refusal=None if refusal is None else str(refusal),
        facts=dict(cast(Mapping[str, str], row["facts"])),
    )
