"""Append an entry in the transaction of its act, and sign checkpoints over what was committed.

The order of one act: its rows; the lock of the log; the entry's row; its hash in the journal outside the database;
commit; a checkpoint, where one is due. Whatever fails before the commit undoes the act. Take the lock last: an act
that waits for rows while it holds the log keeps everybody waiting.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hmac
import logging
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model, QuerySet

from havenline.formats.audit_log import BEFORE_THE_FIRST, Checkpoint, CheckpointSigner, LogEntry, signed
from havenline.formats.merkle_tree import Frontier
from havenline.vocabulary import HavenlineError
from havenline.whole_file import write_whole
from havenline_guard.keyd_client import CheckpointKey, KeydUnreachable
from havenline_guard.keyd_wire import KeydRefused

from ..keys import keyd
from ..models import URGENT_ACTS, AuditAct, AuditCheckpoint, Audited, AuditEntry
from .key_file import KeyFileSigner
from .outside import AuditUnavailable, Sink, note_id
from .record import record_bytes, records

MOST_UNSEALED = 256
LONGEST_UNSEALED = dt.timedelta(seconds=60)
_LEAVES = 4096
_NOT_SIGNED = (
    "the audit log in the database is not the one that was signed: changed, cut, or restored from an older copy. "
    "Keep the database and the folder of checkpoints as they are, and run `havenline verify` on an export"
)


class AuditDamaged(HavenlineError):
    """The log in the database is not the one that was signed; nothing was signed, and urgent acts are refused."""


def append(
    act: AuditAct,
    *,
    at: dt.datetime,
    actor: Audited | None,
    about: Audited | uuid.UUID | None = None,
    investigation: Audited | None = None,
    purpose: str = "",
    grant: Audited | None = None,
    record: Model | None = None,
    reopening: bool = False,
) -> AuditEntry:
    """Add one entry inside the caller's transaction; `actor` None is whoever runs commands on the host.

    `record` is the row that the act made final: its keyed digest goes into the entry. Raises AuditUnavailable when
    the entry cannot be written outside the database too, or when earlier acts wait for a checkpoint that cannot be
    signed; the caller's transaction must then be undone. `reopening`: the entry that a new log goes on with, which
    waits for no checkpoint and has none signed after it. Not checked: that `at` is now.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("an entry of the audit log belongs into its act's transaction")
    head = _head()
    first_here = not reopening and not _seals_after_commit()
    if first_here and (head.due or _cut_short(head.seq)):
        seal()
    entry = LogEntry(
        seq=head.seq + 1,
        at=at.astimezone(dt.UTC),
        act=act.value,
        actor=_id(actor),
        object=_id(about),
        purpose=purpose or None,
        investigation=_id(investigation),
        grant=_id(grant),
        record=record_digest(record) if record is not None else None,
        salt=secrets.token_hex(16),
        prev_hash=head.entry_hash,
    )
    row = AuditEntry.objects.create(
        seq=entry.seq,
        at=entry.at,
        act=entry.act,
        actor=entry.actor,
        object=entry.object,
        purpose=entry.purpose or "",
        investigation=entry.investigation,
        grant=entry.grant,
        record=entry.record or "",
        salt=entry.salt,
        prev_hash=entry.prev_hash,
        entry_hash=entry.entry_hash(),
    )
    sink().write_ahead(row.seq, row.entry_hash)
    if first_here:
        transaction.on_commit(_seal_what_is_due)
    return row


def seal() -> Checkpoint | None:
    """Sign a checkpoint over every committed entry and write it outside; None where the log is empty.

    Nothing is signed when the last one still covers everything. Raises AuditDamaged when the database no longer holds
    what was signed before, AuditUnavailable when the checkpoint cannot be signed or written.
    Called in a transaction only before its own first entry: an entry that may yet be undone is never signed.
    """
    with sink().alone():
        held, last = signer(), sink().last_note()
        before = last[0] if last is not None else None
        if last is not None and before is not None and _was_reopened(before, last[1], held.name):
            sink().start_anew(_journal_lines())
            before = None
        tree = _grown(before)
        if tree.size == 0:
            return None
        checkpoint = Checkpoint(held.name, tree.size, tree.root)
        if before != checkpoint:
            try:
                note = signed(checkpoint, held)
            except Exception as error:
                if isinstance(error, KeydRefused) and error.reason == "forked":  # `keyd` signed what is not here
                    raise AuditDamaged(_NOT_SIGNED) from None
                raise AuditUnavailable(f"the audit log cannot be signed: {error}") from None
            sink().add_checkpoint(note)
        if not AuditCheckpoint.objects.filter(size__gte=tree.size).exists():
            _keep(tree)
        return checkpoint


def sink() -> Sink:
    """The folder outside the database: HAVENLINE_AUDIT_FOLDER, or one beside it in the data folder."""
    return Sink(Path(settings.AUDIT_FOLDER or settings.HOME / "audit"))


def signer() -> CheckpointSigner:
    """What signs: `AUDIT_SIGNER` of the settings, else `keyd`, else a key in the data folder.

    Raises AuditUnavailable without one.
    """
    if settings.AUDIT_SIGNER is not None:
        return cast(CheckpointSigner, settings.AUDIT_SIGNER)
    client = keyd()
    if client is not None:
        try:
            return CheckpointKey(client, _leaves)
        except (KeydRefused, KeydUnreachable) as error:
            raise AuditUnavailable(f"the audit log cannot be signed: {error}") from None
    try:
        return KeyFileSigner.of(settings.HOME / "audit_signing_key")
    except (OSError, ValueError):
        raise AuditUnavailable(
            "the key that signs the audit log cannot be read; acts are refused until it can"
        ) from None


def entry_of(row: AuditEntry) -> LogEntry:
    """The entry that a row stands for. Raises AuditLogError where the row is none any more."""
    return LogEntry(
        seq=row.seq,
        at=row.at,
        act=row.act,
        actor=row.actor.hex if row.actor else None,
        object=row.object.hex if row.object else None,
        purpose=row.purpose or None,
        investigation=row.investigation.hex if row.investigation else None,
        grant=row.grant.hex if row.grant else None,
        record=row.record or None,
        salt=row.salt,
        prev_hash=row.prev_hash,
    )


def record_digest(row: Model) -> str:
    """HMAC-SHA-256, hexadecimal, of the columns of `row` that never change, under the installation's own key."""
    return hmac.new(_record_key(), record_bytes(row), "sha256").hexdigest()


def record_digests(rows: QuerySet[Any]) -> Iterator[tuple[object, str]]:
    """The same of very many rows, each with its primary key."""
    key = _record_key()
    for row, said in records(rows):
        yield row, hmac.new(key, said, "sha256").hexdigest()


def _record_key() -> bytes:
    key = settings.HOME / "audit_record_key"
    try:
        if not key.exists():
            with contextlib.suppress(FileExistsError), write_whole(key, replace=False) as fresh:
                fresh.write(secrets.token_hex(32).encode())
        return bytes.fromhex(key.read_text())
    except (OSError, ValueError):
        raise AuditUnavailable(
            "the key of the audit log's records cannot be read; acts are refused until it can"
        ) from None


def _id(of: Audited | uuid.UUID | None) -> str | None:
    if of is None:
        return None
    return of.hex if isinstance(of, uuid.UUID) else of.audit_id.hex


def _seals_after_commit() -> bool:
    """Whether this transaction holds an entry already. Django forgets these with the savepoint that is undone."""
    return any(each[1] is _seal_what_is_due for each in connection.run_on_commit)


@dataclass(frozen=True, slots=True)
class _Head:
    """The last entry, and whether a checkpoint is due: after so many, so much time, or an act that may not wait."""

    seq: int
    entry_hash: str
    due: bool


def _head() -> _Head:
    """Take the log's lock until the transaction ends, and look where the log stands."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM audit_head(%s)", [[act.value for act in URGENT_ACTS]])
        seq, entry_hash, sealed, waiting, spread, urgent = cursor.fetchone()
    late = spread is not None and spread >= LONGEST_UNSEALED
    cut = sealed > (seq or 0)  # the log is shorter than what was signed; `seal` says so
    return _Head(seq or 0, entry_hash or BEFORE_THE_FIRST, cut or urgent or late or waiting >= MOST_UNSEALED)


def _cut_short(seq: int) -> bool:
    """Whether more was signed outside than the database holds, as after a restore from an older copy."""
    last = sink().last_checkpoint()
    return last is not None and last.size > seq


def _seal_what_is_due() -> None:
    """After the commit: the acts stand, and are logged."""
    if not _head().due:
        return
    try:
        seal()
    except (AuditUnavailable, AuditDamaged) as error:
        logging.getLogger("havenline.audit").error("%s", error)
        raise type(error)(
            f"what was just done is recorded, but not sealed: {error}. Nothing more is done until that is mended"
        ) from None


def _grown(before: Checkpoint | None) -> Frontier:
    """The tree over all committed entries, grown from the newest checkpoint that the database still knows.

    Passing by the last checkpoint outside it must give the root that was signed there. Entries under a tree that is
    known already are not read again: what was changed among them is for the verifier to find.
    """
    if before is None:
        return _extended(Frontier(), to=None)
    if not AuditEntry.objects.filter(seq=before.size).exists():
        raise AuditDamaged(_NOT_SIGNED)
    kept = AuditCheckpoint.objects.filter(size__lte=before.size).order_by("-size").first()
    starts = [Frontier(kept.size, tuple(map(bytes.fromhex, kept.peaks.split())))] if kept is not None else []
    for start in [*starts, Frontier()]:  # where the kept tree leads elsewhere, read everything
        tree = _extended(start, to=before.size)
        if (tree.size, tree.root) == (before.size, before.root):
            return _extended(tree, to=None)
    raise AuditDamaged(_NOT_SIGNED)


def _leaves(after: int, until: int) -> list[bytes]:
    """The leaf hashes of the entries after number `after` up to number `until`."""
    rows = AuditEntry.objects.filter(seq__gt=after, seq__lte=until).order_by("seq")
    return [entry_of(row).leaf() for row in rows]


def _was_reopened(before: Checkpoint, note: bytes, name: str) -> bool:
    """Whether the note is the last of a log that two people closed: an entry names it, and another name signs now."""
    if before.origin == name:
        return False
    return AuditEntry.objects.filter(act=AuditAct.LOG_REOPENED, object=note_id(note)).exists()


def _journal_lines() -> Iterator[bytes]:
    for seq, digest in AuditEntry.objects.order_by("seq").values_list("seq", "entry_hash").iterator(chunk_size=_LEAVES):
        yield f"{seq} {digest}\n".encode()


def _extended(tree: Frontier, *, to: int | None) -> Frontier:
    while to is None or tree.size < to:
        end = tree.size + _LEAVES if to is None else min(to, tree.size + _LEAVES)
        rows = AuditEntry.objects.filter(seq__gt=tree.size, seq__lte=end).order_by("seq")
        leaves = [entry_of(row).leaf() for row in rows]
        if not leaves:
            break
        tree = tree.extended(leaves)
    return tree


def _keep(tree: Frontier) -> None:
    alone = not connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if alone:  # this row only saves work, so nobody waits for the disk once more
            cursor.execute("SET LOCAL synchronous_commit = off")
        AuditCheckpoint.objects.create(size=tree.size, peaks=" ".join(peak.hex() for peak in tree.peaks))
