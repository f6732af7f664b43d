"""The desk's way to `keyd`, which holds the keys of content, the exposure budgets and the signer of the audit log."""

from __future__ import annotations

import hmac
from functools import lru_cache

from django.conf import settings

from havenline_guard.keyd_client import KeyClient


def keyd() -> KeyClient | None:
    """The client of the `keyd` at HAVENLINE_KEYD; None where there is none."""
    return _client(settings.KEYD) if settings.KEYD else None


def origin_key() -> bytes:
    """What digests of texts of origin are keyed with here: by `keyd`, else by what signs sessions.

    32 bytes, the same at every call. Raises KeydRefused, KeydUnreachable.
    """
    client = keyd()
    if client is not None:
        return client.origin_key()
    return hmac.digest(settings.SECRET_KEY.encode(), b"havenline-origin/1", "sha256")


def key_name(key: bytes) -> str:
    """16 digits by which a key is known again, and which tell nothing of it: digests under one key can be compared."""
    return hmac.digest(key, b"havenline-key-name/1", "sha256").hex()[:16]


@lru_cache(maxsize=4)
def _client(path: str) -> KeyClient:
    return KeyClient(path)
