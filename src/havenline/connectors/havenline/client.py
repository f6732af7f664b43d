"""Following one list of one publisher: verify, unseal, check, and give what differs as pages. Nothing else is asked.

Between the pages and a live list stands what every connector shares: state, quarantine, and whatever screens a list.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import Metadata, TargetFile, Targets
from tuf.ngclient import Updater, UpdaterConfig

from havenline.connectors.alarms import Distrust, Distrusted
from havenline.connectors.frame import Checkpoint, Page, PartnerError, PartnerRecord, UnreadRecord
from havenline.connectors.havenline.held import UNFINISHED, Held, Seen, assembled, clear_unfinished, differences
from havenline.connectors.havenline.mapping import record_of, withdrawal_of
from havenline.connectors.havenline.places import BASE, Fetcher, Place
from havenline.connectors.json_records import reread
from havenline.formats.edition import Added, EditionRefused, ListKind, parse_change, parse_line
from havenline.formats.exchange import LONGEST_SEALED, ExchangeRefused, Piece, opened_lines, piece_of, where
from havenline.whole_file import write_whole

CLOCK_SLACK = dt.timedelta(minutes=5)
SILENT_FOR = dt.timedelta(hours=48)
"""After so long without anything verified, a publisher that cannot be reached is an alarm: it may be kept from us."""
PAGE = 200_000
"""So many changes are one page: an edition with no more is taken in one transaction."""
GROWTH, GROWTH_FROM = 10, 1_000
"""A list that becomes more than so many times as long, and by more than so many entries, waits for a person."""
_CONFIG = UpdaterConfig(
    max_root_rotations=256,
    root_max_length=512_000,
    timestamp_max_length=16_384,
    snapshot_max_length=65_536,
    targets_max_length=8_000_000,
)
_DISTRUST: tuple[tuple[type[Exception], Distrust], ...] = (
    (tuf_errors.BadVersionNumberError, Distrust.ROLLBACK),
    (tuf_errors.ExpiredMetadataError, Distrust.FROZEN),
    (tuf_errors.UnsignedMetadataError, Distrust.FORGED),
    (tuf_errors.DownloadLengthMismatchError, Distrust.ENDLESS),
    (tuf_errors.LengthOrHashMismatchError, Distrust.TRUNCATED),
    (tuf_errors.DownloadHTTPError, Distrust.MIXED),
    (tuf_errors.RepositoryError, Distrust.UNREADABLE),
)


@dataclass(frozen=True, slots=True)
class Following:
    """What one list is followed by. `folder`: of this connector alone; `root`: the pinned first root, as it was given.

    `identity`: the age identity that pieces are sealed to. `recipient`: the opaque id that the publisher gave us.
    """

    folder: Path
    root: bytes
    list_name: str
    kind: ListKind
    recipient: str
    identity: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Offered:
    """What the publisher offers us of the list: the pieces of the newest edition, and changes by number."""

    targets: Mapping[str, TargetFile]
    whole: list[Piece]
    changes: Mapping[int, list[Piece]]

    @property
    def newest(self) -> Piece:
        return self.whole[0]


class Publisher:
    """One list of one publisher, as a connector. `accept_growth`: a person says that a jump in length is meant."""

    fresh_for: dt.timedelta | None = None

    def __init__(self, following: Following, place: Place, *, accept_growth: bool = False) -> None:
        """Asks nothing yet."""
        self._following, self._place, self._accept_growth = following, place, accept_growth

    def pages(self, checkpoint: Checkpoint | None, *, at: dt.datetime) -> Iterator[Page]:
        """What differs from the edition of `checkpoint`; everything without one. Raises PartnerError.

        Before the first page is given the whole edition is here, verified and checked: what is refused changes
        nothing. Of refusals, those of what a publisher or a mirror does are Distrusted.
        """
        folder = self._following.folder
        clear_unfinished(folder)
        held, seen = Held.of(folder / "held", checkpoint), Seen.read(folder / "seen.json")
        if held is not None:
            seen.seq, seen.entries = max(seen.seq, held.seq), held.entries
        updater = self._updated(seen, at=at)
        offered = self._offered(seen)
        if held is not None and offered.newest.seq == held.seq:
            yield Page((), (), held.checkpoint(), complete=True)
            return
        self._check_growth(offered.newest, seen)
        with tempfile.TemporaryDirectory(dir=folder, prefix=UNFINISHED) as scratch:
            bring = _Bringing(updater, offered.targets, self._following.identity, Path(scratch))
            try:
                after, changed = self._taken(held, offered, bring)
            except (ExchangeRefused, EditionRefused) as error:
                raise Distrusted(Distrust.UNREADABLE, str(error)) from None
            except (tuf_errors.DownloadError, tuf_errors.RepositoryError) as error:
                raise _refused(error, updater, seen, at=at) from None
        yield from _in_pages(changed, after)

    def reread(self, raw: bytes) -> PartnerRecord | UnreadRecord:
        """A record from the bytes that were kept of it, as the first edition brought it."""
        return reread(raw, lambda _, line: record_of(line, seq=0))

    def _updated(self, seen: Seen, *, at: dt.datetime) -> _Updater:
        """Metadata refreshed and verified as of `at`, and noted that it was."""
        if seen.verified_at is not None and at < seen.verified_at - CLOCK_SLACK:
            raise Distrusted(
                Distrust.CLOCK,
                f"this machine's clock is {_span(seen.verified_at - at)} behind what was verified before: put it right",
            )
        metadata = self._following.folder / "metadata"
        metadata.mkdir(mode=0o700, exist_ok=True)
        as_of = at if seen.verified_at is None else max(at, seen.verified_at)
        updater = _Updater(metadata, self._place, bootstrap=self._following.root, at=as_of)
        try:
            updater.refresh()
        except (tuf_errors.DownloadError, tuf_errors.RepositoryError) as error:
            raise _refused(error, updater, seen, at=at) from None
        seen.verified_at = as_of
        seen.keep()
        return updater

    def _offered(self, seen: Seen) -> _Offered:
        """What of the verified targets is ours, and sound in itself and against all that was seen before."""
        signed = (self._following.folder / "metadata" / "targets.json").read_bytes()
        said = Metadata[Targets].from_bytes(signed).signed
        self._keep_evidence(signed, said.version)
        if said.delegations is not None:
            raise Distrusted(Distrust.FORGED, "the publisher delegates to other keys, which this form does not know")
        mine = f"{self._following.recipient}/{self._following.list_name}/"
        targets = {path: target for path, target in said.targets.items() if path.startswith(mine)}
        try:
            pieces = [piece_of(path, target.custom or {}) for path, target in targets.items()]
        except ExchangeRefused as error:
            raise Distrusted(Distrust.UNREADABLE, str(error)) from None
        whole = _in_order([piece for piece in pieces if piece.whole])
        if not whole:
            raise Distrusted(
                Distrust.NOT_FOR_US, f"the publisher gives us no list {self._following.list_name} (any more)"
            )
        changes: dict[int, list[Piece]] = {}
        for piece in pieces:
            if not piece.whole:
                changes.setdefault(piece.seq, []).append(piece)
        offered = _Offered(targets, whole, {seq: _in_order(parts) for seq, parts in changes.items()})
        self._check_seen(pieces, offered.newest, seen)
        return offered

    def _keep_evidence(self, signed: bytes, version: int) -> None:
        """What was signed stays here: beside that of another recipient it shows what a publisher showed to whom."""
        folder = self._following.folder / "evidence"
        folder.mkdir(mode=0o700, exist_ok=True)
        place = folder / f"{version}-{hashlib.sha256(signed).hexdigest()[:16]}.targets.json"
        if not place.exists():
            with write_whole(place, replace=False) as file:
                file.write(signed)

    def _check_seen(self, pieces: list[Piece], newest: Piece, seen: Seen) -> None:
        if newest.kind is not self._following.kind:
            raise Distrusted(
                Distrust.UNREADABLE, f"the list is of the kind {newest.kind}, which nobody here opted into"
            )
        if newest.seq < max(seen.seq, max(seen.roots, default=0)):
            raise Distrusted(Distrust.ROLLBACK, f"the publisher signs edition {newest.seq}, and had signed a later one")
        for piece in pieces:
            told = [(piece.seq, piece.canonical_root)]
            told += [(piece.seq - 1, piece.prev)] if piece.prev is not None else []
            for seq, root in told:
                if seen.roots.setdefault(seq, root) != root:
                    raise Distrusted(
                        Distrust.EQUIVOCATION,
                        f"edition {seq} had another root before: the publisher shows different lists; ask other "
                        "recipients, with `havenline exchange gossip`",
                    )
        seen.seq = max(seen.seq, newest.seq)
        seen.keep()

    def _check_growth(self, newest: Piece, seen: Seen) -> None:
        before = seen.entries
        jump = before and newest.entries > GROWTH * before and newest.entries - before > GROWTH_FROM
        if jump and not self._accept_growth:
            raise Distrusted(
                Distrust.GROWTH,
                f"the list grows from {before:,} to {newest.entries:,} entries at once; ask the publisher, and "
                "fetch with --accept-growth where that is meant",
            )

    def _taken(
        self, held: Held | None, offered: _Offered, bring: _Bringing
    ) -> tuple[Held, Iterable[tuple[str, bytes | None]]]:
        """The newest edition on disk, by changes where these lead there without a gap, else whole; and what differs."""
        newest, folder = offered.newest, self._following.folder / "held"
        if held is None or any(seq not in offered.changes for seq in range(held.seq + 1, newest.seq + 1)):
            after = assembled(folder, newest, bring.entries(offered.whole))
            return after, differences(held, after)
        changes, root = _Changes(), held.canonical_root
        for seq in range(held.seq + 1, newest.seq + 1):
            parts = offered.changes[seq]
            if parts[0].prev != root:
                raise Distrusted(Distrust.GAP, f"{parts[0].path}: does not follow on edition {seq - 1}")
            changes.take(*bring.changes(parts), path=parts[0].path)
            root = parts[0].canonical_root
        if root != newest.canonical_root:
            raise Distrusted(Distrust.MIXED, f"{newest.path}: changes and whole list are not of one edition")
        return assembled(folder, newest, changes.applied(held, path=newest.path)), changes.rows()


@dataclass(slots=True)
class _Changes:
    """Changes of several editions in a row, as one: lines to add by id, ids to withdraw."""

    added: dict[str, bytes] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def take(self, added: Mapping[str, bytes], gone: set[str], *, path: str) -> None:
        """Take in those of the next edition. Raises Distrusted where an id comes back, or goes twice."""
        if added.keys() & (self.added.keys() | self.gone | gone) or gone & self.gone:
            raise Distrusted(Distrust.REPLAYED, f"{path}: adds what is there or was withdrawn, or withdraws it twice")
        self.gone |= {entry for entry in gone if self.added.pop(entry, None) is None}
        self.added.update(added)

    def applied(self, held: Held, *, path: str) -> Iterator[tuple[str, bytes]]:
        """What is held, with the changes: what is withdrawn must be there, and nothing that is added."""

        def kept() -> Iterator[tuple[str, bytes]]:
            missing = set(self.gone)
            for entry, line in held.lines():
                if entry in self.added:
                    raise Distrusted(Distrust.REPLAYED, f"{path}: adds what edition {held.seq} has already")
                if entry in missing:
                    missing.discard(entry)
                else:
                    yield entry, line
            if missing:
                raise Distrusted(Distrust.REPLAYED, f"{path}: withdraws what edition {held.seq} does not have")

        yield from heapq.merge(kept(), sorted(self.added.items()))

    def rows(self) -> Iterator[tuple[str, bytes | None]]:
        """As `differences` gives them, once what they lead to was found to be what is signed."""
        yield from ((entry, None) for entry in sorted(self.gone))
        yield from sorted(self.added.items())


class _Updater(Updater):
    """The Update Framework's client over one place, as of a time that is given."""

    def __init__(self, metadata: Path, place: Place, *, bootstrap: bytes, at: dt.datetime) -> None:
        self.fetcher = Fetcher(place)
        try:
            super().__init__(
                os.fspath(metadata),
                f"{BASE}/metadata/",
                target_base_url=f"{BASE}/targets/",
                fetcher=self.fetcher,
                config=_CONFIG,
                bootstrap=bootstrap,
            )
        except tuf_errors.RepositoryError as error:
            raise PartnerError(f"the pinned root does not verify: {error}") from None
        # It takes the machine's clock and offers no way to be told; time comes in as an argument here.
        self._trusted_set.reference_time = at.astimezone(dt.UTC)


@dataclass(frozen=True, slots=True)
class _Bringing:
    """Sealed files as lines. Each is verified against what was signed before it is opened."""

    updater: _Updater
    targets: Mapping[str, TargetFile]
    identity: str
    scratch: Path

    def entries(self, parts: list[Piece]) -> Iterator[tuple[str, bytes]]:
        """Ids and lines of a whole list."""
        for piece in parts:
            place = where(piece)
            for number, line in self._lines(piece):
                yield parse_line(line, path=place, number=number).entry, line

    def changes(self, parts: list[Piece]) -> tuple[dict[str, bytes], set[str]]:
        """Lines to add by id, and ids to withdraw."""
        added: dict[str, bytes] = {}
        gone: set[str] = set()
        for piece in parts:
            for number, line in self._lines(piece):
                change = parse_change(line, path=where(piece), number=number)
                if isinstance(change, Added):
                    added[change.entry.entry] = change.entry.line()
                else:
                    gone.add(change.entry)
        return added, gone

    def _lines(self, piece: Piece) -> Iterator[tuple[int, bytes]]:
        target = self.targets[piece.path]
        if target.length > LONGEST_SEALED:
            raise Distrusted(Distrust.ENDLESS, f"{piece.path}: is signed with {target.length:,} bytes")
        path = self.scratch / "piece"
        self.updater.download_target(target, os.fspath(path))
        yield from opened_lines(piece, path.read_bytes(), identity=self.identity)


def _in_pages(changed: Iterable[tuple[str, bytes | None]], after: Held) -> Iterator[Page]:
    """Pages of what changed; the checkpoint moves with the last one alone."""
    rows = iter(changed)
    batch = list(islice(rows, PAGE))
    while True:
        following = list(islice(rows, PAGE))
        records: list[PartnerRecord] = []
        unread: list[UnreadRecord] = []
        for entry, line in batch:
            record = withdrawal_of(entry, seq=after.seq) if line is None else record_of(line, seq=after.seq)
            if isinstance(record, UnreadRecord):
                unread.append(record)
            else:
                records.append(record)
        yield Page(records, unread, after.checkpoint(), complete=not following)
        if not following:
            return
        batch = following


def _in_order(parts: list[Piece]) -> list[Piece]:
    """The parts of one edition in their order, all of them and all alike but for what differs from part to part."""
    if not parts:
        return []
    ordered = sorted(parts, key=lambda piece: piece.part)
    first = ordered[0]
    alike = {(p.seq, p.prev, p.canonical_root, p.own_root, p.entries, p.kind, p.parts) for p in ordered}
    if len(alike) != 1 or [piece.part for piece in ordered] != list(range(first.parts)):
        raise Distrusted(Distrust.MIXED, f"{first.path}: parts are missing, or are not of one edition")
    return ordered


def _refused(error: Exception, updater: _Updater, seen: Seen, *, at: dt.datetime) -> PartnerError:
    """What a refusal of The Update Framework means. A place that is not reached is distrusted once silent too long."""
    why = " ".join(str(error).split())[:200]
    for kind, reason in _DISTRUST:
        if isinstance(error, kind):
            return Distrusted(reason, f"what the publisher serves does not verify: {why}")
    why = str(updater.fetcher.failed or why)
    if seen.verified_at is not None and at - seen.verified_at > SILENT_FOR:
        return Distrusted(Distrust.FROZEN, f"nothing could be verified for {_span(at - seen.verified_at)}: {why}")
    return PartnerError(why)


def _span(time: dt.timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    return f"{minutes // 60} h {minutes % 60} min"
