"""What this installation holds of a publisher's list, as lines, and what it saw of the publisher. One folder."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from havenline.connectors.alarms import Distrust, Distrusted
from havenline.connectors.frame import Checkpoint, PartnerError
from havenline.formats.exchange import Piece
from havenline.formats.merkle_tree import Frontier, leaf_hash
from havenline.whole_file import write_whole

_ENTRY = re.compile(rb'"entry":"([0-9a-f]{32})"')
_AT_ONCE = 4096


UNFINISHED = ".pieces."
"""Begins the name of a folder of sealed pieces that are being read."""


@dataclass(frozen=True, slots=True)
class Held:
    """The edition that the state of the connector has: the checkpoint, typed. `file`: its lines, sorted by id."""

    seq: int
    canonical_root: str
    own_root: str
    entries: int
    file: Path

    @classmethod
    def of(cls, folder: Path, checkpoint: Checkpoint | None) -> Held | None:
        """What the checkpoint names; older files are taken away. Raises PartnerError where the file is lost."""
        if checkpoint is None:
            return None
        seq, own = int(checkpoint["seq"]), str(checkpoint["own_root"])
        held = cls(seq, str(checkpoint["canonical_root"]), own, int(checkpoint["entries"]), _named(folder, seq, own))
        if not held.file.exists():
            raise PartnerError(f"{held.file}: is lost; fetch everything anew with `havenline exchange resync`")
        for other in folder.glob("*.ndjson"):
            if other != held.file:
                other.unlink()
        return held

    def checkpoint(self) -> Checkpoint:
        """What the state keeps of it, in one transaction with its records."""
        return {
            "seq": self.seq,
            "canonical_root": self.canonical_root,
            "own_root": self.own_root,
            "entries": self.entries,
        }

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Ids and lines."""
        with self.file.open("rb") as file:
            for line in file:
                yield entry_in(line), line[:-1]


def clear_unfinished(folder: Path) -> None:
    """Take away what a process that was killed left: sealed pieces, and lines that were never held."""
    for left in folder.glob(f"{UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)
    for part in (*folder.rglob(".*.part"), *(folder / "metadata").glob("tmp*")):
        part.unlink(missing_ok=True)


def assembled(folder: Path, piece: Piece, lines: Iterable[tuple[str, bytes]]) -> Held:
    """Write the lines that `piece` names, where they are exactly those: sorted, counted, and of its root.

    Raises Distrusted; then nothing stays.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    held = Held(
        piece.seq,
        piece.canonical_root,
        piece.own_root,
        piece.entries,
        _named(folder, piece.seq, piece.own_root),
    )
    tree, last, waiting = Frontier(), "", list[bytes]()
    with write_whole(held.file, replace=True) as file:
        for entry, line in lines:
            if entry <= last:
                raise Distrusted(Distrust.UNREADABLE, f"{piece.path}: an entry stands twice, or out of order")
            last = entry
            waiting.append(line)
            if len(waiting) == _AT_ONCE:
                tree = _written(tree, waiting, file)
        tree = _written(tree, waiting, file)
        if (tree.size, tree.root.hex()) != (piece.entries, piece.own_root):
            raise Distrusted(Distrust.REPLAYED, f"{piece.path}: these changes do not lead to what the publisher signed")
    return held


def differences(before: Held | None, after: Held) -> Iterator[tuple[str, bytes | None]]:
    """What differs, by id: the line that is new, None for one that is gone; first all that is gone.

    Raises Distrusted where an entry is not as it was: a released entry never changes.
    """
    if before is not None:
        # The whole is compared before the first is given: what is refused here changed nothing.
        yield from [(entry, line) for entry, line in _compared(before, after) if line is None]
    yield from ((entry, line) for entry, line in _compared(before, after) if line is not None)


def _compared(before: Held | None, after: Held) -> Iterator[tuple[str, bytes | None]]:
    old = before.lines() if before is not None else iter(())
    mine = next(old, None)
    for entry, line in after.lines():
        while mine is not None and mine[0] < entry:
            yield mine[0], None
            mine = next(old, None)
        if mine is None or mine[0] > entry:
            yield entry, line
            continue
        if mine[1] != line:
            raise Distrusted(Distrust.UNREADABLE, f"edition {after.seq}: an entry is not as it was released")
        mine = next(old, None)
    while mine is not None:
        yield mine[0], None
        mine = next(old, None)


def entry_in(line: bytes) -> str:
    """The id in a line that was checked: no other member can hold what the pattern asks for."""
    found = _ENTRY.search(line)
    if found is None:
        raise PartnerError("a line that is held has no id; fetch everything anew with `havenline exchange resync`")
    return found[1].decode()


@dataclass(slots=True)
class Seen:
    """What was verified of a publisher: when last (UTC), which root each edition had, and what was accepted last."""

    path: Path
    verified_at: dt.datetime | None = None
    roots: dict[int, str] = field(default_factory=dict)
    seq: int = 0
    entries: int = 0

    @classmethod
    def read(cls, path: Path) -> Seen:
        """Raises PartnerError where it cannot be read: without it an old state could pass for a new one."""
        if not path.exists():
            return cls(path)
        try:
            said: Mapping[str, Any] = json.loads(path.read_bytes())
            verified = said["verified_at"]
            return cls(
                path,
                None if verified is None else dt.datetime.fromisoformat(verified),
                {int(seq): str(root) for seq, root in said["roots"].items()},
                int(said["seq"]),
                int(said["entries"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PartnerError(f"{path}: cannot be read ({type(error).__name__}); restore it from a backup") from None

    def keep(self) -> None:
        """Write it down; a crash leaves the earlier or this."""
        said = {
            "verified_at": None if self.verified_at is None else self.verified_at.astimezone(dt.UTC).isoformat(),
            "roots": {str(seq): root for seq, root in sorted(self.roots.items())},
            "seq": self.seq,
            "entries": self.entries,
        }
        with write_whole(self.path, replace=True) as file:
            file.write(json.dumps(said, indent=1).encode() + b"\n")


def _named(folder: Path, seq: int, own_root: str) -> Path:
    return folder / f"{seq}-{own_root[:32]}.ndjson"


def _written(tree: Frontier, waiting: list[bytes], file: Any) -> Frontier:
    file.writelines(line + b"\n" for line in waiting)
    tree = tree.extended(map(leaf_hash, waiting))
    waiting.clear()
    return tree
