"""The desk's way to `keyd`, which holds the keys of content, the exposure budgets and the signer of the audit log; and
whose signatures in files the house trusts."""

from __future__ import annotations

import hmac
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from havenline.provenance.signers import MOST_BYTES, Signers, SignersError, read_signers
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


def signers_of_house() -> Signers | None:
    """Whom this house trusts to sign C2PA manifests, by the file that `HAVENLINE_C2PA_SIGNERS` names; None: nobody.

    Raises SignersError where the file cannot be read or holds anything but certificates of authorities.
    """
    path = settings.C2PA_SIGNERS
    if not path:
        return None
    try:
        with Path(path).open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise SignersError(f"the list of signers {path} could not be read ({error.strerror})") from None
    return read_signers(content)


@lru_cache(maxsize=4)
def _client(path: str) -> KeyClient:
    return KeyClient(path)
