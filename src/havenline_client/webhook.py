"""Checks that an event came from the match service, by the form of Standard Webhooks: docs/formats/webhooks.md."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

TOLERANCE = 300
"""Seconds that the clocks of sender and receiver may lie apart."""


class NotVerified(Exception):
    """The event is not to be believed; answer 400 and do nothing."""


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is the same each time the event is sent: keep those that you have seen. `what` has no entry and no value."""

    id: str
    type: str
    timestamp: str
    what: Mapping[str, Any]


def verify_webhook(
    body: bytes, headers: Mapping[str, str], secrets: str | Iterable[str], *, now: float | None = None
) -> Event:
    """The event in the bytes of a request, as they were received. `secrets`: one, or the old and the new.

    `now`: seconds since 1970, by this machine's clock unless given. Raises NotVerified; ValueError where a secret is
    none. Not checked: that it was not seen before.
    """
    named = {name.lower(): value for name, value in headers.items()}
    message, second, signatures = (named.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
    if not (message and second.isascii() and second.isdigit() and len(second) < 12):
        raise NotVerified("the headers of a webhook are missing")
    if abs((time.time() if now is None else now) - int(second)) > TOLERANCE:
        raise NotVerified("it was signed too long ago, or the clocks differ")
    held = [secrets] if isinstance(secrets, str) else list(secrets)
    wanted = [_signature(secret, message, second, body) for secret in held]
    given = [each.partition(",")[2] for each in signatures.split(" ") if each.startswith("v1,")]
    # Every pair is compared: the time must not tell which one fits.
    fits = [hmac.compare_digest(one.encode(), other.encode()) for one in wanted for other in given]
    if not any(fits):
        raise NotVerified("no signature fits")
    try:
        said = json.loads(body)
        return Event(message, str(said["type"]), str(said["timestamp"]), dict(said["data"]))
    except (ValueError, KeyError, TypeError):
        raise NotVerified("it is signed, and is no event that this client knows") from None


def _signature(secret: str, message: str, second: str, body: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("this is no secret of a webhook") from None
    return base64.b64encode(hmac.new(key, f"{message}.{second}.".encode() + body, hashlib.sha256).digest()).decode()
