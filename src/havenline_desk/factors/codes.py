"""Codes of authenticator apps, and recovery codes."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import secrets

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.conf import settings

from ..models import AuthenticatorApp, Person, RecoveryCode
from .refusals import FactorRefused, Why
from .sealing import keyed_digest, unseal

RECOVERY_CODES = 10
TOTP_SECONDS = 30
_TOTP_DIGITS = 6


def new_totp_secret() -> str:
    """20 random bytes in base32, as authenticator apps take them."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def totp_address(secret: str, *, name: str, issuer: str) -> str:
    """The otpauth:// address that a QR code carries."""
    return _totp(secret).get_provisioning_uri(name, issuer)


def totp_step(secret: str, code: str, *, after: int, at: dt.datetime) -> int | None:
    """The interval whose code this is: the one at `at` or a neighbour, later than interval `after`; or None."""
    now = int(at.timestamp()) // TOTP_SECONDS
    typed = "".join(code.split()).encode()
    fitting = [
        step
        for step in (now - 1, now, now + 1)
        if hmac.compare_digest(_totp(secret).generate(step * TOTP_SECONDS), typed)
    ]
    return next((step for step in fitting if step > after), None)


def use_totp(person: Person, code: str, *, at: dt.datetime) -> AuthenticatorApp:
    """Use a code up. Raises FactorRefused, also where this installation allows none. Call it in a transaction."""
    app = AuthenticatorApp.objects.select_for_update().filter(person=person, removed_at=None).first()
    step: int | None = None
    if app is not None and settings.ALLOW_TOTP:
        step = totp_step(unseal(app.sealed_secret), code, after=app.last_step, at=at)
    if app is None or step is None:
        raise FactorRefused(Why.WRONG_CODE, "this code is wrong, too old, or was used already")
    app.last_step = step
    app.save(update_fields=["last_step"])
    return app


def new_recovery_codes() -> tuple[str, ...]:
    """Ten codes of 80 random bits, in four groups of four letters and digits."""
    raw = [base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES)]
    return tuple("-".join(code[start : start + 4] for start in range(0, 16, 4)) for code in raw)


def recovery_digest(person: Person | None, code: str) -> str:
    """HMAC-SHA-256, hexadecimal, of a person's code; blanks, hyphens and capitals do not matter."""
    plain = "".join(letter for letter in code.lower() if letter.isascii() and letter.isalnum())
    return keyed_digest("recovery code", person.audit_id.hex if person else "", plain)


def use_recovery_code(person: Person | None, code: str, *, at: dt.datetime) -> RecoveryCode:
    """Use a code up. Raises FactorRefused; nobody (None) costs the same work. Call it in a transaction."""
    unused = RecoveryCode.objects.select_for_update(of=("self",)).select_related("person")
    codes = unused.filter(person_id=person.pk if person else 0, used_at=None, withdrawn_at=None)
    found = codes.filter(digest=recovery_digest(person, code)).first()
    if found is None:
        raise FactorRefused(Why.WRONG_CODE, "this recovery code is wrong, or was used already")
    found.used_at = at
    found.save(update_fields=["used_at"])
    return found


def _totp(secret: str) -> TOTP:
    return TOTP(base64.b32decode(secret), _TOTP_DIGITS, SHA1(), TOTP_SECONDS)  # noqa: S303 - the form all apps speak
