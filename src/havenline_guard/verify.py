"""Check an exported audit log offline: `python verify.py EXPORT --checkpoints FILE --key KEY`.

One file that needs Python 3.11 and the package `cryptography`, and nothing else of Havenline. It follows
docs/formats/audit-log.md and shares no code with what writes the log, so that either can show a mistake of the other.

Exit codes: 0 everything holds; 1 something was altered, and the first bad entry is named; 2 wrong usage, or a file
that cannot be read; 3 nothing wrong was found, but not every entry is covered by a signed checkpoint.
Not checked: that the acts are true, that the clock was right, and who holds the signing key. The files of checkpoints
and the journal prove something only when they come from somebody other than who gave the export.
"""
# long: it is the one file that an expert is handed

from __future__ import annotations

import argparse
import base64
import binascii
import datetime as dt
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

HOLDS, ALTERED, WRONG_USAGE, NOT_COVERED = 0, 1, 2, 3
ED25519 = 0x01
LONGEST_LINE = 2048
LONGEST_AGREEMENT = 1 << 20
GAP = 65_536
"""So many numbers may be missing in a row from a journal before it is no journal of this log."""

_ID = rb'(null|"[0-9a-f]{32}")'
_AT = rb"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"
LINE = re.compile(
    rb'\{"entry":(\{"act":"([a-z][a-z0-9_]{0,31})","actor":(?:null|"[0-9a-f]{32}"),"at":"%b","grant":%b,'
    rb'"investigation":(?:null|"[0-9a-f]{32}"),"object":%b,"prev_hash":"([0-9a-f]{64})",'
    rb'"purpose":(?:null|"[a-z0-9][a-z0-9_.:/-]{0,39}"),"record":(?:null|"[0-9a-f]{64}"),"salt":"[0-9a-f]{32}",'
    rb'"seq":([1-9][0-9]{0,15})\}),"hash":"([0-9a-f]{64})"\}\n' % (_AT, _ID, _ID)
)
HEADER = re.compile(
    rb'\{"entries":(0|[1-9][0-9]{0,15}),"form":1,"format":"havenline-audit-log","origin":"([!#-\[\]-~]{1,128})"\}\n'
)
BODY = re.compile(rb"([!-~]{1,128})\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n")
SIGNATURE = re.compile(rb"\xe2\x80\x94 ([!#-*,-\[\]-~]{1,128}) ([A-Za-z0-9+/]+={0,2})\n")
ORIGIN = re.compile(r"https?://([a-z0-9.-]{1,253}|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
JOURNAL = re.compile(rb"([1-9][0-9]{0,15}) ([0-9a-f]{64})\n")


def _sha(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


class Unusable(Exception):
    """A file or a key cannot be used at all; says which."""


@dataclass(frozen=True)
class Key:
    """A public key in the form of C2SP signed notes; `algorithm` is its type byte."""

    name: bytes
    key_id: bytes
    algorithm: int
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Key:
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        typed = _base64(encoded.encode())
        if typed is None or not name or not typed or len(typed) != 33 or typed[0] != ED25519:
            raise Unusable(f"{text.strip()[:60]!r} is no Ed25519 key of the form name+id+base64")
        key = cls(name.encode(), _sha(name.encode() + b"\n" + typed)[:4], typed[0], typed[1:])
        if key.key_id.hex() != key_id:
            raise Unusable(f"the id in the key of {name} is not that of its bytes")
        return key

    def signed(self, signature: bytes, text: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Bad:
    """Something that does not hold. The first bad entry lies between `first` and `last`; both 0 where none is meant."""

    first: int
    last: int
    why: str

    def __str__(self) -> str:
        if not self.first:
            return self.why
        where = f"entry {self.first}" if self.first == self.last else f"one of entries {self.first} to {self.last}"
        return f"{where}: {self.why}"


@dataclass
class Report:
    """What was found. `covered` entries are proved by signed checkpoints; views and unwrappings are by their grant."""

    origin: str = ""
    entries: int = 0
    covered: int = 0
    checkpoints: int = 0
    bad: list[Bad] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    used: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    failed: dict[bytes, int] = field(default_factory=dict)
    unwrapped: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    agreed: list[dict[str, Any]] = field(default_factory=list)

    def wrong(self, first: int, why: str, last: int | None = None) -> None:
        self.bad.append(Bad(first, first if last is None else last, why))

    @property
    def first_bad(self) -> Bad | None:
        named = [each for each in self.bad if each.first]
        return min(named, key=lambda each: (each.first, each.last)) if named else next(iter(self.bad), None)

    @property
    def exit_code(self) -> int:
        return ALTERED if self.bad else HOLDS if self.covered == self.entries else NOT_COVERED


@dataclass(frozen=True)
class Checkpoint:
    origin: bytes
    size: int
    root: bytes


class Tree:
    """RFC 6962 tree of what was appended so far, kept as the roots of its full subtrees."""

    def __init__(self) -> None:
        self.size, self.peaks = 0, list[bytes]()

    def append(self, record: bytes) -> None:
        node, rest = hashlib.sha256(b"\x00" + record).digest(), self.size
        while rest & 1:
            node = hashlib.sha256(b"\x01" + self.peaks.pop() + node).digest()
            rest >>= 1
        self.peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self.peaks:
            return _sha(b"")
        node = self.peaks[-1]
        for peak in self.peaks[-2::-1]:
            node = _sha(b"\x01" + peak + node)
        return node


class Journal:
    """Hashes by sequence number as written outside the database before each act was committed.

    A number may stand there more than once: an act that was rolled back after it had been written.
    """

    def __init__(self, lines: Iterable[bytes], report: Report) -> None:
        self.last, self._first, self._more = 0, bytearray(), dict[int, set[bytes]]()
        for number, line in enumerate(lines, start=1):
            found = JOURNAL.fullmatch(line)
            if found is None:
                report.wrong(self.last + 1, f"line {number} of the journal is damaged")
                return
            seq, digest = int(found[1]), bytes.fromhex(found[2].decode())
            if seq > self.last + GAP:
                report.wrong(self.last + 1, f"line {number} of the journal names {seq} after {self.last}")
                return
            if seq <= self.last:
                self._more.setdefault(seq, set()).add(digest)
            else:
                self._first += bytes(32 * (seq - self.last - 1)) + digest
                self.last = seq

    def names(self, seq: int) -> bool:
        """Whether a hash stands there for this number; a loss of power may have taken the newest lines at its time."""
        return seq <= self.last and (any(self._first[32 * seq - 32 : 32 * seq]) or seq in self._more)

    def disagrees(self, seq: int, digest: bytes) -> bool:
        """Whether the journal names other hashes for this number, and not this one."""
        if seq > self.last or self._first[32 * seq - 32 : 32 * seq] == digest:
            return False
        return self.names(seq) and digest not in self._more.get(seq, ())


def read_notes(text: bytes, keys: Sequence[Key], report: Report) -> list[Checkpoint]:
    """The checkpoints of a file, in its order; what is no checkpoint signed by a known key is reported."""
    *blocks, rest = text.split(b"\n\n")
    if rest or len(blocks) % 2:
        report.notes.append("the file of checkpoints ends in the middle of a note, as after a loss of power")
    checkpoints: list[Checkpoint] = []
    for number, (body, signatures) in enumerate(zip(blocks[::2], blocks[1::2], strict=False), start=1):
        read = read_note(body + b"\n", signatures + b"\n", keys)
        if isinstance(read, str):
            after = checkpoints[-1].size if checkpoints else 0
            report.wrong(0, f"checkpoint {number} (after the one over {after} entries): {read}")
        elif checkpoints and read.size < checkpoints[-1].size:
            report.wrong(0, f"rollback: a checkpoint over {read.size} entries follows one over {checkpoints[-1].size}")
        elif any(read.size == each.size and read.root != each.root for each in checkpoints[-1:]):
            report.wrong(0, f"fork: two signed checkpoints over {read.size} entries have different roots")
        else:
            checkpoints.append(read)
    report.checkpoints = len(checkpoints)
    return checkpoints


def read_note(body: bytes, signatures: bytes, keys: Sequence[Key]) -> Checkpoint | str:
    """The checkpoint when a known key signed it and no known key's signature fails; otherwise what is wrong."""
    found = BODY.fullmatch(body)
    lines = signatures.splitlines(keepends=True)
    parts = [SIGNATURE.fullmatch(line) for line in lines]
    root = _base64(found[3]) if found else None
    if found is None or root is None or not parts or len(parts) > 64:
        return "it has not the form of a checkpoint"
    known = 0
    for part in parts:
        raw = _base64(part[2]) if part else None
        if part is None or raw is None or len(raw) < 5:
            return "it has not the form of a checkpoint"
        for key in keys:
            if (key.name, key.key_id) == (part[1], raw[:4]):
                if not key.signed(raw[4:], body):
                    return f"the signature of {key.name.decode()} does not fit"
                known += key.name == found[1]
    if not known:
        return "no key that was given here has signed it for this log"
    return Checkpoint(found[1], int(found[2]), root)


def check_log(
    stream: BinaryIO,
    checkpoints: Sequence[Checkpoint],
    report: Report,
    journal: Journal | None = None,
    older: bool = False,
) -> Report:
    """Form, sequence, chain, and the root of every checkpoint, in one pass; the first bad entry ends the pass."""
    head = HEADER.fullmatch(stream.readline(LONGEST_LINE))
    if head is None:
        report.wrong(0, "the export does not begin with the header of an audit log")
        return report
    report.origin = head[2].decode()
    for each in checkpoints:
        if each.origin != head[2]:
            report.wrong(0, f"a checkpoint is of the log {each.origin.decode()}, the export of {report.origin}")
            return report
    roots = {each.size: each.root for each in checkpoints if not older or each.size <= int(head[1])}
    sizes = iter([*sorted(roots), -1])
    following, good, doubt = next(sizes), 0, 0
    tree, last_hash = Tree(), b"0" * 64
    # long: the loop runs a million times, so it is one piece and holds what it needs in local names
    match, sha256, append = LINE.fullmatch, hashlib.sha256, tree.append
    while True:
        while tree.size == following:
            if tree.root() != roots[following]:
                report.wrong(doubt or good + 1, "the entries are not those that were signed", doubt or following)
                return report
            if doubt:
                report.wrong(doubt, "the journal names another hash than the signed checkpoint proves; it was altered")
            good, doubt, following = following, 0, next(sizes)
        report.covered = good
        line = stream.readline(LONGEST_LINE)
        if not line:
            break
        seq = tree.size + 1
        found = match(line)
        wrong = "its line has not the form of an entry"
        first = seq
        if found is not None:
            record, act, grant, thing, previous, number, stated = found.groups()
            digest = sha256(record)
            if int(number) != seq:
                wrong = f"the number {int(number)} stands where {seq} belongs"
                first = _earliest(seq, good, journal) if int(number) == seq - 1 else seq
            elif digest.hexdigest().encode() != stated:
                wrong = "its hash is not that of its bytes"
            elif previous != last_hash:
                wrong = "the chain is broken between it and the one before"
                first = _earliest(seq, good, journal)
            else:
                wrong = ""
        if wrong:
            if doubt:
                report.wrong(doubt, "the journal names another hash for it")
            report.wrong(first, wrong, seq)
            return report
        last_hash = stated
        append(record)
        if journal is not None and not doubt and journal.disagrees(seq, digest.digest()):
            doubt = seq
        if act in _RECONCILED:
            _remember(report, act, grant, thing, seq)
        elif act in _AGREEING:
            report.agreed.append(json.loads(record))
    report.entries = tree.size
    _check_end(report, int(head[1]), following, doubt, journal)
    return report


def _earliest(seq: int, good: int, journal: Journal | None) -> int:
    """Where two entries do not fit: the later one, if a checkpoint or the journal vouches for the earlier."""
    return seq if seq - 1 == good or (journal is not None and journal.names(seq - 1)) else seq - 1


def _check_end(report: Report, declared: int, following: int, doubt: int, journal: Journal | None) -> None:
    held = report.entries
    if doubt:
        report.wrong(doubt, "the journal names another hash for it")
    if following > held:
        vouched = doubt or (journal is not None and journal.names(held))
        first = held + 1 if vouched else report.covered + 1
        report.wrong(first, f"a checkpoint was signed over {following} entries, the export holds {held}", held + 1)
    elif declared != held:
        report.wrong(min(declared, held) + 1, f"the export announces {declared} entries and holds {held}")
    if journal is not None and journal.last > held:
        report.notes.append(
            f"the journal names entries up to {journal.last}: acts after this export, or acts that were rolled back"
        )


_RECONCILED = {b"reveal_used", b"reveal_failed", b"unwrap"}
_AGREEING = {
    *(b"proposal_made", b"proposal_approved", b"proposal_carried_out"),
    *(b"factor_added", b"factor_removed", b"factors_reset"),
}


def _remember(report: Report, act: bytes, grant: bytes, thing: bytes, seq: int) -> None:
    if act == b"reveal_failed":
        report.failed[grant] = seq
        return
    place = report.used if act == b"reveal_used" else report.unwrapped
    if grant == b"null" or thing == b"null" or grant in place:
        report.wrong(seq, "a view without its grant and object, or a second one under the same grant")
    place[grant] = (thing, seq)


def reconcile(log: Report, keyd: Report) -> None:
    """Each unwrapping of a key belongs to one view, and each view has its unwrapping or was recorded as failed."""
    for grant, (thing, seq) in keyd.unwrapped.items():
        entry = log.used.get(grant)
        if entry is None:
            log.wrong(0, f"entry {seq} of the key process unwrapped a key for which the log has no view")
        elif entry[0] != thing:
            log.wrong(entry[1], f"the key process unwrapped another object under its grant (its entry {seq})")
    for grant, (_, seq) in log.used.items():
        if grant not in keyd.unwrapped and grant not in log.failed:
            log.wrong(seq, "the key process has no entry for this view, and it is not recorded as failed")


class Agreements:
    """What was proposed, to the byte, and who signed it, held against the entries of a log that was found whole."""

    def __init__(self, lines: Iterable[bytes], report: Report) -> None:
        self.report, self.signed, self.unsigned, self.carried_out = report, 0, 0, 0
        self.origins, self._keys = set[str](), dict[str, str]()
        self._texts, self._people = dict[str, dict[str, Any]](), dict[str, list[str]]()
        self._holders = dict[str, str]()
        for number, line in enumerate(lines, start=1):
            read = read_agreement(line)
            if isinstance(read, str) or read["action"]["proposal"] in self._texts:
                report.wrong(0, f"line {number} of the agreements: {read if isinstance(read, str) else 'a second one'}")
            else:
                self._texts[read["action"]["proposal"]] = read
        for entry in report.agreed:
            getattr(self, f"_{entry['act']}")(entry)
        for proposal, text in self._texts.items():
            if {text["action"]["proposer"], *text["approvals"]} != set(self._people.get(proposal, ())):
                report.wrong(0, f"the agreements name others behind proposal {proposal} than the log does")

    def _factor_added(self, entry: dict[str, Any]) -> None:
        self._holders[entry["object"]] = entry["actor"]

    def _factor_removed(self, entry: dict[str, Any]) -> None:
        self._holders.pop(entry["object"], None)

    def _factors_reset(self, entry: dict[str, Any]) -> None:
        self._holders = {key: holder for key, holder in self._holders.items() if holder != entry["object"]}

    def _proposal_made(self, entry: dict[str, Any]) -> None:
        self._people[entry["object"]] = [entry["actor"]]
        if (text := self._text(entry)) is None:
            return
        action = text["action"]
        if (action["proposer"], action["act"]) != (entry["actor"], entry["purpose"]):
            self.report.wrong(entry["seq"], "another person proposed it, or another act, than the agreements say")
        elif _time(action["proposed_at"]) != _time(entry["at"]):
            self.report.wrong(entry["seq"], "it was proposed at another time than the agreements say")
        self._check(entry, text, text["evidence"])

    def _proposal_approved(self, entry: dict[str, Any]) -> None:
        people = self._people.setdefault(entry["object"], [])
        if entry["actor"] in people:
            self.report.wrong(entry["seq"], "somebody agreed who stood behind it already")
        people.append(entry["actor"])
        text = self._text(entry)
        if text is not None and entry["actor"] in text["approvals"]:
            self._check(entry, text, text["approvals"][entry["actor"]])

    def _proposal_carried_out(self, entry: dict[str, Any]) -> None:
        self.carried_out += 1
        if (text := self._text(entry)) is None:
            return
        people, action = self._people.get(entry["object"], []), text["action"]
        if len(set(people)) < action["people"]:
            self.report.wrong(entry["seq"], f"{len(set(people))} people agreed, and it took {action['people']}")
        if not _time(action["proposed_at"]) <= _time(entry["at"]) < _time(action["expires_at"]):
            self.report.wrong(entry["seq"], "it was carried out at a time at which the proposal did not stand")

    def _text(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        text = self._texts.get(entry["object"])
        if text is None:
            self.report.wrong(entry["seq"], "what was proposed here is missing from the agreements")
        return text

    def _check(self, entry: dict[str, Any], text: dict[str, Any], evidence: dict[str, str] | None) -> None:
        if evidence is None:
            self.unsigned += 1
            return
        wrong = signature_wrong(evidence, text["digest"])
        if not wrong and self._holders.get(evidence["passkey"]) != entry["actor"]:
            wrong = "the passkey that signed it was not one of that person's then"
        if not wrong and self._keys.setdefault(evidence["passkey"], evidence["public_key"]) != evidence["public_key"]:
            wrong = "one passkey signed with two different keys"
        if wrong:
            self.report.wrong(entry["seq"], wrong)
        self.signed += 1
        self.origins.add(evidence.get("origin", ""))

    def tell(self) -> Iterator[str]:
        yield (
            f"agreements: {len(self._texts)} proposals, {self.carried_out} carried out; {self.signed} times somebody "
            f"signed with a passkey, {self.unsigned} times without"
        )
        yield from (f"note: signed at {origin}" for origin in sorted(self.origins))
        for passkey, public in sorted(self._keys.items()):
            yield f"note: passkey {passkey} has the public key with SHA-256 {_sha(bytes.fromhex(public)).hex()}"


def read_agreement(line: bytes) -> dict[str, Any] | str:
    """One line of the agreements with its action parsed and the digest of the action's bytes; or what is wrong."""
    try:
        held = json.loads(line)
        text, approvals, evidence = held["action"], held["approvals"], held["evidence"]
        action = json.loads(text)
        plain = json.dumps(action, sort_keys=True, separators=(",", ":"), ensure_ascii=True) == text
        people, times = action["people"], (_time(action["proposed_at"]), _time(action["expires_at"]))
        names = [action[name] for name in ("proposal", "proposer", "act")]
        signatures = [each for each in (evidence, *approvals.values()) if each is not None]
        whole = all(isinstance(value, str) for each in signatures for value in each.values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return "it has not the form of an agreement"
    if not (plain and whole and type(people) is int and times[0] < times[1] and all(type(n) is str for n in names)):
        return "it has not the form of an agreement"
    return {"action": action, "digest": _sha(text.encode()), "approvals": approvals, "evidence": evidence}


def signature_wrong(evidence: dict[str, str], digest: bytes) -> str:
    """What is wrong with a passkey's signature over `digest` (WebAuthn, 7.2), or nothing."""
    try:
        data, said = bytes.fromhex(evidence["authenticator_data"]), json.loads(evidence["client_data"])
        challenge = base64.urlsafe_b64decode(said["challenge"] + "=" * (-len(said["challenge"]) % 4))
        if said["type"] != "webauthn.get" or challenge != digest:
            return "the signature is over another act"
        host = ORIGIN.fullmatch(said["origin"])
        if said["origin"] != evidence["origin"] or host is None or host[1] != evidence["rp_id"]:
            return "the signature was made for another address than it says"
        if data[:32] != _sha(evidence["rp_id"].encode()) or len(data) < 37 or data[32] & 0x05 != 0x05:
            return "the passkey did not verify its user, or was asked for another address"
        signed = data + _sha(evidence["client_data"].encode())
        key, end = _cbor(bytes.fromhex(evidence["public_key"]), 0)
        _verify_cose(key, bytes.fromhex(evidence["signature"]), signed)
    except InvalidSignature:
        return "the signature of the passkey does not fit"
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return "the signature has not the form of one by a passkey"
    return "" if end == len(evidence["public_key"]) // 2 else "the signature has not the form of one by a passkey"


def _verify_cose(key: dict[int, Any], signature: bytes, signed: bytes) -> None:
    """Check by a COSE key (RFC 9053): ES256, EdDSA or RS256. Raises InvalidSignature, or ValueError for others."""
    if key[3] == -7 and (key[1], key[-1]) == (2, 1):
        x, y = int.from_bytes(key[-2], "big"), int.from_bytes(key[-3], "big")
        public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        public.verify(signature, signed, ec.ECDSA(SHA256()))
    elif key[3] == -8 and (key[1], key[-1]) == (1, 6):
        Ed25519PublicKey.from_public_bytes(key[-2]).verify(signature, signed)
    elif key[3] == -257 and key[1] == 3:
        numbers = rsa.RSAPublicNumbers(int.from_bytes(key[-2], "big"), int.from_bytes(key[-1], "big"))
        numbers.public_key().verify(signature, signed, padding.PKCS1v15(), SHA256())
    else:
        raise ValueError("a key of an algorithm that is not known here")


def _cbor(raw: bytes, at: int) -> tuple[Any, int]:
    """One value of the plain CBOR that keys are written in (numbers, strings, maps), and where it ends."""
    kind, length, at = raw[at] >> 5, raw[at] & 0x1F, at + 1
    if length > 26:
        raise ValueError("not the CBOR of a key")
    if length > 23:
        size = 1 << (length - 24)
        length, at = int.from_bytes(raw[at : at + size], "big"), at + size
    if kind < 2:
        return (length if kind == 0 else -1 - length), at
    if kind < 4:
        if at + length > len(raw):
            raise ValueError("not the CBOR of a key")
        part = raw[at : at + length]
        return (part if kind == 2 else part.decode()), at + length
    if kind != 5:
        raise ValueError("not the CBOR of a key")
    held = {}
    for _ in range(length):
        name, at = _cbor(raw, at)
        held[name], at = _cbor(raw, at)
    return held, at


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)


def check_proof(text: bytes, keys: Sequence[Key]) -> tuple[bytes, Checkpoint] | str:
    """The entry's canonical bytes and the checkpoint that covers it; otherwise what is wrong with the proof."""
    top, _, note = text.partition(b"\n\n")
    lines = top.split(b"\n")
    extra = _base64(lines[1][6:]) if len(lines) > 2 and lines[1].startswith(b"extra ") else None
    index = re.fullmatch(rb"index (0|[1-9][0-9]{0,15})", lines[2]) if len(lines) > 2 else None
    path = [_base64(line) for line in lines[3:]]
    if lines[0] != b"c2sp.org/tlog-proof@v1" or extra is None or index is None:
        return "it has not the form of a proof with its entry"
    body, divider, signatures = note.partition(b"\n\n")
    checkpoint = read_note(body + b"\n", signatures, keys) if divider else "it holds no signed checkpoint"
    if isinstance(checkpoint, str):
        return checkpoint
    found = LINE.fullmatch(b'{"entry":%b,"hash":"%b"}\n' % (extra, _sha(extra).hex().encode()))
    if found is None or int(found[6]) != int(index[1]) + 1:
        return "its entry has not the form of an entry, or stands at another place"
    root = _root_by(path, int(index[1]), checkpoint.size, _sha(b"\x00" + extra))
    return (extra, checkpoint) if root == checkpoint.root else "the entry is not in the tree that was signed"


def _root_by(path: Sequence[bytes | None], index: int, size: int, node: bytes) -> bytes | None:
    """The root that follows from an audit path (RFC 9162, 2.1.3.2), or None where the path cannot be one."""
    at, last = index, size - 1
    if index >= size:
        return None
    for sibling in path:
        if last == 0 or sibling is None or len(sibling) != 32:
            return None
        if at & 1 or at == last:
            node = _sha(b"\x01" + sibling + node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = _sha(b"\x01" + node + sibling)
        at, last = at >> 1, last >> 1
    return node if last == 0 else None


def _base64(text: bytes) -> bytes | None:
    """The bytes, or None where the text is not base64 in its one canonical form."""
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return raw if base64.b64encode(raw) == text else None


def verify(
    export: Path,
    *,
    checkpoints: Path | None,
    keys: Sequence[Key],
    journal: Path | None = None,
    keyd: Path | None = None,
    keyd_checkpoints: Path | None = None,
    older: bool = False,
) -> Report:
    """Check one export with all that is given beside it. Raises OSError for a file that cannot be read."""
    report = Report()
    notes = read_notes(checkpoints.read_bytes(), keys, report) if checkpoints else []
    names = None
    if journal is not None:
        with journal.open("rb") as lines:
            names = Journal(_lines(lines), report)
    with export.open("rb") as stream:
        check_log(stream, notes, report, names, older)
    if keyd is not None and not report.bad:
        other = Report()
        theirs = read_notes(keyd_checkpoints.read_bytes(), keys, other) if keyd_checkpoints else []
        with keyd.open("rb") as stream:
            check_log(stream, theirs, other, older=older)
        for each in other.bad:
            report.wrong(0, f"the log of the key process: {each}")
        if other.covered < other.entries:
            report.notes.append(f"{other.entries - other.covered} entries of the key process are under no checkpoint")
        if not other.bad:
            reconcile(report, other)
    return report


def verify_agreements(path: Path, report: Report) -> Agreements | None:
    """Hold the agreements against `report`, and put what is wrong there; None where the log itself does not hold."""
    if report.bad:
        return None
    with path.open("rb") as stream:
        return Agreements(iter(lambda: stream.readline(LONGEST_AGREEMENT), b""), report)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(LONGEST_LINE):
        if not line.endswith(b"\n") and not stream.read(1):
            return  # torn by a loss of power: it was never acknowledged
        yield line


def tell(report: Report, *, reconciled: bool, agreements: Agreements | None = None) -> Iterator[str]:
    """The report for a person, a line each."""
    yield f"log {report.origin}: {report.entries:,} entries read, {report.checkpoints:,} signed checkpoints"
    yield from agreements.tell() if agreements is not None else ()
    yield from (f"note: {note}" for note in report.notes)
    yield from (f"ALTERED: {bad}" for bad in report.bad[:20])
    if report.bad:
        yield f"first bad: {report.first_bad}"
    elif report.covered < report.entries:
        yield f"NOT COVERED: entries {report.covered + 1} to {report.entries} are under no signed checkpoint"
    else:
        yield f"HOLDS: form, sequence, chain, roots and signatures of all {report.entries:,} entries"
    if not report.bad and not reconciled:
        yield "not checked: the log of the key process was not given"
    if not report.bad and agreements is None and any(each["act"] == "proposal_approved" for each in report.agreed):
        yield "not checked: what two people agreed to; give it with --agreements"


def _key(text: str) -> Key:
    path = Path(text)
    try:
        return Key.parse(path.read_text() if path.is_file() else text)
    except (Unusable, OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main(arguments: Sequence[str] | None = None, *, name: str = "verify.py") -> int:
    parser = argparse.ArgumentParser(prog=name, description="Check an exported audit log, or the proof of one entry.")
    parser.add_argument("export", type=Path, help="the export, or with --proof the proof of one entry")
    parser.add_argument("--checkpoints", type=Path, help="signed checkpoints, as kept outside the database")
    parser.add_argument("--key", type=_key, action="append", default=[], help="public key, or a file; may be repeated")
    parser.add_argument("--journal", type=Path, help="hashes written outside the database before each act")
    parser.add_argument("--keyd", type=Path, help="the export of the key process's own log, to reconcile with")
    parser.add_argument("--keyd-checkpoints", type=Path, help="signed checkpoints of that log")
    parser.add_argument("--agreements", type=Path, help="what was proposed, and the signatures over it")
    parser.add_argument("--older", action="store_true", help="the export is older than the files beside it")
    parser.add_argument("--proof", action="store_true", help="check the proof of one entry")
    given = parser.parse_args(arguments)
    if not given.key:
        parser.error("give the public key of the log with --key")
    try:
        if given.proof:
            proved = check_proof(given.export.read_bytes(), given.key)
            if isinstance(proved, str):
                sys.stdout.write(f"ALTERED: {proved}\n")
                return ALTERED
            sys.stdout.write(f"HOLDS under a checkpoint over {proved[1].size} entries: {proved[0].decode()}\n")
            return HOLDS
        report = verify(
            given.export,
            checkpoints=given.checkpoints,
            keys=given.key,
            journal=given.journal,
            keyd=given.keyd,
            keyd_checkpoints=given.keyd_checkpoints,
            older=given.older,
        )
        agreements = verify_agreements(given.agreements, report) if given.agreements else None
    except OSError as error:
        sys.stderr.write(f"{name}: {error.filename}: {error.strerror}\n")
        return WRONG_USAGE
    sys.stdout.writelines(
        f"{line}\n" for line in tell(report, reconciled=given.keyd is not None, agreements=agreements)
    )
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
