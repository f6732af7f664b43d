"""Kept content: sealed under a key of its own from `keyd`, in a store that learns nothing, opened by grants alone.

The desk reaches this through `evidence.py` and nowhere else.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from havenline.vocabulary import HavenlineError
from havenline_guard.keyd_wire import Bound
from havenline_guard.vault_object import Damaged, check, sealed, unsealed
from havenline_guard.vault_store import Store, StoreError, Unreachable


class VaultError(HavenlineError):
    """Content could not be kept, opened or destroyed; the text says what holds now."""


class Keys(Protocol):
    """What a vault needs of `keyd`; `KeyClient` has it."""

    def mint(self, name: str, *, kind: str, size: int) -> tuple[bytes, int]:
        """A new key for a new object, and its version."""
        ...

    def open(self, token: str, bound: Bound) -> tuple[bytes, int]:
        """The key of one object for one grant."""
        ...

    def shred(self, name: str, *, rule: str, by: str, second: str = "") -> None:
        """Destroy a key."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of a kept object: its random name, its kind, and size and SHA-256 of its content."""

    name: str
    kind: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What a look at every object found: how many are whole, which are damaged, missing, or named by nobody."""

    whole: int
    damaged: tuple[str, ...]
    missing: tuple[str, ...]
    unnamed: tuple[str, ...]


class Vault:
    """Keeps, opens, checks and destroys, one object at a time."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store, self._keys = store, keys

    def keep(self, content: bytes, *, kind: str) -> Kept:
        """Seal `content` under a new name; once this returns it survives a power cut.

        The digest is taken here, before anything reads the content. Raises KeydRefused, KeydUnreachable or StoreError;
        then nothing is kept, though `keyd` may have made a key that opens nothing.
        """
        kept = Kept(secrets.token_hex(16), kind, len(content), hashlib.sha256(content).hexdigest())
        key, version = self._keys.mint(kept.name, kind=kind, size=kept.size)
        self._store.put(kept.name, sealed([content], key, name=kept.name, kind=kind, version=version))
        return kept

    def open(self, kept: Kept, token: str, bound: Bound) -> bytes:
        """The content for one grant. Raises VaultError, and gives nothing, unless every byte is what was kept."""
        return b"".join(self.pieces(kept, token, bound))

    def pieces(self, kept: Kept, token: str, bound: Bound) -> Iterator[bytes]:
        """The content in pieces, each authenticated; the last piece is given only when the whole has its digest."""
        if bound.object != kept.name:
            raise VaultError("this grant is for another object; nothing was opened")
        key, version = self._keys.open(token, bound)
        digest, size, before = hashlib.sha256(), 0, b""
        try:
            opened = unsealed(self._store.get(kept.name), key, name=kept.name, kind=kept.kind, version=version)
            for number, piece in enumerate(opened):
                digest.update(piece)
                size += len(piece)
                if number:
                    yield before
                before = piece
        except (Damaged, StoreError) as error:
            raise VaultError(f"{error}; nothing more was opened, tell the administrator") from error
        if (digest.hexdigest(), size) != (kept.sha256, kept.size):
            raise VaultError("the content no longer has its digest; tell the administrator")
        yield before

    def destroy(self, name: str, *, rule: str, by: str, second: str = "") -> None:
        """Destroy the key, for good, and then take the sealed bytes away.

        Raises what `keyd` raises, for example while a hold stands; then both are kept. When the bytes cannot be taken
        away now, nothing can open them any more, and `scrub` names them.
        """
        self._keys.shred(name, rule=rule, by=by, second=second)
        with suppress(StoreError):
            self._store.delete(name)

    def scrub(self, named: Iterable[str]) -> Scrubbed:
        """Read every object and compare it with its digest; needs no key. `named`: the names that records bear.

        Raises StoreError where the store cannot be listed or does not answer: that says nothing of its objects.
        """
        expected, there = set(named), set(self._store.names())
        damaged = []
        for name in sorted(there & expected):
            try:
                check(self._store.get(name))
            except Unreachable:
                raise
            except (Damaged, StoreError):
                damaged.append(name)
        whole = len(there & expected) - len(damaged)
        return Scrubbed(whole, tuple(damaged), tuple(sorted(expected - there)), tuple(sorted(there - expected)))
