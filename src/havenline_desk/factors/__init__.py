"""Second factors: passkeys, codes of an authenticator app, recovery codes; and a signature by a passkey over one act.

The only module that touches their secrets. It checks and, inside the caller's transaction, uses them up; what follows
from it (a session, an entry of the audit log) is the business of `actions/`.
"""

from .codes import (
    RECOVERY_CODES,
    TOTP_SECONDS,
    new_recovery_codes,
    new_totp_secret,
    recovery_digest,
    totp_address,
    totp_step,
    use_recovery_code,
    use_totp,
)
from .passkeys import (
    CHALLENGE_FOR,
    NewPasskey,
    Purpose,
    StepUp,
    begin_passkey,
    begin_registration,
    begin_step_up,
    finish_registration,
    finish_step_up,
    origin_of,
    use_passkey,
    verify_step_up,
)
from .refusals import FactorRefused, Why
from .sealing import keyed_digest, seal, unseal
from .shown import FRESH_FOR, demonstration, fresh, mark_fresh, password_is_enough, set_one_up, totp_allowed, ways_of

__all__ = [
    "CHALLENGE_FOR",
    "FRESH_FOR",
    "RECOVERY_CODES",
    "TOTP_SECONDS",
    "FactorRefused",
    "NewPasskey",
    "Purpose",
    "StepUp",
    "Why",
    "begin_passkey",
    "begin_registration",
    "begin_step_up",
    "demonstration",
    "finish_registration",
    "finish_step_up",
    "fresh",
    "keyed_digest",
    "mark_fresh",
    "new_recovery_codes",
    "new_totp_secret",
    "origin_of",
    "password_is_enough",
    "recovery_digest",
    "seal",
    "set_one_up",
    "totp_address",
    "totp_allowed",
    "totp_step",
    "unseal",
    "use_passkey",
    "use_recovery_code",
    "use_totp",
    "verify_step_up",
    "ways_of",
]
