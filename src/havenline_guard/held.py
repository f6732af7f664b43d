"""The hash lists that `matchd` answers from: a folder of live lists, or snapshot files that do not change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from havenline.matching.lists import Lists
from havenline.matching.live import LiveLists
from havenline.vocabulary import HavenlineError


class Held(Protocol):
    """Whatever has lists that may become others between two lookups."""

    @property
    def generation(self) -> int:
        """Rises whenever a new snapshot takes the place of another."""

    def current(self) -> Lists:
        """The lists as they are now; the same object while nothing changed."""


class FixedLists:
    """Lists that stay as they are for the life of the process."""

    __slots__ = ("_lists",)

    generation = 0

    def __init__(self, lists: Lists) -> None:
        """Hold `lists`."""
        self._lists = lists

    def current(self) -> Lists:
        """Always the same."""
        return self._lists


def open_held(paths: Sequence[Path]) -> Held:
    """Open one folder of live lists, or one or more snapshot files.

    Raises HavenlineError with the reason where that is not what `paths` are, or where they are damaged.
    """
    if len(paths) == 1 and paths[0].is_dir():
        return LiveLists.open(paths[0])
    if not paths or any(path.is_dir() for path in paths):
        raise HavenlineError("give one folder of live lists, or one or more snapshot files")
    try:
        return FixedLists(Lists.open(paths))
    except OSError as error:
        raise HavenlineError(f"{error.filename}: cannot be read: {error.strerror}") from None
