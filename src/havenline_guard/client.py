"""How the desk, the command line and programs ask `matchd`: one class, nothing but the standard library and NumPy."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from havenline.matching.asked import NO_LEEWAY, Asked, Leads
from havenline.matching.change_log import Change
from havenline.matching.snapshot import EditionHead
from havenline.vocabulary import Fingerprint, HavenlineError, Leeway, ListEntry, ListTerms, Match
from havenline_guard import wire
from havenline_guard.wire import Kind, Malformed, Table

OPERATIONS = frozenset(kind.name.lower() for kind in Kind if kind < Kind.WELCOME)
"""Everything that can be asked; the rest are answers."""

_CREDENTIALS = struct.Struct("3i")
_ALWAYS = frozenset({0})
"""Users whose server is believed wherever it is: root."""
_LARGEST_ANSWER = 1 << 31
_AT_ONCE = 16_384
"""Fingerprints that `lookup` sends in one message, or as many as have so many PDQ values."""


class MatchdUnreachable(HavenlineError):
    """No answer came; the text says why and what to do."""


class MatchdRefused(HavenlineError):
    """`matchd` would not; the text is its own. `reason` is one of `wire.Reason`."""

    def __init__(self, reason: int, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Changed:
    """A change that holds: the generation of the lists, and the digest that names the state after it."""

    generation: int
    digest: str


class MatchClient:
    """Asks the `matchd` that serves the socket `path`. Safe to use from several threads, which then take turns.

    Connects when it first asks. When the connection is gone, for example because the server was started again, it
    connects anew and asks once more, but never repeats a change. The server must run as root, as the own user, or as
    the owner of the folder that the socket lies in: otherwise it is not believed.
    """

    def __init__(self, path: str | Path, *, timeout: float = 60.0) -> None:
        """`timeout`: seconds to wait for each answer."""
        self._socket: socket.socket | None = None
        self._path, self._timeout = os.fspath(path), timeout
        self._lock = threading.Lock()
        self._process = 0
        self._table: Table | None = None
        self._tag = 0

    def __enter__(self) -> MatchClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self._close()

    def close(self) -> None:
        """Let the connection go; the next question makes another."""
        with self._lock:
            self._close()

    @property
    def heads(self) -> tuple[EditionHead, ...]:
        """The editions that are looked up in now. Raises MatchdUnreachable, MatchdRefused."""
        return Table.read(self._ask(Kind.HEADS, b"", Kind.TABLE)).heads

    def lookup(
        self, fingerprints: Sequence[Fingerprint], *, at: dt.datetime, leeway: Leeway = NO_LEEWAY
    ) -> list[tuple[Match, ...]]:
        """As `Lists.lookup`, however many there are, some thousands to a message.

        `at` is not sent: whether a list has expired is judged by the server's clock. Each message is answered from
        the lists as they are when it arrives. Raises MatchdUnreachable, MatchdRefused.
        """
        found: list[tuple[Match, ...]] = []
        start = values = 0
        for end, each in enumerate(fingerprints, 1):
            values += 1 + len(each.pdq_values) + len(each.frames) + len(each.frames_upright)
            if values >= _AT_ONCE or end == len(fingerprints):
                some = fingerprints[start:end]
                found += self.look_up(Asked.of(some, leeway)).matches(len(some))
                start, values = end, 0
        return found

    def in_shadow(self) -> None:
        """Always None: what lists in shadow would give is counted by `matchd` itself, and told to nobody else."""

    def look_up(self, asked: Asked) -> Leads:
        """As `Lists.look_up`; raises as `lookup`, and ValueError for more than the server takes at once."""
        with self._lock:
            known = 0 if self._table is None else self._table.number
            body = self._asked(Kind.LOOKUP, wire.asked_body(asked, known), Kind.LEADS)
            leads, self._table = wire.read_leads(body, self._table)
        if len(leads.asked) and max(leads.asked.tolist()) >= asked.count:
            raise Malformed("an answer speaks of fingerprints that were not asked for")
        return leads

    def change(
        self,
        *,
        withdraw: Mapping[str, Sequence[str]] | None = None,
        add: Mapping[str, Sequence[ListEntry]] | None = None,
        terms: Mapping[str, ListTerms] | None = None,
    ) -> Changed:
        """As `LiveLists.change`, at the server's time. When it returns, the change holds, across a crash too.

        Every lookup that is asked afterwards is answered with it. Raises MatchdRefused where nothing was changed;
        MatchdUnreachable where no answer came: then ask `heads` or look up whether it was made.
        """
        body = wire.change_body(Change(withdraw or {}, add or {}, terms or {}))
        with MatchClient(self._path + wire.CHANGING, timeout=self._timeout) as changing, changing._lock:
            changing._connect()
            said = json.loads(changing._over_new(Kind.CHANGE, body, Kind.CHANGED))
        return Changed(said["generation"], said["digest"])

    def health(self) -> dict[str, Any]:
        """Counts and states of the server: numbers alone. Raises MatchdUnreachable, MatchdRefused."""
        told: dict[str, Any] = json.loads(self._ask(Kind.HEALTH, b"", Kind.HEALTHY))
        return told

    def metrics(self) -> str:
        """The same in Prometheus's text form."""
        return self._ask(Kind.METRICS, b"", Kind.COUNTED).decode()

    def _ask(self, kind: Kind, body: bytes, expected: Kind) -> bytes:
        with self._lock:
            return self._asked(kind, body, expected)

    def _asked(self, kind: Kind, body: bytes, expected: Kind) -> bytes:
        """Ask over the connection that there is, or over a new one when that is gone."""
        if self._socket is not None and self._process == os.getpid():
            with suppress(ConnectionError):
                return self._answered(kind, body, expected)
        self._connect()
        return self._over_new(kind, body, expected)

    def _over_new(self, kind: Kind, body: bytes, expected: Kind) -> bytes:
        try:
            return self._answered(kind, body, expected)
        except ConnectionError:
            raise MatchdUnreachable(f"{self._path}: matchd ended the connection; look at its log, try again") from None

    def _connect(self) -> None:
        self._close()
        if len(os.fsencode(self._path)) > wire.LONGEST_PATH + len(wire.CHANGING):
            raise MatchdUnreachable(f"{self._path}: a path of a socket has at most {wire.LONGEST_PATH} bytes")
        made = socket.socket(socket.AF_UNIX)
        try:
            # The kernel keeps the time: with Python's own each call would ask it twice.
            patience = struct.pack("@ll", int(self._timeout), int(self._timeout % 1 * 1e6))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                made.setsockopt(socket.SOL_SOCKET, option, patience)
            made.connect(self._path)
            self._socket, self._process = made, os.getpid()
            self._check_server(made)
            form = wire.read_welcome(self._answered(Kind.HELLO, wire.hello(), Kind.WELCOME))
        except OSError as error:
            self._close()
            made.close()
            raise MatchdUnreachable(
                f"{self._path}: matchd cannot be reached ({error.strerror or error}): is it started, may you use it?"
            ) from None
        except BaseException:
            self._close()
            raise
        if form != wire.FORM:
            self._close()
            raise MatchdUnreachable(
                f"{self._path}: matchd speaks form {form}, this program {wire.FORM}: use matching ones"
            )

    def _check_server(self, made: socket.socket) -> None:
        _, user, _ = _CREDENTIALS.unpack(made.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if user not in _ALWAYS | {os.geteuid(), self._owner(self._path)}:
            raise MatchdUnreachable(
                f"{self._path}: is served by the system user {user}, who does not own the folder it lies in; not asked"
            )

    @staticmethod
    def _owner(path: str) -> int:
        return Path(path).absolute().parent.stat().st_uid

    def _answered(self, kind: Kind, body: bytes, expected: Kind) -> bytes:
        """The body of the answer. Raises ConnectionError when the connection is gone, and lets go of it."""
        assert self._socket is not None
        self._tag = self._tag + 1 & 0xFFFFFFFF
        try:
            # Whoever is turned away has the reason to read, though nobody reads what he sends.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._socket.sendall(wire.HEAD.pack(len(body), kind, 0, 0, self._tag) + body)
            answer, told, tag = self._received(self._socket)
        except BlockingIOError:
            self._close()
            raise MatchdUnreachable(f"{self._path}: no answer within {self._timeout:g} s") from None
        except BaseException:
            self._close()
            raise
        if told == Kind.REFUSED:
            reason, closes, text = wire.read_refusal(answer)
            if closes:
                self._close()
            raise MatchdRefused(reason, f"{self._path}: {text}")
        if told != expected or tag != self._tag:
            self._close()
            raise Malformed(f"{self._path}: an answer to something else came; is this a matchd?")
        return answer

    @staticmethod
    def _received(connection: socket.socket) -> tuple[bytes, int, int]:
        first = connection.recv(1 << 16)
        while 0 < len(first) < wire.HEAD.size:
            more = connection.recv(1 << 16)
            first = first + more if more else b""
        if not first:
            raise ConnectionResetError
        length, kind, _, _, tag = wire.HEAD.unpack_from(first)
        if length == len(first) - wire.HEAD.size:
            return first[wire.HEAD.size :], kind, tag
        if length > _LARGEST_ANSWER or length < len(first) - wire.HEAD.size:
            raise Malformed("an answer has an impossible length")
        whole = bytearray(length)
        filled = len(first) - wire.HEAD.size
        whole[:filled] = first[wire.HEAD.size :]
        rest = memoryview(whole)
        while filled < length:
            got = connection.recv_into(rest[filled:])
            if not got:
                raise ConnectionResetError
            filled += got
        return bytes(whole), kind, tag

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
