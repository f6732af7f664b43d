"""Logs, checkpoints and journals, made by the code that writes them, and the ways to alter them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from havenline.formats.audit_log import (
    BEFORE_THE_FIRST,
    ED25519,
    Checkpoint,
    LogEntry,
    VerifierKey,
    header,
    signed,
)
from havenline.formats.merkle_tree import Frontier
from havenline_guard import verify as checker

ORIGIN = "havenline.invalid/test"
BEGUN = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
ACTS = ("assessment_submitted", "role_granted", "reveal_granted", "assignment_taken")


@dataclass(frozen=True)
class Signer:
    """An Ed25519 key in this process, seeded; `name` is the log's."""

    seed: int = 1
    name: str = ORIGIN
    algorithm: int = ED25519

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed.to_bytes(32, "big"))

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign_checkpoint(self, body: bytes) -> bytes:
        return self._key.sign(body)

    def key(self) -> checker.Key:
        return checker.Key.parse(VerifierKey(self.name, self.algorithm, self.public_key).text())


@dataclass
class Log:
    """A log as it lies in the hands of somebody who may alter it."""

    entries: list[LogEntry]
    lines: list[bytes] = field(default_factory=list)
    notes: list[bytes] = field(default_factory=list)
    journal: list[bytes] = field(default_factory=list)

    def copy(self) -> Log:
        return Log(list(self.entries), list(self.lines), list(self.notes), list(self.journal))

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        export, checkpoints, journal = folder / "export.ndjson", folder / "checkpoints", folder / "journal"
        export.write_bytes(header(origin=ORIGIN, entries=len(self.lines)) + b"".join(self.lines))
        checkpoints.write_bytes(b"".join(note + b"\n" for note in self.notes))
        journal.write_bytes(b"".join(self.journal))
        return export, checkpoints, journal


def entry(seq: int, prev_hash: str, draw: random.Random, *, act: str | None = None) -> LogEntry:
    """A drawn entry; ids and salt are random bytes of `draw`."""

    def identity() -> str:
        return f"{draw.getrandbits(128):032x}"

    return LogEntry(
        seq=seq,
        at=BEGUN + dt.timedelta(seconds=seq),
        act=act or draw.choice(ACTS),
        actor=identity() if draw.random() < 0.9 else None,
        object=identity(),
        purpose=draw.choice(("first_assessment", "second_assessment.3", None)),
        investigation=identity(),
        grant=identity() if draw.random() < 0.5 else None,
        record=f"{draw.getrandbits(256):064x}" if draw.random() < 0.5 else None,
        salt=identity(),
        prev_hash=prev_hash,
    )


def chained(count: int, draw: random.Random, *, begin: list[LogEntry] | None = None) -> list[LogEntry]:
    entries = list(begin or [])
    while len(entries) < count:
        entries.append(entry(len(entries) + 1, entries[-1].entry_hash() if entries else BEFORE_THE_FIRST, draw))
    return entries


def rechained(entries: list[LogEntry], start: int) -> list[LogEntry]:
    """The entries with every link from index `start` on made anew, as somebody who owns the database can."""
    done = entries[:start]
    for number, each in enumerate(entries[start:], start=start + 1):
        prev_hash = done[-1].entry_hash() if done else BEFORE_THE_FIRST
        done.append(dataclasses.replace(each, seq=number, prev_hash=prev_hash))
    return done


def note_over(entries: list[LogEntry], size: int, signer: Signer) -> bytes:
    root = Frontier().extended(each.leaf() for each in entries[:size]).root
    return signed(Checkpoint(signer.name, size, root), signer)


def made(count: int, *, every: int, seed: int, signer: Signer | None = None) -> Log:
    """A clean log of `count` entries with a checkpoint after each `every` of them and after the last."""
    signer = signer or Signer()
    entries = chained(count, random.Random(seed))
    sizes = sorted({*range(every, count + 1, every), count})
    tree, notes, at = Frontier(), [], 0
    for size in sizes:
        tree, at = tree.extended(each.leaf() for each in entries[at:size]), size
        notes.append(signed(Checkpoint(signer.name, size, tree.root), signer))
    journal = [f"{each.seq} {each.entry_hash()}\n".encode() for each in entries]
    return Log(entries, [each.line() for each in entries], notes, journal)


Tampering = Callable[[Log, random.Random], int | None]
"""Alters the log in place; gives the first bad entry, or None where it is a checkpoint that is bad."""


def bit_flip(log: Log, draw: random.Random) -> int:
    place = draw.randrange(len(log.lines))
    line = bytearray(log.lines[place])
    at = draw.randrange(len(line))
    line[at] ^= 1 << draw.randrange(8)
    log.lines[place] = bytes(line)
    return place + 1


def delete(log: Log, draw: random.Random) -> int:
    place = draw.randrange(len(log.lines))
    del log.lines[place]
    return place + 1


def swap(log: Log, draw: random.Random) -> int:
    first, second = sorted(draw.sample(range(len(log.lines)), 2))
    log.lines[first], log.lines[second] = log.lines[second], log.lines[first]
    return first + 1


def insert(log: Log, draw: random.Random) -> int:
    """A well-formed entry that fits what stands before it."""
    place = draw.randrange(len(log.lines) + 1)
    before = log.entries[place - 1].entry_hash() if place else BEFORE_THE_FIRST
    log.lines.insert(place, entry(place + 1, before, draw).line())
    return place + 1


def repeat(log: Log, draw: random.Random) -> int:
    place = draw.randrange(len(log.lines))
    log.lines.insert(place, log.lines[place])
    return place + 2


def truncate(log: Log, draw: random.Random) -> int:
    kept = draw.randrange(len(log.lines))
    del log.lines[kept:]
    return kept + 1


def changed_and_rehashed(log: Log, draw: random.Random) -> int:
    """Another actor, with the entry's own hash made to fit, and nothing behind it."""
    place = draw.randrange(len(log.entries))
    log.lines[place] = dataclasses.replace(log.entries[place], actor=f"{draw.getrandbits(128):032x}").line()
    return place + 1


def rechain(log: Log, draw: random.Random) -> int:
    """Another actor, and every link behind it made anew."""
    place = draw.randrange(len(log.entries))
    entries = list(log.entries)
    entries[place] = dataclasses.replace(entries[place], actor=f"{draw.getrandbits(128):032x}")
    log.lines = [each.line() for each in rechained(entries, place)]
    return place + 1


def deleted_and_rechained(log: Log, draw: random.Random) -> int:
    place = draw.randrange(len(log.entries))
    log.lines = [each.line() for each in rechained(log.entries[:place] + log.entries[place + 1 :], place)]
    return place + 1


def inserted_and_rechained(log: Log, draw: random.Random) -> int:
    place = draw.randrange(len(log.entries) + 1)
    entries = [*log.entries[:place], entry(place + 1, BEFORE_THE_FIRST, draw), *log.entries[place:]]
    log.lines = [each.line() for each in rechained(entries, place)]
    return place + 1


def rollback(log: Log, draw: random.Random) -> int:
    """An older copy of the database that has gone on with other acts, past where it was."""
    kept = draw.randrange(len(log.entries))
    log.lines = [each.line() for each in chained(len(log.entries) + 5, draw, begin=log.entries[:kept])]
    return kept + 1


def rechain_signed_by_another_key(log: Log, draw: random.Random) -> int | None:
    """Key swap: a whole history of the attacker's, with checkpoints that he can sign under the log's name."""
    place = rechain(log, draw)
    entries = chained(len(log.lines), draw)
    log.lines = [each.line() for each in entries]
    log.notes = [note_over(entries, len(entries), Signer(seed=666))]
    return None if place else 1


def forged_checkpoint(log: Log, draw: random.Random) -> None:
    """The last note with another root: the signature of the true one beside it."""
    body, divider, signatures = log.notes[-1].partition(b"\n\n")
    lines = body.split(b"\n")
    lines[2] = note_over(log.entries, draw.randrange(len(log.entries)), Signer()).split(b"\n")[2]
    log.notes[-1] = b"\n".join(lines) + divider + signatures


def flipped_checkpoint(log: Log, draw: random.Random) -> None:
    place = draw.randrange(len(log.notes))
    note = bytearray(log.notes[place])
    note[draw.randrange(len(note))] ^= 1 << draw.randrange(8)
    log.notes[place] = bytes(note)


def fork(log: Log, draw: random.Random) -> None:
    """A second history that the true key has signed too, at the same size."""
    other = chained(len(log.entries), draw)
    log.notes.insert(draw.randrange(len(log.notes) + 1), note_over(other, len(other), Signer()))


def smaller_tree_signed_later(log: Log, draw: random.Random) -> None:
    log.notes.append(note_over(log.entries, draw.randrange(len(log.entries)), Signer()))


def other_log(log: Log, draw: random.Random) -> None:
    """A checkpoint of another log, by a key that is known here under that other name."""
    log.notes[draw.randrange(len(log.notes))] = note_over(
        log.entries, len(log.entries), Signer(2, "havenline.invalid/x")
    )


ENTRIES: tuple[Tampering, ...] = (
    bit_flip,
    delete,
    swap,
    insert,
    repeat,
    truncate,
    changed_and_rehashed,
    rechain,
    deleted_and_rechained,
    inserted_and_rechained,
    rollback,
)
CHECKPOINTS: tuple[Tampering, ...] = (
    rechain_signed_by_another_key,
    forged_checkpoint,
    flipped_checkpoint,
    fork,
    smaller_tree_signed_later,
    other_log,
)
