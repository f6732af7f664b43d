"""A server that answers as a Hasher-Matcher-Actioner's curator is described, for tests; it knows no client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from havenline.connectors.simulator import Asked, Faults, Given, served


@dataclass(slots=True)
class HmaSimulator:
    """Contents of all banks are numbered together, and a content is answered whatever bank is asked for it."""

    banks: dict[str, float] = field(default_factory=dict)
    contents: dict[int, dict[str, Any]] = field(default_factory=dict)
    by_id: bool = False
    asked: list[Asked] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)

    def put(self, number: int, bank: str, *, disable_until_ts: int = 0, **signals: str) -> None:
        """A content is there in that state alone."""
        ratio = self.banks.setdefault(bank, 1.0)
        self.contents[number] = {
            "id": number,
            "bank": {"name": bank, "matching_enabled_ratio": ratio},
            "disable_until_ts": disable_until_ts,
            "collab_metadata": {},
            "original_media_uri": None,
            "signals": signals,
        }

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve while the block lasts; gives the base URL."""
        with served(self._answer, self.faults) as base:
            yield base

    def _answer(self, asked: Asked) -> Given:
        self.asked.append(asked)
        match asked.method, asked.path.split("/")[1:]:
            case "GET", ["c", "bank", bank] if bank in self.banks:
                return _json({"name": bank, "matching_enabled_ratio": self.banks[bank]})
            case "GET", ["c", "bank", bank, "content"] if bank in self.banks:
                return Given(status=405)
            case "GET", ["c", "bank", bank, "content", number] if bank in self.banks and int(number) in self.contents:
                said = dict(self.contents[int(number)])
                signals = said.pop("signals")
                if asked.query.get("include_signals") == "true":
                    said["signals"] = {number: signals} if self.by_id else signals
                return _json(said)
        return Given(b'{"message": "not found"}', status=404)


def _json(said: object) -> Given:
    return Given(json.dumps(said).encode(), headers={"Content-Type": "application/json"})
