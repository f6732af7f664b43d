"""The audit log: every act of consequence is one entry in the act's own transaction. No log, no act."""

from .log import AuditDamaged, append, entry_of, record_digest, record_digests, seal, signer, sink
from .outside import AuditUnavailable, note_id
from .reopen import ClosedLog, close_log, sign_under_new_name

__all__ = [
    "AuditDamaged",
    "AuditUnavailable",
    "ClosedLog",
    "append",
    "close_log",
    "entry_of",
    "note_id",
    "record_digest",
    "record_digests",
    "seal",
    "sign_under_new_name",
    "signer",
    "sink",
]
