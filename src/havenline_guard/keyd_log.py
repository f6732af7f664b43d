"""The form of `keyd`'s own log, its verification, and what a checkpoint of the audit log must be to be signed.

docs/formats/keyd.md §4 and §5. Consistency of two checkpoints is checked as RFC 6962 §2.1.4.2 (RFC 9162) says.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

START = "0" * 64
"""What the first entry names as the hash of the one before it."""


@dataclass(frozen=True, slots=True)
class LogFault:
    """The first entry of a log that is not what it should be: its place, from 1, and what is wrong."""

    seq: int
    what: str


def entry_line(seq: int, at: int, act: str, body: Mapping[str, object], prev: str) -> str:
    """The canonical text of an entry: one JSON object in ASCII, keys sorted, no blanks. `at`: microseconds, UTC."""
    said = {"act": act, "at": at, "body": dict(body), "prev": prev, "seq": seq}
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def entry_hash(line: str) -> str:
    """SHA-256 of the line, in hex; the next entry bears it."""
    return hashlib.sha256(line.encode()).hexdigest()


def first_fault(lines: Iterable[str], *, head: tuple[int, str] | None = None) -> LogFault | None:
    """The first entry that breaks form, sequence, order of time or chain; None when all is whole.

    `head`: how many entries there must be, and the hash of the last: without it, an end that was cut off is not seen.
    """
    prev, at, seq = START, 0, 0
    for seq, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            whole = entry_line(said["seq"], said["at"], said["act"], said["body"], said["prev"]) == line
        except (KeyError, TypeError, ValueError):
            return LogFault(seq, "is no entry of a log")
        if not whole:
            return LogFault(seq, "is not in canonical form")
        if said["seq"] != seq:
            return LogFault(seq, f"bears the number {said['seq']}")
        if said["prev"] != prev:
            return LogFault(seq, "does not follow from the entry before")
        if said["at"] < at:
            return LogFault(seq, "is earlier than the entry before")
        prev, at = entry_hash(line), said["at"]
    if head is not None and head != (seq, prev):
        return LogFault(seq, f"is the last one here, but the log has {head[0]} entries and ends otherwise")
    return None


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the tree of `new` leaves begins with the tree of `old` leaves, by RFC 9162 §2.1.4.2."""
    if not 0 < old < new:
        return not proof and (old == 0 or (old == new and old_root == new_root))
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    if not path:
        return False
    first = second = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            first, second = _joined(each, first), _joined(each, second)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            second = _joined(second, each)
        node, last = node >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _joined(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def signed_note(text: str, *, name: str, signer: Ed25519PrivateKey) -> str:
    """C2SP signed note: the text, an empty line, and one Ed25519 signature line."""
    public = signer.public_key().public_bytes_raw()
    tag = hashlib.sha256(f"{name}\n".encode() + b"\x01" + public).digest()[:4]
    signature = base64.b64encode(tag + signer.sign(text.encode())).decode()
    return f"{text}\n— {name} {signature}\n"
