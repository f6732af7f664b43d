"""Who a house trusts to sign C2PA manifests: certificates of authorities that it chose itself, in PEM."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from havenline.vocabulary import HavenlineError

MOST_BYTES = 4 << 20
_MOST_CERTIFICATES = 1000


class SignersError(HavenlineError):
    """The list of signers cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Signers:
    """`pem`: certificates of authorities. `sha256`: digest of the file as the house set it, lower-case hex."""

    pem: str
    sha256: str


def read_signers(content: bytes) -> Signers:
    """The certificates of authorities in a file of PEM, at most 1,000 in 4 MiB. Raises SignersError.

    A signer counts where its certificate leads to one of these. Not checked: whom they belong to, whether they are in
    date or withdrawn (that is the library's, at each manifest), and whether any of them deserves it.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    if len(content) > MOST_BYTES:
        raise SignersError(f"the list of signers is larger than {MOST_BYTES:,} bytes")
    try:
        found = x509.load_pem_x509_certificates(content)
    except ValueError:
        raise SignersError("the list of signers holds no certificates in PEM, or a broken one") from None
    if len(found) > _MOST_CERTIFICATES:
        raise SignersError(f"the list of signers holds more than {_MOST_CERTIFICATES:,} certificates")
    for number, each in enumerate(found, 1):
        try:
            authority = each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except (x509.ExtensionNotFound, ValueError):
            authority = False
        if not authority:
            raise SignersError(f"certificate {number} of the list of signers is not one of an authority")
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in found).decode()
    return Signers(pem, hashlib.sha256(content).hexdigest())
