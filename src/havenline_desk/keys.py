"""The desk's way to `keyd`, which holds the keys of content, the exposure budgets and the signer of the audit log."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings

from havenline_guard.keyd_client import KeyClient


def keyd() -> KeyClient | None:
    """The client of the `keyd` at HAVENLINE_KEYD; None where there is none."""
    return _client(settings.KEYD) if settings.KEYD else None


@lru_cache(maxsize=4)
def _client(path: str) -> KeyClient:
    return KeyClient(path)
