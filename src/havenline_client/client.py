"""Asks the match service, over one connection that is kept open: docs/howto/match-api.md."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit


class Refused(Exception):
    """The service did not look anything up. `name` says why; `retry_after`: seconds, 0 where it never helps."""

    def __init__(self, status: int, name: str, item: int | None = None, retry_after: int = 0) -> None:
        super().__init__(f"{name} ({status})" + (f", item {item}" if item is not None else ""))
        self.status, self.name, self.item, self.retry_after = status, name, item, retry_after


@dataclass(frozen=True, slots=True)
class Answer:
    """`lead`: whether there is one, which a person must look at. `perceptual`: whether the file was compared by
    likeness too: `hashed`, or why not.
    """

    lead: bool
    perceptual: str


class _OverSocket(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class MatchService:
    """One connection; for several threads make one each. `address`: https://…, http:// on loopback, or unix:/path."""

    def __init__(self, address: str, key: str, *, timeout: float = 60.0) -> None:
        """Connects when it first asks. Raises ValueError for plain http to another machine: the key would be read."""
        parts = urlsplit(address)
        self._connection: HTTPConnection
        if parts.scheme == "unix":
            self._connection = _OverSocket(parts.path, timeout)
        elif parts.scheme == "https" and parts.hostname:
            self._connection = HTTPSConnection(parts.hostname, parts.port, timeout=timeout)
        elif parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"):
            self._connection = HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        else:
            raise ValueError("the service is asked at https://…, at http:// on this machine, or at unix:/path")
        self._key = key

    def __enter__(self) -> MatchService:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def match_hashes(self, items: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Whether there is a lead on each item: 1 to 1,000, each with `sha256`, `sha1`, `md5`, or `pdq` and `quality`.

        Raises Refused, OSError.
        """
        body = json.dumps({"items": [dict(item) for item in items]}).encode()
        said = self._asked("/v1/match/hashes", body, "application/json")
        return [bool(bit) for bit in said["leads"]]

    def match_file(self, content: bytes) -> Answer:
        """Whether there is a lead on the file, which is hashed at the service. Raises Refused, OSError."""
        said = self._asked("/v1/match/file", content, "application/octet-stream")
        return Answer(bool(said["leads"][0]), str(said["perceptual"]))

    def _asked(self, path: str, body: bytes, kind: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": kind}
        try:
            self._connection.request("POST", path, body, headers)
            answer = self._connection.getresponse()
            read = answer.read()
        except (HTTPException, OSError) as error:
            self._connection.close()  # the next question makes another
            raise OSError(f"the match service did not answer ({type(error).__name__})") from error
        try:
            said = json.loads(read)
        except ValueError:
            said = {}
        if answer.status != 200:
            wait = answer.headers.get("Retry-After", "0")
            raise Refused(
                answer.status, str(said.get("refused", "failed")), said.get("item"), int(wait) if wait.isdigit() else 0
            )
        return dict(said)
