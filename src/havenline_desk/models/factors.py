"""What people sign in with, and the sessions that follow from it. Secrets lie here only as digests or sealed."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .people import Person


class Enrolment(Audited):
    """The password of `person` is a one-time secret until `expires_at`: good for setting up a first factor, no more."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="enrolments")
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)


class FactorReset(Audited):
    """Two people agreed that `person` sets up new factors: from `in_force_at` until `lapses_at`, no other time."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="factor_resets")
    agreed_at = models.DateTimeField()
    in_force_at = models.DateTimeField()
    lapses_at = models.DateTimeField()


class FactorResetEnd(Audited):
    """The one end of a reset: it was carried out, or its person signed in, which cancels it. One row, so never both."""

    reset = models.OneToOneField(FactorReset, on_delete=models.PROTECT, related_name="end")
    carried_out = models.BooleanField()
    ended_at = models.DateTimeField()


class Passkey(Audited):
    """A WebAuthn credential. `counter` is the authenticator's own; one that does not grow was copied."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="passkeys")
    label = models.CharField(max_length=40, help_text="what the person calls it")
    credential_id = models.CharField(max_length=1400, unique=True, help_text="base64url without padding")
    public_key = models.TextField(help_text="COSE key in CBOR, hexadecimal")
    added_at = models.DateTimeField()
    counter = models.BigIntegerField()
    last_used_at = models.DateTimeField(null=True)
    removed_at = models.DateTimeField(null=True)


class AuthenticatorApp(Audited):
    """A TOTP secret, where the installation allows it. `last_step` keeps a code from being used twice."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="authenticator_apps")
    sealed_secret = models.TextField(help_text="sealed under a key that the database does not hold")
    added_at = models.DateTimeField()
    last_step = models.BigIntegerField(help_text="number of the last accepted interval of 30 seconds since 1970")
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("person",), condition=models.Q(removed_at=None), name="one_live_app_per_person"
            ),
        )


class RecoveryCode(Audited):
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="recovery_codes")
    digest = models.CharField(max_length=64, help_text="HMAC-SHA-256 under a key that the database does not hold")
    made_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)


class LinkedAccount(Audited):
    """An account at the organisation's OpenID Connect provider that may stand in for a person's password."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="linked_accounts")
    issuer = models.CharField(max_length=200)
    subject = models.CharField(max_length=255)
    linked_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("issuer", "subject"), condition=models.Q(removed_at=None), name="one_person_per_account"
            ),
        )


class Way(models.TextChoices):
    """What a session was opened with."""

    PASSKEY = "passkey", "passkey"
    TOTP = "totp", "code of an authenticator app"
    RECOVERY = "recovery_code", "recovery code"
    PASSWORD = "password", "password alone (demonstration)"


class Ending(models.TextChoices):
    SIGNED_OUT = "signed_out", "signed out"
    BY_ONESELF = "by_oneself", "ended from another session"
    IDLE = "idle", "nothing was done for too long"
    ABSOLUTE = "absolute", "longest time reached"
    CLOCK = "clock", "the clock went back"
    ROLES = "roles_changed", "roles changed"
    FACTORS = "factors_changed", "factors were reset or recovered"
    DISABLED = "disabled", "the account was closed"


class Session(Audited):
    """One person signed in at one browser, from sign-in to its end. The browser's cookie is not kept here."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="sessions")
    began_at = models.DateTimeField()
    address = models.CharField(max_length=60, help_text="truncated to /24 or /48")
    way = models.CharField(max_length=16, choices=Way)
    seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ending = models.CharField(max_length=16, choices=Ending, blank=True)


class Throttle(models.Model):
    """How often something was tried since a moment. Holds no name and no address, only keyed digests of them."""

    key = models.CharField(max_length=64, primary_key=True)
    tries = models.IntegerField()
    since = models.DateTimeField()
