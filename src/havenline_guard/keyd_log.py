"""The form of `keyd`'s own log, its verification, and the tree whose root is signed for the audit log.

Entries have the form of the audit log's, so that one verifier reads both (docs/formats/keyd.md §4). The tree is that of
RFC 6962 (RFC 9162 §2.1), kept as the roots of its full subtrees: what was added to it once can never be taken back.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

START = "0" * 64
"""What the first entry names as the hash of the one before it."""
UNWRAPPED = "unwrap"
"""The act of every entry that was written before a key was unwrapped."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One entry: `line` is its canonical text, `body` the particulars, which the line names by their salted SHA-256."""

    line: str
    body: str

    @property
    def hash(self) -> str:
        """SHA-256 of the line, in hex, which the next entry bears."""
        return hashlib.sha256(self.line.encode()).hexdigest()

    @property
    def exported(self) -> str:
        """The line of an export, without its line feed."""
        return f'{{"entry":{self.line},"hash":"{self.hash}"}}'

    @classmethod
    def of(cls, seq: int, at: int, act: str, body: Mapping[str, object], prev: str, salt: str) -> KeyEntry:
        """`at`: microseconds UTC. Of the particulars the line itself bears the random ids of grant and object alone."""
        text = _canonical(body)
        stamp = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=at)
        said = {
            "act": act,
            "actor": None,
            "at": f"{stamp:%Y-%m-%dT%H:%M:%S.%f}Z",
            "grant": body.get("grant"),
            "investigation": None,
            "object": body.get("object"),
            "prev_hash": prev,
            "purpose": None,
            "record": _record(salt, text),
            "salt": salt,
            "seq": seq,
        }
        return cls(_canonical(said), text)


@dataclass(frozen=True, slots=True)
class LogFault:
    """The first entry of a log that is not what it should be: its place, from 1, and what is wrong."""

    seq: int
    what: str


def first_fault(entries: Iterable[KeyEntry], *, head: tuple[int, str] | None = None) -> LogFault | None:
    """The first entry that breaks form, sequence, order of time or chain; None when all is whole.

    `head`: how many entries there must be, and the hash of the last: without it, an end that was cut off is not seen.
    An entry that was changed as a whole shows in the one after it.
    """
    prev, at, seq = START, "", 0
    for seq, entry in enumerate(entries, 1):
        try:
            said, body = json.loads(entry.line), json.loads(entry.body)
            whole = _canonical(said) == entry.line and _canonical(body) == entry.body
            told = (said["record"] == _record(said["salt"], entry.body), said["seq"], said["prev_hash"], said["at"])
            named = (said["grant"], said["object"]) == (body.get("grant"), body.get("object"))
        except (AttributeError, KeyError, TypeError, ValueError):
            return LogFault(seq, "is no entry of a log")
        if not whole or not isinstance(told[3], str):
            return LogFault(seq, "is not in canonical form")
        if not told[0] or not named:
            return LogFault(seq, "does not fit its particulars")
        if told[1] != seq:
            return LogFault(seq, f"bears the number {told[1]}")
        if told[2] != prev:
            return LogFault(seq, "does not follow from the entry before")
        if told[3] < at:
            return LogFault(seq, "is earlier than the entry before")
        prev, at = entry.hash, told[3]
    if head is not None and head != (seq, prev):
        return LogFault(seq, f"is the last one here, but the log has {head[0]} entries and ends otherwise")
    return None


@dataclass(frozen=True, slots=True)
class GrowingTree:
    """An RFC 6962 tree of `size` leaves as the roots of its full subtrees, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def grown(self, leaves: Iterable[bytes]) -> GrowingTree:
        """The tree with more leaves, each given by its leaf hash."""
        size, peaks = self.size, list(self.peaks)
        for leaf in leaves:
            node, rest = leaf, size
            while rest & 1:
                node, rest = _joined(peaks.pop(), node), rest >> 1
            peaks.append(node)
            size += 1
        return GrowingTree(size, tuple(peaks))

    def root(self) -> bytes:
        """32 bytes; of no leaves the SHA-256 of nothing."""
        if not self.peaks:
            return hashlib.sha256().digest()
        node = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            node = _joined(peak, node)
        return node


def leaf_of(line: str) -> bytes:
    """The leaf hash of an entry's canonical text."""
    return hashlib.sha256(b"\x00" + line.encode()).digest()


def _joined(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _record(salt: str, text: str) -> str:
    return hashlib.sha256(f"{salt}\n{text}".encode()).hexdigest()


def _canonical(said: object) -> str:
    return json.dumps(said, sort_keys=True, separators=(",", ":"))
