"""Asking Arachnid Shield about PDQ values. Answers are leads, never verdicts.

Its addresses for media and for URLs are not here: a file sent abroad is a transfer that somebody must answer for.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from havenline.connectors.frame import PartnerError
from havenline.connectors.one_host import OneHost
from havenline.vocabulary import check_hex

AT_ONCE = 100
_PATH = "/v1/pdq/"


class Classification(StrEnum):
    """What Arachnid Shield says of a picture.

    `harmful-abusive-material` depends on its context and is not always unlawful; `no-known-match` never means safe.
    """

    CSAM = "csam"
    HARMFUL = "harmful-abusive-material"
    NO_KNOWN_MATCH = "no-known-match"
    TEST = "test"


class MatchType(StrEnum):
    """Whether the very value is known, or one near it."""

    EXACT = "exact"
    NEAR = "near"


@dataclass(frozen=True, slots=True)
class Lead:
    """What was answered of one value. It orders work; it settles nothing and colours no assessment."""

    classification: Classification
    match_type: MatchType | None


class ArachnidShield:
    """Asks one host. Each value that is asked for leaves the house."""

    def __init__(self, host: OneHost) -> None:
        """Ask `host`."""
        self._host = host

    def leads(self, values: Sequence[str]) -> list[Lead]:
        """What is said of each PDQ value, in order. Asked once, never repeated by itself.

        Raises ValueError for what is no PDQ value, before anything is sent; PartnerError where an answer cannot be
        read, says what is unknown, or lacks one of the values.
        """
        checked = [check_hex("pdq", value) for value in values]
        found: dict[str, Lead] = {}
        distinct = list(dict.fromkeys(checked))
        for start in range(0, len(distinct), AT_ONCE):
            found |= self._asked(distinct[start : start + AT_ONCE])
        return [found[value] for value in checked]

    def _asked(self, values: Sequence[str]) -> dict[str, Lead]:
        body = json.dumps({"hashes": [b64encode(bytes.fromhex(value)).decode() for value in values]}).encode()
        answer = self._host.send("POST", _PATH, body, media_type="application/json").body
        try:
            said = json.loads(answer)["scanned_hashes"]
            found = {b64decode(name, validate=True).hex(): _lead(each) for name, each in said.items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise PartnerError(f"POST {_PATH}: the answer cannot be read, or says what is unknown") from None
        if missing := set(values) - set(found):
            raise PartnerError(f"POST {_PATH}: the answer lacks {len(missing)} of {len(values)} values")
        return found


def _lead(said: Mapping[str, Any]) -> Lead:
    kind = said.get("match_type")
    return Lead(Classification(said["classification"]), None if kind is None else MatchType(kind))
