"""The signature of a publication of figures: a C2SP signed note over two lines, the key's name and a digest.

The name is that of the installation's audit log with `.publication` at its end, so that one key signs both and neither
text can be taken for the other: the second line of a checkpoint is a number, that of a publication 64 hex digits.
"""

from __future__ import annotations

import base64
import re

from havenline.formats.audit_log import ALGORITHMS, ED25519, AuditLogError, VerifierKey

SUFFIX = ".publication"
_NOTE = re.compile(rb"([!-~]{1,140})\n([0-9a-f]{64})\n\n\xe2\x80\x94 ([!-~]{1,140}) ([A-Za-z0-9+/=]{1,200})\n\Z")


def body(origin: str, digest: str) -> bytes:
    """The text that is signed. `origin`: the name of the audit log; `digest`: SHA-256 of the manifest, hexadecimal."""
    return f"{origin}{SUFFIX}\n{digest}\n".encode()


def key_of(log_key: VerifierKey) -> VerifierKey:
    """The key of publications that belongs to the key of an audit log."""
    return VerifierKey(log_key.name + SUFFIX, log_key.algorithm, log_key.public_key)


def note(log_key: VerifierKey, digest: str, signature: bytes) -> bytes:
    """The file `manifest.sig`. Raises AuditLogError for a signature of another length."""
    key = key_of(log_key)
    if len(signature) != ALGORITHMS[key.algorithm][2]:
        raise AuditLogError("the signer's answer is no signature of its algorithm; nothing was signed")
    line = f"\u2014 {key.name} {base64.b64encode(key.key_id + signature).decode()}\n"
    return body(log_key.name, digest) + b"\n" + line.encode()


def check(text: bytes, log_key: VerifierKey, digest: str) -> None:
    """Raise AuditLogError unless `text` is a note over exactly `digest`, signed by the key of that audit log."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    found, key = _NOTE.match(text), key_of(log_key)
    if found is None or log_key.algorithm != ED25519:
        raise AuditLogError("this is no signature of a publication")
    if found[1].decode() != key.name or found[3] != found[1]:
        raise AuditLogError(f"this is signed by {found[1].decode()}, and not by {key.name}")
    if found[2].decode() != digest:
        raise AuditLogError("this signs another manifest")
    signed = base64.b64decode(found[4])
    try:
        if signed[:4] != key.key_id:
            raise InvalidSignature
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signed[4:], body(log_key.name, digest))
    except InvalidSignature:
        raise AuditLogError("the signature is not that of this key over this manifest") from None
