"""The master keys of `keyd`: versioned, in memory only, at rest in one file that a passphrase seals.

The sealed file is docs/formats/keyd.md §2. Wrapping is AES-256-GCM (NIST SP 800-38D) under a random nonce; with fewer
than 2^32 objects under one version the chance that a nonce repeats stays below 2^-32. Python cannot promise that keys
are wiped from memory, and nothing here claims it.
"""

from __future__ import annotations

import hmac
import json
import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from havenline.vocabulary import HavenlineError
from havenline.whole_file import write_whole

FORM = 1
COST = 1 << 17
"""scrypt's N, with r = 8 and p = 1: 128 MiB and about 0.4 s for one guess."""
KEY = 32
NONCE = 12
_BLOCK, _LANES = 8, 1
_COSTS = range(1 << 10, (1 << 20) + 1)


class MasterKeysError(HavenlineError):
    """The master keys cannot be had; the text says why. No key was used."""


class MasterKeys:
    """All versions of the master key that are still usable, and the key that signs checkpoints."""

    def __init__(self, path: Path, head: dict[str, Any], sealing: AESGCM, said: dict[str, Any]) -> None:
        """Not for use outside: `create` and `unseal` make one."""
        self._path, self._head, self._sealing = path, head, sealing
        self._keys = {int(version): bytes.fromhex(key) for version, key in said["keys"].items()}
        self._signer = bytes.fromhex(said["signer"])
        self.signer = Ed25519PrivateKey.from_private_bytes(self._signer)

    @classmethod
    def create(cls, path: Path, passphrase: bytes, *, cost: int = COST) -> MasterKeys:
        """Make version 1 and a signing key, and seal them in the new file `path`. Never replaces a file."""
        head = {"form": FORM, "kdf": "scrypt", "n": cost, "r": _BLOCK, "p": _LANES, "salt": os.urandom(16).hex()}
        said = {"keys": {"1": os.urandom(KEY).hex()}, "signer": os.urandom(KEY).hex()}
        made = cls(path, head, _sealing_key(head, passphrase), said)
        made._save(replace=False)
        return made

    @classmethod
    def unseal(cls, path: Path, passphrase: bytes) -> MasterKeys:
        """Read the file. Raises MasterKeysError when it cannot be read, was changed, or the passphrase is another."""
        try:
            head = json.loads(path.read_bytes())
            sealed = bytes.fromhex(head.pop("sealed"))
            # a changed r or p would ask for any amount of memory or time before the change is noticed
            known = (head["form"], head["kdf"], head["r"], head["p"]) == (FORM, "scrypt", _BLOCK, _LANES)
            if not known or head["n"] not in _COSTS:
                raise MasterKeysError(f"{path}: this file of master keys has a form that is not known here")
            sealing = _sealing_key(head, passphrase)
            said = json.loads(sealing.decrypt(sealed[:NONCE], sealed[NONCE:], _canonical(head)))
        except OSError as error:
            raise MasterKeysError(f"{path}: the master keys cannot be read: {error.strerror}") from None
        except InvalidTag:
            raise MasterKeysError(f"{path}: the passphrase is another, or the file was changed") from None
        except (AttributeError, KeyError, TypeError, ValueError):
            raise MasterKeysError(f"{path}: this is no file of master keys") from None
        return cls(path, head, sealing, said)

    def derived(self, purpose: str) -> bytes:
        """A key of 32 bytes for `purpose` that follows from the signing key, and so outlasts every rotation."""
        return hmac.digest(self._signer, b"havenline keyd derived 1\n" + purpose.encode() + b"\n", "sha256")

    @property
    def current(self) -> int:
        """The version that new keys are wrapped under."""
        return max(self._keys)

    @property
    def versions(self) -> tuple[int, ...]:
        return tuple(sorted(self._keys))

    def wrap(self, key: bytes, *, bound: bytes) -> tuple[int, bytes]:
        """The version used, and `key` wrapped under it; it unwraps only with the same `bound`."""
        nonce, version = os.urandom(NONCE), self.current
        return version, nonce + AESGCM(self._keys[version]).encrypt(nonce, key, _bound(version, bound))

    def unwrap(self, version: int, wrapped: bytes, *, bound: bytes) -> bytes:
        """Raises MasterKeysError when that version is retired or the wrapped key was changed or is another object's."""
        if version not in self._keys:
            raise MasterKeysError(f"version {version} of the master key is not here")
        try:
            return AESGCM(self._keys[version]).decrypt(wrapped[:NONCE], wrapped[NONCE:], _bound(version, bound))
        except InvalidTag:
            raise MasterKeysError("a wrapped key was changed, or belongs to another object") from None

    def add(self, version: int) -> None:
        """Make `version`, the next one, and have it on the disk before anything is wrapped under it."""
        self._change({**self._keys, version: os.urandom(KEY)})

    def retire(self, version: int) -> None:
        """Forget `version` here and in the file; what is still wrapped under it is lost for good."""
        self._change({kept: key for kept, key in self._keys.items() if kept != version})

    def _change(self, keys: dict[int, bytes]) -> None:
        before, self._keys = self._keys, keys
        try:
            self._save(replace=True)
        except OSError as error:
            self._keys = before
            raise MasterKeysError(f"{self._path}: the master keys cannot be written: {error.strerror}") from error

    def _save(self, *, replace: bool) -> None:
        keys = {str(version): key.hex() for version, key in self._keys.items()}
        nonce, inner = os.urandom(NONCE), _canonical({"keys": keys, "signer": self._signer.hex()})
        sealed = nonce + self._sealing.encrypt(nonce, inner, _canonical(self._head))
        with write_whole(self._path, replace=replace) as file:
            file.write(_canonical({**self._head, "sealed": sealed.hex()}) + b"\n")


def _sealing_key(head: dict[str, Any], passphrase: bytes) -> AESGCM:
    salt = bytes.fromhex(head["salt"])
    return AESGCM(Scrypt(salt=salt, length=KEY, n=head["n"], r=head["r"], p=head["p"]).derive(passphrase))


def _bound(version: int, bound: bytes) -> bytes:
    return b"havenline keyd wrap 1\n%d\n" % version + bound


def _canonical(said: dict[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
