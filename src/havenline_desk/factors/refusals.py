"""Why a factor proves nothing."""

from __future__ import annotations

from enum import StrEnum

from havenline.vocabulary import HavenlineError

from ..models import Passkey


class Why(StrEnum):
    """Why a factor was refused; a code for the audit log."""

    MALFORMED = "malformed"
    NO_CHALLENGE = "no_challenge"
    WRONG_ANSWER = "wrong_answer"
    UNKNOWN_KEY = "unknown_key"
    COPIED_KEY = "copied_key"
    WRONG_CODE = "wrong_code"


class FactorRefused(HavenlineError):
    """This proves nothing; `why` says why, and `passkey` is the one that was tried, where it is known."""

    def __init__(self, why: Why, said: str, *, passkey: Passkey | None = None) -> None:
        super().__init__(said)
        self.why = why
        self.passkey = passkey
