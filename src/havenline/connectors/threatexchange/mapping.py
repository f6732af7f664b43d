"""ThreatExchange's threat updates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from havenline.connectors.frame import NotUnderstood, Opinion, PartnerRecord, UnreadRecord, listed, plain_value
from havenline.vocabulary import ListEntry, check_text

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "HASH_PDQ": "pdq",
        "HASH_MD5": "md5",
        "HASH_SHA1": "sha1",
        "HASH_SHA256": "sha256",
        "HASH_VIDEO_MD5": "md5",
        "HASH_VIDEO_SHA256": "sha256",
    }
)
"""The types that are asked for."""
STATUSES = ("MALICIOUS", "SUSPICIOUS", "UNKNOWN", "NON_MALICIOUS")
"""The strongest first."""
_FIELDS = frozenset({"id", "indicator", "type", "last_updated", "should_delete", "descriptors"})


def record_of(said: Any, raw: bytes) -> PartnerRecord | UnreadRecord:
    """One update. `should_delete`, or no descriptor at all, is a tombstone.

    Descriptors without an owner are passed over, a fault of visibility on the partner's side; where no other is left
    the record goes to quarantine. What every owner calls NON_MALICIOUS is kept as opinions and not listed.
    """
    key = None
    try:
        if not isinstance(said, dict):
            raise NotUnderstood("no object")
        key = _key(said)
        if set(said) - _FIELDS:
            raise NotUnderstood("a field that is unknown")
        changed = said.get("last_updated")
        if not isinstance(changed, int) or isinstance(changed, bool):
            raise NotUnderstood("a last_updated that is no whole number")
        descriptors = list(_listed(said.get("descriptors")))
        if said.get("should_delete") is True or not descriptors:
            return PartnerRecord(key, float(changed), raw, None)
        owned = [each for each in descriptors if _owner(each)]
        if not owned:
            raise NotUnderstood("no descriptor tells its owner")
        opinions = tuple(opinion for each in owned for opinion in _opinions(each))
        return PartnerRecord(key, float(changed), raw, _entry(key, said, owned), opinions)
    except NotUnderstood as error:
        return UnreadRecord(raw, str(error), key)


def descriptors_of(said: Any) -> list[str]:
    """The numbers of a record's descriptors that tell their owner. Raises NotUnderstood."""
    if not isinstance(said, dict):
        raise NotUnderstood("no object")
    numbers = [str(each.get("id", "")) for each in _listed(said.get("descriptors")) if _owner(each)]
    if not all(number.isascii() and number.isalnum() for number in numbers):
        raise NotUnderstood("a descriptor without a number")
    return numbers


def _key(said: Mapping[str, Any]) -> str:
    try:
        return check_text("id", str(said["id"]))
    except (KeyError, ValueError):
        raise NotUnderstood("no id") from None


def _entry(key: str, said: Mapping[str, Any], owned: list[dict[str, Any]]) -> ListEntry | None:
    kind = TYPES.get(str(said.get("type")))
    if kind is None:
        raise NotUnderstood("a type that is unknown")
    value = plain_value(kind, str(said.get("indicator", "")))
    strongest = next(status for status in STATUSES if any(each.get("status") == status for each in owned))
    if strongest == "NON_MALICIOUS":
        return None
    return listed(key, {kind: value}, label=strongest.lower())


def _opinions(descriptor: Mapping[str, Any]) -> Iterator[Opinion]:
    status = descriptor.get("status")
    if status not in STATUSES:
        raise NotUnderstood("a status that is unknown")
    subject = str(descriptor.get("id", ""))
    tags = ", ".join(str(tag.get("text", "")) for tag in _listed(descriptor.get("tags")))
    yield Opinion(str(_owner(descriptor)), str(status), subject, tags)
    for reaction in _listed(descriptor.get("reactions")):
        for member in str(reaction.get("value", "")).split(","):
            if member.strip():
                yield Opinion(member.strip(), str(reaction.get("key", "")), subject)


def _owner(descriptor: Mapping[str, Any]) -> object:
    owner = descriptor.get("owner")
    return owner.get("id") if isinstance(owner, dict) else None


def _listed(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list, which stands there itself or as `data` of an object."""
    found = value.get("data") if isinstance(value, dict) else value
    if found is not None and not (isinstance(found, list) and all(isinstance(each, dict) for each in found)):
        raise NotUnderstood("a list of a form that is unknown")
    yield from found or ()
