"""What `decoderd` does at its edges, by a server whose children open nothing but answer what their content says."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from havenline.vocabulary import Refusal, Refused
from havenline_guard import decoder_wire as wire
from havenline_guard import decoder_zygote, decoderd, sandbox
from havenline_guard.decoder_child import Asked
from havenline_guard.decoder_client import DecoderClient, DecoderdUnreachable, _sealed
from havenline_guard.decoder_wire import Wanted
from havenline_guard.decoderd import DecoderdError, Settings
from tests.guard.light_decoderd import LONGEST, PICTURE, SHEET, answering
from tests.guard.told import MEASURED


class Light:
    """A started `light_decoderd`."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path, self.said = path, b""
        self.client = DecoderClient(path, timeout=30)
        said = json.dumps({"seconds": 20.0, **settings})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.guard.light_decoderd", str(path), said],
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.hear(b"at once\n", b"ended: ", b"no file\n", b"write files\n")

    def hear(self, *words: bytes) -> bytes:
        """What the server said, up to one of `words`."""
        begun = time.monotonic()
        while not any(each in self.said for each in words):
            assert self.process.stderr is not None
            assert select.select([self.process.stderr], [], [], max(0.0, begun + 30 - time.monotonic()))[0], self.said
            piece = os.read(self.process.stderr.fileno(), 65536)
            assert piece, self.said
            self.said += piece
        return self.said

    def zygote(self) -> int:
        (child,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(child)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code

    def opened(self, content: bytes) -> Any:
        return self.client.decode(content, width=8, height=8)


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Callable[..., Light]]:
    started: list[Light] = []

    def start(**settings: Any) -> Light:
        started.append(Light(tmp_path / "s", **settings))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Light]:
    made = Light(tmp_path_factory.mktemp("d") / "s")
    yield made
    assert made.stop() == 0


def connected(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(30)
    made.connect(os.fspath(path))
    return made


def asking(path: Path, content: bytes, *, side: int = 8) -> socket.socket:
    """A connection on which a question was asked."""
    made = connected(path)
    descriptor = _sealed(content)
    question = wire.question(wanted=Wanted.PICTURE, width=side, height=side, length=len(content))
    socket.send_fds(made, [question], [descriptor])
    os.close(descriptor)
    return made


def until(true: Callable[[], object]) -> None:
    begun = time.monotonic()
    while not true():
        assert time.monotonic() < begun + 30
        time.sleep(0.01)


def counted(light: Light, act: Callable[[], object]) -> dict[str, int]:
    """What the server's counts rose by."""
    before = light.client.state()
    act()
    after = light.client.state()
    return {name: after[name] - before[name] for name in after if name != "most_kib" and after[name] != before[name]}


def test_every_answer_is_counted_as_what_it_is(light: Light) -> None:
    assert counted(light, lambda: light.opened(b"x")) == {"pictures": 1}
    assert counted(light, lambda: light.client.sheet(b"x", width=8, height=8, frames=1)) == {"sheets": 1}
    assert counted(light, lambda: light.client.text(b"x", place=0)) == {"texts": 1}
    assert counted(light, lambda: light.opened(b"refuse")) == {"refused": 1}
    for content in (b"fall", b"unforeseen", b"nothing", b"too long", b"forbidden"):
        assert counted(light, lambda content=content: light.opened(content)) == {"ended": 1}, content
    assert light.opened(b"x") == PICTURE
    assert light.client.sheet(b"x", width=8, height=8, frames=1) == SHEET
    assert light.client.text(b"words", place=0) == b"words"
    assert light.opened(b"refuse") == Refused(Refusal.BROKEN, "cut")
    state = light.client.state()
    assert state["ready"] is True
    assert (state["running"], state["waiting"], state["restarts"], state["late"]) == (0, 0, 0, 0)
    assert state["films"] == 1
    assert 1 << 10 < state["most_kib"] < 1 << 21


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"fall", "ended the process that opened it"),
        (b"unforeseen", "ended the process that opened it"),
        (b"forbidden", "tried what no decoder does"),
        (b"nothing", "ended the process that opened it"),
    ],
)
def test_each_end_of_a_child_has_its_words(light: Light, content: bytes, why: str) -> None:
    found = light.opened(content)
    assert isinstance(found, Refused)
    assert found.reason is Refusal.DECODER_FAILED
    assert why in found.detail
    assert light.opened(b"x") == PICTURE


def test_a_child_that_could_not_be_closed_off_is_told_as_no_answer(light: Light) -> None:
    before = light.client.state()
    with pytest.raises(DecoderdUnreachable, match="could not be closed off, so nothing was opened"):
        light.opened(b"permission")
    after = light.client.state()
    assert (after["ended"], after["running"]) == (before["ended"], 0)


def test_what_takes_too_long_is_ended_in_its_time_and_no_sooner(starting: Callable[..., Light]) -> None:
    light = starting(seconds=0.7)
    begun = time.monotonic()
    found = light.opened(b"sleep")
    assert isinstance(found, Refused)
    assert "longer than 0.7 seconds" in found.detail
    assert time.monotonic() - begun > 0.7
    assert counted(light, lambda: light.opened(b"sleep")) == {"late": 1}


def test_no_more_are_opened_at_once_than_was_said_and_who_left_is_passed_over(starting: Callable[..., Light]) -> None:
    light = starting(at_once=2)
    links = [asking(light.path, b"sleep") for _ in range(3)]
    until(lambda: light.client.state()["running"] == 2 and light.client.state()["waiting"] == 1)
    late = asking(light.path, b"x")
    until(lambda: light.client.state()["waiting"] == 2)
    links[2].close()
    links[0].close()
    until(lambda: light.client.state()["running"] == 1)
    with late:
        assert wire.HEAD.unpack_from(late.recv(1 << 16))[2] != wire.NOT_SERVED
    assert light.client.state()["waiting"] == 0
    links[1].close()
    until(lambda: light.client.state()["running"] == 0)
    assert light.client.state()["ended"] >= 1
    assert not descriptors(light.process.pid, "memfd")


def descriptors(pid: int, kind: str = "") -> list[str]:
    told = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # of one's own, the folder that is being read
            told.append(str(each.readlink()))
    return [each for each in told if kind in each]


def memory(content: bytes, seals: int) -> int:
    descriptor = os.memfd_create("content", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, content)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def test_content_that_could_still_change_or_is_not_as_long_as_was_said_is_not_opened(light: Light) -> None:
    write, shrink, grow = fcntl.F_SEAL_WRITE, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW
    good = memory(b"x", write | shrink | grow)
    bad = [memory(b"x", seals) for seals in (write | shrink, write | grow, shrink | grow)]
    bad += [memory(b"", write | shrink | grow), memory(b"xx", write | shrink | grow), os.open("/dev/null", os.O_RDONLY)]
    asked = wire.question(wanted=Wanted.PICTURE, width=8, height=8, length=1)
    for question, given in (
        (wire.question(wanted=Wanted.STATE), [good]),
        (asked, []),
        (asked, [good, good]),
        *((asked, [each]) for each in bad),
    ):
        with connected(light.path) as made:
            socket.send_fds(made, [question], given)
            assert b"sealed descriptor of its exact length" in made.recv(1000)
            assert made.recv(1000) == b"", "and the connection is ended"
    with connected(light.path) as made:
        made.send(b"GET / HTTP/1.1\r\n\r\n")
        assert wire.HEAD.unpack_from(made.recv(1000))[2] == wire.NOT_SERVED
        assert made.recv(1000) == b""
    with connected(light.path) as made:
        socket.send_fds(made, [asked], [good])
        assert made.recv(1000) == wire.picture(PICTURE)
    for each in (good, *bad):
        os.close(each)
    assert not descriptors(light.process.pid, "memfd")
    assert not descriptors(light.zygote(), "memfd")


def test_content_of_256_mib_is_taken_and_no_more() -> None:
    for length, taken in ((256 << 20, True), ((256 << 20) + 1, False)):
        descriptor = os.memfd_create("content", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, length)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        assert decoderd._is_sealed(descriptor, length) is taken
        os.close(descriptor)


def test_the_longest_answer_comes_whole_and_who_does_not_read_it_keeps_nobody_waiting(light: Light) -> None:
    assert light.client.decode(b"longest", width=1024, height=1024) == LONGEST
    with asking(light.path, b"longest", side=1024) as slow:
        until(lambda: light.client.state()["running"] == 0)
        for _ in range(3):
            assert light.opened(b"x") == PICTURE
        said = b""
        while len(said) < wire.LARGEST_ANSWER:
            said += slow.recv(1 << 20)
        assert said == wire.picture(LONGEST)


def test_a_zygote_holds_nothing_of_the_server_s_but_the_socket_between_them(starting: Callable[..., Light]) -> None:
    light = starting()
    with connected(light.path) as idle:
        idle.send(wire.question(wanted=Wanted.STATE))
        idle.recv(1000)
        os.kill(light.zygote(), signal.SIGKILL)
        until(lambda: light.client.state()["restarts"] == 1)
        until(lambda: answered(light))
        assert len(descriptors(light.zygote(), "socket:")) == 1 + MEASURED
        assert len(descriptors(light.zygote(), "eventpoll")) == 1
        idle.send(b"no question")
        assert idle.recv(1000)
        assert idle.recv(1000) == b"", "nobody else holds the connection"


def test_the_server_may_write_no_file_once_it_answers(starting: Callable[..., Light], tmp_path: Path) -> None:
    light = starting(written=os.fspath(tmp_path / "written"))
    assert b", 2 files at once, and may write no file" in light.said
    assert not (tmp_path / "written").exists()
    assert light.opened(b"x") == PICTURE


def test_without_a_sandbox_nothing_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("havenline_guard.decoderd.probe", lambda: sandbox.Closed(False, "no Landlock"))
    with pytest.raises(DecoderdError, match="so none is: no Landlock"):
        decoderd.serve(Settings(tmp_path / "s", users=frozenset()), say=print)
    assert not (tmp_path / "s").exists()


def test_a_second_question_before_the_answer_ends_the_connection(light: Light) -> None:
    with asking(light.path, b"sleep") as made:
        until(lambda: light.client.state()["running"])
        made.send(wire.question(wanted=Wanted.STATE))
        assert made.recv(100) == b""
    until(lambda: not light.client.state()["running"])


def test_two_questions_one_after_the_other_are_both_answered(light: Light) -> None:
    with asking(light.path, b"x") as made:
        assert made.recv(1 << 16) == wire.picture(PICTURE)
        descriptor = _sealed(b"y")
        question = wire.question(wanted=Wanted.PICTURE, width=8, height=8, length=1)
        socket.send_fds(made, [question], [descriptor])
        os.close(descriptor)
        assert made.recv(1 << 16) == wire.picture(PICTURE)


def test_who_waits_hears_when_the_zygote_falls_and_may_ask_again(starting: Callable[..., Light]) -> None:
    light = starting()
    with asking(light.path, b"sleep") as made:
        until(lambda: light.client.state()["running"])
        first = light.zygote()
        os.kill(first, signal.SIGKILL)
        assert b"start anew; ask again" in made.recv(1000)
    assert light.opened(b"x") == PICTURE
    assert light.zygote() != first
    state = light.client.state()
    assert (state["restarts"], state["running"]) == (1, 0)
    assert b"fell, and is started again" in light.hear(b"fell")


def test_a_zygote_that_falls_again_and_again_before_it_is_ready_ends_the_server(tmp_path: Path) -> None:
    begun = time.monotonic()
    light = Light(tmp_path / "s", never=True)
    assert b"cannot start; its reason stands above" in light.said
    assert light.said.count(b"fell, and is started again") == 4
    assert light.said.count(b"RuntimeError: no decoder can be loaded") == 4
    # 0.1, 0.3 and 0.7 seconds lie between the four.
    assert time.monotonic() - begun > 1.1
    assert light.process.wait(60) == 1
    light.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_when_told_and_takes_what_it_started_with_it(starting: Callable[..., Light], number: int) -> None:
    light = starting()
    with asking(light.path, b"sleep"):
        until(lambda: light.client.state()["running"])
        zygote = light.zygote()
        children = Path(f"/proc/{zygote}/task/{zygote}/children")
        until(children.read_text)
        (child,) = children.read_text().split()
        assert light.stop(number) == 0
        assert not running(zygote), "it was waited for"
    until(lambda: not running(int(child)))


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_who_may_not_ask_and_who_comes_when_all_ask_are_told(starting: Callable[..., Light]) -> None:
    light = starting(users=[os.geteuid() + 1])
    with pytest.raises(DecoderdUnreachable, match="this user may not ask"):
        light.opened(b"x")
    light.stop()
    light = starting()
    links = []
    for _ in range(64):
        made = connected(light.path)
        links.append(made)
        made.send(wire.question(wanted=Wanted.STATE))
        assert b"running" in made.recv(1000)
    with pytest.raises(DecoderdUnreachable, match="too many ask at once"):
        light.opened(b"x")
    links.pop().close()
    until(lambda: answered(light))
    for each in links:
        each.close()


def answered(light: Light) -> bool:
    try:
        return light.opened(b"x") == PICTURE
    except DecoderdUnreachable:
        return False


def test_the_socket_is_for_its_user_alone_or_for_one_group(starting: Callable[..., Light], tmp_path: Path) -> None:
    before = os.umask(0o022)
    os.umask(before)
    light = starting()
    mode = (tmp_path / "s").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert mode & 0o777 == 0o600
    assert (tmp_path / "s.lock").stat().st_mode & 0o777 == 0o600
    with pytest.raises(DecoderdError, match="another decoderd serves this socket already"):
        decoderd._listening(Settings(tmp_path / "s", users=frozenset()))
    light.stop()
    # Root may give it to any group; who else runs the tests has perhaps no other than his own.
    group = 1 if os.geteuid() == 0 else next((each for each in os.getgroups() if each != os.getegid()), os.getegid())
    again = starting(group=group)
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o660
    assert (tmp_path / "s").stat().st_gid == group
    again.stop()
    made, lock = decoderd._listening(Settings(tmp_path / "s", users=frozenset()))
    assert os.umask(before) == before
    assert not made.getblocking()
    assert fcntl.fcntl(lock, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    made.close()
    os.close(lock)


def test_a_path_that_cannot_be_served_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    before = descriptors(os.getpid())
    with pytest.raises(DecoderdError, match="is no socket; it was left as it is") as told:
        decoderd._listening(Settings(tmp_path / "file", users=frozenset()))
    assert descriptors(os.getpid()) == before, told
    assert (tmp_path / "file").read_text() == "kept"
    with pytest.raises(DecoderdError, match="cannot be made: No such file"):
        decoderd._listening(Settings(tmp_path / "no" / "s", users=frozenset()))
    (tmp_path / "l.lock").symlink_to(tmp_path / "file")
    with pytest.raises(DecoderdError, match="cannot be made: Too many levels"):
        decoderd._listening(Settings(tmp_path / "l", users=frozenset()))
    longest = tmp_path / ("x" * (100 - len(os.fsencode(tmp_path)) - 1))
    made, lock = decoderd._listening(Settings(longest, users=frozenset()))
    made.close()
    os.close(lock)
    with pytest.raises(DecoderdError, match="at most 100 bytes"):
        decoderd._listening(Settings(longest.with_name(f"{longest.name}x"), users=frozenset()))


class Selecting(dict[Any, Any]):
    """In place of a selector, for one call of the server in this process."""

    def get_map(self) -> Selecting:
        return self

    def register(self, what: Any, events: int, call: Any) -> None:
        self[what] = (events, call)

    def modify(self, what: Any, events: int, call: Any) -> None:
        assert what in self
        self[what] = (events, call)

    def unregister(self, what: Any) -> None:
        del self[what]


@pytest.fixture
def supervisor() -> Any:
    """The server's state, whose loop does not run."""
    listener = socket.socket(socket.AF_UNIX)
    said: list[str] = []
    made = decoderd._Supervisor(
        Settings(Path("s"), users=frozenset({os.geteuid()})), listener, said.append, answering, lambda: None
    )
    made._selector.close()
    made._selector = Selecting()  # type: ignore[assignment]
    yield made
    listener.close()


def linked(supervisor: Any) -> tuple[Any, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    link = decoderd._Link(ours)
    supervisor._links.add(link)
    supervisor._selector[ours] = None
    return link, theirs


def test_an_answer_that_is_read_slowly_goes_out_in_pieces_and_one_that_is_not_read_is_given_up(
    supervisor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    supervisor._zygote, supervisor._started = object(), now
    link, theirs = linked(supervisor)
    supervisor._send(link, bytes(8 << 20))
    assert 0 < len(link.out) < 8 << 20
    events, flush = supervisor._selector[link.socket]
    assert events == decoderd.EVENT_WRITE
    theirs.recv(8 << 20)
    flush(0)
    now += 30
    supervisor._sweep()
    assert link in supervisor._links, "it has thirty seconds"
    now += 0.1
    supervisor._sweep()
    assert link not in supervisor._links
    assert link.socket.fileno() == -1
    theirs.close()
    other, reader = linked(supervisor)
    supervisor._send(other, b"whole")
    assert reader.recv(100) == b"whole"
    events, _ = supervisor._selector[other.socket]
    assert events == decoderd.EVENT_READ
    now += 3600
    supervisor._sweep()
    assert other in supervisor._links, "who asks nothing may stay"
    reader.close()
    supervisor._send(other, b"nobody reads")
    assert other not in supervisor._links
    supervisor._drop(other)


def test_a_zygote_is_started_again_the_later_the_oftener_it_fell(
    supervisor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, started, ended = 1_000.0, [], []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(os, "kill", lambda pid, number: ended.append((pid, number)))
    monkeypatch.setattr(os, "waitpid", lambda pid, flags: (pid, 0))
    monkeypatch.setattr(supervisor, "start_zygote", lambda: started.append(now))

    def fall(*, lived: float, ready: bool) -> float:
        nonlocal now
        control, other = socket.socketpair()
        other.close()
        supervisor._zygote, supervisor._zygote_pid = control, 4321
        supervisor._ready, supervisor._started = ready, now
        supervisor._selector[control] = None
        now += lived
        supervisor._lost_zygote()
        assert control.fileno() == -1
        assert supervisor._zygote is None
        assert supervisor._ready is False
        return float(supervisor._pause)

    pauses = [fall(lived=1, ready=True) for _ in range(8)]
    assert pauses == pytest.approx([0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 10.0, 10.0])
    assert fall(lived=11, ready=True) == pytest.approx(0.1)
    assert ended == [(4321, signal.SIGKILL)] * 9
    assert supervisor._falls == 0
    assert supervisor._counts["restarts"] == 9
    supervisor._started, supervisor._pause = now, 0.5
    now += 0.5
    supervisor._sweep()
    assert started == []
    now += 0.1
    supervisor._sweep()
    assert started == [now]
    for _ in range(3):
        fall(lived=0, ready=False)
    assert supervisor._falls == 3
    with pytest.raises(DecoderdError, match="cannot start"):
        fall(lived=0, ready=False)


def test_a_control_socket_that_fails_counts_as_a_zygote_that_fell(supervisor: Any) -> None:
    lost: list[bool] = []
    supervisor._lost_zygote = lambda: lost.append(True)
    control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.setblocking(False)
    supervisor._zygote = control
    supervisor._told(0)
    assert lost == [True], "a descriptor that fails"
    other.send(decoder_zygote.ENDED.pack(77, 0, 5))
    supervisor._told(0)
    assert (lost, supervisor._counts["most_kib"]) == ([True], 0), "nobody waits for that job any more"
    other.close()
    control.close()


def test_what_cannot_be_accepted_or_told_is_passed_over(supervisor: Any) -> None:
    supervisor._accept(0)
    assert supervisor._links == set()
    job = decoderd._Job(1, None, -1, 1, Asked(8, 8))
    supervisor._hear(job)
    assert job.said == b"", "it was settled in the same round of events"
    supervisor._kill(job)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    supervisor._zygote = ours
    supervisor._kill(job)
    assert decoder_zygote.JOB.unpack(theirs.recv(100)) == (1, 0, 0, 0, 0, 0)
    theirs.close()
    supervisor._kill(job)
    ours.close()


def test_a_whole_answer_counts_for_nothing_where_its_child_fell_or_said_too_much(supervisor: Any) -> None:
    said = bytearray(wire.picture(PICTURE))
    for fields in ({"status": int(signal.SIGSEGV)}, {"status": 0, "too_much": True}):
        supervisor._finish(decoderd._Job(1, None, -1, 1, Asked(8, 8), said=said, **fields))
    assert (supervisor._counts["ended"], supervisor._counts["pictures"]) == (2, 0)
    supervisor._finish(decoderd._Job(1, None, -1, 1, Asked(8, 8), said=said, status=0))
    assert (supervisor._counts["ended"], supervisor._counts["pictures"]) == (2, 1)


def test_a_question_whose_connection_is_gone_or_empty_is_dropped(supervisor: Any) -> None:
    link, theirs = linked(supervisor)
    supervisor._read(link)
    assert link in supervisor._links, "nothing was there to be read"
    theirs.close()
    supervisor._read(link)
    assert link not in supervisor._links
    other, theirs = linked(supervisor)
    theirs.send(b"no question")
    theirs.shutdown(socket.SHUT_RD)
    supervisor._read(other)
    assert other not in supervisor._links
    theirs.close()


def told(status: int, *, late: bool = False, seconds: float = 10.0) -> str:
    made = object.__new__(decoderd._Supervisor)
    made._settings = Settings(Path("s"), frozenset(), seconds=seconds)
    job = decoderd._Job(1, None, -1, 1, Asked(8, 8), status=status, late=late)
    return made._why(job)


def test_a_child_that_used_its_time_up_is_told_so() -> None:
    assert "longer than 10 seconds" in told(signal.SIGKILL, late=True)
    for number in (signal.SIGXCPU, signal.SIGKILL):
        assert "of the processor" in told(number)
    assert "no decoder does" in told(signal.SIGSYS)
    assert "ended the process" in told(signal.SIGSEGV)
    assert "ended the process" in told(4 << 8)
