"""How the desk, the sealer and officers ask `keyd`: one class, one object a call, nothing but the standard library."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from havenline.vocabulary import HavenlineError
from havenline_guard import keyd_wire as wire
from havenline_guard.keyd_log import KeyEntry
from havenline_guard.keyd_wire import Bound, Budget, Exposed, KeydRefused

_CREDENTIALS = struct.Struct("3i")


class KeydUnreachable(HavenlineError):
    """No answer came; the text says why. Whether the act was done is not known: the log of `keyd` says."""


def session_digest(session: str) -> str:
    """What `keyd` knows of a session: the SHA-256 of its key, in hex."""
    return hashlib.sha256(session.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint that `keyd` signed: how many entries, the root of the tree over them, the raw Ed25519 signature."""

    size: int
    root: bytes
    signature: bytes


class KeyClient:
    """Asks the `keyd` that serves the socket `path`. Safe to use from several threads, which then take turns.

    Every method raises KeydRefused when `keyd` would not, KeydUnreachable when no answer came. A call is never sent
    twice by itself. The server must run as root, as the own user, or as the owner of the socket's folder: otherwise it
    is not believed.
    """

    def __init__(self, path: str | Path, *, timeout: float = 10.0) -> None:
        """`timeout`: seconds to wait for each answer."""
        self._path, self._timeout = os.fspath(path), timeout
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._owner = 0

    def __enter__(self) -> KeyClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go; the next question makes another."""
        with self._lock:
            self._close()

    def mint(self, name: str, *, kind: str, size: int) -> tuple[bytes, int]:
        """A new key for the new object `name`, and its version."""
        said = self.ask("mint", object=name, kind=kind, size=size)
        return bytes.fromhex(said["key"]), said["version"]

    def grant(self, bound: Bound, *, seconds: int = 120, escalation: bool = False) -> str:
        """A token that opens the object once, for exactly what it is bound to."""
        return str(self.ask("grant", **asdict(bound), seconds=seconds, escalation=escalation))

    def open(self, token: str, bound: Bound) -> tuple[bytes, int]:
        """The key of the object and its version, once."""
        said = self.ask("open", token=token, **asdict(bound))
        return bytes.fromhex(said["key"]), said["version"]

    def origin_key(self) -> bytes:
        """What the digests of texts that files have of their origin are keyed with, 32 bytes; always the same."""
        return bytes.fromhex(self.ask("origin_key"))

    def exposed(self, person: str) -> tuple[Exposed, Budget | None]:
        """For that person and the welfare lead alone; the caller sees to it."""
        said = self.ask("exposed", person=person)
        return Exposed(**said["so_far"]), None if said["budget"] is None else Budget(**said["budget"])

    def set_budget(self, person: str, budget: Budget, *, by: str, second: str = "") -> None:
        """One lowers, two raise."""
        self.ask("set_budget", person=person, **asdict(budget), by=by, second=second)

    def place_hold(self, name: str, reference: str, *, by: str) -> None:
        self.ask("place_hold", object=name, reference=reference, by=by)

    def release_hold(self, name: str, reference: str, *, by: str, second: str) -> None:
        self.ask("release_hold", object=name, reference=reference, by=by, second=second)

    def shred(self, name: str, *, rule: str, by: str, second: str = "") -> None:
        """Destroy the key of one object for good."""
        self.ask("shred", object=name, rule=rule, by=by, second=second)

    def sign_checkpoint(self, after: int, leaves: Sequence[bytes]) -> Signed:
        """Add at most 900 leaf hashes to the audit log's tree, behind entry `after`, and have it signed."""
        return _signed(self.ask("sign_checkpoint", after=after, leaves=[each.hex() for each in leaves]))

    def sign_own(self) -> Signed:
        """The tree over `keyd`'s own log, signed for the log whose name has `.keyd` at its end."""
        return _signed(self.ask("sign_own"))

    def sign_publication(self, digest: str, *, by: str, second: str) -> bytes:
        """The raw signature over the text that `havenline.formats.publication_note` makes of a manifest's digest."""
        return bytes.fromhex(self.ask("sign_publication", digest=digest, by=by, second=second))

    def rotate(self, *, by: str, second: str) -> int:
        return int(self.ask("rotate", by=by, second=second))

    def copy(self) -> str:
        """Have a whole copy of the database made beside it, for a backup; its file name. Take it away when done."""
        return str(self.ask("copy"))

    def new_log(self, origin: str, *, by: str, second: str) -> None:
        """Sign from now on for another audit log, which starts anew. Two people."""
        self.ask("new_log", origin=origin, by=by, second=second)

    def status(self) -> dict[str, Any]:
        return dict(self.ask("status"))

    def log(self, after: int = 0) -> list[KeyEntry]:
        """Some entries of `keyd`'s log, those after number `after`; none at its end."""
        return [KeyEntry(line, body) for line, body in self.ask("log", after=after)]

    def export(self) -> Iterator[str]:
        """The whole log as lines of an export, header first, for the offline verifier."""
        status, seq = self.status(), 0
        said = {
            "entries": status["log"],
            "form": 1,
            "format": "havenline-audit-log",
            "origin": status["origin"] + ".keyd",
        }
        yield json.dumps(said, sort_keys=True, separators=(",", ":")) + "\n"
        while seq < status["log"]:
            for entry in self.log(seq)[: status["log"] - seq]:
                yield entry.exported + "\n"
                seq += 1

    def ask(self, name: str, **said: object) -> Any:
        """What `keyd` answers to one question."""
        question = wire.message({"ask": name, **said})
        with self._lock:
            try:
                connected = self._connected()
                with suppress(BrokenPipeError):
                    # Who is turned away is told why before the question is read.
                    connected.sendall(question)
                (length,) = wire.LENGTH.unpack(self._exactly(connected, wire.LENGTH.size))
                answered = wire.read_message(self._exactly(connected, min(length, wire.LARGEST)))
            except (OSError, wire.Malformed) as error:
                self._close()
                raise KeydUnreachable(f"{self._path}: keyd gave no answer ({error}); is it running?") from None
            if "refused" in answered:
                raise KeydRefused(str(answered["refused"]), str(answered.get("text")))
            return answered.get("ok")

    def _connected(self) -> socket.socket:
        if self._owner != os.getpid():
            # After a fork the connection is the parent's: answers would get mixed up.
            self._close()
        if self._socket is None:
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(self._timeout)
            try:
                self._connect(made)
                credentials = made.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                _, user, _ = _CREDENTIALS.unpack(credentials)
                if user not in (0, os.getuid(), os.stat(os.path.dirname(self._path) or ".").st_uid):  # noqa: PTH116, PTH120
                    raise PermissionError(f"the system user {user} answers there, who is not trusted")
            except BaseException:
                made.close()
                raise
            self._socket, self._owner = made, os.getpid()
        return self._socket

    def _connect(self, made: socket.socket) -> None:
        latest = time.monotonic() + self._timeout
        while True:
            try:
                return made.connect(self._path)
            except BlockingIOError:
                # Many are waiting; a Unix socket says so at once instead of letting one wait.
                if time.monotonic() >= latest:
                    raise
                time.sleep(0.01)

    @staticmethod
    def _exactly(connected: socket.socket, count: int) -> bytes:
        read = bytearray()
        while len(read) < count:
            piece = connected.recv(count - len(read))
            if not piece:
                raise ConnectionResetError("the connection ended")
            read += piece
        return bytes(read)

    def _close(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None


class CheckpointKey:
    """Signs checkpoints of the audit log by `keyd`, for who otherwise holds a signing key itself.

    `leaves(after, until)` gives the leaf hashes of the entries after number `after` up to number `until`.
    """

    algorithm = 1
    """Ed25519, as C2SP signed notes number it."""

    def __init__(self, client: KeyClient, leaves: Callable[[int, int], Sequence[bytes]]) -> None:
        self._client, self._leaves = client, leaves
        status = client.status()
        self.name, self.public_key = str(status["origin"]), bytes.fromhex(status["public_key"])
        self.signed = int(status["signed"])
        """How many entries it had signed when this was made."""

    def new_log(self, origin: str, *, by: str, second: str) -> None:
        """Sign for another audit log from now on, of which nothing was signed yet. Two people."""
        self._client.new_log(origin, by=by, second=second)
        self.name = origin

    def sign_checkpoint(self, body: bytes) -> bytes:
        """Signature over the three lines of a checkpoint. Raises KeydRefused unless it is the tree that `keyd` knows,
        grown by `leaves`: a log that was rewritten or shortened is not signed."""
        size = int(body.split(b"\n")[1])
        after = int(self._client.status()["signed"])
        while True:
            until = min(size, after + wire.MOST_LEAVES)
            signed = self._client.sign_checkpoint(after, self._leaves(after, until) if until > after else ())
            after = signed.size
            if after >= size:
                break
        if body != f"{self.name}\n{signed.size}\n{base64.b64encode(signed.root).decode()}\n".encode():
            raise KeydRefused("forked", "the audit log is not the one that was signed before; nothing may be signed")
        return signed.signature


def _signed(said: dict[str, Any]) -> Signed:
    return Signed(said["size"], bytes.fromhex(said["root"]), bytes.fromhex(said["signature"]))
