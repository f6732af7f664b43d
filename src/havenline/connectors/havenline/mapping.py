"""One line of a publisher's list as a record of a partner."""

from __future__ import annotations

from pathlib import Path

from havenline.connectors.frame import NotUnderstood, PartnerRecord, UnreadRecord, plain_value
from havenline.formats.edition import ALGORITHMS, EditionRefused, parse_line

_PLACE = Path("entry")


def record_of(line: bytes, *, seq: int) -> PartnerRecord | UnreadRecord:
    """The record of an entry's line; in quarantine where a value is one that no picture has.

    `seq`: the edition that brought it, which is all that says what is newer.
    """
    try:
        entry = parse_line(line, path=_PLACE, number=1)
    except EditionRefused as error:
        return UnreadRecord(line, str(error))
    try:
        for kind in ALGORITHMS:
            if (value := getattr(entry, kind)) is not None:
                plain_value(kind, value)
    except NotUnderstood as error:
        return UnreadRecord(line, str(error), entry.entry)
    return PartnerRecord(entry.entry, float(seq), line, entry.listed())


def withdrawal_of(entry: str, *, seq: int) -> PartnerRecord:
    """The tombstone of an entry that edition `seq` no longer has."""
    return PartnerRecord(entry, float(seq), b"", None)
