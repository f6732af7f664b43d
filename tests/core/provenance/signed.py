"""C2PA manifests signed with a certificate of the tests, by c2pa-rs."""

from __future__ import annotations

import datetime as dt
import io
import json
from functools import cache

from c2pa import Builder, C2paSignerInfo, C2paSigningAlg, Context, Settings, Signer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.core.provenance.drawn_marks import ACCOUNT, CANARY

TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def _named(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tests"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


@cache
def signing_chain() -> tuple[bytes, bytes]:
    """(certificates, private key) in PEM: an authority, and a certificate for signing under it (C2PA 2.1, 14.5)."""
    now = dt.datetime.now(dt.UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    made = []
    for subject, public, authority in (("root", root_key, True), ("signer", key, False)):
        usage = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(subject))
            .issuer_name(_named("root"))
            .public_key(public.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=30))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        )
        if not authority:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
            )
        made.append(builder.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made[1] + made[0], private


def new_authority() -> bytes:
    """The certificate (PEM) of another authority, which signed nothing."""
    return b"-----BEGIN" + signing_chain.__wrapped__()[0].split(b"-----BEGIN")[2]


def signed(
    content: bytes, media_type: str, *, remote: str | None = None, ingredient: bytes | None = None
) -> tuple[bytes, bytes]:
    """`content` with a manifest, and the manifest by itself; `remote`: the address that is written into it instead."""
    certificates, private = signing_chain()
    manifest = {
        "claim_generator_info": [{"name": f"OpenAI for {ACCOUNT}", "version": "1"}],
        "title": CANARY,
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {
                    "actions": [
                        {"action": "c2pa.created", "digitalSourceType": TYPE, "softwareAgent": {"name": "DALL-E"}},
                        {"action": "c2pa.edited", "parameters": {"note": CANARY}},
                    ]
                },
            }
        ],
    }
    builder = Builder(manifest, Context(Settings.from_dict({"verify": {"verify_after_sign": False}})))
    if ingredient is not None:
        builder.add_ingredient(
            json.dumps({"title": CANARY, "relationship": "componentOf"}), media_type, io.BytesIO(ingredient)
        )
    if remote is not None:
        builder.set_remote_url(remote)
        builder.set_no_embed()
    signer = Signer.from_info(C2paSignerInfo(C2paSigningAlg.ES256, certificates, private, None))
    written = io.BytesIO()
    store = builder.sign(signer, media_type, io.BytesIO(content), written)
    return written.getvalue(), bytes(store)
