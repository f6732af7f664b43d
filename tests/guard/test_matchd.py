"""`matchd` from end to end: real processes, real sockets, and what happens when they fall."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from havenline.entries import Values
from havenline.matching.asked import Asked
from havenline.matching.live import LiveLists
from havenline.vocabulary import VALUE_KINDS, Fingerprint, HashKind, ListTerms, Match
from havenline_guard import wire
from havenline_guard.client import MatchClient, MatchdRefused, MatchdUnreachable
from havenline_guard.wire import Kind, Reason
from tests.guard.conftest import COMMAND, MEASURED, Running
from tests.guard.drawn import edition, entry, fingerprint

SOAK = os.environ.get("HAVENLINE_SOAK") == "1"
CLOSED = pytest.mark.skipif(MEASURED, reason="an open matchd is measured, which filters no system calls")
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
Start = Callable[..., Running]


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def found(client: MatchClient, *names: str) -> set[str]:
    answers = client.lookup([fingerprint(name) for name in names], at=NOON)
    return {name for name, matches in zip(names, answers, strict=True) if matches}


def each_worker(running: Running, names: tuple[str, ...], expected: set[str]) -> None:
    """Fresh connections go to the process with the fewest, so two that stay open reach both."""
    clients = [MatchClient(running.socket) for _ in range(2)]
    assert [found(client, *names) for client in clients] == [expected, expected]
    for client in clients:
        client.close()


def plain(running: Running, *, greeted: bool = True, name: str = "") -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(20)
    made.connect(str(running.socket) + name)
    if greeted:
        made.sendall(wire.message(Kind.HELLO, 1, wire.hello()))
        assert told(made)[0] == Kind.WELCOME
    return made


def told(connection: socket.socket) -> tuple[int, bytes]:
    """Kind and body of the next message; (0, b"") at the end."""
    head = b""
    try:
        while len(head) < wire.HEAD.size:
            more = connection.recv(wire.HEAD.size - len(head))
            if not more:
                return 0, b""
            head += more
        length, kind, *_ = wire.HEAD.unpack(head)
        body = b""
        while len(body) < length:
            body += connection.recv(length - len(body))
    except ConnectionResetError:
        return 0, b""
    return kind, body


def refused(connection: socket.socket) -> int:
    """The reason of a refusal after which the connection is closed."""
    kind, body = told(connection)
    assert kind == Kind.REFUSED
    reason, closes, text = wire.read_refusal(body)
    assert closes
    assert text
    assert told(connection) == (0, b"")
    connection.close()
    return reason


def many(count: int) -> Asked:
    values = {kind: Values.none(kind) for kind in VALUE_KINDS}
    codes = np.random.default_rng(1).integers(0, 256, (count, 32), dtype=np.uint8)
    values[HashKind.PDQ] = Values(np.arange(count, dtype=np.uint32), codes)
    return Asked(count, values, np.full(count, 100, np.uint8))


def test_answers_are_those_of_the_lists_themselves(matchd: Start, tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(300)]
    editions = [
        edition(*names[:200]),
        edition(*names[100:250], of="other", number=4, terms=ListTerms(radius=2)),
        edition(*names[50:60], of="known", terms=ListTerms(allow=True)),
        edition(*names, of="gone", terms=ListTerms(expires_at=NOON)),
    ]
    lists = LiveLists.create(tmp_path / "lists", editions)
    running = matchd(lists=tmp_path / "lists")
    asking = [fingerprint(name, near=number % 2 == 0) for number, name in enumerate([*names, "x", "y"])] * 20
    here = lists.current().lookup(asking, at=now())
    with MatchClient(running.socket) as client:
        # More than are looked up in one go, fewer, one, none.
        assert client.lookup(asking, at=NOON) == here
        assert client.lookup(asking[:700], at=NOON) == here[:700]
        assert [client.lookup([each], at=NOON) for each in asking[:300]] == [[each] for each in here[:300]]
        assert client.lookup([], at=NOON) == []
        assert client.heads == lists.current().heads
    assert any(match.edition.list_name == "other" for matches in here for match in matches)
    assert not any(match.edition.list_name == "gone" for matches in here for match in matches)


def test_a_change_holds_for_every_process_from_its_acknowledgement_on(matchd: Start) -> None:
    running = matchd()
    with MatchClient(running.socket) as client:
        assert found(client, "a", "b", "d") == {"a", "b"}
        changed = client.change(withdraw={"shapes": ["a"]}, add={"shapes": [entry("d")]})
        assert len(changed.digest) == 64
        each_worker(running, ("a", "b", "d"), {"b", "d"})
        client.change(terms={"shapes": ListTerms(enabled=False)})
        each_worker(running, ("a", "b", "d"), set())
        assert [head.terms.enabled for head in client.heads] == [False, False]
        with pytest.raises(MatchdRefused, match="was withdrawn") as caught:
            client.change(add={"shapes": [entry("a")]})
        assert caught.value.reason == Reason.CHANGE_REFUSED
        with pytest.raises(MatchdRefused, match="no list"):
            client.change(terms={"unheard": ListTerms()})
        assert client.health()["changes_total"] == 2


def test_a_thousand_additions_are_seen_at_once_or_not_at_all(matchd: Start) -> None:
    running, wrong, stop = matchd(), [], threading.Event()
    names = tuple(f"n{number}" for number in range(1000))

    def ask() -> None:
        with MatchClient(running.socket) as client:
            while not stop.is_set():
                wrong.append(len(found(client, *names)))

    asking = [threading.Thread(target=ask) for _ in range(2)]
    for each in asking:
        each.start()
    with MatchClient(running.socket) as client:
        client.change(add={"shapes": [entry(name) for name in names]})
        assert len(found(client, *names)) == 1000
        client.change(withdraw={"shapes": list(names)})
        assert len(found(client, *names)) == 0
    stop.set()
    for each in asking:
        each.join()
    assert set(wrong) <= {0, 1000}


def test_new_snapshots_are_taken_in_between_two_questions(matchd: Start) -> None:
    running = matchd()
    lists, stop, wrong, asked = LiveLists.open(running.lists), threading.Event(), [], [0]

    def ask() -> None:
        with MatchClient(running.socket) as client:
            while not stop.is_set():
                wrong.append(found(client, "a", "b", "c", "x"))
                asked[0] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(2, 6):
        lists.publish(edition("a", "b", "c", f"n{number}", number=number))
        with MatchClient(running.socket) as client:
            assert [head.ref.number for head in client.heads] == [number]
            assert found(client, f"n{number}", f"n{number - 1}") == {f"n{number}"}
    stop.set()
    asking.join()
    assert {frozenset(each) for each in wrong} == {frozenset({"a", "b", "c"})}
    assert asked[0] > 4
    with MatchClient(running.socket) as client:
        # Whoever was not asked looks too, once a second.
        running.wait_until(lambda: client.health()["generation"] == lists.generation)
        assert client.health()["restarts_total"] == 0


def test_changes_are_folded_when_there_are_many(matchd: Start) -> None:
    running = matchd("--fold-after", "3")
    with MatchClient(running.socket) as client:
        for name in ("d", "e", "f"):
            client.change(add={"shapes": [entry(name)]})
        running.wait_until(lambda: client.health()["generation"] == 2)
        assert found(client, "a", "d", "e", "f", "g") == {"a", "d", "e", "f"}
        client.change(withdraw={"shapes": ["d"]})
        each_worker(running, ("a", "d"), {"a"})
        assert client.health()["folds_total"] == 1


def test_a_process_that_falls_is_started_again_and_who_asked_it_asks_anew(matchd: Start) -> None:
    running = matchd()
    clients = [MatchClient(running.socket) for _ in range(4)]
    assert all(found(client, "a", "x") == {"a"} for client in clients)
    for pid in running.children():
        os.kill(pid, signal.SIGKILL)
    running.wait_until(lambda: running.said.count("started again") == 3)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if clients[0].health()["workers_alive"] == 2:
                break
        except (MatchdRefused, MatchdUnreachable):
            time.sleep(0.05)
    assert all(found(client, "a", "x") == {"a"} for client in clients)
    health = clients[0].health()
    assert (health["workers_alive"], health["restarts_total"]) == (2, 3)
    clients[0].change(add={"shapes": [entry("d")]})
    assert all(found(client, "d") == {"d"} for client in clients)


def test_after_a_kill_of_everything_the_next_start_has_all_that_was_acknowledged(matchd: Start) -> None:
    running = matchd()
    with MatchClient(running.socket) as client:
        for turn in range(3):
            client.change(add={"shapes": [entry(f"d{turn}")]}, withdraw={"shapes": ["abc"[turn]]})
            running.kill()
            with pytest.raises(MatchdUnreachable, match="is it started"):
                found(client, "a")
            running.start()
            # The same client goes on, over a new connection.
            expected = {*"abc"[turn + 1 :], *(f"d{each}" for each in range(turn + 1))}
            assert found(client, "a", "b", "c", "d0", "d1", "d2") == expected


class Changing:
    """One who adds and withdraws; what of it was acknowledged, and what was asked last without an answer."""

    def __init__(self, path: Path, number: int, seed: int) -> None:
        self.path, self.number, self.chance = path, number, random.Random(seed * 100 + number)
        self.there: list[str] = []
        self.gone: list[str] = []
        self.in_doubt: set[str] = set()
        self.wrong: list[str] = []

    def go_on(self, over: threading.Event) -> None:
        turn = 0
        client = MatchClient(self.path)
        while not over.is_set():
            turn += 1
            withdrawing = len(self.there) > 3 and self.chance.random() < 0.3
            name = self.chance.choice(self.there) if withdrawing else f"w{self.number}-{turn}"
            if withdrawing:
                self.there.remove(name)
            try:
                if withdrawing:
                    client.change(withdraw={"shapes": [name]})
                else:
                    client.change(add={"shapes": [entry(name)]})
            except MatchdUnreachable:
                self.in_doubt.add(name)
                time.sleep(0.02)
                continue
            (self.gone if withdrawing else self.there).append(name)
            with suppress(MatchdUnreachable):
                if (found(client, name) == {name}) == withdrawing:
                    self.wrong.append(name)
        client.close()


@pytest.mark.timeout(3_000 if SOAK else 300)
def test_nothing_acknowledged_is_lost_in_kills_under_four_who_change_the_lists(matchd: Start) -> None:
    kills, seed = 50 if SOAK else 4, int(os.environ.get("HAVENLINE_SEED", "1"))
    chance, running, over = random.Random(seed), matchd("--fold-after", "40"), threading.Event()
    changing = [Changing(running.socket, number, seed) for number in range(4)]
    threads = [threading.Thread(target=each.go_on, args=(over,)) for each in changing]
    for thread in threads:
        thread.start()
    for _ in range(kills):
        counted = sum(len(each.there) + len(each.gone) for each in changing)
        running.wait_until(lambda so=counted: sum(len(each.there) + len(each.gone) for each in changing) > so + 20)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.3))
        running.kill()
        running.start()
    over.set()
    for thread in threads:
        thread.join()
    there = {name for each in changing for name in each.there}
    gone = {name for each in changing for name in each.gone}
    doubtful = set().union(*(each.in_doubt for each in changing))
    with MatchClient(running.socket) as client:
        now_there = found(client, *sorted(there | gone | doubtful), "never", "a", "b", "c")
        generation = client.heads[0].ref.number, client.health()["generation"]
    print(f"seed {seed}: {kills} kills, {len(there) + 2 * len(gone)} changes acknowledged, {len(doubtful)} in doubt")
    print(f"lost: 0; edition and generation {generation}")
    assert [name for each in changing for name in each.wrong] == []
    assert now_there - doubtful == there | {"a", "b", "c"}


def test_it_ends_politely_and_takes_its_sockets_away(matchd: Start) -> None:
    running = matchd()
    children = running.children()
    assert len(children) == 3
    with MatchClient(running.socket) as client:
        assert found(client, "a") == {"a"}
        assert running.stop() == 0
        with pytest.raises(MatchdUnreachable):
            client.health()
    assert not running.socket.exists()
    assert not Path(f"{running.socket}.change").exists()
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


def test_a_second_one_on_the_same_socket_is_refused_and_the_first_goes_on(matchd: Start) -> None:
    running = matchd()
    ran = subprocess.run([*running.command], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 1
    assert "another matchd serves this socket already" in ran.stderr
    with MatchClient(running.socket) as client:
        assert found(client, "a") == {"a"}


def test_what_stands_where_the_socket_should_be(tmp_path: Path) -> None:
    from havenline_guard.matchd import MatchdError, Settings, _Sockets

    def bound(path: Path) -> int:
        with _Sockets(Settings(path, 1, frozenset(), frozenset()), changes=True):
            return stat.S_IMODE(path.stat().st_mode)

    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale"))
    stale.close()
    assert bound(tmp_path / "stale") == 0o600
    (tmp_path / "file").write_text("kept")
    with pytest.raises(MatchdError, match="is no socket"):
        bound(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "other"))
        other.listen()
        with pytest.raises(MatchdError, match="serves this socket already"):
            bound(tmp_path / "other")
    with pytest.raises(MatchdError, match="100 bytes"):
        bound(tmp_path / ("x" * 101))
    with pytest.raises(MatchdError, match="cannot be made"):
        bound(tmp_path / "no" / "s")


def test_only_the_users_that_are_named_may_ask_and_change(matchd: Start) -> None:
    """Nobody needs to be another user for it: the own one is left out. Root, if these tests run as root, is too."""
    other = str(os.geteuid() + 12345)
    may_not_ask = matchd("--allow-lookup", other)
    with pytest.raises(MatchdRefused, match="may not look up") as caught:
        MatchClient(may_not_ask.socket).health()
    assert caught.value.reason == Reason.NOT_ALLOWED
    MatchClient(may_not_ask.socket).change(add={"shapes": [entry("d")]})
    may_not_change = matchd("--allow-change", other)
    with MatchClient(may_not_change.socket) as client:
        assert found(client, "a") == {"a"}
        with pytest.raises(MatchdRefused, match="may not change"):
            client.change(withdraw={"shapes": ["a"]})
        assert found(client, "a") == {"a"}
        assert client.health()["refused_total"] == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user and to give a socket to a group")
def test_another_user_asks_where_the_group_and_the_rule_allow_it(matchd: Start) -> None:
    running = matchd("--allow-lookup", "65533", "--allow-lookup", "0", "--group", "65532")
    running.socket.parent.chmod(0o755)
    for folder in running.socket.parents:
        folder.chmod(folder.stat().st_mode | 0o011)
    assert stat.S_IMODE(running.socket.stat().st_mode) == 0o660

    def asks(user: int, group: int) -> int:
        pid = os.fork()
        if not pid:
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            try:
                os._exit(1 if found(MatchClient(running.socket), "a", "x") == {"a"} else 2)
            except MatchdRefused:
                os._exit(3)
            except MatchdUnreachable:
                os._exit(4)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert asks(65533, 65532) == 1
    assert asks(65531, 65532) == 3
    assert asks(65533, 65531) == 4


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (wire.HEAD.pack(0, 77, 0, 0, 1), Reason.MALFORMED),
        (wire.HEAD.pack(0, Kind.HEADS, 1, 0, 1), Reason.MALFORMED),
        (wire.HEAD.pack(3, Kind.HEALTH, 0, 0, 1) + b"abc", Reason.MALFORMED),
        (wire.message(Kind.LOOKUP, 1, b"short"), Reason.MALFORMED),
        (wire.message(Kind.LOOKUP, 1, bytes(39) + b"\xff"), Reason.MALFORMED),
        (wire.HEAD.pack(wire.LARGEST, Kind.LOOKUP, 0, 0, 1), Reason.TOO_MUCH),
        (wire.message(Kind.HEADS, 1, b"") * 2, Reason.MALFORMED),
        (wire.message(Kind.CHANGE, 1, b"{}"), Reason.NOT_ALLOWED),
        (wire.message(Kind.HELLO, 1, wire.hello()), Reason.MALFORMED),
    ],
)
def test_what_is_no_question_gets_one_answer_and_the_end(serving: Running, message: bytes, reason: Reason) -> None:
    connection = plain(serving)
    connection.sendall(message)
    assert refused(connection) == reason
    assert found(MatchClient(serving.socket), "a") == {"a"}


def test_a_connection_begins_with_a_greeting_of_this_form(serving: Running) -> None:
    for message, reason in (
        (wire.message(Kind.HEADS, 1, b""), Reason.MALFORMED),
        (wire.message(Kind.HELLO, 1, b"HVLNMTCH" + (1).to_bytes(4, "little") + bytes(4)), Reason.VERSION),
        (wire.message(Kind.HELLO, 1, b"HVLNMTCH" + (3).to_bytes(4, "little") + bytes(4)), Reason.VERSION),
        (wire.message(Kind.HELLO, 1, bytes(16)), Reason.MALFORMED),
        (b"GET /metrics HTTP/1.1\r\n\r\n", Reason.TOO_MUCH),
    ):
        connection = plain(serving, greeted=False)
        connection.sendall(message)
        assert refused(connection) == reason
    connection = plain(serving, name=wire.CHANGING)
    connection.sendall(wire.message(Kind.CHANGE, 1, b'{"add": 1}'))
    assert refused(connection) == Reason.MALFORMED


def test_signals_that_end_the_parent_end_no_other_process(serving: Running) -> None:
    """Whoever ends all of them from a keyboard ends them in order."""
    pids = serving.children()
    for pid in pids:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
    each_worker(serving, ("a", "x"), {"a"})
    assert serving.children() == pids
    assert MatchClient(serving.socket).health()["restarts_total"] == 0


def test_the_processes_have_nothing_open_that_is_the_parents_alone(serving: Running) -> None:
    def opened(pid: int) -> list[str]:
        return [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink()]

    sockets = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    # Listening sockets alone: connections that were taken bear the same path.
    own = {
        f"socket:[{each[6]}]" for each in sockets if each[3] == "00010000" and each[-1].startswith(f"{serving.socket}")
    }
    parent = opened(serving.process.pid)
    # Both ends of a pipe: what wakes the parent.
    own |= {each for each in parent if each.startswith("pipe:") and parent.count(each) == 2}
    own |= {f"{serving.socket}.lock"}
    assert own <= set(parent)
    assert len(own) == 4
    assert [own & set(opened(pid)) for pid in serving.children()] == [set()] * 3


@given(st.binary(min_size=1, max_size=120), st.integers(0, 140), st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_bring_it_down(serving: Running, noise: bytes, kind: int, greeted: bool) -> None:
    pids = serving.children()
    for message in (noise, wire.HEAD.pack(len(noise), kind, 0, 0, 1) + noise):
        with plain(serving, greeted=greeted) as connection:
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)
            answers = [told(connection)[0] for _ in range(3)]
        assert answers[-1] == 0
    assert serving.children() == pids
    assert found(MatchClient(serving.socket), "a", "x") == {"a"}


def test_a_question_may_arrive_byte_by_byte(serving: Running) -> None:
    connection = plain(serving)
    for byte in wire.message(Kind.LOOKUP, 5, wire.asked_body(Asked.of([fingerprint("a")]), 0)):
        connection.sendall(bytes([byte]))
    kind, body = told(connection)
    assert kind == Kind.LEADS
    assert wire.read_leads(body, None)[0].matches(1)[0][0].entry == "a"
    connection.close()


def test_one_who_does_not_read_keeps_nobody_waiting(matchd: Start, tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(900)]
    entries = [entry(name) for name in names]
    same = [type(each)(each.entry, pdq=entry("n0").pdq, pdq_quality=100) for each in entries]
    lists = LiveLists.create(tmp_path / "lists")
    lists.change(add={"shapes": same}, at=NOON)
    running = matchd("--workers", "1", lists=tmp_path / "lists")
    slow = plain(running)
    # 900 leads for each: some ten megabytes, of which a socket's buffer holds a little.
    asking = Asked.of([fingerprint("n0", near=True)] * 500)
    slow.sendall(wire.message(Kind.LOOKUP, 5, wire.asked_body(asking, 0)))
    with MatchClient(running.socket, timeout=30) as client:
        for _ in range(20):
            assert client.lookup([fingerprint("x")], at=NOON) == [()]
    kind, body = told(slow)
    assert kind == Kind.LEADS
    assert len(wire.read_leads(body, None)[0].asked) == 500 * 900
    slow.close()


def test_a_large_question_lets_others_in_and_too_many_leads_are_refused(matchd: Start, tmp_path: Path) -> None:
    same = [type(entry("a"))(f"n{number}", pdq=entry("a").pdq, pdq_quality=100) for number in range(900)]
    LiveLists.create(tmp_path / "lists").change(add={"shapes": same}, at=NOON)
    running = matchd("--workers", "1", lists=tmp_path / "lists")
    with MatchClient(running.socket) as client:
        leads = client.look_up(many(wire.MOST_QUESTIONS))
        assert len(leads.asked) == 0
        with pytest.raises(ValueError, match="at most"):
            client.look_up(many(wire.MOST_QUESTIONS + 1))
        with pytest.raises(MatchdRefused, match="leads: ask for fewer"):
            client.look_up(Asked.of([fingerprint("a")] * 4000))
        # The connection is as good as before.
        assert len(client.lookup([fingerprint("a")], at=NOON)[0]) == 900


def test_there_are_at_most_so_many_connections_and_a_closed_one_makes_room(matchd: Start) -> None:
    running = matchd("--workers", "1")
    held = [plain(running) for _ in range(256)]
    with pytest.raises(MatchdRefused, match="too many connections"):
        MatchClient(running.socket).health()
    for each in held:
        each.close()
    deadline = time.monotonic() + 20
    client = MatchClient(running.socket)
    while time.monotonic() < deadline:
        try:
            assert client.health()["connections_open"] <= 256
            break
        except MatchdRefused:
            time.sleep(0.05)
    running.wait_until(lambda: client.health()["connections_open"] == 1)


@CLOSED
def test_metrics_and_health_hold_numbers_and_no_word_of_a_case(matchd: Start) -> None:
    running = matchd()
    with MatchClient(running.socket) as client:
        client.change(add={"shapes": [entry("d")]})
        found(client, "a", "d", "x")
        found(client, "a")
        health, text = client.health(), client.metrics()
    assert (health["lookups_total"], health["questions_total"], health["leads_total"]) == (2, 4, 3)
    assert (health["entries"], health["editions"], health["calls_filtered"]) == (4, 2, True)
    assert sum(health["lookup_microseconds"].values()) > 0
    assert 'havenline_matchd_lookup_seconds_bucket{le="+Inf"} 2\n' in text
    assert "havenline_matchd_lookups_total 2\n" in text
    secret = {"shapes", *(value for name in "abcd" for value in (entry(name).sha256, entry(name).pdq) if value)}
    for told_ in (text, json.dumps(health), running.said):
        assert [each for each in secret if each in told_] == []
    for line in text.splitlines():
        assert line.startswith("#") or float(line.rpartition(" ")[2]) >= 0


INSIDE = """
import json, os, resource, socket, sys
from pathlib import Path
from havenline.matching import kernels
from havenline.matching.live import LiveLists
from havenline_guard import matchd
from havenline_guard.lockdown import is_dumpable

class Probing(LiveLists):
    told = False
    def current(self):
        if not self.told and os.getppid() == parent:
            self.told = True
            tried = {"core": resource.getrlimit(resource.RLIMIT_CORE), "dumpable": is_dumpable()}
            for name, work in (
                ("inet", lambda: socket.socket(socket.AF_INET)), ("exec", lambda: os.execv("/bin/true", ["true"])),
                ("write", lambda: open(sys.argv[1] + "/made", "w")),
            ):
                try:
                    work()
                    tried[name] = 0
                except OSError as error:
                    tried[name] = error.errno
            sys.stderr.write("probed " + json.dumps(tried) + "\\n")
        return super().current()

parent = os.getpid()
me = frozenset({os.getuid()})
matchd.serve(
    [Path(sys.argv[1])], matchd.Settings(Path(sys.argv[2]), 2, me, me),
    say=lambda text: sys.stderr.write(text + "\\n"), opener=lambda paths: Probing(paths[0]),
)
"""


def test_no_process_that_answers_or_changes_has_a_network_or_can_start_a_program(tmp_path: Path) -> None:
    """Tried from within each of them, where lists are opened."""
    LiveLists.create(tmp_path / "lists", [edition("a")])
    ran = subprocess.Popen(
        [sys.executable, "-c", INSIDE, str(tmp_path / "lists"), str(tmp_path / "s")], stderr=subprocess.PIPE, text=True
    )
    assert ran.stderr is not None
    probes: list[dict[str, object]] = []
    for line in ran.stderr:
        if line.startswith("probed "):
            probes.append(json.loads(line.removeprefix("probed ")))
        if len(probes) == 3 and "answering" in line:
            break
    pid = ran.pid
    pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    states = [Path(f"/proc/{each}/status").read_text() for each in pids]
    limits = [Path(f"/proc/{each}/limits").read_text() for each in pids]
    ran.terminate()
    rest = ran.stderr.read()
    assert ran.wait(20) == 0, rest
    ran.stderr.close()
    assert len(pids) == 4
    for state, limit in zip(states, limits, strict=True):
        assert "NoNewPrivs:\t1" in state
        assert "Seccomp:\t2" in state
        assert [line.split()[4:6] for line in limit.splitlines() if "core file" in line] == [["0", "0"]]
    assert [(each["core"], each["dumpable"], each["inet"], each["exec"]) for each in probes] == [
        ([0, 0], False, 1, 1)
    ] * 3
    # Only the one that changes lists may write.
    assert sorted(str(each["write"]) for each in probes) == ["0", "1", "1"]


@pytest.mark.parametrize(
    ("arguments", "told_"),
    [
        (["none"], "none"),
        (["."], "CURRENT"),
        ([".", "."], "one folder"),
        ([".", "--allow-lookup", "nobody-of-that-name"], "nobody-of-that-name"),
        ([".", "--group", "no-group-of-that-name"], "no-group-of-that-name"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(tmp_path: Path, arguments: list[str], told_: str) -> None:
    ran = subprocess.run(
        [*COMMAND, *arguments, "--socket", "s"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode in (1, 2)
    assert told_ in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "s").exists()


def test_snapshot_files_are_served_and_cannot_be_changed(matchd: Start, tmp_path: Path) -> None:
    from havenline.matching.snapshot import Snapshot

    Snapshot.build([edition("a", "b")]).save(tmp_path / "x.snapshot")
    running = matchd(lists=tmp_path / "x.snapshot")
    assert len(running.children()) == 2, "none that changes"
    with MatchClient(running.socket) as client:
        assert found(client, "a", "b", "c") == {"a", "b"}
        with pytest.raises(MatchdUnreachable):
            client.change(withdraw={"shapes": ["a"]})


@CLOSED
def test_scan_asks_it_beside_lists_of_its_own_or_alone(matchd: Start, tmp_path: Path) -> None:
    import hashlib

    (tmp_path / "in").mkdir()
    for name in ("one", "two", "three"):
        (tmp_path / "in" / name).write_bytes(b"text card " + name.encode())
    value = hashlib.sha256(b"text card one").hexdigest()
    running = matchd()
    MatchClient(running.socket).change(add={"shapes": [type(entry("a"))("e1", sha256=value)]})
    (tmp_path / "own.csv").write_text(f"sha256\n{hashlib.sha256(b'text card two').hexdigest()}\n")

    def scan(*options: str) -> dict[str, object]:
        command = [*COMMAND[:-1], "scan", str(tmp_path / "in"), "--json", *options]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert ran.returncode == 3, ran.stderr
        return json.loads(ran.stdout)  # type: ignore[no-any-return]

    alone = scan("--matchd", str(running.socket))
    assert [each["entry"] for each in alone["matches"]] == ["e1"]  # type: ignore[attr-defined]
    both = scan("--matchd", str(running.socket), "--list", str(tmp_path / "own.csv"))
    assert sorted(each["list"] for each in both["matches"]) == ["own", "shapes"]  # type: ignore[attr-defined]
    status = subprocess.run([*COMMAND[:-1], "matchd-status", str(running.socket)], capture_output=True, text=True)
    assert status.returncode == 0
    assert "2 of 2 answer" in status.stdout
    assert "system calls are filtered" in status.stdout
    neither = subprocess.run([*COMMAND[:-1], "scan", str(tmp_path / "in")], capture_output=True, text=True)
    assert neither.returncode == 2
    assert "--matchd" in neither.stderr


def test_a_match_of_a_client_is_the_same_value_as_one_of_lists(serving: Running) -> None:
    (match,) = MatchClient(serving.socket).lookup([fingerprint("a", near=True)], at=NOON)[0]
    ref = edition("a", "b", "c").ref
    assert match == Match(ref, "a", HashKind.PDQ, 3)
    assert isinstance(fingerprint("a"), Fingerprint)


LIMITED = """
import os, sys
from pathlib import Path
from havenline_guard.matchd import Settings, serve
from havenline_guard.worker import Limits
me = frozenset({os.getuid()})
limits = Limits(idle=1.0, arriving=1.0, unread=1.0, connections=3)
serve(
    [Path(sys.argv[1])], Settings(Path(sys.argv[2]), 1, me, me, limits=limits),
    say=lambda text: print(text, flush=True),
)
"""


def test_who_is_late_is_let_go_and_makes_room(tmp_path: Path) -> None:
    same = [type(entry("a"))(f"n{number}", pdq=entry("a").pdq, pdq_quality=100) for number in range(900)]
    LiveLists.create(tmp_path / "lists").change(add={"shapes": same}, at=NOON)
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "lists"), str(tmp_path / "s")]
    ran = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert ran.stdout is not None
    assert any("answering" in line for line in iter(ran.stdout.readline, ""))
    running = type("Where", (), {"socket": tmp_path / "s"})()
    idle, partial, unread = plain(running), plain(running), plain(running)
    partial.sendall(wire.HEAD.pack(100, Kind.LOOKUP, 0, 0, 1))
    unread.sendall(wire.message(Kind.LOOKUP, 1, wire.asked_body(Asked.of([fingerprint("a")] * 500), 0)))
    with pytest.raises(MatchdRefused, match="too many"):
        MatchClient(tmp_path / "s").health()
    assert told(idle) == told(partial) == (0, b"")
    client = MatchClient(tmp_path / "s")
    assert client.health()["connections_open"] <= 2
    time.sleep(3)
    # The third was let go of too, and so was the client, which asks anew without a word.
    assert client.health()["connections_open"] == 1
    for each in (idle, partial, unread):
        each.close()
    ran.terminate()
    assert ran.wait(20) == 0
    ran.stdout.close()


def test_when_the_parent_is_killed_the_others_end_by_themselves(matchd: Start) -> None:
    running = matchd()
    children = running.children()
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
    running.log.write_text("")
    running.start()
    assert found(MatchClient(running.socket), "a", "x") == {"a"}
