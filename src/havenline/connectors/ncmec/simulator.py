"""A server that speaks NCMEC's hash sharing v2 as its documents describe it, for tests; it knows no client."""

from __future__ import annotations

import datetime as dt
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import unquote, urlencode
from xml.sax.saxutils import escape, quoteattr

from havenline.connectors.simulator import Asked, Faults, Given, served

_NAMESPACE = "https://hashsharing.ncmec.org/hashsharing/v2"
_LARGE = frozenset({"videntifier", "tmk-pdqf", "ssvh-pdna", "ssvh-safer-hash"})


@dataclass(slots=True)
class Shared:
    """An entry in its latest state. `timestamp`: seconds since 1970. `more`: further XML inside the element."""

    member: str
    id: str
    timestamp: int
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    kind: str = "image"
    classification: str | None = "A1"
    deleted: bool = False
    more: str = ""


@dataclass(slots=True)
class NcmecSimulator:
    """`clock`: the server's own time. `ends`: which ends of a window belong to it, `"(]"` or `"[)"`.

    Entries are in an order that `seed` draws, never that of time, and counted off into pages. A page of a window that
    was not asked for is empty.
    """

    clock: Callable[[], dt.datetime]
    user: str = "member-one"
    password: str = "not-a-secret"  # noqa: S105 - a simulator's
    page_size: int = 1000
    ends: str = "(]"
    seed: int = 1
    tells_most: bool = True
    entries: dict[tuple[str, str], Shared] = field(default_factory=dict)
    feedback: list[tuple[str, bytes]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    between_pages: Callable[[], None] | None = None
    _given: set[tuple[str, str, str]] = field(default_factory=set)

    def put(self, shared: Shared) -> None:
        """An entry is there, in that state alone."""
        self.entries[shared.member, shared.id] = shared

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve while the block lasts; gives the base URL."""
        with served(self._answer, self.faults, at="/hashsharing") as base:
            yield base

    def place(self, shared: Shared) -> bytes:
        """Where an entry stands among the others."""
        return sha256(f"{self.seed} {shared.member} {shared.id}".encode()).digest()

    def _answer(self, asked: Asked) -> Given:
        self.asked.append(asked)
        dated = {"Date": self.clock().strftime("%a, %d %b %Y %H:%M:%S GMT"), "Content-Type": "application/xml"}
        basic = b64encode(f"{self.user}:{self.password}".encode()).decode()
        if asked.headers.get("Authorization") != f"Basic {basic}":
            return Given(status=401, headers=dated)
        steps = [unquote(step) for step in asked.path.split("/")[1:]]
        match asked.method, steps:
            case "GET", ["v2", "status"]:
                body = f'<member id="7">Member {self.user}</member>'
                return Given(_document("status", f"<ipAddress>127.0.0.1</ipAddress><username/>{body}"), headers=dated)
            case "GET", ["v2", "members"]:
                return Given(
                    _document("members", '<member id="7">One</member><member id="9">Two</member>'), headers=dated
                )
            case "GET", ["v2", "entries"]:
                return Given(self._page(asked.query), headers=dated)
            case "GET", ["v2", "feedback", kind, "reasons"]:
                reasons = f'<reason guid="g-1" name="Wrong" type={quoteattr(kind)}/>'
                return Given(_document("availableFeedbackReasons", reasons), headers=dated)
            case "PUT", ["v2", "entries", _, _, _, "feedback"]:
                self.feedback.append((asked.path, asked.body))
                return Given(_document("submissionResult", ""), headers=dated)
        return Given(status=404, headers=dated)

    def _page(self, query: Mapping[str, str]) -> bytes:
        begin, end = (int(dt.datetime.fromisoformat(query[name]).timestamp()) for name in ("from", "to"))
        start = int(query.get("start", "1"))
        if start > 1 and (query["from"], query["to"], query["start"]) not in self._given:
            return _document("queryResult", '<images count="0"/><videos count="0"/>')
        inside = [each for each in self.entries.values() if self._within(each.timestamp, begin, end)]
        inside.sort(key=self.place)
        page = inside[start - 1 : start - 1 + self.page_size]
        following = start + self.page_size
        paging = ""
        if following <= len(inside):
            self._given.add((query["from"], query["to"], str(following)))
            said = {"from": query["from"], "to": query["to"], "start": following, "size": self.page_size}
            said |= {"max": len(inside)} if self.tells_most else {}
            paging = f"<paging><next>{escape('/v2/entries?' + urlencode(said, safe=':'))}</next></paging>"
        body = "".join(self._group(kind, [each for each in page if each.kind == kind]) for kind in ("image", "video"))
        if self.between_pages is not None:
            self.between_pages()
        return _document("queryResult", body + paging)

    def _within(self, timestamp: int, begin: int, end: int) -> bool:
        if timestamp > self.clock().timestamp():
            return False
        return begin < timestamp <= end if self.ends == "(]" else begin <= timestamp < end

    def _group(self, kind: str, shared: list[Shared]) -> str:
        latest = f' maxTimestamp="{_said(max(each.timestamp for each in shared))}"' if shared else ""
        return f'<{kind}s count="{len(shared)}"{latest}>{"".join(map(_element, shared))}</{kind}s>'


def _element(shared: Shared) -> str:
    name = f"deleted{shared.kind.capitalize()}" if shared.deleted else shared.kind
    inner = (
        f"<member id={quoteattr(shared.member)}>Member</member><timestamp>{_said(shared.timestamp)}</timestamp>"
        f"<id>{escape(shared.id)}</id>"
    )
    if not shared.deleted:
        if shared.classification is not None:
            inner += f"<classification>{escape(shared.classification)}</classification>"
        prints = "".join(_fingerprint(shared, tag, value) for tag, value in shared.fingerprints.items())
        inner += f"<fingerprints>{prints}</fingerprints>{shared.more}"
    return f"<{name}>{inner}</{name}>"


def _fingerprint(shared: Shared, tag: str, value: str) -> str:
    if tag in _LARGE:
        return f'<{tag} rel="self" href="/v2/entries/{shared.member}/{shared.id}/{tag.upper()}"/>'
    return f"<{tag}>{escape(value)}</{tag}>"


def _document(root: str, inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{_NAMESPACE}">{inner}</{root}>'.encode()


def _said(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
