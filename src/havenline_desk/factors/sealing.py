"""Digests and seals under keys that are made from the installation's secret key, which the database does not hold."""

from __future__ import annotations

import base64
import hmac

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from .refusals import FactorRefused, Why

_FACTORS = "sealed secrets"


def seal(secret: str, *, purpose: str = _FACTORS) -> str:
    """Seal under a key made from the installation's secret key, one for each purpose; `unseal` is the counterpart."""
    return Fernet(base64.urlsafe_b64encode(_key(purpose))).encrypt(secret.encode()).decode()


def unseal(sealed: str, *, purpose: str = _FACTORS) -> str:
    """Raises FactorRefused where the installation's secret key is another one now."""
    try:
        return Fernet(base64.urlsafe_b64encode(_key(purpose))).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise FactorRefused(
            Why.WRONG_CODE, "this authenticator app belongs to an older secret key of the desk: set it up anew"
        ) from None


def keyed_digest(purpose: str, *parts: str) -> str:
    """HMAC-SHA-256, hexadecimal, under a key of the installation that the database does not hold."""
    return hmac.new(_key(purpose), "\0".join(parts).encode(), "sha256").hexdigest()


def _key(purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"havenline " + purpose.encode()).derive(settings.SECRET_KEY.encode())
