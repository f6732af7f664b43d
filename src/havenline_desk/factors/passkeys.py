"""Passkeys, and a signature by one over one act.

A challenge is made for one purpose in one browser session, lives five minutes, and is gone with the first answer,
right or wrong. Origin and relying party come from the settings, or on loopback from the address of the request.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import secrets
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from django.conf import settings
from django.http import HttpRequest
from fido2 import cbor
from fido2.cose import CoseKey, UnsupportedKey
from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from ..models import Passkey, Person, Way
from .refusals import FactorRefused, Why
from .shown import mark_fresh

CHALLENGE_FOR = dt.timedelta(minutes=5)
_LONGEST_ANSWER = 16_384
_CHALLENGE_KEY = "challenge"
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, struct.error)
"""What JSON, CBOR and keys of a stranger make the libraries raise."""


class Purpose(StrEnum):
    """What a challenge was made for; an answer serves no other."""

    REGISTER = "register"
    SIGN_IN = "sign_in"
    CONFIRM = "confirm"
    STEP_UP = "step_up"


@dataclass(frozen=True, slots=True)
class NewPasskey:
    """What a browser registered: credential id (base64url), COSE key (CBOR, hexadecimal), the key's own counter."""

    credential_id: str
    public_key: str
    counter: int


@dataclass(frozen=True, slots=True)
class StepUp:
    """A passkey's signature over one act, complete enough to be checked again without this desk.

    Bytes are hexadecimal, but `client_data`, which is the JSON text that the browser made. `credential` is the SHA-256
    of the credential id, `passkey` the random id of its row, `public_key` the COSE key in CBOR.
    """

    passkey: str
    credential: str
    public_key: str
    authenticator_data: str
    client_data: str
    signature: str
    rp_id: str
    origin: str

    def to_json(self) -> str:
        """Canonical: sorted members, no white space, ASCII."""
        held = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(held, sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str) -> StepUp:
        """The counterpart of `to_json`. Raises FactorRefused for anything else."""
        try:
            return cls(**{name: str(value) for name, value in json.loads(text).items()})
        except (ValueError, TypeError, AttributeError):
            raise FactorRefused(Why.MALFORMED, "this is no recorded signature of a passkey") from None


def begin_registration(request: HttpRequest, person: Person, *, at: dt.datetime) -> dict[str, Any]:
    """Options for `navigator.credentials.create`: a key that stays in the authenticator and verifies its user."""
    user = PublicKeyCredentialUserEntity(name=person.name, id=person.audit_id.bytes, display_name=person.name)
    options, state = _server(request).register_begin(
        user,
        [_credential(key) for key in Passkey.objects.filter(person=person, removed_at=None)],
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    _keep_challenge(request, Purpose.REGISTER, state["challenge"], person, at=at)
    return dict(options)


def finish_registration(request: HttpRequest, person: Person, answer: str, *, at: dt.datetime) -> NewPasskey:
    """Check what the browser made; `actions.add_factor` records it. Raises FactorRefused.

    Not checked: who made the authenticator (attestation); the house hands the keys out.
    """
    challenge = _take_challenge(request, Purpose.REGISTER, person, at=at)
    try:
        response = RegistrationResponse.from_dict(_parsed(answer))
        held = _server(request).register_complete(_state(challenge), response)
    except _UNREADABLE:
        raise FactorRefused(
            Why.WRONG_ANSWER, "this key was not registered: the answer does not fit the question"
        ) from None
    made = held.credential_data
    if made is None or isinstance(made.public_key, UnsupportedKey):
        raise FactorRefused(Why.WRONG_ANSWER, "this key was not registered: it names no public key we can check")
    return NewPasskey(websafe_encode(made.credential_id), cbor.encode(dict(made.public_key)).hex(), held.counter)


def begin_passkey(request: HttpRequest, purpose: Purpose, *, at: dt.datetime) -> dict[str, Any]:
    """Options for `navigator.credentials.get`, to sign in or to confirm a session; the challenge is random."""
    return _ask(request, purpose, secrets.token_bytes(32), at=at)


def use_passkey(request: HttpRequest, purpose: Purpose, answer: str, *, at: dt.datetime) -> Passkey:
    """Check an answer to `begin_passkey` and move the key's counter on. Raises FactorRefused.

    Call it in a transaction; the row stays locked until its end.
    """
    challenge = _take_challenge(request, purpose, _asked_of(request, purpose), at=at)
    return _checked(request, purpose, answer, challenge, at=at)[0]


def begin_step_up(request: HttpRequest, digest: bytes, *, at: dt.datetime) -> dict[str, Any]:
    """Options for `navigator.credentials.get` whose challenge is `digest`: SHA-256 of the canonical act, 32 bytes.

    The canonical act must name itself uniquely (the random id of a proposal, say): this session asks once, but
    nothing else makes the same bytes differ from one time to the next.
    """
    if len(digest) != hashlib.sha256().digest_size:
        raise ValueError("the digest of an act has 32 bytes")
    return _ask(request, Purpose.STEP_UP, digest, at=at)


def finish_step_up(request: HttpRequest, answer: str, digest: bytes, *, at: dt.datetime) -> StepUp:
    """Check that the signed-in person's passkey signed `digest`, move its counter on, and count the session fresh.

    Raises FactorRefused, also where the question was asked for another digest. Call it in the transaction of the act.
    """
    challenge = _take_challenge(request, Purpose.STEP_UP, _asked_of(request, Purpose.STEP_UP), at=at)
    if not hmac.compare_digest(challenge, digest):
        raise FactorRefused(Why.WRONG_ANSWER, "this signature was asked for another act")
    key, response = _checked(request, Purpose.STEP_UP, answer, challenge, at=at)
    mark_fresh(request, Way.PASSKEY, at=at)
    origin = origin_of(request)
    return StepUp(
        passkey=key.audit_id.hex,
        credential=hashlib.sha256(response.raw_id).hexdigest(),
        public_key=key.public_key,
        authenticator_data=bytes(response.response.authenticator_data).hex(),
        client_data=bytes(response.response.client_data).decode(),
        signature=response.response.signature.hex(),
        rp_id=_rp_id(origin),
        origin=origin,
    )


def verify_step_up(step_up: StepUp, digest: bytes, *, origins: Sequence[str]) -> None:
    """Check recorded evidence again, from itself alone: this key signed `digest` with its user present and verified.

    `origins` are those of the desk that the verifier accepts. Raises FactorRefused. Not checked: whose key it is (the
    row of the passkey says so) and that it had not been removed at that time.
    """
    try:
        said = CollectedClientData(step_up.client_data.encode())
        held = AuthenticatorData(bytes.fromhex(step_up.authenticator_data))
        key = _public_key(step_up.public_key)
        fits = (
            said.type == CollectedClientData.TYPE.GET
            and said.origin == step_up.origin
            and step_up.origin in origins
            and step_up.rp_id == _rp_id(step_up.origin)
            and hmac.compare_digest(said.challenge, digest)
            and hmac.compare_digest(held.rp_id_hash, hashlib.sha256(step_up.rp_id.encode()).digest())
            and held.is_user_present()
            and held.is_user_verified()
        )
        key.verify(
            bytes(held) + hashlib.sha256(step_up.client_data.encode()).digest(), bytes.fromhex(step_up.signature)
        )
    except (*_UNREADABLE, InvalidSignature):
        raise FactorRefused(Why.WRONG_ANSWER, "this is not a signature of that key over that act") from None
    if not fits:
        raise FactorRefused(Why.WRONG_ANSWER, "this is not a signature of that key over that act")


def origin_of(request: HttpRequest) -> str:
    """Where browsers see this desk, for example https://desk.example.org; HAVENLINE_ORIGIN where that is set."""
    return settings.ORIGIN or f"{request.scheme}://{request.get_host()}"


def _rp_id(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def _server(request: HttpRequest) -> Fido2Server:
    origin = origin_of(request)
    server = Fido2Server(
        PublicKeyCredentialRpEntity(name="Havenline", id=_rp_id(origin)), verify_origin=lambda said: said == origin
    )
    server.timeout = int(CHALLENGE_FOR.total_seconds() * 1000)  # type: ignore[assignment]  # the library infers None
    return server


def _credential(key: Passkey) -> AttestedCredentialData:
    return AttestedCredentialData.create(Aaguid.NONE, websafe_decode(key.credential_id), _public_key(key.public_key))


def _public_key(recorded: str) -> CoseKey:
    decoded = cbor.decode(bytes.fromhex(recorded))
    if not isinstance(decoded, Mapping):
        raise TypeError("no COSE key")
    return CoseKey.parse(decoded)


def _asked_of(request: HttpRequest, purpose: Purpose) -> Person | None:
    """Whose key must answer; anybody's, where somebody signs in, even over a session that is there."""
    return request.user if purpose is not Purpose.SIGN_IN and isinstance(request.user, Person) else None


def _ask(request: HttpRequest, purpose: Purpose, challenge: bytes, *, at: dt.datetime) -> dict[str, Any]:
    """Name the keys of whoever is signed in; nobody's to a stranger, who must not learn from it who has any."""
    person = _asked_of(request, purpose)
    keys = [_credential(key) for key in Passkey.objects.filter(person=person, removed_at=None)] if person else None
    if keys == []:
        raise FactorRefused(Why.UNKNOWN_KEY, "you have no passkey yet; set one up first")
    options, _ = _server(request).authenticate_begin(
        keys, user_verification=UserVerificationRequirement.REQUIRED, challenge=challenge
    )
    _keep_challenge(request, purpose, websafe_encode(challenge), person, at=at)
    return dict(options)


def _keep_challenge(
    request: HttpRequest, purpose: Purpose, challenge: str, person: Person | None, *, at: dt.datetime
) -> None:
    request.session[_CHALLENGE_KEY] = {
        "purpose": purpose.value,
        "challenge": challenge,
        "person": person.pk if person else None,
        "at": at.isoformat(),
    }


def _take_challenge(request: HttpRequest, purpose: Purpose, person: Person | None, *, at: dt.datetime) -> bytes:
    """The challenge that this session was asked, which is gone from now on, whatever comes of it."""
    kept = request.session.pop(_CHALLENGE_KEY, None)
    if kept is not None:
        request.session.save()  # also when what follows fails
    if (
        kept is None
        or kept["purpose"] != purpose.value
        or kept["person"] != (person.pk if person else None)
        or not dt.timedelta(0) <= at - dt.datetime.fromisoformat(kept["at"]) <= CHALLENGE_FOR
    ):
        raise FactorRefused(Why.NO_CHALLENGE, "this question was answered already, or is too old: try once more")
    return bytes(websafe_decode(kept["challenge"]))


def _state(challenge: bytes) -> dict[str, Any]:
    return {"challenge": websafe_encode(challenge), "user_verification": UserVerificationRequirement.REQUIRED}


def _parsed(answer: str) -> dict[str, Any]:
    parsed = json.loads(answer) if len(answer) <= _LONGEST_ANSWER else None
    if not isinstance(parsed, dict):
        raise ValueError("no answer of a browser")
    return parsed


def _checked(
    request: HttpRequest, purpose: Purpose, answer: str, challenge: bytes, *, at: dt.datetime
) -> tuple[Passkey, AuthenticationResponse]:
    try:
        response = AuthenticationResponse.from_dict(_parsed(answer))
        wanted = websafe_encode(response.raw_id)
        counter = response.response.authenticator_data.counter
    except _UNREADABLE:
        raise FactorRefused(Why.MALFORMED, "the browser's answer cannot be read: try once more") from None
    keys = Passkey.objects.select_for_update(of=("self",)).select_related("person")
    key = keys.filter(credential_id=wanted, removed_at=None, person__is_active=True).first()
    asked = _asked_of(request, purpose)
    if key is None or (asked is not None and key.person_id != asked.pk):
        raise FactorRefused(Why.UNKNOWN_KEY, "this passkey is not known here, or was removed")
    handle = response.response.user_handle
    try:
        if handle and handle != key.person.audit_id.bytes:
            raise ValueError("another person's key")
        _server(request).authenticate_complete(_state(challenge), [_credential(key)], response)
    except _UNREADABLE:
        raise FactorRefused(
            Why.WRONG_ANSWER, "the passkey's answer does not fit the question: try once more", passkey=key
        ) from None
    if (counter or key.counter) and counter <= key.counter:
        raise FactorRefused(
            Why.COPIED_KEY,
            "this passkey counts backwards, as a copied one would: it was refused and logged. Tell the administrator",
            passkey=key,
        )
    key.counter, key.last_used_at = counter, at
    key.save(update_fields=["counter", "last_used_at"])
    return key, response
