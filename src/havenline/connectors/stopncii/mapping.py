"""StopNCII's hash records."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from havenline.connectors.frame import (
    NotUnderstood,
    Opinion,
    PartnerRecord,
    UnreadRecord,
    digested_key,
    listed,
    plain_value,
)
from havenline.vocabulary import ListEntry

COMPARED: Mapping[str, str] = MappingProxyType({"ImagePDQ": "pdq", "VideoMD5": "md5"})
CARRIED = frozenset({"VideoTMK"})
NOT_LISTED = frozenset({"Text", "URL"})
"""Known, and nothing that a list of hashes could hold."""
LIVE = frozenset({"Received", "Active"})
GONE = frozenset({"Withdrawn", "Deleted"})
FEEDBACK = frozenset(
    {"None", "QualityUnknown", "PendingReview", "Blocked", "NotBlocked", "Withdrawn", "Deleted", "Unknown", "Undefined"}
)
_FIELDS = frozenset(
    {"lastModtimestamp", "signalType", "hashValue", "hashStatus", "caseNumbers", "CSPFeedbacks", "hashRegions"}
)
LABEL = "ncii"


def record_of(said: Any, raw: bytes) -> PartnerRecord | UnreadRecord:
    """One record: a whole snapshot of what StopNCII holds of one value. Its status decides, not its value.

    The key is a digest of type and value, so that no id tells a hash.
    """
    key = None
    try:
        if not isinstance(said, dict):
            raise NotUnderstood("no object")
        kind, value = said.get("signalType"), said.get("hashValue")
        if not isinstance(kind, str) or not isinstance(value, str) or not value.strip():
            raise NotUnderstood("no signalType or no hashValue")
        key = digested_key(kind, value.strip().lower())
        if set(said) - _FIELDS:
            raise NotUnderstood("a field that is unknown")
        changed = said.get("lastModtimestamp")
        if not isinstance(changed, int) or isinstance(changed, bool):
            raise NotUnderstood("a lastModtimestamp that is no whole number")
        _check_cases(said.get("caseNumbers"))
        opinions = _opinions(said.get("CSPFeedbacks"))
        if said.get("hashStatus") in GONE:
            return PartnerRecord(key, float(changed), raw, None, opinions)
        if said.get("hashStatus") not in LIVE:
            raise NotUnderstood("a hashStatus that is unknown")
        return PartnerRecord(key, float(changed), raw, _entry(key, kind, value), opinions)
    except NotUnderstood as error:
        return UnreadRecord(raw, str(error), key)


def _entry(key: str, kind: str, value: str) -> ListEntry | None:
    if kind in COMPARED:
        compared = COMPARED[kind]
        return listed(key, {compared: plain_value(compared, value)}, label=LABEL)
    if kind in CARRIED:
        return ListEntry(key, label=LABEL, opaque=((kind, value.strip()),))
    if kind in NOT_LISTED:
        return None
    raise NotUnderstood("a signalType that is unknown")


def _check_cases(cases: Any) -> None:
    # An empty array has been sent in place of an empty object.
    if not cases and isinstance(cases, dict | list | None):
        return
    if not isinstance(cases, dict) or not all(each in LIVE | GONE | {"Unknown"} for each in cases.values()):
        raise NotUnderstood("caseNumbers of a form that is unknown")


def _opinions(feedbacks: Any) -> tuple[Opinion, ...]:
    found = []
    for each in feedbacks or ():
        if not isinstance(each, dict) or set(each) - {"source", "feedbackValue", "tags"}:
            raise NotUnderstood("CSPFeedbacks of a form that is unknown")
        if each.get("feedbackValue") not in FEEDBACK:
            raise NotUnderstood("a feedbackValue that is unknown")
        tags = ", ".join(str(tag) for tag in each.get("tags") or ())
        found.append(Opinion(str(each.get("source", "")), str(each["feedbackValue"]), reason=tags))
    return tuple(found)
