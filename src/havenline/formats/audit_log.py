"""The audit log as bytes: docs/formats/audit-log.md. Entries, checkpoints as signed notes, proofs; no clock, no keys.

An entry holds random ids, codes and keyed digests. Its form leaves no room for content, a hash value, a name or a URL.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from havenline.formats.merkle_tree import leaf_hash
from havenline.vocabulary import HavenlineError

FORMAT = "havenline-audit-log"
FORM = 1
BEFORE_THE_FIRST = "0" * 64
"""`prev_hash` of entry 1."""
ED25519 = 0x01
"""Signature type of C2SP signed notes; a new algorithm is a new byte, in `ALGORITHMS`."""
ALGORITHMS = {ED25519: ("Ed25519", 32, 64)}
"""By signature type: name, bytes of a public key, bytes of a signature."""
PROOF = "c2sp.org/tlog-proof@v1"

_ID = re.compile(r"[0-9a-f]{32}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,31}\Z")
_PURPOSE = re.compile(r"[a-z0-9][a-z0-9_.:/-]{0,39}\Z")
_LONG_HEX = re.compile(r"[0-9a-f]{16}")
_KEY_NAME = re.compile(r"[!#-*,-\[\]-~]{1,128}\Z")
_CHECKPOINT = re.compile(rb"([!-~]{1,128})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n\Z")


class AuditLogError(HavenlineError):
    """These are not the bytes of an audit log; the text says what is wrong with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One act. Ids are 32 hexadecimal digits (16 random bytes), digests 64; times are UTC, to the microsecond.

    `record` is the HMAC-SHA-256 of the row that the act made final, under a key of the installation.
    Raises AuditLogError for anything that the form has no room for.
    """

    seq: int
    at: dt.datetime
    act: str
    actor: str | None
    object: str | None
    purpose: str | None
    investigation: str | None
    grant: str | None
    record: str | None
    salt: str
    prev_hash: str

    def __post_init__(self) -> None:
        ids = (self.actor, self.object, self.investigation, self.grant)
        fits = (
            0 < self.seq < 2**53
            and self.at.utcoffset() == dt.timedelta(0)
            and _CODE.match(self.act)
            and all(each is None or _ID.match(each) for each in ids)
            and (self.purpose is None or (_PURPOSE.match(self.purpose) and not _LONG_HEX.search(self.purpose)))
            and (self.record is None or _DIGEST.match(self.record))
            and _ID.match(self.salt)
            and _DIGEST.match(self.prev_hash)
        )
        if not fits:
            raise AuditLogError(f"entry {self.seq} ({self.act}) holds something that the log has no room for")

    def canonical(self) -> bytes:
        """RFC 8785 (JCS) bytes. All text is printable ASCII without quotes, so sorted keys are all it takes."""
        said = {
            "act": self.act,
            "actor": self.actor,
            "at": f"{self.at:%Y-%m-%dT%H:%M:%S.%f}Z",
            "grant": self.grant,
            "investigation": self.investigation,
            "object": self.object,
            "prev_hash": self.prev_hash,
            "purpose": self.purpose,
            "record": self.record,
            "salt": self.salt,
            "seq": self.seq,
        }
        return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")

    def entry_hash(self) -> str:
        """SHA-256 of the canonical bytes, which the next entry names."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def leaf(self) -> bytes:
        """The entry's leaf in the Merkle tree; it stands at index seq - 1."""
        return leaf_hash(self.canonical())

    def line(self) -> bytes:
        """One line of an export."""
        canonical = self.canonical()
        return b'{"entry":%b,"hash":"%b"}\n' % (canonical, hashlib.sha256(canonical).hexdigest().encode())


def header(*, origin: str, entries: int) -> bytes:
    """The first line of an export."""
    said = {"entries": entries, "form": FORM, "format": FORMAT, "origin": origin}
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


class CheckpointSigner(Protocol):
    """Who signs checkpoints. `sign_checkpoint` gets the note's text and answers with the raw signature.

    A signer that is more than a key refuses a text whose tree does not extend the one it signed last.
    """

    @property
    def name(self) -> str:
        """Key name, which is the log's origin."""

    @property
    def algorithm(self) -> int:
        """Signature type byte."""

    @property
    def public_key(self) -> bytes:
        """Raw public key."""

    def sign_checkpoint(self, body: bytes) -> bytes:
        """Raw signature over `body`. Raises when it cannot or will not be made."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name, as C2SP signed notes write it: `name+id+base64(type, key)`."""

    name: str
    algorithm: int
    public_key: bytes

    def __post_init__(self) -> None:
        known = ALGORITHMS.get(self.algorithm)
        if known is None or not _KEY_NAME.match(self.name) or len(self.public_key) != known[1]:
            raise AuditLogError("this is no key of a known algorithm with a name without spaces and plus signs")

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name, line feed, type, key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + self._typed()).digest()[:4]

    def text(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self._typed()).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Raises AuditLogError where the text is no key or its id is another key's."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        typed = _base64(encoded)
        key = cls(name, typed[0] if typed else 0, typed[1:])
        if key.key_id.hex() != key_id:
            raise AuditLogError("the id in this key is not that of its name and bytes")
        return key

    def _typed(self) -> bytes:
        return bytes([self.algorithm]) + self.public_key


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is signed: the log's name, how many entries, and the root of the tree over them (C2SP tlog-checkpoint)."""

    origin: str
    size: int
    root: bytes

    def body(self) -> bytes:
        """The text of the note, which is what is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()

    @classmethod
    def parse(cls, body: bytes) -> Checkpoint:
        """Raises AuditLogError where the bytes are not exactly such a text; extension lines are refused."""
        found = _CHECKPOINT.match(body)
        if found is None:
            raise AuditLogError("this is no checkpoint: a name, a size and a root on three lines are expected")
        return cls(found[1].decode(), int(found[2]), _base64(found[3].decode()))


def signed(checkpoint: Checkpoint, signer: CheckpointSigner) -> bytes:
    """The signed note. Raises AuditLogError for a signature of another length, and whatever the signer raises."""
    key = VerifierKey(signer.name, signer.algorithm, signer.public_key)
    signature = signer.sign_checkpoint(checkpoint.body())
    if len(signature) != ALGORITHMS[key.algorithm][2]:
        raise AuditLogError("the signer's answer is no signature of its algorithm; nothing was signed")
    line = f"\u2014 {key.name} {base64.b64encode(key.key_id + signature).decode()}\n"
    return checkpoint.body() + b"\n" + line.encode()


def checkpoint_of(note: bytes) -> Checkpoint:
    """The checkpoint in a note; its signatures are not looked at."""
    body, divider, _ = note.partition(b"\n\n")
    if not divider:
        raise AuditLogError("this is no signed note: there is no empty line before its signatures")
    return Checkpoint.parse(body + b"\n")


def proof_text(*, entry: LogEntry, proof: Sequence[bytes], note: bytes) -> bytes:
    """A proof of one entry in C2SP tlog-proof form; the entry's canonical bytes are its extra line."""
    lines = [PROOF, f"extra {base64.b64encode(entry.canonical()).decode()}", f"index {entry.seq - 1}"]
    lines += [base64.b64encode(node).decode() for node in proof]
    return "\n".join(lines).encode() + b"\n\n" + note


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise AuditLogError("this is not base64") from None
