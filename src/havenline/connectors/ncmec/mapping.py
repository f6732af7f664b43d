"""NCMEC's `image`, `video`, `deletedImage` and `deletedVideo` elements as records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from havenline.connectors.frame import NotUnderstood, Opinion, PartnerRecord, UnreadRecord, listed, plain_value, utc
from havenline.connectors.xml_records import Element, XmlRefused, parsed
from havenline.vocabulary import ListEntry, check_text

NAMESPACE = "https://hashsharing.ncmec.org/hashsharing/v2"
CLASSIFICATIONS = frozenset({"A1", "A2", "B1", "B2"})
KINDS = MappingProxyType({"image": "deletedImage", "video": "deletedVideo"})
_GONE = frozenset(KINDS.values())
_COMPARED = MappingProxyType({"image": ("md5", "sha1", "pdq"), "video": ("md5", "sha1")})
_FIELDS = frozenset({"member", "timestamp", "id", "classification", "fingerprints", "feedback"})
_ADDRESS = re.compile(rb'\shref="[^"]*"')


def record_of(element: Element, raw: bytes) -> PartnerRecord | UnreadRecord:
    """One record of a page; `raw` are its bytes as they were sent.

    Each fingerprint is kept: those that are compared by kind, others as carried values under their tag, so that an
    unknown kind does not cost the known ones. The addresses of large fingerprints are not kept, as NCMEC asks.
    Anything else that is unknown goes to quarantine.
    """
    if b"href" in raw:
        raw = _ADDRESS.sub(b"", raw)
    key = None
    fields = {each.name: each for each in reversed(element)}  # the first of each name
    try:
        key = _key(fields)
        changed = utc(_text(fields, "timestamp"))
        if element.name in _GONE:
            return PartnerRecord(key, changed, raw, None)
        if element.name not in KINDS:
            raise NotUnderstood("an element of another name")
        if not fields.keys() <= _FIELDS:
            raise NotUnderstood("an element that is unknown")
        return PartnerRecord(key, changed, raw, _entry(element.name, key, fields), _opinions(fields))
    except NotUnderstood as error:
        return UnreadRecord(raw, str(error), key)


def reread(raw: bytes) -> PartnerRecord | UnreadRecord:
    """A record from the bytes that were kept of it. Not read: elements under a namespace prefix."""
    body = b'<kept xmlns="%s">%s</kept>' % (NAMESPACE.encode(), raw)
    try:
        return record_of(parsed(body, namespace=NAMESPACE)[0], raw)
    except (XmlRefused, IndexError):
        return UnreadRecord(raw, "no element can be read from the bytes that were kept")


_Fields = Mapping[str, Element]


def _key(fields: _Fields) -> str:
    member = fields.get("member")
    if member is None:
        raise NotUnderstood("no member")
    if not member.attributes.get("id"):
        raise NotUnderstood("a member without its id")
    key = f"{member.attributes['id']}/{_text(fields, 'id')}"
    try:
        return check_text("key", key)
    except ValueError:
        raise NotUnderstood("a member and an id that are no key of 1 to 200 letters") from None


def _text(fields: _Fields, name: str) -> str:
    found = fields.get(name)
    text = "" if found is None else found.text.strip()
    if not text:
        raise NotUnderstood(f"no {name}")
    return text


def _entry(kind: str, key: str, fields: _Fields) -> ListEntry | None:
    classification = fields.get("classification")
    label = None if classification is None else classification.text.strip()
    if label is not None and label not in CLASSIFICATIONS:
        raise NotUnderstood("a classification that is unknown")
    compared: dict[str, str] = {}
    of_kind = _COMPARED[kind]
    carried: dict[str, str] = {}
    for each in fields.get("fingerprints", ()):
        if each.attributes and ("href" in each.attributes or "rel" in each.attributes):
            continue  # a large fingerprint: asked for by itself, and its address may change
        if each.name in compared or each.name in carried or len(each):
            raise NotUnderstood("a fingerprint that stands there twice, or is made of parts")
        value = each.text.strip()
        if each.name in of_kind:
            compared[each.name] = plain_value(each.name, value)
        elif value:
            carried[each.name] = value
    if not compared and not carried:
        return None  # live at the partner, with nothing that could be kept: an earlier value of it must go
    return listed(key, compared, label=label, opaque=tuple(sorted(carried.items())))


def _opinions(fields: _Fields) -> tuple[Opinion, ...]:
    found = []
    for group in fields.get("feedback", ()):
        subject = group.attributes.get("type", "").upper().replace("-", "_")
        if group.name == "affirmativeFeedback":
            found += [Opinion(member, "affirmative", subject) for member in _members(group)]
        elif group.name == "negativeFeedback":
            reason = ""
            # `reasons` holds each reason and, behind it as a sibling, the members who gave it.
            for each in group.child("reasons") or ():
                if each.name == "reason":
                    reason = each.attributes.get("name", "")
                elif each.name == "members":
                    found += [Opinion(_member(one), "negative", subject, reason) for one in each]
                else:
                    raise NotUnderstood("feedback of a form that is unknown")
        else:
            raise NotUnderstood("feedback of a form that is unknown")
    return tuple(found)


def _members(group: Element) -> list[str]:
    return [_member(one) for members in group if members.name == "members" for one in members]


def _member(element: Element) -> str:
    return element.attributes.get("id") or element.text.strip()
