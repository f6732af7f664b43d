"""A process of `matchd` that answers, in a thread of this one: faults of lists, large questions, late readers, ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from havenline.entries import Entries, Values
from havenline.matching.asked import Asked
from havenline.matching.change_log import LiveListsDamaged
from havenline.matching.lists import Lists
from havenline.matching.live import ChangeRefused
from havenline.vocabulary import VALUE_KINDS, HavenlineError, ListEntry, ListTerms
from havenline_guard import lockdown, wire
from havenline_guard import worker as working
from havenline_guard.counters import Count
from havenline_guard.wire import Kind, Reason
from havenline_guard.worker import CLOSED, _Link

from .drawn import edition, film, fingerprint
from .worker_rig import Rig, answered, lookup, many, now, said, settled


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.stop()


def test_its_limits_are_those_that_the_description_of_the_messages_names() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats" / "matchd.md").read_text()
    asked = working.Limits()
    assert f"too many connections ({asked.connections} in all)" in text
    assert f"must arrive within {asked.arriving:g} seconds, an answer be read within {asked.unread:g}," in text
    assert f"and a connection ask within {asked.idle:g};" in text


@pytest.mark.parametrize(
    ("fault", "reason", "text"),
    [
        (LiveListsDamaged("the lists are damaged"), Reason.LISTS, "the lists are damaged"),
        (OSError(5, "Input/output error"), Reason.LISTS, "the lists cannot be used: Input/output error"),
        (ChangeRefused("not so"), Reason.CHANGE_REFUSED, "not so"),
        (RuntimeError("our own mistake"), Reason.INTERNAL, "the server's log says more"),
    ],
)
def test_a_fault_of_the_lists_is_said_and_the_process_goes_on(
    rig: Rig, fault: Exception, reason: Reason, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    asker = rig.start().connected()
    rig.held.fault = fault
    asker.sendall(lookup("a"))
    kind, body = said(asker)
    why, closes, told = wire.read_refusal(body)
    assert (kind, why, closes) == (Kind.REFUSED, reason, reason is Reason.INTERNAL)
    assert text in told
    assert "our own mistake" not in told
    assert [rig.count(each) for each in (Count.REFUSED, Count.FAILED, Count.MALFORMED)] == [
        1, int(reason is not Reason.CHANGE_REFUSED), 0,
    ]  # fmt: skip
    rig.held.fault = None
    again = rig.connected()
    again.sendall(lookup("a"))
    assert said(again)[0] == Kind.LEADS
    assert ("our own mistake" in capfd.readouterr().err) == (reason is Reason.INTERNAL)


def test_a_fault_between_two_questions_is_written_down_and_ends_nothing(
    rig: Rig, capfd: pytest.CaptureFixture[str]
) -> None:
    asker = rig.start().connected()
    rig.held.fault = HavenlineError("the folder is away")
    for _ in range(200):
        time.sleep(0.05)
        if "the folder is away" in (told := capfd.readouterr().err):
            break
    assert "matchd: the folder is away" in told
    rig.held.fault = None
    asker.sendall(lookup("a"))
    assert said(asker)[0] == Kind.LEADS


def test_what_waits_to_be_read_is_sent_at_the_end_and_a_large_question_answered(rig: Rig) -> None:
    slow, large = rig.start().connected(), rig.connected()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    heads = wire.message(Kind.HEADS, 3, b"")
    large.sendall(many())
    slow.sendall(heads)
    rig.control.shutdown(socket.SHUT_WR)
    assert said(slow)[0] == Kind.TABLE
    assert said(large)[0] == Kind.LEADS
    rig.thread.join(20)
    assert rig.counters.of(2, Count.OPEN) == 0


def test_the_end_waits_for_a_late_reader_no_longer_than_it_may(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ending=0.3)
    _, late = rig.link()
    late.out = memoryview(b"never read")
    rig.worker._poll.modify(late.socket.fileno(), 0)
    reader, prompt = rig.link()
    prompt.out = memoryview(b"read")
    rig.worker._poll.modify(prompt.socket.fileno(), select.EPOLLOUT)
    rig.worker._poll.register(rig.control.fileno(), 0)
    rig.worker._drain()
    assert reader.recv(10) == b"read"
    assert rig.worker._links == {}
    rig.stop()


def test_a_message_that_comes_in_pieces_may_say_too_great_a_length_in_its_second_piece(rig: Rig) -> None:
    asker = rig.start().connected()
    head = wire.HEAD.pack(wire.LARGEST, Kind.LOOKUP, 0, 0, 1)
    asker.sendall(head[:5])
    time.sleep(0.1)
    asker.sendall(head[5:])
    kind, body = said(asker)
    assert (kind, wire.read_refusal(body)[0]) == (Kind.REFUSED, Reason.TOO_MUCH)
    assert said(asker) == (0, b"")


def test_who_goes_away_in_the_middle_of_an_answer_is_let_go(rig: Rig) -> None:
    for act in ("send", "flush"):
        ours, link = rig.link()
        ours.close()
        if act == "send":
            rig.worker._send(link, b"nobody reads this")
        else:
            link.out = memoryview(b"nor this")
            rig.worker._flush(link)
        assert link not in rig.worker._links.values()
    rig.worker._drop(link)  # a second time is none


def test_who_does_not_read_waits_for_room_and_is_closed_behind_a_refusal(rig: Rig) -> None:
    ours, link = rig.link()
    rig.worker._read(link)  # nothing has come: nothing happens
    assert link in rig.worker._links.values()
    link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    filling = bytes(1 << 20)
    rig.worker._send(link, filling)
    assert link.out is not None
    rig.worker._flush(link)
    before = len(link.out)
    rig.worker._flush(link)
    assert len(link.out) == before, "there is no room, so nothing is sent"
    full = _Link(link.socket)
    rig.worker._send(full, b"more")
    assert full.out is not None
    assert len(full.out) == 4, "no part of it was sent"
    link.closing = True
    got = 0
    while link in rig.worker._links.values():
        got += len(ours.recv(1 << 20))
        rig.worker._flush(link)
    while part := ours.recv(1 << 20):
        got += len(part)
    assert got == len(filling)


def test_the_parent_may_have_nothing_to_say_after_all(rig: Rig) -> None:
    rig.theirs.setblocking(False)
    rig.worker._taken()
    assert not rig.worker._draining


def test_a_large_question_of_somebody_who_went_away_is_dropped(rig: Rig) -> None:
    ours, link = rig.link()
    rig.worker._renewed(rig.held.current())
    body = many()
    rig.worker._look_up(link, 1, memoryview(body)[wire.HEAD.size :], 0)
    assert len(rig.worker._long) == 1
    rig.worker._drop(link)
    rig.worker._go_on()
    assert rig.worker._long == deque()
    ours.close()


def test_an_idle_connection_is_closed_and_one_with_a_large_question_is_not(rig: Rig) -> None:
    _, idle = rig.link()
    _, asking_much = rig.link()
    rig.worker._renewed(rig.held.current())
    rig.worker._look_up(asking_much, 1, memoryview(many())[wire.HEAD.size :], 0)
    idle.deadline = asking_much.deadline = time.monotonic() - 1
    rig.worker._sweep()
    assert list(rig.worker._links.values()) == [asking_much]


def test_a_hang_up_without_anything_to_read_drops_the_connection(rig: Rig) -> None:
    ours = rig.start().connected()
    (link,) = rig.worker._links.values()
    rig.worker._poll.modify(link.socket.fileno(), 0)
    ours.close()
    for _ in range(200):
        if link not in rig.worker._links.values():
            break
        time.sleep(0.02)
    assert link not in rig.worker._links.values()


def test_an_unknown_machine_and_a_kernel_that_refuses_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lockdown, "give_up_privileges", lambda: None)
    monkeypatch.setattr(lockdown.platform, "machine", lambda: "abacus")
    told = lockdown.lock_down(accepts=False, starts=False, writes=False)
    assert told == lockdown.LockedDown(False, "no filter of system calls is known for abacus")
    monkeypatch.undo()

    class Refusing:
        @staticmethod
        def prctl(*_: int) -> int:
            return -1

    monkeypatch.setattr(lockdown.ctypes, "CDLL", lambda *_, **__: Refusing)
    monkeypatch.setattr(lockdown.resource, "setrlimit", lambda *_: None)
    with pytest.raises(OSError, match="prctl was refused"):
        lockdown.give_up_privileges()
    lockdown.end_with_parent(signal.SIGTERM, parent=os.getppid())


def test_a_large_question_is_answered_as_the_lists_answer_it_and_counted_as_one(rig: Rig) -> None:
    asker = rig.start().connected()
    names = ["a", *(str(number) for number in range(2046)), "b", "a", *(str(number) for number in range(3000)), "b"]
    asked = Asked.of([fingerprint(name) for name in names])
    leads, table = answered(asker, asked)
    assert leads.matches(len(names)) == rig.held.lists.look_up(asked, at=now()).matches(len(names))
    assert sorted(set(leads.asked.tolist())) == [0, 2047, 2048, 5049]
    again, _ = answered(asker, asked, table)
    assert again.matches(len(names)) == leads.matches(len(names))
    settled(asker)
    assert [rig.count(each) for each in (Count.LOOKUPS, Count.QUESTIONS, Count.LEADS)] == [2, 2 * len(names), 8]
    assert rig.count(Count.REFUSED) == 0


def test_a_question_is_large_by_its_fingerprints_or_by_their_hashes(rig: Rig) -> None:
    rig.worker._renewed(rig.held.current())
    bare = {kind: Values.none(kind) for kind in VALUE_KINDS}
    few, none = Asked.of([film(2049)]), np.empty(0, np.uint8)
    for asked in (Asked(2049, bare, none), few):
        _, link = rig.link()
        rig.worker._look_up(link, 1, memoryview(wire.asked_body(asked, 0)), 0)
        assert rig.worker._long.pop().asked.count == asked.count
    ours, link = rig.link()
    rig.worker._look_up(link, 1, memoryview(wire.asked_body(Asked(2048, bare, none), 0)), 0)
    assert rig.worker._long == deque()
    assert said(ours)[0] == Kind.LEADS


def test_moments_of_films_count_as_leads_where_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = film(40)
    listed = Entries.of([ListEntry("f", frames=long.listed_films[0])])
    rig = Rig(tmp_path)
    rig.held.lists = Lists.build([replace(edition(), entries=listed)])
    asked = Asked.of([long, *(fingerprint(str(number)) for number in range(2100))])
    leads = rig.held.lists.look_up(asked, at=now())
    bound = len(leads.asked) + len(leads.films.asked)
    assert (len(leads.asked), bound) == (1, 41)
    asker = rig.start().connected()
    monkeypatch.setattr(working, "_MOST_LEADS", bound)
    assert len(answered(asker, asked)[0].asked) == 1
    monkeypatch.setattr(working, "_MOST_LEADS", bound - 1)
    asker.sendall(wire.message(Kind.LOOKUP, 9, wire.asked_body(asked, 0)))
    kind, body = said(asker)
    assert (kind, wire.read_refusal(body)[:2]) == (Kind.REFUSED, (Reason.TOO_MUCH, False))
    assert len(answered(asker, Asked.of([fingerprint("x")]))[0].asked) == 0, "the connection goes on"
    rig.stop()


def test_what_lists_in_shadow_would_give_is_counted_whether_a_question_is_large_or_not(rig: Rig) -> None:
    shadow = ListTerms(enabled=False, shadow=True)
    rig.held.lists = Lists.build([edition("a"), edition("b", of="tried", terms=shadow)])
    asker = rig.start().connected()
    for names, found, counted in ((["a", "b"], 1, 1), (["b", *(str(number) for number in range(2100)), "b"], 0, 3)):
        leads, _ = answered(asker, Asked.of([fingerprint(name) for name in names]))
        assert len(leads.asked) == found
        settled(asker)
        assert rig.count(Count.SHADOW) == counted


def test_new_lists_answer_the_next_question_with_a_table_of_their_own(rig: Rig) -> None:
    asker = rig.start().connected()
    _, table = answered(asker, Asked.of([fingerprint("x")]))
    assert table.heads == rig.held.lists.heads
    assert [rig.count(each) for each in (Count.ENTRIES, Count.EDITIONS)] == [2, 1]
    rig.held.lists = Lists.build([edition("x", number=2), edition("c", "d", of="other")])
    for _ in range(2):
        leads, newer = answered(asker, Asked.of([fingerprint("x")]), table)
        assert newer.heads == rig.held.lists.heads
        assert len(leads.asked) == 1
    assert [rig.count(each) for each in (Count.ENTRIES, Count.EDITIONS)] == [3, 2]


def test_the_time_that_answers_took_is_counted_once_each_and_by_its_length(rig: Rig) -> None:
    asker, began = rig.start().connected(), time.perf_counter_ns()
    for _ in range(5):
        answered(asker, Asked.of([fingerprint("a")]))
    settled(asker)
    assert 0 < rig.count(Count.NANOSECONDS) <= time.perf_counter_ns() - began
    told = rig.counters.told(now=time.time_ns())
    within = list(told["lookup_microseconds"].values())
    assert within == sorted(within)
    assert 0 < within[-1] <= 5


def test_the_parent_is_told_of_each_connection_that_was_closed(rig: Rig) -> None:
    askers = [rig.start().connected(), rig.connected(), rig.connected()]
    assert rig.count(Count.OPEN) == 3
    closed = 0
    for number, each in enumerate(askers, 1):
        each.close()
        while closed < number:
            closed += CLOSED.unpack(rig.control.recv(CLOSED.size))[0]
    assert closed == 3
    assert rig.count(Count.OPEN) == 0


def test_a_parent_that_cannot_be_told_at_once_is_told_later(rig: Rig) -> None:
    rig.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            rig.theirs.send(CLOSED.pack(0))
            filled += 1
    for _ in range(2):
        rig.worker._drop(rig.link()[1])
    for _ in range(filled):
        assert rig.control.recv(CLOSED.size) == CLOSED.pack(0)
    rig.worker._sweep()
    rig.worker._sweep()
    assert rig.control.recv(CLOSED.size) == CLOSED.pack(2)
    rig.control.setblocking(False)
    with pytest.raises(BlockingIOError):
        rig.control.recv(CLOSED.size)


def test_once_a_second_there_is_time_for_what_is_done_now_and_then(rig: Rig) -> None:
    done = threading.Event()
    rig.worker._now_and_then = done.set
    rig.start()
    assert done.wait(20)


def test_an_idle_connection_is_given_its_time_and_no_more(tmp_path: Path) -> None:
    rig = Rig(tmp_path, idle=50.0)
    _, link = rig.link()
    before = time.monotonic()
    rig.worker._sweep()
    assert before + 50 <= link.deadline <= time.monotonic() + 50
    link.deadline = before - 1
    rig.worker._sweep()
    assert rig.worker._links == {}
    rig.stop()


def test_a_head_with_other_bytes_than_zero_is_no_question(rig: Rig) -> None:
    rig.start()
    for zeros in ((1, 0), (0, 1)):
        asker, body = rig.connected(), wire.asked_body(Asked.of([fingerprint("a")]), 0)
        asker.sendall(wire.HEAD.pack(len(body), Kind.LOOKUP, *zeros, 1) + body)
        kind, told = said(asker)
        assert (kind, wire.read_refusal(told)[:2]) == (Kind.REFUSED, (Reason.MALFORMED, True))
        assert said(asker) == (0, b"")
    assert rig.count(Count.MALFORMED) == rig.count(Count.REFUSED) == 2


def test_a_message_may_be_as_long_as_is_allowed_and_no_longer(rig: Rig) -> None:
    rig.start()
    for more, reason in ((0, Reason.MALFORMED), (1, Reason.TOO_MUCH)):
        asker = rig.connected()
        asker.sendall(wire.HEAD.pack(wire.LARGEST - wire.HEAD.size + more, Kind.LOOKUP, 0, 0, 1))
        if not more:
            asker.sendall(bytes(wire.LARGEST - wire.HEAD.size))
        kind, told = said(asker)
        assert (kind, wire.read_refusal(told)[0]) == (Kind.REFUSED, reason)


def test_who_is_reset_in_the_middle_of_a_question_is_let_go(rig: Rig) -> None:
    _, link = rig.link()

    class Reset:
        def __init__(self, behind: socket.socket) -> None:
            self.fileno, self.close = behind.fileno, behind.close

        def recv_into(self, _: object) -> int:
            raise ConnectionResetError

    link.socket = Reset(link.socket)  # type: ignore[assignment]
    rig.worker._read(link)
    assert rig.worker._links == {}


def test_at_the_end_a_large_question_is_answered_and_one_that_has_arrived_beside_it(rig: Rig) -> None:
    ours, link = rig.link()
    beside, _ = rig.link()
    rig.worker._renewed(rig.held.current())
    rig.worker._look_up(link, 1, memoryview(many())[wire.HEAD.size :], 0)
    beside.sendall(wire.message(Kind.HELLO, 1, wire.hello()))
    draining = threading.Thread(target=rig.worker._drain)
    draining.start()
    assert said(beside)[0] == Kind.WELCOME
    assert said(ours)[0] == Kind.LEADS
    draining.join(20)
    assert rig.worker._links == {}


def test_a_question_whose_head_comes_in_pieces_is_answered(rig: Rig) -> None:
    asker = rig.start().connected()
    whole = lookup("a")
    for part in (whole[:7], whole[7:40], whole[40:]):
        asker.sendall(part)
        time.sleep(0.05)
    assert said(asker)[0] == Kind.LEADS


class Late:
    """Tells first of a connection that is gone by then."""

    def __init__(self, behind: select.epoll) -> None:
        self.behind, self.told = behind, False
        self.register, self.unregister, self.modify = behind.register, behind.unregister, behind.modify

    def poll(self, timeout: float) -> list[tuple[int, int]]:
        first = [] if self.told else [(1 << 20, select.EPOLLIN)]
        self.told = True
        return [*first, *self.behind.poll(timeout)]


def test_a_connection_that_is_gone_when_its_turn_comes_is_passed_over(tmp_path: Path) -> None:
    rig = Rig(tmp_path, ending=0.3)
    rig.worker._poll = Late(rig.worker._poll)  # type: ignore[assignment]
    asker = rig.start().connected()
    asker.sendall(lookup("a"))
    assert said(asker)[0] == Kind.LEADS
    rig.worker._poll.told = False  # type: ignore[attr-defined]
    _, late = rig.link()
    late.out = memoryview(b"to be sent at the end")
    rig.control.shutdown(socket.SHUT_WR)
    rig.thread.join(20)
    assert rig.worker._links == {}
    rig.stop()
