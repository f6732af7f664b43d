"""A passkey's signature over one act: bound to it, kept as evidence, checked again from the evidence alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone
from fido2 import cbor
from pytest_django import Settings

from havenline_desk import factors
from havenline_desk.factors import FactorRefused, StepUp, Why
from havenline_desk.models import Passkey, Person, Role

from . import factories
from .authenticator import PRESENT, Authenticator

pytestmark = pytest.mark.django_db

ORIGIN = "https://desk.example.org"
ACT = hashlib.sha256(b'{"act":"release","proposal":"5f1c"}').digest()
OTHER = hashlib.sha256(b'{"act":"release","proposal":"5f1d"}').digest()


@pytest.fixture(autouse=True)
def origin(settings: Settings) -> None:
    settings.ORIGIN = ORIGIN


@pytest.fixture
def lead() -> Person:
    return factories.make_person("lead", Role.LEAD, at=timezone.now())


@pytest.fixture
def request_of(lead: Person) -> HttpRequest:
    request = RequestFactory().post("/")
    request.session = SessionStore()
    request.user = lead
    return request


@pytest.fixture
def key(request_of: HttpRequest, lead: Person) -> Authenticator:
    made = Authenticator(origin=ORIGIN)
    at = timezone.now()
    answer = made.create(factors.begin_registration(request_of, lead, at=at))
    held = factors.finish_registration(request_of, lead, answer, at=at)
    Passkey.objects.create(person=lead, label="key", added_at=at, **dataclasses.asdict(held))
    return made


@pytest.fixture
def evidence(request_of: HttpRequest, key: Authenticator) -> StepUp:
    at = timezone.now()
    answer = key.get(factors.begin_step_up(request_of, ACT, at=at))
    return factors.finish_step_up(request_of, answer, ACT, at=at)


def test_the_evidence_is_checked_again_from_its_text_alone(evidence: StepUp, request_of: HttpRequest) -> None:
    kept = evidence.to_json()
    Passkey.objects.all().delete()
    again = StepUp.from_json(kept)
    assert again == evidence
    factors.verify_step_up(again, ACT, origins=[ORIGIN])
    assert factors.fresh(request_of, at=timezone.now())


def test_the_evidence_is_checked_by_cryptography_alone_without_any_library_of_webauthn(evidence: StepUp) -> None:
    """What an expert would do: the signed bytes are authenticator data and SHA-256 of the client data."""
    cose = cbor.decode(bytes.fromhex(evidence.public_key))
    assert isinstance(cose, dict)
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(cose[-2], "big"), int.from_bytes(cose[-3], "big"), ec.SECP256R1()
    )
    held = bytes.fromhex(evidence.authenticator_data)
    signed = held + hashlib.sha256(evidence.client_data.encode()).digest()
    numbers.public_key().verify(bytes.fromhex(evidence.signature), signed, ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        numbers.public_key().verify(bytes.fromhex(evidence.signature), signed + b"x", ec.ECDSA(SHA256()))
    import base64

    challenge = json.loads(evidence.client_data)["challenge"]
    assert base64.urlsafe_b64decode(challenge + "=") == ACT


def test_evidence_over_one_act_is_none_over_another(evidence: StepUp) -> None:
    with pytest.raises(FactorRefused):
        factors.verify_step_up(evidence, OTHER, origins=[ORIGIN])


@pytest.mark.parametrize(
    "changed",
    [
        {"public_key": Authenticator().create({"publicKey": {"user": {"id": ""}, "rp": {"id": ""}, "challenge": ""}})},
        {"signature": "00" * 70},
        {"signature": "zz"},
        {"authenticator_data": "00" * 37},
        {"authenticator_data": ""},
        {"client_data": "{}"},
        {"client_data": "no json"},
        {"origin": "https://elsewhere.example"},
        {"rp_id": "example.org"},
        {"public_key": ""},
        {"public_key": "a0"},
        {"public_key": "00"},
    ],
    ids=lambda changed: " ".join(changed),
)
def test_altered_evidence_is_refused(evidence: StepUp, changed: dict[str, str]) -> None:
    with pytest.raises(FactorRefused):
        factors.verify_step_up(dataclasses.replace(evidence, **changed), ACT, origins=[ORIGIN])


@pytest.mark.parametrize("flags", [0, PRESENT])
def test_evidence_without_a_verified_user_is_refused_even_where_the_signature_holds(
    key: Authenticator, evidence: StepUp, flags: int
) -> None:
    from fido2.utils import websafe_decode, websafe_encode

    key.flags = flags
    options = {"publicKey": {"rpId": "desk.example.org", "challenge": websafe_encode(ACT)}}
    said = json.loads(key.get(options))["response"]
    careless = dataclasses.replace(
        evidence,
        authenticator_data=websafe_decode(said["authenticatorData"]).hex(),
        client_data=websafe_decode(said["clientDataJSON"]).decode(),
        signature=websafe_decode(said["signature"]).hex(),
    )
    with pytest.raises(FactorRefused):
        factors.verify_step_up(careless, ACT, origins=[ORIGIN])


def test_evidence_of_another_desk_is_refused(evidence: StepUp) -> None:
    with pytest.raises(FactorRefused):
        factors.verify_step_up(evidence, ACT, origins=["https://other.example.org"])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"passkey": "x"}', "null"])
def test_what_is_no_evidence_is_said_to_be_none(text: str) -> None:
    with pytest.raises(FactorRefused) as refused:
        StepUp.from_json(text)
    assert refused.value.why is Why.MALFORMED


def test_a_question_about_one_act_answers_for_no_other(request_of: HttpRequest, key: Authenticator) -> None:
    at = timezone.now()
    answer = key.get(factors.begin_step_up(request_of, OTHER, at=at))
    with pytest.raises(FactorRefused) as refused:
        factors.finish_step_up(request_of, answer, ACT, at=at)
    assert refused.value.why is Why.WRONG_ANSWER
    assert not factors.fresh(request_of, at=at)


def test_a_signature_over_an_act_serves_once(request_of: HttpRequest, key: Authenticator, evidence: StepUp) -> None:
    at = timezone.now()
    answer = key.get(factors.begin_step_up(request_of, ACT, at=at))
    factors.finish_step_up(request_of, answer, ACT, at=at)
    with pytest.raises(FactorRefused) as refused:
        factors.finish_step_up(request_of, answer, ACT, at=at)
    assert refused.value.why is Why.NO_CHALLENGE
    factors.begin_step_up(request_of, ACT, at=at)
    with pytest.raises(FactorRefused) as refused:
        factors.finish_step_up(request_of, answer, ACT, at=at)
    assert refused.value.why is Why.COPIED_KEY, "the counter of the key says that it was used before"


def test_a_sign_in_answer_is_no_signature_over_an_act(request_of: HttpRequest, key: Authenticator) -> None:
    at = timezone.now()
    options = factors.begin_passkey(request_of, factors.Purpose.SIGN_IN, at=at)
    with pytest.raises(FactorRefused):
        factors.finish_step_up(request_of, key.get(options), ACT, at=at)


def test_a_digest_has_32_bytes_and_a_signer_has_a_passkey(request_of: HttpRequest, lead: Person) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        factors.begin_step_up(request_of, b"short", at=timezone.now())
    with pytest.raises(FactorRefused, match="no passkey yet"):
        factors.begin_step_up(request_of, ACT, at=timezone.now())


def test_a_stranger_is_never_fresh(request_of: HttpRequest, evidence: StepUp) -> None:
    request_of.user = AnonymousUser()
    assert not factors.fresh(request_of, at=timezone.now())


def test_the_page_asks_for_a_signature_over_a_digest_and_nothing_else(lead: Person, key: Authenticator) -> None:
    client = factories.client_of(lead)
    options = client.post("/step-up/options", {"digest": ACT.hex()}).json()
    from fido2.utils import websafe_decode

    assert websafe_decode(options["publicKey"]["challenge"]) == ACT
    assert options["publicKey"]["userVerification"] == "required"
    for wrong in ("", "ab", "zz" * 32, ACT.hex()[:-2]):
        assert client.post("/step-up/options", {"digest": wrong}).status_code == 400
    assert factories.client_of().post("/step-up/options", {"digest": ACT.hex()}).status_code == 302
