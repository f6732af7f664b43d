"""A server that answers as StopNCII's FetchHashes is described, for tests; it knows no client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from havenline.connectors.simulator import Asked, Faults, Given, served


@dataclass(slots=True)
class StopNciiSimulator:
    """`seconds`: the server's clock. Withdrawn and deleted records are told for `forgets` seconds, then no more.

    `timestamps_fall`: the last page tells a lower time than the one before, as has been seen.
    """

    seconds: Callable[[], int]
    fetch_key: str = "fetch-not-a-secret"
    feedback_key: str = "feedback-not-a-secret"
    subscription_key: str = "subscription-not-a-secret"
    forgets: int = 30 * 86400
    timestamps_fall: bool = False
    page_size: int = 800
    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    feedback: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    _tokens: dict[str, tuple[int, tuple[int, str]]] = field(default_factory=dict)

    def put(self, value: str, *, signal: str = "ImagePDQ", status: str = "Active", **more: Any) -> None:
        """A record is there in that state alone, changed just now."""
        said = {"lastModtimestamp": self.seconds(), "signalType": signal, "hashValue": value, "hashStatus": status}
        self.records[signal, value] = {**said, "caseNumbers": {"c-1": "Active"}, **more}

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve while the block lasts; gives the base URL."""
        with served(self._answer, self.faults, at="/v1") as base:
            yield base

    def _answer(self, asked: Asked) -> Given:
        self.asked.append(asked)
        expected = {("GET", "/FetchHashes"): self.fetch_key, ("POST", "/SubmitFeedback"): self.feedback_key}
        own_key = expected.get((asked.method, asked.path))
        if own_key is None:
            return Given(status=404)
        keys = (_header(asked.headers, "x-functions-key"), _header(asked.headers, "Ocp-Apim-Subscription-Key"))
        if keys != (own_key, self.subscription_key):
            return Given(status=401)
        if asked.method == "POST":
            said = json.loads(asked.body)
            self.feedback += said["hashFeedbacks"]
            return Given(b"{}", status=200 if said["count"] == len(said["hashFeedbacks"]) else 400)
        begin, behind = int(asked.query["startTimestamp"]), (0, "")
        if token := asked.query.get("nextPageToken"):
            issued_for, behind = self._tokens.get(token, (-1, behind))
            if issued_for != begin:
                return Given(status=400)
        size = min(int(asked.query["pageSize"]), self.page_size)
        told = [each for each in self.records.values() if self._told(each) and each["lastModtimestamp"] >= begin]
        told = sorted((each for each in told if _place(each) > behind), key=_place)
        page, more = told[:size], size < len(told)
        following = f"token-{len(self._tokens)}" if more else None
        if following:
            self._tokens[following] = (begin, _place(page[-1]))
        reached = int(page[-1]["lastModtimestamp"]) if page else begin
        if not more and self.timestamps_fall:
            reached -= 100
        said = {"count": len(page), "nextSetTimestamp": reached, "nextPageToken": following, "hasMoreRecords": more}
        return Given(json.dumps({**said, "hashRecords": page}).encode(), headers={"Content-Type": "application/json"})

    def _told(self, record: Mapping[str, Any]) -> bool:
        gone = record["hashStatus"] in ("Withdrawn", "Deleted")
        return not gone or self.seconds() - int(record["lastModtimestamp"]) <= self.forgets


def _place(record: Mapping[str, Any]) -> tuple[int, str]:
    return int(record["lastModtimestamp"]), f"{record['signalType']} {record['hashValue']}"


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name.lower()), None)
