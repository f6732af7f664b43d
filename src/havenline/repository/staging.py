"""From editions to pieces: what each recipient gets, sealed and put down for signing (docs/formats/exchange.md, 3)."""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
import json
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuf.api.metadata import TargetFile, Targets

from havenline.formats.edition import (
    Edition,
    Entry,
    change_line,
    check_list_name,
    head_of,
    read_changes,
    read_edition,
)
from havenline.formats.exchange import Piece, check_recipient, piece_of, sealed_pieces
from havenline.formats.merkle_tree import Frontier, leaf_hash
from havenline.repository.publishing import VALID, Repository, RepositoryRefused, hashed_name
from havenline.whole_file import write_whole

CHANGES_KEPT = 30
"""So many editions back a recipient can catch up by changes; one who was away longer fetches the whole list."""


@dataclass(frozen=True, slots=True)
class Feed:
    """One list for one partner. `key`: its age recipient; `canaries`: its own, sorted by id, the same every time.

    `editions`: the folder in which the list's editions lie by their numbers; `newest`: the one to publish.
    """

    partner: str
    key: str
    list_name: str
    editions: Path
    newest: int
    canaries: Sequence[Entry] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Staged:
    """What waits for signatures. `pieces`: how many were sealed now; the rest stays as it is published."""

    path: Path
    version: int
    recipients: int
    pieces: int


def stage(repository: Repository, feeds: Iterable[Feed], *, at: dt.datetime) -> Staged:
    """Seal what each feed lacks, and stage targets that name all that partners shall get from now on.

    A partner or a list that stands in no feed is named no more: its pieces go when this is published. Raises
    RepositoryRefused, EditionRefused, ExchangeRefused, OSError.
    """
    before = repository.published_targets()
    given = _by_feed(before.signed.targets if before is not None else {})
    book = _Book(repository.folder / "recipients.json")
    shutil.rmtree(repository.staged / "targets", ignore_errors=True)
    made = Targets(
        version=before.signed.version + 1 if before is not None else 1,
        expires=at.astimezone(dt.UTC).replace(microsecond=0) + VALID[Targets.type],
    )
    sealed, recipients = 0, set()
    for feed in feeds:
        recipient = book.id_of(feed.partner)
        recipients.add(recipient)
        kept, new = _pieces(feed, recipient, given.get((recipient, feed.list_name), {}), same_key=book.took(feed))
        for path, target in kept.items():
            made.targets[path] = target
        for piece, content in new:
            made.targets[piece.path] = _put(repository.staged / "targets", piece, content)
            sealed += 1
    book.save()
    return Staged(repository.stage_targets(made), made.version, len(recipients), sealed)


def _pieces(
    feed: Feed, recipient: str, given: Mapping[str, TargetFile], *, same_key: bool
) -> tuple[dict[str, TargetFile], Iterator[tuple[Piece, bytes]]]:
    """What of that which is published stays, and what is sealed anew."""
    had = {path: piece_of(path, target.custom or {}) for path, target in given.items()}
    last = next((piece for piece in had.values() if piece.whole), None) if same_key else None
    states = _States(feed, recipient)
    if last is not None and (last.seq > feed.newest or states.at(last.seq).own_root != last.own_root):
        last = None
    if last is not None and last.seq == feed.newest:
        return dict(given), iter(())
    kept = {
        path: given[path]
        for path, piece in had.items()
        if last is not None and not piece.whole and piece.seq > feed.newest - CHANGES_KEPT
    }
    return kept, _sealed(feed, states, first=feed.newest if last is None else last.seq)


def _sealed(feed: Feed, states: _States, *, first: int) -> Iterator[tuple[Piece, bytes]]:
    for seq in range(max(first, feed.newest - CHANGES_KEPT) + 1, feed.newest + 1):
        _, changes = read_changes(feed.editions / str(seq))
        yield from sealed_pieces(states.at(seq, whole=False), [change_line(each) for each in changes], to=feed.key)
    yield from sealed_pieces(states.at(feed.newest), list(states.lines(feed.newest)), to=feed.key)


@dataclass(frozen=True, slots=True)
class _States:
    """What a recipient holds at each edition: its entries and the canaries, in the order of their ids."""

    feed: Feed
    recipient: str

    def lines(self, seq: int) -> Iterator[bytes]:
        edition, entries = read_edition(self.feed.editions / str(seq))
        check_list_name(self.feed.list_name)
        if (edition.list_name, edition.number) != (self.feed.list_name, seq):
            raise RepositoryRefused(f"{self.feed.editions / str(seq)}: is of another list or number")
        for entry in heapq.merge(entries, self.feed.canaries, key=lambda each: each.entry):
            yield entry.line()

    def at(self, seq: int, *, whole: bool = True) -> Piece:
        """The state as it is signed, without what differs from part to part."""
        head: Edition = head_of(self.feed.editions / str(seq))
        tree = Frontier().extended(map(leaf_hash, self.lines(seq)))
        return Piece(
            recipient=check_recipient(self.recipient),
            list_name=self.feed.list_name,
            kind=head.kind,
            seq=seq,
            prev=None if seq == 1 else head_of(self.feed.editions / str(seq - 1)).root,
            canonical_root=head.root,
            own_root=tree.root.hex(),
            entries=tree.size,
            added=head.added,
            withdrawn=head.withdrawn,
            whole=whole,
            part=0,
            parts=1,
            lines=0,
            plain_bytes=0,
            plain_sha256=hashlib.sha256().hexdigest(),
        )


class _Book:
    """The opaque id of each partner, drawn once, and for which key and which canaries a list was last sealed to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}

    def id_of(self, partner: str) -> str:
        row = self._said.setdefault(partner, {"id": secrets.token_hex(16), "sealed_to": {}})
        return check_recipient(row["id"])

    def took(self, feed: Feed) -> bool:
        """Whether the list was last sealed for the same key; from now on it is."""
        sealed_to = self._said[feed.partner]["sealed_to"]
        same: bool = sealed_to.get(feed.list_name) == feed.key
        sealed_to[feed.list_name] = feed.key
        return same

    def save(self) -> None:
        with write_whole(self._path, replace=True) as file:
            file.write(json.dumps(self._said, indent=2, sort_keys=True).encode() + b"\n")


def recipients_of(repository: Repository) -> dict[str, str]:
    """The opaque id of each partner that anything was ever staged for."""
    path = repository.folder / "recipients.json"
    said = json.loads(path.read_bytes()) if path.exists() else {}
    return {partner: str(row["id"]) for partner, row in said.items()}


def _by_feed(targets: Mapping[str, TargetFile]) -> dict[tuple[str, str], dict[str, TargetFile]]:
    found: dict[tuple[str, str], dict[str, TargetFile]] = {}
    for path, target in targets.items():
        recipient, name, _ = path.split("/")
        found.setdefault((recipient, name), {})[path] = target
    return found


def _put(folder: Path, piece: Piece, content: bytes) -> TargetFile:
    target = TargetFile.from_data(piece.path, content, ["sha256"])
    target.unrecognized_fields["custom"] = piece.custom()
    place = folder / hashed_name(piece.path, target.hashes["sha256"])
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with write_whole(place, replace=True) as file:
        file.write(content)
    return target
