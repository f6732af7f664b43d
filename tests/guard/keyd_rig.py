"""What the tests of `keyd` share: clocks that a test moves, a state in a folder, and the process itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from havenline_guard.keyd import answer
from havenline_guard.keyd_client import KeyClient, session_digest
from havenline_guard.keyd_clock import Clocks
from havenline_guard.keyd_log import KeyEntry, first_fault
from havenline_guard.keyd_master import MasterKeys
from havenline_guard.keyd_state import SECOND, State
from havenline_guard.keyd_wire import Bound, Budget, KeydRefused, Peer

PASSPHRASE = b"only drawn shapes are kept here"
COST = 1 << 10
AMPLE = Budget(10_000, 100_000, 1_000, 1 << 40, 1_000_000)
EVERYBODY = frozenset(Peer)
OBJECTS = [f"{number:032x}" for number in range(64)]


@dataclass
class FakeClocks:
    """Stands for the machine's clocks; `run` lets time pass, the rest is what may go wrong with them."""

    boot: str = "first start"
    since_boot: int = 5_000 * SECOND
    wall: int = 1_790_000_000 * SECOND

    def __call__(self) -> Clocks:
        return Clocks(self.boot, self.since_boot, self.wall)

    def run(self, seconds: float) -> None:
        self.since_boot += round(seconds * SECOND)
        self.wall += round(seconds * SECOND)

    def start_again(self, *, wall: int | None = None) -> None:
        self.boot += "'"
        self.since_boot = SECOND
        self.wall = self.wall if wall is None else wall


@dataclass
class Rig:
    """A state, its clocks, and a client that asks it without a socket."""

    folder: Path
    clocks: FakeClocks = field(default_factory=FakeClocks)
    peers: frozenset[Peer] = EVERYBODY

    def __post_init__(self) -> None:
        path = self.folder / "master.keys"
        if not path.exists():
            MasterKeys.create(path, PASSPHRASE, cost=COST)
        self.start()

    def start(self) -> None:
        self.master = MasterKeys.unseal(self.folder / "master.keys", PASSPHRASE)
        self.state = State(self.folder, self.master, origin="havenline.test/log", clocks=self.clocks)
        self.keys = _InProcess(self)

    def start_again(self) -> None:
        """As after `kill -9`: nothing is closed properly."""
        self.state.close()
        self.start()

    def acts(self) -> list[str]:
        return [json.loads(entry.line)["act"] for entry in whole_log(self.keys)]


GRANTS: dict[str, str] = {}
"""The name of the grant of each token."""


class Remembering(KeyClient):
    """Names grants as the desk would, so that a test need not."""

    def grant(self, bound: Bound, **named: Any) -> str:
        named_so = bound if bound.grant else replace(bound, grant=os.urandom(16).hex())
        token = super().grant(named_so, **named)
        GRANTS[token] = named_so.grant
        return token

    def open(self, token: str, bound: Bound) -> tuple[bytes, int]:
        return super().open(token, bound if bound.grant else replace(bound, grant=GRANTS.get(token, "0" * 32)))


class _InProcess(Remembering):
    def __init__(self, rig: Rig) -> None:
        super().__init__("/nonexistent")
        self._rig = rig

    def ask(self, name: str, **said: object) -> Any:
        answered = answer(self._rig.state, {"ask": name, **said}, self._rig.peers)
        if "refused" in answered:
            raise KeydRefused(str(answered["refused"]), str(answered["text"]))
        return answered["ok"]


def bound(name: str, *, person: str = "p1", **other: str) -> Bound:
    """A binding; where no grant is named, each grant gets a name of its own, which its token brings along."""
    made = Bound(person, session_digest("session of " + person), "i1", "a1", "first-assessment", name, "")
    return replace(made, **other)


def opened(keys: KeyClient, name: str) -> bytes:
    """The key of an object, by a grant of its own."""
    return keys.open(keys.grant(bound(name)), bound(name))[0]


def whole_log(keys: KeyClient) -> list[KeyEntry]:
    """Every entry, checked against the head that `keyd` tells."""
    entries: list[KeyEntry] = []
    status = keys.status()
    while len(entries) < status["log"]:
        entries += keys.log(len(entries))
    del entries[status["log"] :]
    assert first_fault(entries, head=(status["log"], status["head"])) is None
    return entries


def told(entry: KeyEntry) -> tuple[str, dict[str, Any]]:
    """Act and particulars."""
    return json.loads(entry.line)["act"], json.loads(entry.body)


def refused(reason: str, act: Any, *arguments: Any, **named: Any) -> str:
    """The text of the refusal that must come."""
    with pytest.raises(KeydRefused) as caught:
        act(*arguments, **named)
    assert caught.value.reason == reason, str(caught.value)
    return str(caught.value)


class Process:
    """`keyd` as its own process in `folder`; the socket lies beside it."""

    def __init__(self, folder: Path, *, environment: Mapping[str, str] | None = None, peer: str = "") -> None:
        self.folder, self._environment = folder, dict(environment or {})
        self._peer = ["--peer", peer] if peer else []
        self.passphrase = folder.parent / f"{folder.name}.passphrase"
        if not self.passphrase.exists():
            self.passphrase.write_bytes(PASSPHRASE + b"\n")
            self.passphrase.chmod(0o600)
        if not (folder / "master.keys").exists():
            made = self.command("init", "--cost", str(COST))
            _, said = made.communicate()
            assert made.returncode == 0, said
        self.running: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "keyd.socket"

    def command(self, *arguments: str) -> subprocess.Popen[bytes]:
        words = [*arguments, "--folder", str(self.folder), "--passphrase-file", str(self.passphrase), *self._peer]
        return subprocess.Popen(
            [sys.executable, "-m", "havenline_guard.keyd", *words],
            env={**os.environ, "PYTHONPATH": _beside("src"), **self._environment},
            stderr=subprocess.PIPE,
        )

    def start(self) -> None:
        """Returns when it answers."""
        self.running = self.command("serve")
        stderr = self.running.stderr
        assert stderr is not None
        said = b""
        while b"answering" not in said:
            line = stderr.readline()
            assert line, said
            said += line

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        assert self._end(signal.SIGTERM) == 0

    def _end(self, number: signal.Signals) -> int:
        running, self.running = self.running, None
        assert running is not None
        running.send_signal(number)
        code = running.wait(20)
        assert running.stderr is not None
        running.stderr.close()
        return code

    def client(self) -> KeyClient:
        return Remembering(self.socket)


def _beside(folder: str) -> str:
    return os.pathsep.join([str(Path(__file__).parents[2] / folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def within(seconds: float, check: Any) -> None:
    """Wait until `check()` holds; fails when it does not in `seconds`, which are ample."""
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until
        time.sleep(0.02)


def unlike_its_log(rig: Rig) -> list[str]:
    """Where the tables of `keyd` are not what its log, replayed, makes of them."""
    keys: dict[str, bool] = {}
    holds: set[tuple[str, str]] = set()
    budgets: dict[str, tuple[int, ...]] = {}
    used: set[str] = set()
    opened: dict[int, str] = {}
    granted: set[str] = set()
    signed = 0
    for seq, entry in enumerate(whole_log(rig.keys), 1):
        act, body = told(entry)
        match act:
            case "mint":
                keys[body["object"]] = True
            case "shred":
                keys[body["object"]] = False
            case "grant":
                granted.add(body["grant"])
            case "unwrap":
                used.add(body["grant"])
                opened[seq] = body["person"]
            case "place_hold":
                holds.add((body["object"], body["reference"]))
            case "release_hold":
                holds.discard((body["object"], body["reference"]))
            case "set_budget":
                budgets[body["person"]] = tuple(
                    body[name] for name in ("per_hour", "per_day", "minutes", "bytes_per_day", "per_week")
                )
            case "sign_checkpoint":
                signed = body["size"]
    state = rig.state
    compared = {
        "keys": (keys, dict(state._all("SELECT object, wrapped IS NOT NULL FROM object_key"))),
        "holds": (holds, {*state._all("SELECT object, reference FROM hold")}),
        "budgets": (budgets, {row[0]: row[1:] for row in state._all("SELECT * FROM budget")}),
        "grants": (granted, {name for (name,) in state._all("SELECT name FROM permit")}),
        "used": (used, {row[0] for row in state._all("SELECT name FROM permit WHERE used_at IS NOT NULL")}),
        "exposures": (opened, dict(state._all("SELECT seq, person FROM exposure"))),
        "signed": (signed, state._signed().size),
    }
    return [f"{what} are not what the log says" for what, (said, holding) in compared.items() if said != holding]
