"""What a connector is: pages of a partner's records, each with its bytes as sent, and where to go on from."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from havenline.vocabulary import HavenlineError, ListEntry

Checkpoint = Mapping[str, Any]
"""Where a connector goes on from: a JSON object that only the connector itself reads."""
_EMPTY_FILE = {
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
}


class PartnerError(HavenlineError):
    """The partner could not be asked, or answered what cannot be read. What was kept before holds; fetch again."""


class NotNow(PartnerError):
    """The partner asks for time: 429, or 503. `wait`: for so long, where it says."""

    def __init__(self, text: str, wait: dt.timedelta | None) -> None:
        super().__init__(text)
        self.wait = wait


class NotThere(PartnerError):
    """The partner says that it has nothing there: 404, or 403 where nothing was shown to open it with."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one member of the exchange says of a record: `view` as the partner spells it, `subject` what it is about."""

    member: str
    view: str
    subject: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PartnerRecord:
    """One record of a partner in its latest state. Without `entry` it is a tombstone: the record is withdrawn.

    `key` is unique at the partner. `changed`: seconds since 1970, UTC, by the partner's clock. `raw`: its bytes as they
    were sent, less addresses that the partner forbids to keep.
    """

    key: str
    changed: float
    raw: bytes
    entry: ListEntry | None
    opinions: tuple[Opinion, ...] = ()


@dataclass(frozen=True, slots=True)
class UnreadRecord:
    """A record that was not understood, for quarantine: `reason` says why, and tells no hash value."""

    raw: bytes
    reason: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Records to be kept in one transaction with `checkpoint`. `complete`: the partner has no more for now.

    `whole_from`: for a partner whose answers are always everything, each fetch is a resync.
    """

    records: Sequence[PartnerRecord]
    unread: Sequence[UnreadRecord]
    checkpoint: Checkpoint
    complete: bool


class Connector(Protocol):
    """One partner's list, asked over one host."""

    fresh_for: dt.timedelta | None
    """After so long without a fetch the partner no longer tells all that was withdrawn: everything is fetched anew."""

    def pages(self, checkpoint: Checkpoint | None, *, at: dt.datetime) -> Iterator[Page]:
        """What changed since `checkpoint`, or everything without one. Raises PartnerError."""

    def reread(self, raw: bytes) -> PartnerRecord | UnreadRecord:
        """A record from the bytes that were kept of it."""


class Feedback(Protocol):
    """A connector whose partner takes this house's opinion of a record."""

    def submit_feedback(self, raw: bytes, fingerprint_type: str, *, against: Sequence[str] = ()) -> None:
        """Vote for a record, or against it with the partner's own reasons. Sent once, never repeated by itself.

        `raw`: its bytes as they were kept; `fingerprint_type`: as the partner spells it. Raises PartnerError, and
        ValueError where the record, the type or a reason is none that the partner could take; then nothing is sent.
        What was said of the record before is replaced, so that saying the same again changes nothing.
        """

    def withdraw_feedback(self, raw: bytes, fingerprint_type: str) -> None:
        """Take back what was said of a record. Raises as `submit_feedback`, and ValueError where no protocol for it is
        known; then nothing is sent.
        """

    def reasons_against(self) -> list[str]:
        """The reasons to vote against a record, one a line as the partner spells them. Raises PartnerError."""

    def type_of(self, raw: bytes, kind: str, value: str) -> str | None:
        """How the partner spells the type of that digest in the record; None where the record has no such value.

        `kind` is `md5`, `sha1` or `sha256`, `value` lower-case hex.
        """


class NotUnderstood(Exception):
    """A record says what this version does not know. The text tells no hash value."""


def plain_value(kind: str, text: str) -> str:
    """A hash value that may be compared, in lower case and without blanks around it.

    Raises NotUnderstood for one repeated byte (no picture has it, a broken program has), and for the digest of an empty
    file. Not checked: its length and its signs, which `listed` checks.
    """
    value = text.strip().lower()
    if value in _EMPTY_FILE or (value[:2] == value[2:4] and value == value[:2] * (len(value) // 2)):
        raise NotUnderstood(f"a {kind} value that no picture has")
    return value


def listed(
    key: str, values: Mapping[str, str], *, label: str | None = None, opaque: tuple[tuple[str, str], ...] = ()
) -> ListEntry:
    """The entry with these `values` by kind. Raises NotUnderstood for a value of another length or of other signs."""
    try:
        return ListEntry(key, label=label, opaque=opaque, **values)  # type: ignore[arg-type]
    except ValueError as error:
        raise NotUnderstood(str(error)) from None


def digested_key(*parts: str) -> str:
    """A name for a record whose key at the partner is a hash value: 32 hex digits that do not tell it to a reader.

    Not a secret: who holds the value can compute the name.
    """
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def utc(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time. Raises NotUnderstood for one without its zone, or none at all."""
    try:
        read = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise NotUnderstood("a time that is none") from None
    if read.tzinfo is None:
        raise NotUnderstood("a time without its zone")
    return read.timestamp()
