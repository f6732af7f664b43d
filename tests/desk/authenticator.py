"""A passkey in software, for tests: what a browser and its authenticator answer, and every way to answer wrongly."""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2 import cbor
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One ES256 credential; change `origin`, `flags` or `counter` to misbehave."""

    origin: str = "https://testserver"
    counter: int = 0
    flags: int = PRESENT | VERIFIED
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    handle: bytes = b""

    def create(self, options: dict[str, Any]) -> str:
        """The answer to the options of a registration."""
        asked = options["publicKey"]
        self.handle = websafe_decode(asked["user"]["id"])
        public = cbor.encode(dict(ES256.from_cryptography_key(self.key.public_key())))
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id + public
        held = self._held(asked["rp"]["id"], self.flags | ATTESTED) + attested
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": held})
        said = self._said("webauthn.create", asked["challenge"])
        return self._answer({"clientDataJSON": said, "attestationObject": attestation})

    def get(self, options: dict[str, Any]) -> str:
        """The answer to a question, counted by one more."""
        asked = options["publicKey"]
        self.counter += 1
        held = self._held(asked["rpId"], self.flags)
        said = self._said("webauthn.get", asked["challenge"])
        signature = self.key.sign(held + hashlib.sha256(said).digest(), ec.ECDSA(SHA256()))
        return self._answer(
            {"clientDataJSON": said, "authenticatorData": held, "signature": signature, "userHandle": self.handle}
        )

    def _held(self, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.counter)

    def _said(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}).encode()

    def _answer(self, response: dict[str, bytes]) -> str:
        name = websafe_encode(self.credential_id)
        plain = {member: websafe_encode(value) for member, value in response.items()}
        return json.dumps(
            {"id": name, "rawId": name, "type": "public-key", "clientExtensionResults": {}, "response": plain}
        )
