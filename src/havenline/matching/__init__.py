"""Comparing fingerprints: exact radius search, hash lists, near-duplicate stacks. Leads, never verdicts."""

from havenline.matching.hamming import HammingIndex, codes_from_hex
from havenline.matching.lists import Edition, ListIndex

__all__ = ["Edition", "HammingIndex", "ListIndex", "codes_from_hex"]
