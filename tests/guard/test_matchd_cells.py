"""Each operation of `matchd` × who may look up, who may change, and nobody: over its sockets, by the reviewed table."""

from __future__ import annotations

import csv
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from havenline_guard import wire
from havenline_guard.client import OPERATIONS, MatchClient
from havenline_guard.wire import Kind, Reason

from .conftest import Running
from .test_matchd import told

TABLE = Path(__file__).parents[1] / "desk/ways_in.csv"


def test_every_operation_is_open_to_the_peers_of_the_reviewed_table(matchd: Callable[..., Running]) -> None:
    """A peer is a system user; where the tests' own is not named, it is one of those that may not."""
    with TABLE.open(newline="") as file:
        said = {row["way"]: set(row["peers"].split()) for row in csv.DictReader(file) if row["kind"] == "socket"}
    answered: dict[str, set[str]] = {name: set() for name in OPERATIONS}
    for peer in ("lookup", "change", "nobody"):
        users = {may: str(os.getuid() + (0 if may == peer else 12345)) for may in ("lookup", "change")}
        running = matchd("--workers", "1", *(word for may in users for word in (f"--allow-{may}", users[may])))
        for name in OPERATIONS:
            if any(answers(f"{running.socket}{beside}", Kind[name.upper()]) for beside in ("", wire.CHANGING)):
                answered[name].add(peer)
        if peer == "lookup":
            with MatchClient(running.socket) as client:
                assert "havenline_matchd_lookups_total" in client.metrics()
    assert answered == {name: said[f"matchd {name}"] for name in OPERATIONS}


def answers(path: str, kind: Kind) -> bool:
    """Whether this socket answers the question, if only by what is wrong with its body."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(60)
        asking.connect(path)
        with suppress(BrokenPipeError):  # turned away before it asked
            asking.sendall(wire.message(Kind.HELLO, 1, wire.hello()))
            if kind != Kind.HELLO and told(asking)[0] == Kind.WELCOME:
                asking.sendall(wire.message(kind, 2, b""))
            elif kind != Kind.HELLO:
                return False
        answer, body = told(asking)
    assert answer, "the connection ended without a word"
    return answer != Kind.REFUSED or wire.read_refusal(body)[0] != Reason.NOT_ALLOWED
