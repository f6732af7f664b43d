"""A checkpoint signer whose key lies in the data folder, for as long as no key process holds it."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from havenline.formats import publication_note
from havenline.formats.audit_log import ED25519
from havenline.whole_file import write_whole


@dataclass(frozen=True, slots=True)
class KeyFileSigner:
    """Ed25519. Whoever may read the file can sign anything: not a protection against the desk's own user."""

    name: str
    _key: Ed25519PrivateKey = field(repr=False)
    algorithm: int = ED25519

    @classmethod
    def of(cls, file: Path) -> KeyFileSigner:
        """Read the key, or make one with a new random name. Raises OSError when the file cannot be had."""
        if not file.exists():
            with contextlib.suppress(FileExistsError):
                cls.renew(file, replace=False)
        name, seed = file.read_text().split()
        return cls(name, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed)))

    @staticmethod
    def renew(file: Path, *, replace: bool = True) -> None:
        """Make a key with a new random name in the place of the one that is there, which is gone for good."""
        with write_whole(file, replace=replace) as fresh:
            fresh.write(f"havenline.invalid/{secrets.token_hex(8)}\n{secrets.token_hex(32)}\n".encode())

    @property
    def public_key(self) -> bytes:
        return self._key.public_key().public_bytes_raw()

    def sign_checkpoint(self, body: bytes) -> bytes:
        return self._key.sign(body)

    def sign_publication(self, digest: str) -> bytes:
        """The raw signature over the text of `havenline.formats.publication_note`."""
        return self._key.sign(publication_note.body(self.name, digest))
