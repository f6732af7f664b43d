"""Asking NCMEC: status, members, entries by windows of time, feedback."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

from havenline.connectors.frame import Checkpoint, Page, PartnerError, PartnerRecord, UnreadRecord
from havenline.connectors.ncmec.mapping import NAMESPACE, record_of, reread
from havenline.connectors.one_host import OneHost
from havenline.connectors.xml_records import Element, Take, XmlRefused, parsed

FINGERPRINT_TYPES = frozenset(
    {"MD5", "SHA1", "PDNA", "PDQ", "NETCLEAN", "VIDENTIFIER", "TMK_PDQF", "SSVH_PDNA", "SSVH_SAFER_HASH"}
)
_BEGINNING = int(dt.datetime(2000, 1, 1, tzinfo=dt.UTC).timestamp())
_SETTLED = 5
"""Seconds before the present up to which is asked: an entry of this very second may still come."""
_OVERLAP = 1
"""Seconds that a window begins before the end of the last one: the protocol tells its ends in two ways."""
_PAGING_HOLDS = 12 * 3600
_MOST_PER_WINDOW = 50_000
_MOST_PASSES = 3
_SHRINK, _SMALL_BEFORE_GROWTH, _GROWTH = 4, 4, 2
_RESULT, _GROUPS = "queryResult", ("images", "videos")
_MEDIA_TYPE = "application/xml; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Member:
    """One organisation of the exchange."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class FeedbackReason:
    """Why a fingerprint can be voted against."""

    guid: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class _Window:
    """From and to, seconds since 1970."""

    begin: int
    end: int

    def query(self) -> dict[str, str | int]:
        return {"from": _said(self.begin), "to": _said(self.end)}


@dataclass(frozen=True, slots=True)
class _Pass:
    """When a pass through a window began, how many entries it read so far, and how many the partner told of."""

    asked: int
    read: int
    most: int | None


@dataclass(frozen=True, slots=True)
class _Answered:
    records: Sequence[PartnerRecord]
    unread: Sequence[UnreadRecord]
    next: str | None
    most: int | None


class Ncmec:
    """A connector; see `frame.Connector`. Everything that was ever withdrawn is told, however long ago."""

    fresh_for: dt.timedelta | None = None

    def __init__(self, host: OneHost, *, most_per_window: int = _MOST_PER_WINDOW) -> None:
        """Ask `host`. Windows with more entries than `most_per_window` are made smaller before they are read."""
        self._host, self._most = host, most_per_window

    def pages(self, checkpoint: Checkpoint | None, *, at: dt.datetime) -> Iterator[Page]:
        """See `frame.Connector`. The checkpoint moves on when a window is exhausted, never by what stands in a page."""
        now, said = self._present(at), checkpoint or {}
        until = int(said.get("until", _BEGINNING))
        paging: Mapping[str, Any] = said.get("paging") or {}
        if paging and int(paging["asked"]) + _PAGING_HOLDS > now:
            # A page's address is only good for the very window that it was given for.
            window = _Window(int(paging["from"]), int(paging["to"]))
            begun = _Pass(int(paging["asked"]), int(paging["read"]), paging["most"])
            yield from self._read(window, until, now=now, following=str(paging["next"]), begun=begun)
            until = window.end
        width, small, told = max(now - until, 1), 0, False
        while until < now:
            window = _Window(max(until - _OVERLAP, 0), min(until + width, now))
            first = self._asked("/v2/entries", window, window.query())
            many = first.most is None or first.most > self._most
            if first.next and many and width > 1:
                width, small = max(width // _SHRINK, 1), 0
                continue
            yield from self._read(window, until, now=now, first=first)
            until, told = window.end, True
            small += 1
            if small >= _SMALL_BEFORE_GROWTH:
                width, small = width * _GROWTH, 0
        if not told:
            yield Page((), (), {"until": until}, complete=True)

    def reread(self, raw: bytes) -> PartnerRecord | UnreadRecord:
        """See `frame.Connector`."""
        return reread(raw)

    def whoami(self) -> Member:
        """The member that the credentials belong to. Raises PartnerError."""
        member = self._tree("/v2/status").child("member")
        if member is None:
            raise PartnerError("GET /v2/status: tells no member")
        return Member(member.attributes.get("id", ""), member.text.strip())

    def members(self) -> tuple[Member, ...]:
        """All members. Raises PartnerError."""
        found = [each for each in self._tree("/v2/members") if each.name == "member"]
        return tuple(Member(each.attributes.get("id", ""), each.text.strip()) for each in found)

    def reasons(self, fingerprint_type: str) -> tuple[FeedbackReason, ...]:
        """Why a fingerprint of that type can be voted against. Raises PartnerError, ValueError for another type."""
        root = self._tree(f"/v2/feedback/{_checked(fingerprint_type)}/reasons")
        return tuple(
            FeedbackReason(*(each.attributes.get(name, "") for name in ("guid", "name", "type")))
            for each in root
            if each.name == "reason"
        )

    def give_feedback(self, key: str, fingerprint_type: str, *, against: Sequence[str] = ()) -> None:
        """Vote for a fingerprint of a record, or against it with the GUIDs of reasons. Sent once, never repeated.

        NCMEC keeps one vote for each member and fingerprint. Raises PartnerError, ValueError.
        """
        member, _, entry = key.partition("/")
        if not member or not entry:
            raise ValueError("a key is a member's id, a slash, and an entry's id")
        path = f"/v2/entries/{quote(member, safe='')}/{quote(entry, safe='')}/{_checked(fingerprint_type)}/feedback"
        guids = "".join(f"<guid>{escape(guid)}</guid>" for guid in against)
        vote = f"<negative><reasonIds>{guids}</reasonIds></negative>" if against else "<affirmative/>"
        said = (
            f'<?xml version="1.0" encoding="UTF-8"?><feedbackSubmission xmlns="{NAMESPACE}">{vote}</feedbackSubmission>'
        )
        self._host.send("PUT", path, said.encode(), media_type=_MEDIA_TYPE)

    def submit_feedback(self, raw: bytes, fingerprint_type: str, *, against: Sequence[str] = ()) -> None:
        """See `frame.Feedback`; the reasons are GUIDs."""
        record = reread(raw)
        if record.key is None:
            raise ValueError("the record tells no key")
        self.give_feedback(record.key, fingerprint_type, against=against)

    def withdraw_feedback(self, raw: bytes, fingerprint_type: str) -> None:
        """See `frame.Feedback`: always refused. A vote is replaced by another; taking one back is not documented."""
        raise ValueError("NCMEC's protocol takes no vote back, as far as was read; tell NCMEC")

    def reasons_against(self) -> list[str]:
        """See `frame.Feedback`: of the two digests that are compared, GUIDs with their names."""
        found = {each.guid: each.name for kind in ("MD5", "SHA1") for each in self.reasons(kind)}
        return [f"{guid}  {name}" for guid, name in found.items()]

    def type_of(self, raw: bytes, kind: str, value: str) -> str | None:
        """See `frame.Feedback`; the form has no place for a SHA-256."""
        record = reread(raw)
        entry = record.entry if isinstance(record, PartnerRecord) else None
        held = {} if entry is None else {"md5": entry.md5, "sha1": entry.sha1}
        return kind.upper() if held.get(kind) == value else None

    def _present(self, at: dt.datetime) -> int:
        """The present by the earlier of both clocks: a window in the future would be passed over for ever."""
        answer = self._host.get("/v2/status")
        return int(min(at, answer.date or at).timestamp()) - _SETTLED

    def _read(
        self,
        window: _Window,
        until: int,
        *,
        now: int,
        first: _Answered | None = None,
        following: str | None = None,
        begun: _Pass | None = None,
    ) -> Iterator[Page]:
        """All pages of a window, from its `first` or from the address of a `following` one, in one pass or several.

        Pages are counted off by the partner: an entry that changes between two of them leaves the window and moves the
        others up, past the end of the page that was read. So a pass that read fewer entries than there were is done
        again, three times at most, until two passes read the same number.
        """
        asked, before = begun or _Pass(now, 0, first.most if first else None), -1
        for passes in range(1, _MOST_PASSES + 1):
            answered = first or self._asked(following or "/v2/entries", window, None if following else window.query())
            first, following = None, None
            while True:
                read = asked.read + len(answered.records) + len(answered.unread)
                asked = _Pass(asked.asked, read, asked.most if asked.most is not None else answered.most)
                if not answered.next:
                    break
                paging = {"from": window.begin, "to": window.end, "next": answered.next, "asked": asked.asked}
                kept = {"until": until, "paging": {**paging, "read": asked.read, "most": asked.most}}
                yield Page(answered.records, answered.unread, kept, complete=False)
                after = self._asked(answered.next, window, None)
                if after.next == answered.next:
                    raise PartnerError("GET /v2/entries: a page names itself as the next one")
                answered = after
            fewer = asked.most is not None and asked.read < asked.most and asked.read != before
            if not fewer or passes == _MOST_PASSES:
                complete = window.end >= now
                yield Page(answered.records, answered.unread, {"until": window.end}, complete=complete)
                return
            yield Page(answered.records, answered.unread, {"until": until}, complete=False)
            before, asked = asked.read, _Pass(now, 0, None)

    def _asked(self, path: str, window: _Window, query: Mapping[str, str | int] | None) -> _Answered:
        records: list[PartnerRecord] = []
        unread: list[UnreadRecord] = []

        def take(within: Element, element: Element, raw: bytes) -> bool:
            if within.name in _GROUPS:
                read = record_of(element, raw)
                if isinstance(read, PartnerRecord):
                    records.append(read)
                else:
                    unread.append(read)
                return True
            if within.name == _RESULT and element.name not in (*_GROUPS, "paging"):
                unread.append(UnreadRecord(raw, "a group of records that is unknown"))
            return False

        root = _root(self._host.get(path, query).body, path, take)
        if root.name != _RESULT:
            raise PartnerError(f"GET /v2/entries: answered with <{root.name[:40]}> in place of <{_RESULT}>")
        following, most = None, None
        for group in root:
            if group.name == "paging":
                following, most = self._next(group, window)
        return _Answered(records, unread, following, most)

    def _next(self, paging: Element, window: _Window) -> tuple[str | None, int | None]:
        named = paging.child("next")
        if named is None or not named.text.strip():
            return None, None
        path = self._host.own_path(named.text.strip())
        query = parse_qs(urlsplit(path).query)
        asked = {name: [str(value)] for name, value in window.query().items()}
        if not path.startswith("/v2/entries?") or any(query.get(name, value) != value for name, value in asked.items()):
            raise PartnerError("GET /v2/entries: the next page that it names is of another window")
        most = query.get("max", [""])[0]
        return path, int(most) if most.isdigit() else None

    def _tree(self, path: str) -> Element:
        return _root(self._host.get(path).body, path)


def _root(body: bytes, path: str, take: Take | None = None) -> Element:
    try:
        return parsed(body, namespace=NAMESPACE, take=take)
    except XmlRefused as error:
        raise PartnerError(f"GET {path.partition('?')[0]}: the answer cannot be read: {error}") from None


def _checked(fingerprint_type: str) -> str:
    if fingerprint_type not in FINGERPRINT_TYPES:
        raise ValueError(f"a fingerprint type is one of {', '.join(sorted(FINGERPRINT_TYPES))}")
    return fingerprint_type


def _said(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
