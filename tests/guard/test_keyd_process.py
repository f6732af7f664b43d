"""`keyd` as a process: who may ask, what it gives up, what fifty at once get, and what kills leave behind."""

from __future__ import annotations

import os
import random
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from havenline_guard import keyd, keyd_wire
from havenline_guard.keyd_client import KeyClient, KeydUnreachable
from havenline_guard.keyd_master import MasterKeys, MasterKeysError
from havenline_guard.keyd_wire import LENGTH, KeydRefused, Peer
from tests.guard.keyd_rig import (
    AMPLE,
    COST,
    GRANTS,
    OBJECTS,
    PASSPHRASE,
    Process,
    bound,
    refused,
    told,
    whole_log,
    within,
)

SOAK = os.environ.get("HAVENLINE_SOAK") == "1"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    made = Process(tmp_path_factory.mktemp("k") / "keyd")
    made.start()
    with made.client() as client:
        client.set_budget("p1", AMPLE, by="lead", second="welfare")
        for name in OBJECTS[:3]:
            client.mint(name, kind="original", size=10)
    yield made
    made.stop()


def pid(process: Process) -> int:
    assert process.running is not None
    return process.running.pid


def test_every_question_over_the_socket(tmp_path: Path) -> None:
    made = Process(tmp_path / "keyd")
    made.start()
    with made.client() as client:
        name, other = OBJECTS[:2]
        key, version = client.mint(name, kind="original", size=10)
        client.set_budget("p1", AMPLE, by="lead", second="welfare")
        assert client.open(client.grant(bound(name)), bound(name)) == (key, version)
        assert client.exposed("p1")[0].last_hour == 1
        client.place_hold(name, "h1", by="lead")
        client.release_hold(name, "h1", by="lead", second="senior")
        assert client.rotate(by="lead", second="senior") == 2
        within(10, lambda: client.status()["versions"] == [2])
        assert client.open(client.grant(bound(name)), bound(name)) == (key, version)
        client.shred(name, rule="early", by="lead", second="senior")
        assert client.sign_checkpoint(0, [b"r" * 32]).size == 1
        refused("unknown", client.grant, bound(other))
        whole_log(client)
    made.stop()
    assert not made.socket.exists()


def test_no_question_takes_more_than_one_object() -> None:
    for name, question in keyd_wire.QUESTIONS.items():
        named = [field for field, check in question.fields.items() if check is keyd_wire.OBJECT]
        assert len(named) <= 1, name
        many = [OBJECTS[0], OBJECTS[1]]
        assert not any(check(many) for check in question.fields.values()), name
    assert keyd_wire.QUESTIONS.keys() == keyd._ACTS.keys()


def test_keyd_gives_up_network_programs_core_files_and_being_read(process: Process) -> None:
    status = Path(f"/proc/{pid(process)}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    limits = Path(f"/proc/{pid(process)}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)
    assert Path(f"/proc/{pid(process)}/mem").stat().st_uid == 0


def test_of_fifty_uses_of_one_grant_at_once_exactly_one_opens(process: Process) -> None:
    rounds = 200 if SOAK else 5
    clients = [process.client() for _ in range(50)]
    with ThreadPoolExecutor(50) as pool:
        for _ in range(rounds):
            token = clients[0].grant(bound(OBJECTS[0]))
            gate = threading.Barrier(50)

            def use(client: KeyClient, token: str = token, gate: threading.Barrier = gate) -> bool:
                gate.wait()
                try:
                    client.open(token, bound(OBJECTS[0]))
                except KeydRefused as error:
                    return error.reason != "used"
                return True

            assert sum(pool.map(use, clients)) == 1
    opened = [body["grant"] for act, body in map(told, whole_log(clients[0])) if act == "unwrap"]
    assert len(opened) == len(set(opened))
    for client in clients:
        client.close()


@pytest.mark.parametrize("left", [1, 7])
def test_of_fifty_openings_at_once_exactly_the_budget_opens(process: Process, left: int) -> None:
    person = f"q{left}"
    with process.client() as client:
        client.set_budget(person, replace(AMPLE, per_hour=left), by="lead", second="welfare")
        wanted = bound(OBJECTS[1], person=person)
        tokens = [client.grant(wanted) for _ in range(50)]
    gate = threading.Barrier(50)

    def use(token: str) -> bool:
        with process.client() as client:
            gate.wait()
            try:
                client.open(token, wanted)
            except KeydRefused as error:
                return error.reason != "budget"
            return True

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(use, tokens)) == left


def test_a_user_who_is_no_peer_is_turned_away_and_each_peer_may_ask_its_own(tmp_path: Path) -> None:
    me = os.getuid()
    stranger = Process(tmp_path / "a", peer=f"{me + 1}:desk")
    stranger.start()
    with stranger.client() as client:
        refused("not_allowed", client.status)
    stranger.stop()
    auditor = Process(tmp_path / "b", peer=f"{me}:auditor,sealer")
    auditor.start()
    with auditor.client() as client:
        assert client.log() == []
        refused("not_allowed", client.mint, OBJECTS[0], kind="original", size=1)
        refused("not_allowed", client.rotate, by="a", second="b")
        assert client.status()["log"] == 0
    auditor.stop()


def raw(process: Process, sent: bytes, *, ends: bool = False) -> bytes:
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(str(process.socket))
        made.settimeout(10)
        made.sendall(sent)
        if ends:
            made.shutdown(socket.SHUT_WR)
        return made.recv(1 << 17)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 60_000,
        b'{"form":2,"ask":"status"}',
        b'{"form":1,"ask":"everything"}',
        b'{"form":1,"ask":["status"]}',
        b'{"form":1,"ask":"status","more":1}',
        b'{"form":1,"ask":"mint","object":"../x","kind":"original","size":1}',
        b'{"form":1,"ask":"mint","object":"%s","kind":"original","size":true}' % OBJECTS[9].encode(),
        b'{"form":1,"ask":"sign_checkpoint","after":1,"leaves":[1]}',
        b'{"form":1,"ask":"grant","escalation":1}',
    ],
)
def test_what_is_no_question_is_refused_and_changes_nothing(process: Process, body: bytes) -> None:
    with process.client() as client:
        before = client.status()["log"]
        assert b"malformed" in raw(process, LENGTH.pack(len(body)) + body)
        assert client.status()["log"] == before


def test_too_long_a_message_and_half_a_message_end_the_connection(process: Process) -> None:
    assert raw(process, LENGTH.pack(1 << 20) + b"x") == b""
    assert raw(process, b"\0\0", ends=True) == b""
    with pytest.raises(keyd_wire.Malformed):
        keyd_wire.message({"text": "x" * keyd_wire.LARGEST})


def test_a_message_may_come_in_pieces_and_several_at_once(process: Process) -> None:
    question = keyd_wire.message({"ask": "status"})
    with socket.socket(socket.AF_UNIX) as made:
        made.connect(str(process.socket))
        for byte in question:
            made.sendall(bytes([byte]))
        made.sendall(question * 2)
        read = b""
        while read.count(b'"public_key"') < 3:
            read += made.recv(1 << 16)


def test_who_does_not_read_answers_is_let_go_and_others_are_answered(process: Process) -> None:
    with socket.socket(socket.AF_UNIX) as deaf, process.client() as client:
        deaf.connect(str(process.socket))
        deaf.settimeout(10)
        question = keyd_wire.message({"ask": "log", "after": 0})
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            deaf.sendall(question * 10_000)
        assert client.status()


def test_random_bytes_never_end_keyd(process: Process) -> None:
    chance = random.Random(11)
    print("seed 11")
    for _ in range(3_000 if SOAK else 300):
        with socket.socket(socket.AF_UNIX) as made:
            made.connect(str(process.socket))
            made.sendall(chance.randbytes(chance.randrange(1, 200)))
    with process.client() as client:
        assert client.status()


def test_the_sixty_fifth_connection_is_refused(process: Process) -> None:
    made = [process.client() for _ in range(64)]
    # Those of earlier tests may not have been let go yet.
    within(10, lambda: all(answers(client) for client in made))
    with process.client() as one_more:
        refused("busy", one_more.status)
    assert all(answers(client) for client in made)
    made.pop().close()
    with process.client() as one_more:
        within(10, lambda: answers(one_more))
    for client in made:
        client.close()


def answers(client: KeyClient) -> bool:
    try:
        return bool(client.status())
    except (KeydRefused, KeydUnreachable):
        return False


def test_the_client_says_when_nobody_answers_and_asks_anew_later(tmp_path: Path) -> None:
    made = Process(tmp_path / "keyd")
    client = made.client()
    with pytest.raises(KeydUnreachable):
        client.status()
    made.start()
    assert client.status()["log"] == 0
    made.kill()
    with pytest.raises(KeydUnreachable):
        client.status()
    made.start()
    assert client.status()["log"] == 0
    client.close()
    made.stop()


def test_a_client_does_not_believe_a_server_of_another_user(process: Process) -> None:
    with (
        mock.patch("os.getuid", return_value=4242),
        mock.patch("havenline_guard.keyd_client._CREDENTIALS") as credentials,
    ):
        credentials.size = 12
        credentials.unpack.return_value = (1, 77, 77)
        with pytest.raises(KeydUnreachable, match="not trusted"):
            process.client().status()


def test_a_client_waits_its_turn_where_many_wait_but_not_for_ever(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(tmp_path / "s"))
            with pytest.raises(KeydUnreachable, match="unavailable"):
                KeyClient(tmp_path / "s", timeout=0.05).status()


def test_a_forked_child_makes_a_connection_of_its_own(process: Process) -> None:
    with process.client() as client:
        client.status()
        child = os.fork()
        if not child:
            os._exit(0 if client.status() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.status()


# -- starting ------------------------------------------------------------------------------------------------------


def said(process: Process, *arguments: str) -> str:
    command = process.command(*arguments)
    _, stderr = command.communicate(timeout=60)
    assert command.returncode == 1
    return stderr.decode()


def test_what_keeps_keyd_from_starting_is_said(tmp_path: Path) -> None:
    made = Process(tmp_path / "keyd")
    assert "already" in said(made, "init", "--cost", str(COST))
    made.start()
    assert "another keyd works" in said(made, "serve")
    made.stop()
    (made.folder / "keyd.socket").mkdir()
    assert "socket cannot be made" in said(made, "serve")
    (made.folder / "keyd.socket").rmdir()
    assert "at most 100 bytes" in said(made, "serve", "--socket", "/tmp/" + "x" * 100)
    made.passphrase.write_bytes(b"another passphrase altogether")
    assert "passphrase is another" in said(made, "serve")
    made.passphrase.write_bytes(b"short")
    assert "at least 16" in said(made, "serve")
    made.passphrase.chmod(0o640)
    assert "others may read" in said(made, "serve")
    made.passphrase.unlink()
    assert "cannot be read" in said(made, "serve")
    made.passphrase.write_bytes(PASSPHRASE)
    made.passphrase.chmod(0o600)
    (made.folder / "keyd.sqlite").write_bytes(b"no database " * 1000)
    assert "keyd:" in said(made, "serve")


def test_the_socket_is_for_its_owner_or_one_group(tmp_path: Path) -> None:
    made = Process(tmp_path / "keyd")
    made.start()
    assert made.socket.stat().st_mode & 0o777 == 0o600
    made.kill()
    assert made.socket.exists()
    settings = keyd.Settings(made.folder, made.socket, {0: frozenset(Peer)}, group=os.getgid())
    keyd._listening(settings).close()
    assert made.socket.stat().st_mode & 0o777 == 0o660


# -- promise 27 ----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(900)
def test_ten_thousand_keys_are_rotated_while_they_are_read(tmp_path: Path) -> None:
    count, seed = 10_000 if SOAK else 1_200, 27
    print(f"seed {seed}, {count} objects")
    chance, made = random.Random(seed), Process(tmp_path / "keyd")
    names = [f"{chance.getrandbits(128):032x}" for _ in range(count)]
    made.start()
    with made.client() as client:
        client.set_budget(
            "p1",
            replace(AMPLE, per_hour=1 << 40, per_day=1 << 40, per_week=1 << 40, minutes=1 << 40),
            by="a",
            second="b",
        )
        keys = {name: client.mint(name, kind="original", size=1)[0] for name in names}
        old = (made.folder / "master.keys").read_bytes()
    over, errors, reads = threading.Event(), [], []

    def read(number: int) -> None:
        own = random.Random(number)
        with made.client() as client:
            while not over.is_set() or not reads:
                name = own.choice(names)
                try:
                    if client.open(client.grant(bound(name)), bound(name))[0] != keys[name]:
                        errors.append("another key")
                    reads.append(name)
                except Exception as error:
                    errors.append(str(error))

    readers = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for reader in readers:
        reader.start()
    with made.client() as client:
        client.rotate(by="lead", second="senior")
        within(600, lambda: client.status()["versions"] == [2])
    over.set()
    for reader in readers:
        reader.join()
    print(f"read while rotating: {len(reads)}; errors: {len(errors)}")
    assert errors == []
    made.kill()
    made.start()
    with made.client() as client:
        for name in chance.sample(names, 100):
            assert client.open(client.grant(bound(name)), bound(name))[0] == keys[name]
    made.stop()
    path = tmp_path / "old.keys"
    path.write_bytes(old)
    unsealed = MasterKeys.unseal(path, PASSPHRASE)
    database = sqlite3.connect(made.folder / "keyd.sqlite")
    rows = database.execute("SELECT object, master, wrapped FROM object_key").fetchall()
    database.close()
    assert len(rows) == count
    for name, master, wrapped in rows:
        bound_to = f"{name}\noriginal\n1\n".encode()
        with pytest.raises(MasterKeysError):
            unsealed.unwrap(master, wrapped, bound=bound_to)
        with pytest.raises(MasterKeysError):
            unsealed.unwrap(1, wrapped, bound=bound_to)


# -- promise 1 -----------------------------------------------------------------------------------------------------


def test_nothing_acknowledged_is_lost_in_fifty_kills_under_four_writers(tmp_path: Path) -> None:
    kills, seed = 500 if SOAK else 50, 1
    print(f"seed {seed}, {kills} kills")
    chance, made = random.Random(seed), Process(tmp_path / "keyd")
    made.start()
    with made.client() as client:
        client.set_budget(
            "p1",
            replace(AMPLE, per_hour=1 << 40, per_day=1 << 40, per_week=1 << 40, minutes=1 << 40),
            by="a",
            second="b",
        )
    over, acknowledged = threading.Event(), [Acknowledged() for _ in range(4)]
    writers = [
        threading.Thread(target=write, args=(made, each, number, over)) for number, each in enumerate(acknowledged)
    ]
    for writer in writers:
        writer.start()
    for _ in range(kills):
        time.sleep(chance.uniform(0.005, 0.15))
        made.kill()
        made.start()
    over.set()
    for writer in writers:
        writer.join()
    with made.client() as client:
        entries = [told(entry) for entry in whole_log(client)]
        done = {(act, body.get("grant") or body.get("object")) for act, body in entries}
        for each in acknowledged:
            assert {("mint", name) for name in each.keys} <= done
            assert {("grant", GRANTS[token]) for token in each.granted} <= done
            assert {("unwrap", GRANTS[token]) for token in each.used} <= done
            for token in each.used:
                refused("used", client.open, token, bound(each.of[token]))
        keys = {name: key for each in acknowledged for name, key in each.keys.items()}
        for name in chance.sample(sorted(keys), min(100, len(keys))):
            assert client.open(client.grant(bound(name)), bound(name))[0] == keys[name]
        opened = [body["grant"] for act, body in entries if act == "unwrap"]
        assert len(opened) == len(set(opened))
    made.stop()
    counted = [sum(len(getattr(each, what)) for each in acknowledged) for what in ("keys", "granted", "used")]
    print(f"acknowledged keys, grants, openings: {counted}; lost: 0; entries {len(entries)}")
    assert min(counted) > kills


class Acknowledged:
    """What one writer was told."""

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.granted: list[str] = []
        self.used: list[str] = []
        self.of: dict[str, str] = {}


def write(process: Process, told: Acknowledged, number: int, over: threading.Event) -> None:
    client, chance = process.client(), random.Random(number)
    while not over.is_set():
        name = f"{chance.getrandbits(128):032x}"
        try:
            told.keys[name] = client.mint(name, kind="original", size=1)[0]
            token = client.grant(bound(name))
            told.granted.append(token)
            told.of[token] = name
            assert client.open(token, bound(name))[0] == told.keys[name]
            told.used.append(token)
        except KeydUnreachable:
            time.sleep(0.01)
    client.close()
