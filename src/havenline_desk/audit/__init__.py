"""The audit log: every act of consequence is one entry in the act's own transaction. No log, no act."""

from .log import AuditDamaged, append, entry_of, record_digest, seal, signer, sink
from .outside import AuditUnavailable

__all__ = ["AuditDamaged", "AuditUnavailable", "append", "entry_of", "record_digest", "seal", "signer", "sink"]
