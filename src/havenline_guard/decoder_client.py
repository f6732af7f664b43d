"""How the desk has a picture opened by `decoderd`: the only way that hostile bytes become pixels there."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from havenline.vocabulary import HavenlineError, Refusal, Refused
from havenline_guard import decoder_wire as wire
from havenline_guard.decoder_wire import Decoded, DecodedSheet, Wanted

_CREDENTIALS = struct.Struct("3i")
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class DecoderdUnreachable(HavenlineError):
    """No answer came, and nothing was learned about the content; the text says why and what to do."""


class DecoderClient:
    """Asks the `decoderd` that serves the socket `path`: one connection for each question, so threads need no turns.

    The server must run as root, as the own user, or as the owner of the folder that the socket lies in: otherwise it is
    not believed.
    """

    def __init__(self, path: str | Path, *, timeout: float = 60.0) -> None:
        """`timeout`: seconds to wait for an answer, the time before it is this question's turn included."""
        self._path, self._timeout = os.fspath(path), timeout

    def decode(self, content: bytes, *, width: int, height: int) -> Decoded | Refused:
        """The picture in `content`, shrunk into `width` x `height` pixels (1024 at most), or why there is none.

        Every field is checked, but what a file that took its own decoder over says of itself is not known to be true:
        hashes and pixels may be any. Raises DecoderdUnreachable, ValueError for another size.
        """
        said = self._pixels(content, Wanted.PICTURE, width=width, height=height)
        if isinstance(said, Refused):
            return said
        with self._this_version():
            return wire.read_answer(said, width=width, height=height)

    def sheet(self, content: bytes, *, width: int, height: int, frames: int) -> DecodedSheet | Refused:
        """At most `frames` (1 to 16) frames of the film in `content` on one sheet; otherwise as `decode`."""
        if not 0 < frames <= wire.MOST_FRAMES:
            raise ValueError(f"a sheet has 1 to {wire.MOST_FRAMES} frames")
        said = self._pixels(content, Wanted.SHEET, width=width, height=height, number=frames)
        if isinstance(said, Refused):
            return said
        with self._this_version():
            return wire.read_sheet(said, width=width, height=height, frames=frames)

    def text(self, content: bytes, *, place: int) -> bytes | Refused:
        """The text of the signal of origin at `place`, from 0, of a file; or why there is none. 1 MiB at most.

        Not known to be true: that the file has it; the caller compares its keyed digest. Raises DecoderdUnreachable,
        ValueError for another place.
        """
        if not 0 <= place < wire.MOST_TEXTS:
            raise ValueError(f"a text is asked for by a place from 0 to {wire.MOST_TEXTS - 1}")
        said = self._content(content, wire.question(wanted=Wanted.TEXT, number=place, length=len(content)))
        if isinstance(said, Refused):
            return said
        with self._this_version():
            return wire.read_text(said)

    def _pixels(
        self, content: bytes, wanted: Wanted, *, width: int, height: int, number: int = 0
    ) -> bytearray | Refused:
        if not (0 < width <= wire.LONGEST_SIDE and 0 < height <= wire.LONGEST_SIDE):
            raise ValueError(f"a picture is asked for in 1 to {wire.LONGEST_SIDE} pixels a side")
        asked = wire.question(wanted=wanted, width=width, height=height, number=number, length=len(content))
        return self._content(content, asked)

    def _content(self, content: bytes, question: bytes) -> bytearray | Refused:
        if len(content) > wire.LARGEST_CONTENT:
            detail = f"the file has {len(content):,} bytes; files up to {wire.LARGEST_CONTENT:,} bytes are opened"
            return Refused(Refusal.TOO_LARGE, detail)
        descriptor = _sealed(content)
        try:
            return self._asked(question, [descriptor])
        finally:
            os.close(descriptor)

    @contextmanager
    def _this_version(self) -> Iterator[None]:
        try:
            yield
        except wire.Malformed as error:
            raise DecoderdUnreachable(f"{self._path}: {error}; is this a decoderd of this version?") from None

    def state(self) -> dict[str, Any]:
        """Counts of the server: numbers alone. Raises DecoderdUnreachable."""
        said = self._asked(wire.question(wanted=Wanted.STATE), [])
        told: dict[str, Any] = json.loads(bytes(said[wire.HEAD.size :]))
        return told

    def _asked(self, question: bytes, descriptors: list[int]) -> bytearray:
        with socket.socket(socket.AF_UNIX) as made:
            made.settimeout(self._timeout)
            try:
                made.connect(self._path)
                self._check_server(made)
                # Whoever is turned away has the reason to read, though nobody reads what he sends.
                with suppress(BrokenPipeError, ConnectionResetError):
                    socket.send_fds(made, [question], descriptors)
                said = self._received(made)
            except TimeoutError:
                raise DecoderdUnreachable(f"{self._path}: no answer within {self._timeout:g} s") from None
            except OSError as error:
                raise DecoderdUnreachable(
                    f"{self._path}: decoderd cannot be reached ({error.strerror or error}): is it started?"
                ) from None
        verdict = wire.HEAD.unpack_from(said)[2]
        if verdict == wire.NOT_SERVED:
            text = bytes(said[wire.HEAD.size :]).decode("utf-8", "replace")
            raise DecoderdUnreachable(f"{self._path}: {text}")
        return said

    def _received(self, made: socket.socket) -> bytearray:
        said = bytearray()
        wanted = wire.HEAD.size
        while len(said) < wanted:
            piece = made.recv(wanted - len(said))
            if not piece:
                raise ConnectionResetError("the connection was ended")
            said += piece
            if len(said) == wire.HEAD.size == wanted:
                wanted += wire.HEAD.unpack(said)[4]
                if wanted > wire.LARGEST_ANSWER:
                    raise ConnectionResetError("the answer is too long")
        return said

    def _check_server(self, made: socket.socket) -> None:
        _, user, _ = _CREDENTIALS.unpack(made.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if user not in {0, os.geteuid(), Path(self._path).absolute().parent.stat().st_uid}:
            raise DecoderdUnreachable(
                f"{self._path}: is served by the system user {user}, who does not own the folder it lies in; not asked"
            )


def _sealed(content: bytes) -> int:
    """The content in memory that nobody can change any more, as a descriptor."""
    descriptor = os.memfd_create("content", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
