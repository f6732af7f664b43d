"""The library's only way to a network: one partner's base URL, fixed by configuration, with credentials bound to it.

Nothing is ever asked of another address: redirects are not followed, and a path that an answer names is only taken on
the same origin and under the same base. No error and no log line tells a query, a header or a credential.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import sleep
from typing import Any
from urllib.parse import urlsplit

import requests

from havenline.connectors.frame import NotNow, NotThere, PartnerError

_RETRIED = (429, 500, 502, 503, 504)
_TRIES = 5
_FIRST_WAIT = 0.2
_LONGEST_WAIT = 120.0
_LONGEST_REST = 86_400.0
_TIMEOUT = (10.0, 60.0)
"""Seconds until there is a connection, and between two pieces of an answer."""
_LONGEST_BODY = 1 << 28
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

# At DEBUG they would write whole URLs, and of one partner the credential is part of those.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class AnswerTooLong(PartnerError):
    """The partner went on sending beyond what this answer may have; the rest was not read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a partner answered with a status of 200 to 299. `date`: the partner's clock, where it tells it."""

    body: bytes
    date: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a partner asks for, for one base URL alone. Its text shows nothing."""

    base_url: str
    basic: tuple[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    sending: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers of PUT and POST, in place of those of the same name."""

    @property
    def bare(self) -> bool:
        """Whether nothing is shown at all, as to a server of signed files."""
        return self.basic is None and not self.headers and not self.query


def checked_base(url: str) -> str:
    """A base URL without its last slash. Raises ValueError where it is no https address; http on loopback alone."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("a base URL begins with https://")
    if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment or "@" in url:
        raise ValueError("a base URL has a host and a path, and no user, query or fragment")
    return url.rstrip("/")


class OneHost:
    """Asks one base URL. Not for several threads."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        ca_file: str | None = None,
        wait: Callable[[float], None] = sleep,
    ) -> None:
        """Raises PartnerError where the credentials were sealed for another base URL; nothing is asked yet."""
        try:
            self.base = checked_base(base_url)
            bound = checked_base(credentials.base_url)
        except ValueError as error:
            raise PartnerError(str(error)) from None
        if bound != self.base:
            raise PartnerError("the credentials were sealed for another base URL; set the exchange up anew")
        self._credentials, self._wait = credentials, wait
        self.may_send = bool(credentials.sending)
        self._session = requests.Session()
        # Neither a proxy nor a .netrc of the environment may see or replace the credentials.
        self._session.trust_env = False
        self._session.verify = ca_file or True
        self._session.headers.update({"User-Agent": "havenline", **credentials.headers})

    def get(self, path: str, query: Mapping[str, str | int] | None = None, *, longest: int = _LONGEST_BODY) -> Answer:
        """GET `path` under the base URL; tried again where the partner asks for it or is out of order for a moment.

        `longest`: bytes of the answer; more are not read. Raises PartnerError, of it NotThere and AnswerTooLong.
        """
        for tries in range(1, _TRIES + 1):
            answer = self._asked("GET", path, query)
            if answer.status_code not in _RETRIED or tries == _TRIES:
                return self._taken("GET", path, answer, longest=longest)
            wait = _retry_after(answer.headers.get("Retry-After"))
            answer.close()
            self._wait(_FIRST_WAIT * 2**tries if wait is None else wait)
        raise AssertionError("unreachable")

    def send(self, method: str, path: str, body: bytes, *, media_type: str) -> Answer:
        """PUT or POST a body, once: what may have been taken is not sent twice. Raises PartnerError, of it NotNow."""
        return self._taken(method, path, self._asked(method, path, None, body=body, media_type=media_type))

    def own_path(self, url: str) -> str:
        """The path and query, under the base URL, of an address or a path that an answer names.

        Raises PartnerError where it leads to another origin or above the base.
        """
        base, named = urlsplit(self.base), urlsplit(url)
        if named.scheme or named.netloc:
            if (named.scheme, named.netloc) != (base.scheme, base.netloc) or not named.path.startswith(base.path + "/"):
                raise PartnerError("the partner's answer names an address on another host; nothing was asked there")
            path = named.path[len(base.path) :]
        else:
            path = named.path
        if not path.startswith("/") or ".." in path.split("/") or path.startswith("//") or "\\" in path:
            raise PartnerError("the partner's answer names an address that is no path under its base URL")
        return path + (f"?{named.query}" if named.query else "")

    def _asked(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        *,
        body: bytes | None = None,
        media_type: str | None = None,
    ) -> requests.Response:
        try:
            return self._session.request(
                method,
                self.base + path,
                params={**(query or {}), **self._credentials.query} or None,
                data=body,
                headers={"Content-Type": media_type, **self._credentials.sending} if media_type else None,
                auth=self._credentials.basic,
                timeout=_TIMEOUT,
                allow_redirects=False,
                stream=True,
            )
        except requests.RequestException as error:
            raise PartnerError(f"{_named(method, path)}: no answer ({type(error).__name__})") from None

    def _taken(self, method: str, path: str, answer: requests.Response, *, longest: int = _LONGEST_BODY) -> Answer:
        with answer:
            if 300 <= answer.status_code < 400:
                raise PartnerError(f"{_named(method, path)}: a redirect, which is not followed")
            if answer.status_code == 404 or (answer.status_code == 403 and self._credentials.bare):
                raise NotThere(f"{_named(method, path)}: answered with status {answer.status_code}")
            if answer.status_code in (401, 403):
                raise PartnerError(f"{_named(method, path)}: refused ({answer.status_code}); check the credentials")
            if answer.status_code in (429, 503):
                asked = _retry_after(answer.headers.get("Retry-After"), longest=_LONGEST_REST)
                rest = None if asked is None else dt.timedelta(seconds=asked)
                raise NotNow(f"{_named(method, path)}: answered with status {answer.status_code}", rest)
            if not 200 <= answer.status_code < 300:
                raise PartnerError(f"{_named(method, path)}: answered with status {answer.status_code}")
            body = bytearray()
            try:
                for part in answer.iter_content(1 << 16):
                    body += part
                    if len(body) > longest:
                        raise AnswerTooLong(f"{_named(method, path)}: an answer of more than {longest:,} bytes")
            except requests.RequestException as error:
                raise PartnerError(f"{_named(method, path)}: the answer broke off ({type(error).__name__})") from None
            return Answer(bytes(body), _date(answer.headers.get("Date")))


def _named(method: str, path: str) -> str:
    return f"{method} {path.partition('?')[0]}"


def _retry_after(text: str | None, *, longest: float = _LONGEST_WAIT) -> float | None:
    """Seconds to wait, at most `longest`. A time of day is taken as the longest wait."""
    if text is None:
        return None
    try:
        return min(max(float(text), 0.0), longest)
    except ValueError:
        return longest


def _date(text: Any) -> dt.datetime | None:
    try:
        read = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return read if read.tzinfo is not None else read.replace(tzinfo=dt.UTC)
