"""The process that holds the master keys: it opens one object for one granted, written-down request at a time.

`python -m havenline_guard.keyd init|serve --folder …`. One thread, one request after another: nothing is decided
twice. Limits: docs/formats/keyd.md; what its fall surrenders: docs/threat-model.md.
"""

from __future__ import annotations

import argparse
import fcntl
import grp
import os
import pwd
import selectors
import signal
import socket
import sqlite3
import stat
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from havenline.vocabulary import HavenlineError
from havenline_guard import keyd_wire as wire
from havenline_guard.keyd_master import COST, MasterKeys, MasterKeysError
from havenline_guard.keyd_state import State
from havenline_guard.keyd_wire import Bound, Budget, KeydRefused, Malformed, Peer
from havenline_guard.lockdown import lock_down

_CREDENTIALS = struct.Struct("3i")
_MOST_CONNECTIONS = 64
_RETRY = 5.0
"""Seconds until a rotation that could not be written is tried again."""


class KeydError(HavenlineError):
    """`keyd` cannot start; the text says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where `keyd` keeps its files, where it answers, and what each system user is to it."""

    folder: Path
    socket: Path
    peers: Mapping[int, frozenset[Peer]]
    group: int | None = None
    origin: str = "havenline"

    @property
    def master(self) -> Path:
        return self.folder / "master.keys"


def read_passphrase(path: Path) -> bytes:
    """The first line of a file that only its owner may read, such as a systemd credential."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise KeydError(f"{path}: others may read the passphrase; chmod 600 it")
        passphrase = path.read_bytes().split(b"\n")[0]
    except OSError as error:
        raise KeydError(f"{path}: the passphrase cannot be read: {error.strerror}") from None
    if len(passphrase) < 16:
        raise KeydError(f"{path}: a passphrase has at least 16 bytes")
    return passphrase


def initialise(settings: Settings, passphrase: bytes, *, cost: int = COST) -> None:
    """Make the folder and its master keys. Raises KeydError where there are some: they are never replaced."""
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        MasterKeys.create(settings.master, passphrase, cost=cost)
    except FileExistsError:
        raise KeydError(f"{settings.master}: there are master keys already; they were left as they are") from None


def serve(settings: Settings, passphrase: bytes, *, say: Callable[[str], None], greets: bool = True) -> None:
    """Answer until SIGTERM or SIGINT. Raises KeydError, MasterKeysError or sqlite3.Error when it cannot start."""
    lock = os.open(settings.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise KeydError(f"{settings.folder}: another keyd works in this folder") from None
    state = State(settings.folder, MasterKeys.unseal(settings.master, passphrase), origin=settings.origin)
    listener = _listening(settings)
    locked = lock_down(accepts=True, starts=False, writes=True)
    if not locked.filtered:
        say(f"system calls are not filtered: {locked.why}")
    server = _Server(state, listener, settings.peers)
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, server.end)
    if greets:
        say(f"answering on {settings.socket}")
    try:
        server.run()
    finally:
        state.close()
        listener.close()
        settings.socket.unlink(missing_ok=True)
        os.close(lock)


def answer(state: State, asked: dict[str, Any], peers: frozenset[Peer]) -> dict[str, object]:
    """The answer to one question, refusals among them; never raises for anything that a peer can cause."""
    try:
        name, said = wire.read_question(asked, peers)
        if name == "set_budget" and Peer.OFFICER not in peers and state.raises(said["person"], _budget(said)):
            raise PermissionError(name)
        return {"ok": _ACTS[name](state, said)}
    except Malformed as error:
        return {"refused": "malformed", "text": str(error)}
    except PermissionError as error:
        return {"refused": "not_allowed", "text": f"this system user may not ask for {error}"}
    except KeydRefused as error:
        return {"refused": error.reason, "text": str(error)}
    except MasterKeysError as error:
        return {"refused": "master", "text": str(error)}
    except (sqlite3.Error, OSError) as error:
        state.close()
        return {"refused": "unlogged", "text": f"keyd cannot read or write its files now ({error})"}


def _opened(state: State, said: dict[str, Any]) -> dict[str, object]:
    key, version = state.open(said.pop("token"), Bound(**said))
    return {"key": key.hex(), "version": version}


def _minted(state: State, said: dict[str, Any]) -> dict[str, object]:
    key, version = state.mint(said["object"], said["kind"], said["size"])
    return {"key": key.hex(), "version": version}


def _granted(state: State, said: dict[str, Any]) -> str:
    seconds, escalation = said.pop("seconds"), said.pop("escalation")
    return state.grant(Bound(**said), seconds, escalation=escalation)


def _exposed(state: State, said: dict[str, Any]) -> dict[str, object]:
    so_far, budget = state.exposed(said["person"])
    return {"so_far": asdict(so_far), "budget": None if budget is None else asdict(budget)}


def _signed(made: tuple[int, bytes, bytes]) -> dict[str, object]:
    size, root, signature = made
    return {"size": size, "root": root.hex(), "signature": signature.hex()}


def _budget(said: dict[str, Any]) -> Budget:
    return Budget(said["per_hour"], said["per_day"], said["minutes"], said["bytes_per_day"], said["per_week"])


_ACTS: Mapping[str, Callable[[State, dict[str, Any]], object]] = {
    "mint": _minted,
    "grant": _granted,
    "open": _opened,
    "origin_key": lambda state, _: state.origin_key().hex(),
    "exposed": _exposed,
    "set_budget": lambda state, said: state.set_budget(
        said["person"], _budget(said), by=said["by"], second=said["second"]
    ),
    "place_hold": lambda state, said: state.place_hold(said["object"], said["reference"], by=said["by"]),
    "release_hold": lambda state, said: state.release_hold(
        said["object"], said["reference"], by=said["by"], second=said["second"]
    ),
    "shred": lambda state, said: state.shred(said["object"], said["rule"], by=said["by"], second=said["second"]),
    "sign_checkpoint": lambda state, said: _signed(state.sign_checkpoint(said["after"], said["leaves"])),
    "sign_own": lambda state, _: _signed(state.sign_own()),
    "sign_publication": lambda state, said: state.sign_publication(
        said["digest"], by=said["by"], second=said["second"]
    ).hex(),
    "rotate": lambda state, said: state.rotate(by=said["by"], second=said["second"]),
    "copy": lambda state, _: state.copy(),
    "new_log": lambda state, said: state.new_log(said["origin"], by=said["by"], second=said["second"]),
    "status": lambda state, _: state.status(),
    "log": lambda state, said: state.log(said["after"]),
}


def _listening(settings: Settings) -> socket.socket:
    path = settings.socket
    if len(os.fsencode(path)) > wire.LONGEST_PATH:
        raise KeydError(f"{path}: a path of a socket has at most {wire.LONGEST_PATH} bytes")
    if path.is_socket():
        path.unlink()
    made = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        made.bind(os.fspath(path))
    except OSError as error:
        made.close()
        raise KeydError(f"{path}: the socket cannot be made: {error.strerror}") from None
    finally:
        os.umask(before)
    if settings.group is not None:
        os.chown(path, -1, settings.group)
        path.chmod(0o660)
    made.listen(2 * _MOST_CONNECTIONS)
    made.setblocking(False)
    return made


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    peers: frozenset[Peer]
    read: bytearray = field(default_factory=bytearray)


class _Server:
    """One thread that takes one message at a time, and rewraps keys when nobody asks."""

    def __init__(self, state: State, listener: socket.socket, peers: Mapping[int, frozenset[Peer]]) -> None:
        self._state, self._listener, self._peers = state, listener, peers
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._wake, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._ending = False
        self._connections = 0

    def end(self, _number: int, _frame: object) -> None:
        """Finish the request under way, then end."""
        self._ending = True

    def run(self) -> None:
        pause: float | None = 0.0
        while not self._ending:
            for key, _ in self._selector.select(pause):
                if isinstance(key.data, _Connection):
                    self._read(key.data)
                elif key.fileobj is self._listener:
                    self._accept()
            pause = self._rewrap()

    def _rewrap(self) -> float | None:
        """Some keys of a rotation under way; how long to wait for a question before there are more."""
        try:
            return 0.0 if self._state.rewrap_some() else None
        except (KeydRefused, MasterKeysError):
            return _RETRY
        except (sqlite3.Error, OSError):
            self._state.close()
            return _RETRY

    def _accept(self) -> None:
        try:
            taken, _ = self._listener.accept()
        except OSError:
            return
        credentials = taken.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _, user, _ = _CREDENTIALS.unpack(credentials)
        taken.setblocking(False)
        if user not in self._peers or self._connections >= _MOST_CONNECTIONS:
            reason = "not_allowed" if user not in self._peers else "busy"
            with taken, suppress(OSError):
                taken.send(wire.message({"refused": reason, "text": "keyd does not talk with this system user now"}))
            return
        self._connections += 1
        self._selector.register(taken, selectors.EVENT_READ, _Connection(taken, self._peers[user]))

    def _read(self, connection: _Connection) -> None:
        try:
            piece = connection.socket.recv(wire.LARGEST)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        connection.read += piece
        if not piece or not self._answer_all(connection):
            self._selector.unregister(connection.socket)
            connection.socket.close()
            self._connections -= 1

    def _answer_all(self, connection: _Connection) -> bool:
        """Answer each whole message that has come; whether the connection goes on."""
        read = connection.read
        while len(read) >= wire.LENGTH.size:
            (length,) = wire.LENGTH.unpack_from(read)
            end = wire.LENGTH.size + length
            if length > wire.LARGEST:
                return False
            if len(read) < end:
                break
            body = bytes(read[wire.LENGTH.size : end])
            del read[:end]
            try:
                said = answer(self._state, wire.read_message(body), connection.peers)
            except Malformed as error:
                said = {"refused": "malformed", "text": str(error)}
            out = wire.message(said)
            try:
                # Who does not read the answers is not waited for.
                if connection.socket.send(out) != len(out):
                    return False
            except OSError:
                return False
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="keyd", description="hold the master keys and open one object at a time")
    parser.add_argument("do", choices=("init", "serve"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--socket", type=Path)
    parser.add_argument("--passphrase-file", type=Path, required=True, help="a path, such as a systemd credential")
    parser.add_argument("--origin", default="havenline", help="the name of the audit log whose checkpoints are signed")
    parser.add_argument("--group", help="the system group, by name or number, that may reach the socket")
    parser.add_argument("--quiet", action="store_true", help="say nothing but what is wrong")
    parser.add_argument("--peer", action="append", default=[], metavar="USER:ROLE[,ROLE]")
    parser.add_argument("--cost", type=int, default=COST, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    try:
        peers = dict(_peer(text) for text in chosen.peer) or {os.getuid(): frozenset(Peer)}
        where = chosen.socket or chosen.folder / "keyd.socket"
        settings = Settings(chosen.folder, where, peers, _group(chosen.group), chosen.origin)
        passphrase = read_passphrase(chosen.passphrase_file)
        if chosen.do == "init":
            initialise(settings, passphrase, cost=chosen.cost)
        else:
            serve(settings, passphrase, say=_say, greets=not chosen.quiet)
    except (HavenlineError, OSError, ValueError, sqlite3.Error) as error:
        print(f"keyd: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _say(text: str) -> None:
    print(f"keyd: {text}", file=sys.stderr, flush=True)  # noqa: T201


def _peer(text: str) -> tuple[int, frozenset[Peer]]:
    user, _, roles = text.partition(":")
    try:
        number = int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
    except KeyError:
        raise KeydError(f"--peer {text}: there is no system user {user}") from None
    return number, frozenset(Peer(role) for role in roles.split(","))


def _group(name: str | None) -> int | None:
    try:
        if name is None:
            return None
        return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise KeydError(f"--group {name}: there is no such system group") from None


if __name__ == "__main__":
    sys.exit(main())
