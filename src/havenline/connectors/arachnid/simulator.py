"""A server that answers as Arachnid Shield's PDQ address is described, for tests; it knows no client."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from havenline.connectors.simulator import Asked, Faults, Given, served


@dataclass(slots=True)
class ArachnidSimulator:
    """`known`: by value in lower-case hex, its classification. Near is what differs in at most 31 bits."""

    user: str = "house"
    password: str = "not-a-secret"  # noqa: S105 - a simulator's
    known: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve while the block lasts; gives the base URL."""
        with served(self._answer, self.faults) as base:
            yield base

    def _answer(self, asked: Asked) -> Given:
        self.asked.append(asked)
        basic = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if asked.headers.get("Authorization") != f"Basic {basic}":
            return Given(b'{"detail": "Invalid credentials."}', status=401)
        if (asked.method, asked.path) != ("POST", "/v1/pdq/"):
            return Given(b'{"detail": "Not found."}', status=404)
        hashes = json.loads(asked.body)["hashes"]
        return Given(json.dumps({"scanned_hashes": {each: self._said(each) for each in hashes}}).encode())

    def _said(self, text: str) -> dict[str, Any]:
        value = int.from_bytes(base64.b64decode(text))
        distances = [((value ^ int(each, 16)).bit_count(), said) for each, said in self.known.items()]
        near, said = min(distances, default=(256, ""))
        if near > 31:
            return {"classification": "no-known-match", "match_type": None, "near_match_details": None}
        details = [{"timestamp": 0, "sha1_base32": "A", "sha256_hex": "0", "classification": said}]
        kind = "near" if near else "exact"
        return {"classification": said, "match_type": kind, "near_match_details": details if near else None}
