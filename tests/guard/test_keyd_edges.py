"""`keyd`'s client against servers that do what they should not, and the ends of `keyd` that no other test asks for."""

from __future__ import annotations

import base64
import grp
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from havenline.formats.audit_log import ED25519
from havenline_guard import keyd
from havenline_guard import keyd_wire as wire
from havenline_guard.keyd_client import CheckpointKey, KeyClient, KeydUnreachable
from havenline_guard.keyd_clock import read_clocks
from havenline_guard.keyd_log import GrowingTree
from havenline_guard.keyd_master import MasterKeysError
from havenline_guard.keyd_wire import Bound, Budget, Peer

from .keyd_rig import AMPLE, COST, OBJECTS, PASSPHRASE, Process, Rig, bound, refused

NOTHING = wire.message({"ok": {"log": 0}})


@contextmanager
def serving(path: Path, *serve: Callable[[socket.socket], None]) -> Iterator[list[int]]:
    """A server that treats each connection as the next of `serve` says; gives how many connections it took."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(8)
        listener.settimeout(20)
        taken = [0]

        def work() -> None:
            for each in serve:
                connection, _ = listener.accept()
                taken[0] += 1
                with connection:
                    connection.settimeout(20)
                    each(connection)

        thread = threading.Thread(target=work)
        thread.start()
        yield taken
        thread.join()


def question(connection: socket.socket) -> bytes:
    """The body of the question that comes next; empty when the connection ended."""
    head = connection.recv(wire.LENGTH.size, socket.MSG_WAITALL)
    return connection.recv(wire.LENGTH.unpack(head)[0], socket.MSG_WAITALL) if head else b""


def answers(connection: socket.socket) -> None:
    while question(connection):
        connection.sendall(NOTHING)


# -- the client ----------------------------------------------------------------------------------------------------


def test_a_server_that_gives_no_answer_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    over = threading.Event()
    with serving(tmp_path / "s", lambda connection: over.wait(10) and None):
        client = KeyClient(tmp_path / "s", timeout=0.05)
        with pytest.raises(KeydUnreachable, match="timed out"):
            client.status()
        over.set()


def test_an_answer_may_come_in_pieces(tmp_path: Path) -> None:
    def in_pieces(connection: socket.socket) -> None:
        question(connection)
        for piece in (NOTHING[:2], NOTHING[2:9], NOTHING[9:]):
            connection.sendall(piece)
            time.sleep(0.05)  # where the pieces come as one, this test asks for less
        question(connection)

    with serving(tmp_path / "s", in_pieces), KeyClient(tmp_path / "s") as client:
        assert client.status() == {"log": 0}


@pytest.mark.parametrize("answer", [b"", b"\0\0", NOTHING[:-1], wire.LENGTH.pack(2) + b"[]", b"\xff" * 8])
def test_what_is_no_answer_ends_the_connection_and_the_next_question_makes_another(
    tmp_path: Path, answer: bytes
) -> None:
    def wrong(connection: socket.socket) -> None:
        question(connection)
        connection.sendall(answer)

    with serving(tmp_path / "s", wrong, answers) as taken, KeyClient(tmp_path / "s") as client:
        with pytest.raises(KeydUnreachable, match="gave no answer"):
            client.status()
        assert client.status() == {"log": 0}
        assert client.status() == {"log": 0}
        assert taken == [2]


def test_who_closes_it_lets_the_connection_go_and_may_go_on(tmp_path: Path) -> None:
    with serving(tmp_path / "s", answers, answers, answers) as taken:
        client = KeyClient(tmp_path / "s")
        with client as same:
            assert same is client
            same.status()
        # Each server before ends only when its connection did.
        client.status()
        client.close()
        client.status()
        client.close()
        client.close()
    assert taken == [3]


def test_a_child_does_not_ask_on_the_connection_of_its_parent(tmp_path: Path) -> None:
    def once(connection: socket.socket) -> None:
        question(connection)
        connection.sendall(NOTHING)

    with serving(tmp_path / "s", once, answers) as taken:
        with KeyClient(tmp_path / "s") as client:
            client.status()
            child = os.fork()
            if not child:
                os._exit(0 if client.status() == {"log": 0} else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert taken == [2]


def test_who_meets_a_full_queue_takes_its_turn_when_there_is_room(tmp_path: Path) -> None:
    path, room = tmp_path / "s", threading.Event()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))

        def work() -> None:
            room.wait(20)
            listener.accept()[0].close()
            connection, _ = listener.accept()
            with connection:
                answers(connection)

        thread = threading.Thread(target=work)
        thread.start()
        pause = time.sleep

        def full(seconds: float) -> None:
            room.set()
            pause(seconds)

        with mock.patch("havenline_guard.keyd_client.time.sleep", full), KeyClient(path, timeout=20) as client:
            assert client.status() == {"log": 0}
        assert room.is_set()
        thread.join()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.state.close()


def test_the_client_says_what_keyd_said_and_has_done_what_it_asked(rig: Rig) -> None:
    keys, budget = rig.keys, Budget(3, 7, 60, 1 << 20, 20)
    name = OBJECTS[0]
    keys.mint(name, kind="original", size=5)
    assert keys.exposed("p1")[1] is None
    refused("budget", KeyClient.grant, keys, bound(name, grant="1" * 32))
    keys.set_budget("p1", budget, by="lead", second="welfare")
    so_far, held = keys.exposed("p1")
    assert (so_far.last_hour, held) == (0, budget)
    keys.open(keys.grant(bound(name)), bound(name))
    assert keys.exposed("p1")[0].last_hour == 1
    assert len(keys.origin_key()) == 32
    assert keys.origin_key() == keys.origin_key()
    keys.place_hold(name, "case-1", by="lead")
    refused("held", keys.shred, name, rule="cleared", by="retention")
    keys.release_hold(name, "case-1", by="lead", second="senior")
    keys.shred(name, rule="cleared", by="retention")
    refused("destroyed", keys.grant, bound(name))
    assert keys.sign_own().size == len(rig.acts())


def test_an_escalation_is_asked_for_by_its_word_alone(rig: Rig) -> None:
    keys, wanted = rig.keys, Bound(**{**vars_of(bound(OBJECTS[0])), "grant": "2" * 32})
    keys.mint(OBJECTS[0], kind="original", size=5)
    refused("budget", KeyClient.grant, keys, wanted)
    assert KeyClient.grant(keys, wanted, escalation=True)


def test_an_export_ends_where_the_log_did_when_it_began(rig: Rig) -> None:
    def more(count: int) -> None:
        for _ in range(count):
            rig.keys.mint(os.urandom(16).hex(), kind="original", size=5)

    more(90)
    export = rig.keys.export()
    lines = [json.loads(next(export))]
    assert lines[0]["entries"] == 90
    more(90)
    lines += map(json.loads, export)
    assert [each["entry"]["seq"] for each in lines[1:]] == list(range(1, 91)), (
        "it takes more than one question, and no entry twice"
    )
    assert len(rig.keys.log()) < 90


def vars_of(of: Bound) -> dict[str, str]:
    return {name: getattr(of, name) for name in Bound.__slots__}


# -- who signs checkpoints by `keyd` -------------------------------------------------------------------------------


def note(name: str, leaves: list[bytes]) -> bytes:
    root = GrowingTree().grown(leaves).root()
    return f"{name}\n{len(leaves)}\n{base64.b64encode(root).decode()}\n".encode()


def test_a_long_log_is_signed_in_pieces_that_keyd_takes_and_checks_as_any_other(rig: Rig) -> None:
    leaves = [number.to_bytes(32, "big") for number in range(2 * wire.MOST_LEAVES + 1)]
    asked: list[tuple[int, int]] = []

    def given(after: int, until: int) -> list[bytes]:
        asked.append((after, until))
        return leaves[after:until]

    signer = CheckpointKey(rig.keys, given)
    assert (signer.name, signer.algorithm) == ("havenline.test/log", ED25519)
    public = Ed25519PublicKey.from_public_bytes(signer.public_key)
    for size in (3, len(leaves), len(leaves)):
        body = note(signer.name, leaves[:size])
        public.verify(signer.sign_checkpoint(body), body)
    assert asked == [(0, 3), (3, 903), (903, 1801)], "each leaf once, 900 at a time"
    assert rig.keys.status()["signed"] == len(leaves)


@pytest.mark.parametrize("size", [2, 4])
def test_another_tree_and_a_shorter_one_are_not_signed(rig: Rig, size: int) -> None:
    leaves = [bytes([number]) * 32 for number in range(4)]
    signer = CheckpointKey(rig.keys, lambda after, until: leaves[after:until])
    signer.sign_checkpoint(note(signer.name, leaves))
    other = [b"x" * 32, *leaves[1:size]]
    assert "nothing may be signed" in refused("forked", signer.sign_checkpoint, note(signer.name, other))
    assert "nothing may be signed" in refused("forked", signer.sign_checkpoint, note("another/name", leaves[:size]))


# -- the clock -----------------------------------------------------------------------------------------------------


def test_both_clocks_are_told_in_whole_microseconds() -> None:
    with (
        mock.patch("time.clock_gettime_ns", return_value=64_000_123_456_999) as since,
        mock.patch("time.time_ns", return_value=1_790_000_000_123_456_999),
    ):
        seen = read_clocks()
    since.assert_called_once_with(time.CLOCK_BOOTTIME)
    assert (seen.since_boot, seen.wall) == (64_000_123_456, 1_790_000_000_123_456)
    assert seen.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


# -- the process ---------------------------------------------------------------------------------------------------


def test_master_keys_that_fail_are_a_refusal(rig: Rig) -> None:
    with mock.patch.object(rig.state, "mint", side_effect=MasterKeysError("no such version")):
        assert refused("master", rig.keys.mint, OBJECTS[0], kind="original", size=1) == "no such version"


def test_the_desk_alone_may_lower_a_budget_and_an_officer_may_raise_it(rig: Rig) -> None:
    rig.keys.set_budget("p1", AMPLE, by="lead", second="welfare")
    lower = Budget(1, 1, 1, 1, 1)
    rig.peers = frozenset({Peer.DESK})
    rig.keys.set_budget("p1", lower, by="lead")
    assert "may not ask for set_budget" in refused(
        "not_allowed", rig.keys.set_budget, "p1", AMPLE, by="lead", second="welfare"
    )
    assert rig.keys.exposed("p1")[1] == lower
    rig.peers = frozenset({Peer.DESK, Peer.OFFICER})
    rig.keys.set_budget("p1", AMPLE, by="lead", second="welfare")
    assert rig.keys.exposed("p1")[1] == AMPLE


def test_the_folder_is_its_owners_and_the_socket_that_of_a_group_by_name_or_number(tmp_path: Path) -> None:
    made = keyd.Settings(tmp_path / "k", tmp_path / "s", {})
    keyd.initialise(made, PASSPHRASE, cost=COST)
    assert made.folder.stat().st_mode & 0o777 == 0o700
    name = grp.getgrgid(os.getgid()).gr_name
    for said in (name, str(os.getgid())):
        with keyd._listening(keyd.Settings(made.folder, made.socket, {}, group=keyd._group(said))) as listener:
            assert made.socket.stat().st_mode & 0o777 == 0o660
            assert made.socket.stat().st_gid == os.getgid()
            assert not listener.getblocking(), "who is gone before it is taken makes nobody wait"


def test_users_groups_and_roles_that_are_none_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_bytes(PASSPHRASE)
    passphrase.chmod(0o600)
    common = ["init", "--folder", str(tmp_path / "k"), "--passphrase-file", str(passphrase), "--cost", str(COST)]
    for more, word in {
        ("--peer", "nobody-of-this-name:desk"): "there is no system user nobody-of-this-name",
        ("--group", "no-group-of-this-name"): "there is no such system group",
        ("--peer", "root:desk,king"): "king",
    }.items():
        assert keyd.main([*common, *more]) == 1
        said = capsys.readouterr().err
        assert word in said
        assert said.startswith("keyd: ")
        assert said.count("\n") == 1
        assert not (tmp_path / "k").exists()
    assert keyd.main([*common, "--peer", "root:desk,sealer", "--group", "root"]) == 0


def test_roles_are_those_of_the_user_that_asks_by_name_as_by_number() -> None:
    assert keyd._peer("root:desk,officer") == (0, frozenset({Peer.DESK, Peer.OFFICER}))
    assert keyd._peer("4242:auditor") == (4242, frozenset({Peer.AUDITOR}))


def test_it_ends_well_where_its_socket_is_gone_says_nothing_when_quiet_and_can_be_started_again(tmp_path: Path) -> None:
    made = Process(tmp_path / "keyd")
    quiet = made.command("serve", "--quiet", "--origin", "havenline.test/other")
    try:
        until = time.monotonic() + 20
        while True:
            with made.client() as client:
                try:
                    assert client.status()["origin"] == "havenline.test/other"
                    break
                except KeydUnreachable:
                    assert time.monotonic() < until
                    time.sleep(0.05)
        made.socket.unlink()
    finally:
        quiet.terminate()
        _, said = quiet.communicate(timeout=20)
    assert (quiet.returncode, said) == (0, b"")
    made.start()
    made.stop()
    assert not made.socket.exists()
