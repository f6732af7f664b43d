"""Bodies of requests to what is looked up. What is malformed is refused by a name that tells nothing of any list."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from havenline.entries import Values
from havenline.matching.asked import Asked
from havenline.matching.probes import Codes
from havenline.vocabulary import QUALITY_FLOOR, VALUE_KINDS, Fingerprint, HashKind, HavenlineError, check_hex

MOST_ITEMS = 1_000
LONGEST_BODY = 1 << 20
"""Bytes of a question by hashes."""
LARGEST_FILE = 64 << 20
"""Bytes of a file that is sent to be hashed and looked up."""


class Refused(HavenlineError):
    """Nothing was looked up. `name` is one of the refusals of docs/formats/match-api.md, `status` that of HTTP."""

    def __init__(self, name: str, status: int = 422, *, item: int | None = None, retry_after: int = 0) -> None:
        super().__init__(name)
        self.name, self.status, self.item, self.retry_after = name, status, item, retry_after


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked up: `count` items by columns, and the PDQ values among them as uint64 (k, 4)."""

    asked: Asked
    codes: Codes

    @property
    def count(self) -> int:
        return self.asked.count


def of_hashes(body: bytes) -> Question:
    """`{"items": [{"sha256": …, "sha1": …, "md5": …, "pdq": …, "quality": …}, …]}`, each with one value at least.

    Raises Refused.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("malformed", 400) from None
    if not isinstance(said, dict) or set(said) != {"items"} or not isinstance(said["items"], list):
        raise Refused("malformed", 400)
    items = said["items"]
    if not 0 < len(items) <= MOST_ITEMS:
        raise Refused("too_many_items" if items else "no_items")
    found: dict[HashKind, list[tuple[int, str]]] = {kind: [] for kind in VALUE_KINDS}
    qualities: list[int] = []
    for place, item in enumerate(items):
        _take(place, item, found, qualities)
    hashes = {kind: Values.of(kind, pairs) for kind, pairs in found.items()}
    return _question(Asked(len(items), hashes, np.array(qualities, np.uint8)))


def of_fingerprint(made: Fingerprint) -> Question:
    """One file, by its digests and by every perceptual hash that was made of it."""
    return _question(Asked.of([made]))


def _question(asked: Asked) -> Question:
    values = np.ascontiguousarray(asked.hashes[HashKind.PDQ].values)
    return Question(asked, values.view(np.uint64).reshape(-1, 4))


def _take(place: int, item: Any, found: dict[HashKind, list[tuple[int, str]]], qualities: list[int]) -> None:
    if not isinstance(item, dict) or not item or set(item) - {"sha256", "sha1", "md5", "pdq", "quality"}:
        raise Refused("malformed_item", item=place)
    if ("pdq" in item) != ("quality" in item):
        raise Refused("quality_missing", item=place)
    for kind, pairs in found.items():
        if kind.value not in item:
            continue
        try:
            pairs.append((place, check_hex(kind.value, item[kind.value])))
        except (ValueError, TypeError):
            raise Refused("malformed_item", item=place) from None
    if "quality" in item:
        quality = item["quality"]
        if type(quality) is not int or not 0 <= quality <= 100:
            raise Refused("malformed_item", item=place)
        if quality < QUALITY_FLOOR:
            raise Refused("low_quality", item=place)
        qualities.append(quality)
