"""Signing keys: those of people, sealed with a passphrase on their own machines, and those of the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyrage
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from securesystemslib.signer import CryptoSigner, SSlibKey

from havenline.vocabulary import HavenlineError
from havenline.whole_file import write_whole

SHORTEST_PASSPHRASE = 12
_LONGEST_FILE = 1 << 14


class KeyRefused(HavenlineError):
    """A key cannot be made or used; the text tells neither it nor a passphrase."""


def make_key(path: Path, *, passphrase: str) -> SSlibKey:
    """Make an Ed25519 key: `path` sealed with the passphrase (age, scrypt), and its public half in `path`.pub.

    Raises KeyRefused for a passphrase of fewer than 12 characters or where one of the files exists, OSError.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise KeyRefused(f"the passphrase has fewer than {SHORTEST_PASSPHRASE} characters; no key was made")
    seed = _seed()
    public = _signer(seed).public_key
    half = public_path(path)
    if path.exists() or half.exists():
        raise KeyRefused(f"{path}: there is a key already; nothing was written")
    with write_whole(path, replace=False) as file:
        file.write(pyrage.passphrase.encrypt(seed, passphrase))
    with write_whole(half, replace=False) as file:
        file.write(_said(public))
    return public


def opened_key(path: Path, *, passphrase: str) -> CryptoSigner:
    """The key that was sealed in `path`. Raises KeyRefused."""
    try:
        return _signer(pyrage.passphrase.decrypt(_read(path), passphrase))
    except (pyrage.DecryptError, ValueError):
        raise KeyRefused(f"{path}: does not open with this passphrase, or is no key") from None


def public_path(path: Path) -> Path:
    """Where the public half of a key lies."""
    return path.with_name(path.name + ".pub")


def read_public(path: Path) -> SSlibKey:
    """A public key from its file. Raises KeyRefused."""
    try:
        said: dict[str, Any] = json.loads(_read(path))
        name = said.pop("keyid")
        key = SSlibKey.from_dict(name, said)
        known = SSlibKey(key.keyid, "ed25519", "ed25519", {"public": key.keyval["public"]})
        if known != key or _signer_id(key) != name or len(bytes.fromhex(key.keyval["public"])) != 32:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeyRefused(f"{path}: is no public Ed25519 key as `havenline repository key` writes it") from None
    return key


def make_online_key(path: Path) -> SSlibKey:
    """Make a key that the server itself signs with, readable by its owner alone, in place of one that is there."""
    seed = _seed()
    with write_whole(path, replace=True) as file:
        file.write(seed)
    return _signer(seed).public_key


def online_key(path: Path) -> CryptoSigner:
    """The server's key in `path`. Raises KeyRefused."""
    try:
        return _signer(_read(path))
    except ValueError:
        raise KeyRefused(f"{path}: is no key of this server") from None


def _seed() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def _signer(seed: bytes) -> CryptoSigner:
    return CryptoSigner(Ed25519PrivateKey.from_private_bytes(seed))


def _signer_id(key: SSlibKey) -> str:
    """The id that follows from the key itself, so that one key cannot count twice under two names."""
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"]))
    return SSlibKey.from_crypto(public).keyid


def _said(key: SSlibKey) -> bytes:
    return json.dumps({"keyid": key.keyid, **key.to_dict()}, indent=2).encode() + b"\n"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_FILE)
    except OSError as error:
        raise KeyRefused(f"{path}: cannot be read ({error.strerror or error})") from None
