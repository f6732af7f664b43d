"""The manifest of a backup as bytes: docs/formats/backup.md. What was taken, when, and the digest of every part."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from havenline.vocabulary import HavenlineError

FORMAT = "havenline-backup"
FORM = 1
KEYS_KEPT = dt.timedelta(days=35)
"""Key material of a backup is kept no longer than this: so long may a destroyed key still lie somewhere."""

_PATH = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\Z")
_SALT = re.compile(r"[0-9a-f]{32}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class BackupError(HavenlineError):
    """A backup cannot be made, read or restored; the text says why, and what holds now."""


@dataclass(frozen=True, slots=True)
class BackupPart:
    """One file of a backup as it lies there: its path below the backup's folder, bytes, and salted SHA-256."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class BackupManifest:
    """What a backup holds. `entries` of the audit log and `counts` of rows by table are those of the database's copy.

    `missing`: names of kept objects that the database names and that were not there to be copied. `salt`, 32 hex
    digits, goes before the bytes of each part: a manifest must not name content by its SHA-256.
    """

    made_at: dt.datetime
    kind: str
    sealed: bool
    salt: str
    entries: int
    counts: Mapping[str, int]
    missing: tuple[str, ...]
    parts: tuple[BackupPart, ...]

    def to_bytes(self) -> bytes:
        """JSON with sorted keys, one line feed at its end."""
        said = {
            "format": FORMAT,
            "form": FORM,
            "made_at": self.made_at.astimezone(dt.UTC).isoformat(),
            "kind": self.kind,
            "sealed": self.sealed,
            "salt": self.salt,
            "entries": self.entries,
            "counts": dict(self.counts),
            "missing": list(self.missing),
            "parts": [{"path": part.path, "size": part.size, "digest": part.digest} for part in self.parts],
        }
        return json.dumps(said, sort_keys=True, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, content: bytes) -> BackupManifest:
        """Raises BackupError for bytes that are no manifest of a known form, or that name a path outside."""
        try:
            said = json.loads(content)
            if (said["format"], said["form"]) != (FORMAT, FORM):
                raise BackupError("this is no backup of a form that is known here: use a matching version")
            parts = tuple(
                BackupPart(str(each["path"]), int(each["size"]), str(each["digest"])) for each in said["parts"]
            )
            made = cls(
                dt.datetime.fromisoformat(said["made_at"]),
                str(said["kind"]),
                said["sealed"] is True,
                str(said["salt"]),
                int(said["entries"]),
                {str(table): int(count) for table, count in said["counts"].items()},
                tuple(map(str, said["missing"])),
                parts,
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            raise BackupError("the manifest of this backup is damaged; nothing was touched") from None
        paths = [part.path for part in parts]
        if len(set(paths)) != len(paths) or not all(map(_PATH.match, paths)) or made.made_at.utcoffset() is None:
            raise BackupError("the manifest of this backup names files that no backup has; nothing was touched")
        if not _SALT.match(made.salt) or not all(_DIGEST.match(part.digest) and part.size >= 0 for part in parts):
            raise BackupError("the manifest of this backup is damaged; nothing was touched")
        return made
