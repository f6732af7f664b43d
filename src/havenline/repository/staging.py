"""From editions to pieces: what each recipient gets, sealed and put down for signing (docs/formats/exchange.md, 3)."""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
import json
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tuf.api.metadata import TargetFile, Targets

from havenline.formats.edition import (
    Entry,
    change_line,
    head_of,
    read_changes,
    read_lines,
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
        mine = given.get((recipient, feed.list_name), {})
        kept, new = _pieces(feed, recipient, mine, sealed_alike=book.sealed_alike(feed, mine.values()))
        for path, target in kept.items():
            made.targets[path] = target
        for piece, content in new:
            made.targets[piece.path] = target = _put(repository.staged / "targets", piece, content)
            book.note(feed, target)
            sealed += 1
    book.save(still={*_digests(made.targets.values()), *_digests(before.signed.targets.values() if before else ())})
    return Staged(repository.stage_targets(made), made.version, len(recipients), sealed)


def _pieces(
    feed: Feed, recipient: str, given: Mapping[str, TargetFile], *, sealed_alike: bool
) -> tuple[dict[str, TargetFile], Iterator[tuple[Piece, bytes]]]:
    """What of that which is published stays, and what is sealed anew."""
    had = {path: piece_of(path, target.custom or {}) for path, target in given.items()}
    last = next((piece for piece in had.values() if piece.whole), None) if sealed_alike else None
    if last is not None and last.seq > feed.newest:
        last = None
    if last is not None and last.seq == feed.newest:
        return dict(given), iter(())
    kept = {
        path: given[path]
        for path, piece in had.items()
        if last is not None and not piece.whole and piece.seq > feed.newest - CHANGES_KEPT
    }
    return kept, _sealed(feed, recipient, first=feed.newest if last is None else last.seq)


def _sealed(feed: Feed, recipient: str, *, first: int) -> Iterator[tuple[Piece, bytes]]:
    for seq in range(max(first, feed.newest - CHANGES_KEPT) + 1, feed.newest + 1):
        state, lines = _held(feed, recipient, seq)
        _, changes = read_changes(feed.editions / str(seq))
        yield from sealed_pieces(replace(state, whole=False), [change_line(each) for each in changes], to=feed.key)
    if first == feed.newest:
        state, lines = _held(feed, recipient, feed.newest)
    yield from sealed_pieces(state, lines, to=feed.key)


def _held(feed: Feed, recipient: str, seq: int) -> tuple[Piece, list[bytes]]:
    """What a recipient holds at an edition, as it is signed but for what differs from part to part, and its lines."""
    edition, entries = read_lines(feed.editions / str(seq))
    if (edition.list_name, edition.number) != (feed.list_name, seq):
        raise RepositoryRefused(f"{feed.editions / str(seq)}: is of another list or number; nothing was staged")
    canaries = [(each.entry, each.line()) for each in feed.canaries]
    lines = [line for _, line in heapq.merge(((each.entry, line) for each, line in entries), canaries)]
    tree = Frontier().extended(map(leaf_hash, lines))
    state = Piece(
        recipient=check_recipient(recipient),
        list_name=feed.list_name,
        kind=edition.kind,
        seq=seq,
        prev=None if seq == 1 else head_of(feed.editions / str(seq - 1)).root,
        canonical_root=edition.root,
        own_root=tree.root.hex(),
        entries=tree.size,
        added=edition.added,
        withdrawn=edition.withdrawn,
        whole=True,
        part=0,
        parts=1,
        lines=0,
        plain_bytes=0,
        plain_sha256=hashlib.sha256().hexdigest(),
    )
    return state, lines


class _Book:
    """The opaque id of each partner, drawn once, and for which key and beside which canaries each piece was sealed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}

    def id_of(self, partner: str) -> str:
        row = self._said.setdefault(partner, {"id": secrets.token_hex(16), "sealed": {}})
        return check_recipient(row["id"])

    def sealed_alike(self, feed: Feed, published: Iterable[TargetFile]) -> bool:
        """Whether all that is published of a feed was sealed for the same key and beside the same canaries."""
        sealed, mine = self._said[feed.partner]["sealed"], _sealed_for(feed)
        return all(sealed.get(digest) == mine for digest in _digests(published))

    def note(self, feed: Feed, target: TargetFile) -> None:
        self._said[feed.partner]["sealed"][target.hashes["sha256"]] = _sealed_for(feed)

    def save(self, *, still: set[str]) -> None:
        """Write it down, without pieces that are neither published nor staged any more."""
        for row in self._said.values():
            row["sealed"] = {digest: value for digest, value in row["sealed"].items() if digest in still}
        with write_whole(self._path, replace=True) as file:
            file.write(json.dumps(self._said, indent=2, sort_keys=True).encode() + b"\n")


def _sealed_for(feed: Feed) -> str:
    lines = (entry.line() for entry in feed.canaries)
    return hashlib.sha256(b"\n".join([feed.key.encode(), *lines])).hexdigest()


def _digests(targets: Iterable[TargetFile]) -> Iterator[str]:
    return (target.hashes["sha256"] for target in targets)


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
