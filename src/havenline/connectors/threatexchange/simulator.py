"""A server that answers as ThreatExchange's threat_updates is described, for tests; it knows no client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from havenline.connectors.simulator import Asked, Faults, Given, served


@dataclass(slots=True)
class ThreatExchangeSimulator:
    """`seconds`: the server's clock. Tombstones are told for `forgets` seconds, then no more.

    `reactions`: those that stand, by descriptor, each once.
    """

    seconds: Callable[[], int]
    token: str = "123456789|not-a-secret-but-long-enough"  # noqa: S105 - a simulator's
    group: str = "4711"
    forgets: int = 90 * 86400
    limit: int = 100
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    reactions: list[tuple[str, str]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    base: str = ""

    def put(self, number: str, indicator: str, *, kind: str = "HASH_PDQ", **more: Any) -> None:
        """An indicator is there in that state alone, changed just now."""
        descriptor = {"id": f"d{number}", "owner": {"id": "501"}, "status": "MALICIOUS", "tags": {"data": []}}
        said = {"id": number, "indicator": indicator, "type": kind, "last_updated": self.seconds()}
        self.items[number] = {**said, "should_delete": False, "descriptors": {"data": [descriptor]}, **more}

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve while the block lasts; gives the base URL."""
        with served(self._answer, self.faults, at="/v21.0") as self.base:
            yield self.base

    def _answer(self, asked: Asked) -> Given:
        self.asked.append(asked)
        query = dict(asked.query)
        if query.pop("access_token", None) != self.token:
            return Given(b'{"error": {"message": "no"}}', status=400)
        if asked.method == "POST" and self._has(descriptor := asked.path.strip("/")):
            form = dict(parse_qsl(asked.body.decode()))
            gone = {(descriptor, name) for name in form.get("reactions_to_remove", "").split(",")}
            given = [(descriptor, name) for name in form.get("reactions", "").split(",") if name]
            self.reactions = [each for each in self.reactions if each not in gone and each not in given] + given
            return Given(b'{"success": true}')
        if asked.path.rstrip("/") != f"/{self.group}/threat_updates":
            return Given(status=404)
        start = int(query.get("start_time", "0"))
        after, _, behind = query.pop("after", "0 ").partition(" ")
        told = [each for each in self.items.values() if self._told(each) and int(each["last_updated"]) >= start]
        told = sorted((each for each in told if _place(each) > (int(after), behind)), key=_place)
        size = min(int(query["limit"]), self.limit)
        said: dict[str, Any] = {"data": told[:size]}
        if size < len(told):
            updated, last = _place(told[size - 1])
            carried = {**query, "access_token": self.token, "after": f"{updated} {last}"}
            said["paging"] = {"next": f"{self.base}{asked.path}?{urlencode(carried)}"}
        return Given(json.dumps(said).encode(), headers={"Content-Type": "application/json"})

    def _has(self, descriptor: str) -> bool:
        return any(each["id"] == descriptor for item in self.items.values() for each in item["descriptors"]["data"])

    def _told(self, item: dict[str, Any]) -> bool:
        return not item["should_delete"] or self.seconds() - int(item["last_updated"]) <= self.forgets


def _place(item: dict[str, Any]) -> tuple[int, str]:
    return int(item["last_updated"]), str(item["id"])
