"""Where a publisher's files come from: one host, or one folder. What may be read of each is bounded beforehand."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from tuf.api.exceptions import DownloadHTTPError, DownloadLengthMismatchError
from tuf.ngclient import FetcherInterface

from havenline.connectors.frame import NotThere, PartnerError
from havenline.connectors.one_host import AnswerTooLong, OneHost, checked_base

BASE = "publisher:"
"""Stands for the place in the addresses that The Update Framework puts together."""
_PIECE = 1 << 20
_FOLDER = "file"


class Place(Protocol):
    """Files by their paths, which begin with a slash."""

    def read(self, path: str, *, longest: int) -> Iterator[bytes]:
        """The bytes of a file, at most `longest`. Raises NotThere, AnswerTooLong, PartnerError."""


class OnHost:
    """Files under the base URL of a publisher's server."""

    def __init__(self, host: OneHost) -> None:
        self._host = host

    def read(self, path: str, *, longest: int) -> Iterator[bytes]:
        """The bytes of a file, at most `longest`. Raises NotThere, AnswerTooLong, PartnerError."""
        yield self._host.get(path, longest=longest).body


class InFolder:
    """Files in a folder that was copied from a publisher, on a USB stick for example. Nothing is written there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: str, *, longest: int) -> Iterator[bytes]:
        """The bytes of a file, at most `longest`. Raises NotThere, AnswerTooLong, PartnerError."""
        if not self._folder.is_dir():
            raise PartnerError(f"{self._folder}: is not there, or no folder")
        named = self._folder.joinpath(*(part for part in path.split("/") if part not in ("", ".", "..")))
        try:
            with os.fdopen(os.open(named, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                left = longest
                while part := file.read(min(_PIECE, left + 1)):
                    if len(part) > left:
                        raise AnswerTooLong(f"{named}: more than {longest:,} bytes")
                    left -= len(part)
                    yield part
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise NotThere(f"{named}: is not there") from None
            raise PartnerError(f"{named}: cannot be read ({error.strerror or error})") from None


class Fetcher(FetcherInterface):
    """How The Update Framework reads a place."""

    def __init__(self, place: Place) -> None:
        self._place, self._longest = place, 0
        self.failed: PartnerError | None = None

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """As of the interface; the place is told beforehand how much it may give."""
        self._longest = max_length
        with super().download_file(url, max_length) as file:
            yield file

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            # Read here and not as they come: what goes wrong is an error of this call.
            return iter(list(self._place.read(url.removeprefix(BASE), longest=self._longest)))
        except NotThere as error:
            raise DownloadHTTPError(str(error), 404) from None
        except AnswerTooLong as error:
            raise DownloadLengthMismatchError(str(error)) from None
        except PartnerError as error:
            self.failed = error
            raise


def checked_place(url: str) -> str:
    """The base URL of a publisher, or `file:///` and a folder. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme != _FOLDER:
        return checked_base(url)
    if parts.netloc or not parts.path.startswith("/") or parts.query or parts.fragment:
        raise ValueError("a folder is named file:///and/its/path")
    return url.rstrip("/")


def folder_of(url: str) -> Path | None:
    """The folder that a checked place names, None for a server."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == _FOLDER else None
