"""A content of a bank."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from havenline.connectors.frame import NotUnderstood, PartnerRecord, UnreadRecord, listed, plain_value
from havenline.vocabulary import ListEntry, check_text

COMPARED: Mapping[str, str] = MappingProxyType({"pdq": "pdq", "video_md5": "md5", "video_sha256": "sha256"})
NOT_LISTED = frozenset({"raw_text", "url", "url_md5", "trend_query"})
_FIELDS = frozenset(
    {"id", "bank", "disable_until_ts", "collab_metadata", "original_media_uri", "note", "metadata", "signals"}
)
_OFF = 1
"""The value of `disable_until_ts` that says: for good; 0 says never; any other is a time."""


def record_of(
    said: Any, raw: bytes, *, bank: str, at: dt.datetime | None, number: int | None = None
) -> PartnerRecord | UnreadRecord:
    """One content. One that is disabled at `at` is a tombstone; the address of its picture is not kept."""
    key = None if number is None else str(number)
    try:
        if not isinstance(said, dict) or not isinstance(said.get("id"), int) or isinstance(said["id"], bool):
            raise NotUnderstood("no object with an id")
        if number is not None and said["id"] != number:
            raise NotUnderstood("an id that was not asked for")
        key = str(said["id"])
        if said.get("original_media_uri") is not None:
            raw = _without_address(said)
        if set(said) - _FIELDS:
            raise NotUnderstood("a field that is unknown")
        until = said.get("disable_until_ts")
        if not isinstance(until, int) or isinstance(until, bool) or until < 0:
            raise NotUnderstood("a disable_until_ts that is none")
        changed = 0.0 if at is None else at.timestamp()
        if until == _OFF or (at is not None and until > at.timestamp()):
            return PartnerRecord(key, changed, raw, None)
        return PartnerRecord(key, changed, raw, _entry(key, bank, _signals(said)))
    except NotUnderstood as error:
        return UnreadRecord(raw, str(error), key)


def _signals(said: Mapping[str, Any]) -> dict[str, str]:
    found = said.get("signals")
    if isinstance(found, dict) and list(found) == [str(said["id"])]:
        found = found[str(said["id"])]  # by id, as for several contents
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise NotUnderstood("signals of a form that is unknown")
    return found


def _entry(key: str, bank: str, signals: Mapping[str, str]) -> ListEntry | None:
    values: dict[str, str] = {}
    opaque = []
    for kind, value in sorted(signals.items()):
        if not value.strip() or kind in NOT_LISTED:
            continue
        if kind in COMPARED:
            values[COMPARED[kind]] = plain_value(COMPARED[kind], value)
            continue
        try:
            opaque.append((check_text("kind", kind), check_text("value", value.strip())))
        except ValueError:
            raise NotUnderstood("a signal that is no line of text") from None
    if not values and not opaque:
        return None
    return listed(key, values, label=bank.lower(), opaque=tuple(opaque))


def _without_address(said: Mapping[str, Any]) -> bytes:
    return json.dumps({**said, "original_media_uri": None}).encode()
