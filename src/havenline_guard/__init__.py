"""The small processes that hold what must not leak, and the offline verifier of the audit log."""
