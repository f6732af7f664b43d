"""Lists of this house in the form of NCMEC's hash sharing v2, below `/LIST/v2/`, for partners with a subscription.

Written to agree with what is read of NCMEC's own server: `havenline/connectors/ncmec/README.md`. What is asked for is
never logged: no path, no query, no user.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID, uuid5
from xml.sax.saxutils import escape, quoteattr

from django.db import DatabaseError, InterfaceError

from havenline.connectors.ncmec.client import FINGERPRINT_TYPES
from havenline.connectors.ncmec.mapping import CLASSIFICATIONS, NAMESPACE
from havenline.connectors.xml_records import Element, XmlRefused, parsed
from havenline.formats.edition import EditionRefused

from ..actions.record_feed_vote import record_feed_vote
from ..actions.take_feed_step import take_feed_step
from ..audit import AuditUnavailable
from ..models import FeedStep, Subscription, VoteReason
from ..queries.feeds import SERVED, Line, feed_page, partner_of, subscription_of, was_served

PAGE = 1000
_LONGEST_BODY = 1 << 16
_HOUSE = "1"
"""The member id of this house in every feed; the subscriber's is 2."""
_REASONS_OF = UUID("5f0b8f3e-5d0c-4d57-9d3e-7b2f4e0c1a26")
GUIDS: Mapping[str, VoteReason] = {str(uuid5(_REASONS_OF, each.value)): each for each in VoteReason}
_PATH = re.compile(r"/([a-z0-9][a-z0-9-]{0,63})/v2/([A-Za-z0-9/_-]{1,200})\Z")
_ENTRY = re.compile(r"[0-9a-f]{32}\Z")
_LOG = logging.getLogger("havenline.feed")

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


@dataclass(frozen=True, slots=True)
class _Answer:
    """XML, or with another status than 200 one line of text."""

    body: str
    status: HTTPStatus = HTTPStatus.OK


class _Refused(Exception):
    """Answered with that status and one line, which tells nothing of lists."""

    def __init__(self, status: HTTPStatus, line: str) -> None:
        super().__init__(line)
        self.answer = _Answer(line, status)


class NcmecFeed:
    """The WSGI application. `now` is the clock."""

    def __init__(self, *, now: Callable[[], dt.datetime]) -> None:
        self._now = now

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        at = self._now()
        try:
            answer = _answer(environ, at=at)
        except _Refused as refused:
            answer = refused.answer
        except (DatabaseError, InterfaceError, EditionRefused, AuditUnavailable) as error:
            _LOG.error("the feed cannot answer: %s", type(error).__name__)
            answer = _Answer("not available now; come back later", HTTPStatus.SERVICE_UNAVAILABLE)
        body = answer.body.encode()
        xml = answer.status is HTTPStatus.OK
        headers = [
            ("Content-Type", "application/xml; charset=utf-8" if xml else "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Date", format_datetime(at.astimezone(dt.UTC), usegmt=True)),
        ]
        if answer.status is HTTPStatus.UNAUTHORIZED:
            headers.append(("WWW-Authenticate", 'Basic realm="feed"'))
        if answer.status is HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append(("Retry-After", "60"))
        start_response(f"{answer.status.value} {answer.status.phrase}", headers)
        return [body]


def _answer(environ: Mapping[str, Any], *, at: dt.datetime) -> _Answer:
    user, secret = _basic(environ.get("HTTP_AUTHORIZATION", ""))
    partner = partner_of(user, secret)
    if partner is None:
        raise _Refused(HTTPStatus.UNAUTHORIZED, "user and password are expected")
    if partner.suspended_at is not None:
        raise _Refused(HTTPStatus.FORBIDDEN, "suspended; ask the house")
    found = _PATH.match(environ.get("PATH_INFO", ""))
    subscription = subscription_of(partner, found.group(1)) if found else None
    if found is None or subscription is None:
        raise _Refused(HTTPStatus.NOT_FOUND, "not here")
    match environ["REQUEST_METHOD"], found.group(2).split("/"):
        case "GET", ["status"]:
            return _document(
                "status",
                f"<ipAddress>0.0.0.0</ipAddress><username>{escape(partner.slug)}</username>"
                f'<member id="2">{escape(partner.name)}</member>',
            )
        case "GET", ["members"]:
            house = f'<member id="{_HOUSE}">{escape(subscription.list.name)}</member>'
            return _document("members", f'{house}<member id="2">{escape(partner.name)}</member>')
        case "GET", ["feedback", kind, "reasons"]:
            reasons = "".join(
                f"<reason guid={quoteattr(guid)} name={quoteattr(reason.label)} type={quoteattr(kind)}/>"
                for guid, reason in GUIDS.items()
            )
            return _document("availableFeedbackReasons", reasons if _known(kind) else "")
        case "GET", ["entries"]:
            return _entries(_step(subscription, at=at), environ.get("QUERY_STRING", ""), at=at)
        case "PUT", ["entries", member, entry, kind, "feedback"]:
            return _vote(subscription, member, entry, kind, _body(environ), at=at)
    raise _Refused(HTTPStatus.NOT_FOUND, "not here")


def _step(subscription: Subscription, *, at: dt.datetime) -> FeedStep:
    step = take_feed_step(subscription, at=at)
    if step is None:
        # An empty answer would move the subscriber's checkpoint past what is published next.
        raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "nothing was published yet; come back later")
    return step


def _entries(step: FeedStep, query: str, *, at: dt.datetime) -> _Answer:
    said = dict(parse_qsl(query, keep_blank_values=True))
    begin, end = _time(said, "from"), _time(said, "to")
    if end > at:
        raise _Refused(HTTPStatus.BAD_REQUEST, "the window ends in the future: compare the clocks, and their zones")
    after, start = said.get("after", ""), said.get("start", "1")
    if (after and not _ENTRY.match(after)) or not start.isdigit() or len(start) > 9:
        raise _Refused(HTTPStatus.BAD_REQUEST, "a page is asked for as it was named")
    page = feed_page(step, begin=begin, end=end, after=after, most=PAGE)
    latest = f' maxTimestamp="{_said(max(line.at for line in page.lines))}"' if page.lines else ""
    body = f'<images count="{len(page.lines)}"{latest}>{"".join(map(_element, page.lines))}</images>'
    body += '<videos count="0"/>'
    if page.more:
        following = {
            "from": said["from"],
            "to": said["to"],
            "start": int(start) + PAGE,
            "size": PAGE,
            "max": page.most,
            "after": page.lines[-1].entry,
        }
        body += f"<paging><next>{escape('/v2/entries?' + urlencode(following, safe=':'))}</next></paging>"
    return _document("queryResult", body)


def _element(line: Line) -> str:
    head = f'<member id="{_HOUSE}">house</member><timestamp>{_said(line.at)}</timestamp><id>{line.entry}</id>'
    if line.held is None:
        return f"<deletedImage>{head}</deletedImage>"
    entry = line.held
    # Of no other scheme is a class translated into one of these.
    code = entry.code if entry.framework == "ncmec.industry" and entry.code in CLASSIFICATIONS else ""
    classified = f"<classification>{code}</classification>" if code else ""
    prints = "".join(f"<{name}>{entry.values[name]}</{name}>" for name in SERVED if name in entry.values)
    return f"<image>{head}{classified}<fingerprints>{prints}</fingerprints></image>"


def _vote(subscription: Subscription, member: str, entry: str, kind: str, body: bytes, *, at: dt.datetime) -> _Answer:
    step = _step(subscription, at=at)
    if member != _HOUSE or not _known(kind) or not _ENTRY.match(entry) or not was_served(step, entry):
        raise _Refused(HTTPStatus.NOT_FOUND, "not here")
    try:
        against = _against(parsed(body, namespace=NAMESPACE))
    except (XmlRefused, ValueError):
        raise _Refused(HTTPStatus.BAD_REQUEST, "a feedbackSubmission is expected, with a guid of a reason") from None
    record_feed_vote(subscription, entry, fingerprint=kind.lower(), against=against, at=at)
    return _document("submissionResult", "")


def _against(root: Element) -> VoteReason | None:
    """The first reason that is given against; None for a vote in favour. Raises ValueError."""
    if root.name != "feedbackSubmission":
        raise ValueError(root.name)
    if root.child("affirmative") is not None:
        return None
    negative = root.child("negative")
    reasons = negative.child("reasonIds") if negative is not None else None
    guids = [each.text.strip() for each in reasons or () if each.name == "guid"]
    if not guids or any(guid not in GUIDS for guid in guids):
        raise ValueError("guid")
    return GUIDS[guids[0]]


def _known(kind: str) -> bool:
    return kind in FINGERPRINT_TYPES and kind.lower() in SERVED


def _basic(header: str) -> tuple[str, str]:
    scheme, _, rest = header.partition(" ")
    try:
        user, _, secret = base64.b64decode(rest, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return (user, secret) if scheme.lower() == "basic" and user.isprintable() else ("", "")


def _body(environ: Mapping[str, Any]) -> bytes:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > _LONGEST_BODY:
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long")
    return bytes(environ["wsgi.input"].read(int(length)))


def _time(said: Mapping[str, str], name: str) -> dt.datetime:
    try:
        read: dt.datetime | None = dt.datetime.fromisoformat(said.get(name, ""))
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise _Refused(HTTPStatus.BAD_REQUEST, f"'{name}' is a time in UTC, as 2026-11-28T13:00:00Z")
    return read


def _document(root: str, inner: str) -> _Answer:
    return _Answer(f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{inner}</{root}>')


def _said(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
