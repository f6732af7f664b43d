"""Credentials on disk: sealed to an age identity, with the base URL that they are for inside the seal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyrage

from havenline.vocabulary import HavenlineError
from havenline.whole_file import write_whole


class CredentialsRefused(HavenlineError):
    """Credentials cannot be sealed or opened; the text tells none of them."""


def make_key(path: Path) -> None:
    """Write a new identity to `path`, for its owner alone. Raises FileExistsError, OSError."""
    with write_whole(path, replace=False) as file:
        file.write(f"{pyrage.x25519.Identity.generate()}\n".encode())


def seal(fields: Mapping[str, str], *, base_url: str, key: Path, to: Path) -> None:
    """Seal credentials for one base URL. Raises CredentialsRefused, OSError."""
    said = json.dumps({"base_url": base_url, "fields": dict(fields)}).encode()
    sealed = pyrage.encrypt(said, [_identity(key).to_public()])
    with write_whole(to, replace=True) as file:
        file.write(sealed)


def opened(path: Path, *, key: Path) -> tuple[str, dict[str, str]]:
    """The base URL and the fields that were sealed. Raises CredentialsRefused."""
    try:
        said = json.loads(pyrage.decrypt(path.read_bytes(), [_identity(key)]))
        return str(said["base_url"]), {str(name): str(value) for name, value in said["fields"].items()}
    except OSError as error:
        raise CredentialsRefused(f"{path}: cannot be read ({error.strerror or error})") from None
    except (pyrage.DecryptError, ValueError, KeyError, TypeError, AttributeError):
        raise CredentialsRefused(f"{path}: is not sealed to the key {key}; set the exchange up anew") from None


def identity_in(key: Path) -> str:
    """The age identity in a file, as text. Raises CredentialsRefused."""
    return str(_identity(key))


def _identity(key: Path) -> pyrage.x25519.Identity:
    try:
        if key.stat().st_mode & 0o077:
            raise CredentialsRefused(f"{key}: may be read by others; take that right away (chmod 600)")
        lines = [line for line in key.read_text().splitlines() if line and not line.startswith("#")]
        return pyrage.x25519.Identity.from_str(lines[0].strip())
    except OSError as error:
        raise CredentialsRefused(f"{key}: cannot be read ({error.strerror or error})") from None
    except (IndexError, UnicodeDecodeError, pyrage.IdentityError):
        raise CredentialsRefused(f"{key}: holds no age identity") from None
