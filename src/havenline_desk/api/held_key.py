"""A key as a server process holds it: its row, its lists, its ledger, what it was answered lately."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field

from havenline.formats.merkle_tree import Frontier, leaf_hash

from ..actions.count_lookups import Answered
from ..models import ApiKey, LookupWindow
from .ledger import Ledger

LONGEST = 300.0
"""Seconds after which a window is counted and another one opened."""


@dataclass(slots=True)
class Tally:
    """What one window holds so far. Threads take turns."""

    window: LookupWindow
    since: float = field(default_factory=time.monotonic)
    requests: int = 0
    items: int = 0
    leads: int = 0
    tree: Frontier = field(default_factory=Frontier)

    def add(self, body: bytes, answer: bytes, *, items: int, leads: int) -> None:
        self.requests, self.items, self.leads = self.requests + 1, self.items + items, self.leads + leads
        leaf = leaf_hash(bytes.fromhex(self.window.salt) + hashlib.sha256(body).digest() + answer)
        self.tree = self.tree.extended([leaf])


@dataclass(slots=True)
class HeldKey:
    """`lists`: names of the lists that it is told of. `refused`: requests that nothing was looked up for."""

    row: ApiKey
    lists: frozenset[str]
    ledger: Ledger
    lock: threading.Lock = field(default_factory=threading.Lock)
    tally: Tally | None = None
    refused: int = 0

    def counted(self, body: bytes, answer: bytes, *, items: int, leads: int) -> bool:
        """Add an answer to the window; false where none is open."""
        with self.lock:
            if self.tally is None:
                return False
            self.tally.add(body, answer, items=items, leads=leads)
            return True

    def taken(self, *, older_than: float) -> tuple[LookupWindow, Answered] | None:
        """The window, where it is that many seconds old, and what it held; a new one begins with the next request."""
        with self.lock:
            tally = self.tally
            if tally is None or time.monotonic() - tally.since < older_than:
                return None
            refused, self.tally, self.refused = self.refused, None, 0
            return tally.window, Answered(tally.requests, tally.items, tally.leads, refused, tally.tree.root.hex())
