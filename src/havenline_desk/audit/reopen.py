"""Close a log that is no longer the one that was signed: keep everything of it apart, and have another name sign."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from havenline.formats.audit_log import Checkpoint, VerifierKey, header
from havenline.whole_file import write_whole
from havenline_guard.keyd_client import CheckpointKey, KeydUnreachable
from havenline_guard.keyd_wire import KeydRefused

from ..models import AuditEntry
from .key_file import KeyFileSigner
from .log import AuditDamaged, entry_of, signer, sink
from .outside import AuditUnavailable, note_id


@dataclass(frozen=True, slots=True)
class ClosedLog:
    """A closed log: where its remains lie, its last note, and why it was closed: `older_copy` or `altered`."""

    folder: Path
    note: bytes
    checkpoint: Checkpoint
    why: str


def close_log() -> ClosedLog:
    """Copy checkpoints, journal, key and an export of what the database holds to a folder beside them.

    What is there already from an attempt that was cut short stays: its key may be the only trace of the old name.
    Raises AuditUnavailable where it cannot be written, AuditDamaged where nothing was ever signed.
    """
    held = sink()
    last = held.last_note()
    if last is None:
        raise AuditDamaged("no checkpoint was ever signed here, so there is no log to close")
    checkpoint, note = last
    folder = held.folder / f"closed-{note_id(note).hex}"
    rows = AuditEntry.objects.order_by("seq")
    count = rows.count()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        key = signer()
        if not (folder / "key").exists() and key.name == checkpoint.origin:
            with write_whole(folder / "key", replace=False) as file:
                file.write(VerifierKey(key.name, key.algorithm, key.public_key).text().encode() + b"\n")
        for path in (held.checkpoints, held.journal):
            if path.exists() and not (folder / path.name).exists():
                with path.open("rb") as reading, write_whole(folder / path.name, replace=False) as file:
                    shutil.copyfileobj(reading, file)
        if not (folder / "export").exists():
            with write_whole(folder / "export", replace=False) as file:
                file.write(header(origin=checkpoint.origin, entries=count))
                for row in rows.iterator(chunk_size=4096):
                    file.write(b'{"entry":%b,"hash":"%b"}\n' % (entry_of(row).canonical(), row.entry_hash.encode()))
    except OSError as error:
        raise AuditUnavailable(f"the closed log cannot be kept ({error.strerror}); it was not closed") from None
    signed = max(checkpoint.size, key.signed if isinstance(key, CheckpointKey) else 0)
    return ClosedLog(folder, note, checkpoint, "older_copy" if count < signed else "altered")


def sign_under_new_name(*, by: str, second: str) -> None:
    """Have checkpoints signed for a new log from now on. `by` and `second` are ids, for a key process to write down.

    A key in the data folder is renewed where it is what signs; a key process keeps its key and signs under another
    name. Raises AuditUnavailable where that cannot be; then nothing was changed.
    """
    held = signer()
    try:
        if isinstance(held, KeyFileSigner):
            KeyFileSigner.renew(settings.HOME / "audit_signing_key")
        elif isinstance(held, CheckpointKey):
            held.new_log(f"havenline.invalid/{secrets.token_hex(8)}", by=by, second=second)
        else:
            raise AuditUnavailable("what signs the log cannot sign for a new one; the log was not closed")
    except OSError as error:
        raise AuditUnavailable(f"no new key can be written ({error.strerror}); the log was not closed") from None
    except (KeydRefused, KeydUnreachable) as error:
        raise AuditUnavailable(f"what signs the log would not sign for a new one: {error}") from None
