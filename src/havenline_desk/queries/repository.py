"""This house as a publisher: what partners can fetch and until when, and what its signers are to compare."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from tuf.api.metadata import Targets

from havenline.formats.exchange import piece_of
from havenline.repository.publishing import Repository, Standing
from havenline.repository.staging import recipients_of
from havenline.vocabulary import HavenlineError

from ..models import HouseList
from .releases import newest_edition

SOON = dt.timedelta(hours=24)
"""What ends within this is told on the first page: a timestamp is renewed twice a day, so something does not run."""
SOON_SIGNED = dt.timedelta(days=7)
"""Likewise for what people sign, who need days to come together."""


@dataclass(frozen=True, slots=True)
class RoleLine:
    """One role as it is published. `soon`: it ends so soon that somebody must act; `ended`: partners refuse it."""

    role: str
    version: int
    until: dt.datetime
    soon: bool
    ended: bool


@dataclass(frozen=True, slots=True)
class SignedList:
    """One list: the edition that was released here last, and which one partners get, and which waits for signatures.

    Each as (number, root); the root is over the entries without canaries, so that signers can compare it.
    """

    name: str
    released: tuple[int, str]
    published: tuple[int, str] | None
    waiting: tuple[int, str] | None

    @property
    def differs(self) -> bool:
        """Whether something of the number that was released here has another root: nobody should sign that."""
        both = [each for each in (self.published, self.waiting) if each is not None]
        return any(number == self.released[0] and root != self.released[1] for number, root in both)


@dataclass(frozen=True, slots=True)
class RepositoryPage:
    fingerprint: str
    roles: tuple[RoleLine, ...]
    waiting: str
    signatures: int
    lists: tuple[SignedList, ...]
    recipients: tuple[tuple[str, str], ...]


def repository_here() -> Repository:
    """HAVENLINE_REPOSITORY, or `repository` in the data folder. Not checked: that there is one."""
    return Repository(Path(settings.REPOSITORY or Path(settings.HOME) / "repository"))


def repository_page(*, at: dt.datetime) -> RepositoryPage | None:
    """How the repository stands; None where there is none. Raises RepositoryRefused, ExchangeRefused, OSError."""
    repository = repository_here()
    standing = _standing(repository)
    if standing is None:
        return None
    published = repository.published_targets()
    staged = repository.staged_targets()
    public = _editions(published.signed if published is not None else None)
    waits = _editions(staged.signed if staged is not None else None)
    lists = []
    for row in HouseList.objects.order_by("name"):
        newest = newest_edition(row)
        if newest is not None:
            here = (newest.number, newest.root)
            lists.append(SignedList(row.name, here, public.get(row.name), waits.get(row.name)))
    return RepositoryPage(
        fingerprint=standing.root_sha256 or "",
        roles=_roles(standing, at=at),
        waiting=standing.waiting or "",
        signatures=standing.signatures,
        lists=tuple(lists),
        recipients=tuple(sorted(recipients_of(repository).items())),
    )


def roles_ending(*, at: dt.datetime) -> tuple[RoleLine, ...]:
    """What partners refuse soon, or already. A repository that cannot be read counts as one whose timestamp ended."""
    try:
        standing = _standing(repository_here())
    except (HavenlineError, OSError):
        return (RoleLine("timestamp", 0, at, soon=True, ended=True),)
    return () if standing is None else tuple(each for each in _roles(standing, at=at) if each.soon)


def _standing(repository: Repository) -> Standing | None:
    return repository.standing() if (repository.folder / "publisher.json").exists() else None


def _roles(standing: Standing, *, at: dt.datetime) -> tuple[RoleLine, ...]:
    return tuple(_role(role, *said, at=at) for role, said in standing.versions.items())


def _role(role: str, version: int, until: dt.datetime, *, at: dt.datetime) -> RoleLine:
    wait = SOON_SIGNED if role in {"root", "targets"} else SOON
    return RoleLine(role, version, until, soon=until - at <= wait, ended=until <= at)


def _editions(targets: Targets | None) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for path, target in (targets.targets if targets is not None else {}).items():
        piece = piece_of(path, target.custom or {})
        if piece.whole:
            found[piece.list_name] = (piece.seq, piece.canonical_root)
    return found
