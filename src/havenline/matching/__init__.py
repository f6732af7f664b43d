"""Comparing fingerprints: exact radius search, hash lists, near-duplicate stacks. Leads, never verdicts."""

from havenline.matching.hamming import HammingIndex, codes_from_hex
from havenline.matching.lists import Lists
from havenline.matching.snapshot import Edition, Snapshot

__all__ = ["Edition", "HammingIndex", "Lists", "Snapshot", "codes_from_hex"]
