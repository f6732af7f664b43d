"""Where sealed objects lie: named bytes that are written once, read, and deleted. Here, a folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from havenline.vocabulary import HavenlineError
from havenline.whole_file import write_whole

NAME = re.compile(r"[0-9a-f]{32}")
_BEGUN = re.compile(r"\.[0-9a-f]{32}\.\w+\.part")
PIECE = 1 << 20


class StoreError(HavenlineError):
    """The store could not; the text says what. Nothing was acknowledged."""


class Absent(StoreError):
    """There is no object of this name."""


class Unreachable(StoreError):
    """The store does not answer, or fails; the same may be asked again later."""


class Store(Protocol):
    """Keeps sealed objects under random names of 32 hex digits. Every method raises StoreError."""

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Keep a new object whole; once this returns it survives a power cut. Never replaces one."""
        ...

    def get(self, name: str) -> Iterator[bytes]:
        """Its bytes, in pieces. Raises Absent where there is none of this name."""
        ...

    def delete(self, name: str) -> None:
        """Take it away; one that is not there is no error."""
        ...

    def names(self) -> Iterator[str]:
        """The names of all objects, and of what a killed process left half written, which can only be deleted."""
        ...


class FolderStore:
    """Objects as files in one folder, for their owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """See Store.put: written beside its place, flushed, renamed, the folder flushed."""
        try:
            with write_whole(self._path(name), replace=False) as file:
                for piece in pieces:
                    file.write(piece)
        except FileExistsError:
            raise StoreError("an object of this name is kept already; it was left as it is") from None
        except OSError as error:
            raise StoreError(f"the object could not be kept: {error.strerror}") from error

    def get(self, name: str) -> Iterator[bytes]:
        """See Store.get."""
        try:
            with self._path(name).open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece
        except FileNotFoundError:
            raise Absent("the object could not be read: there is none of this name") from None
        except OSError as error:
            raise StoreError(f"the object could not be read: {error.strerror}") from error

    def delete(self, name: str) -> None:
        """See Store.delete."""
        try:
            self._path(name, begun=True).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"the object could not be deleted: {error.strerror}") from error

    def names(self) -> Iterator[str]:
        """See Store.names."""
        names = (path.name for path in self._folder.iterdir())
        return (name for name in names if NAME.fullmatch(name) or _BEGUN.fullmatch(name))

    def _path(self, name: str, *, begun: bool = False) -> Path:
        if not NAME.fullmatch(name) and not (begun and _BEGUN.fullmatch(name)):
            raise StoreError("the name of an object is 32 hex digits")
        return self._folder / name
