"""The supervisor with processes that a test ends: pauses, order, what is left out, what it writes down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from havenline.vocabulary import HavenlineError
from havenline_desk.sites.server import ending_with_us
from havenline_desk.sites.supervisor import Program, Supervisor, SupervisorError, missing, start_of, told


class Fake:
    """A part whose process is this test's own; `runs` says whether it is thought to run."""

    def __init__(self, name: str, log: list[str], *, required: bool = True, comes: bool = True) -> None:
        self.name, self.required, self.log, self.comes = name, required, log, comes
        self.runs, self.ready, self.fault, self.hangs = False, True, "", False

    def launch(self) -> None:
        self.log.append(f"launch {self.name}")
        if self.fault:
            raise HavenlineError(self.fault)
        self.runs = self.comes

    def pid(self) -> int | None:
        return os.getpid() if self.runs else None

    def answers(self) -> bool:
        return self.runs and self.ready

    def responds(self) -> bool:
        return not self.hangs

    def stop(self) -> None:
        self.log.append(f"stop {self.name}")
        self.runs = False


def test_they_start_in_order_and_stop_in_the_other(tmp_path: Path) -> None:
    log: list[str] = []
    supervisor = Supervisor([Fake(name, log) for name in "abc"], record=tmp_path / "r", say=log.append)
    supervisor.start()
    assert log == ["launch a", "launch b", "launch c"]
    assert [each.name for each in told(tmp_path / "r")] == ["supervisor", "a", "b", "c"]
    assert all(each.runs for each in told(tmp_path / "r"))
    log.clear()
    supervisor.stop()
    assert log == ["stop c", "stop b", "stop a"]
    assert told(tmp_path / "r") == []


def test_what_runs_already_is_not_started_again(tmp_path: Path) -> None:
    log: list[str] = []
    there = Fake("there", log)
    there.runs = True
    Supervisor([there], record=tmp_path / "r", say=log.append).start()
    assert log == []


def test_without_a_required_process_nothing_opens_and_without_another_it_does(tmp_path: Path) -> None:
    log: list[str] = []
    parts = [Fake("needed", log), Fake("spare", log, required=False, comes=False)]
    supervisor = Supervisor(parts, record=tmp_path / "r", say=log.append)
    supervisor.start()
    supervisor.look(at=1.0)
    assert log == ["launch needed", "launch spare", "stop spare"], "what never came is not started again and again"
    with pytest.raises(SupervisorError, match="gone did not start"):
        Supervisor([Fake("gone", log, comes=False)], record=tmp_path / "r", say=log.append).start()


def test_each_further_end_within_a_minute_makes_the_next_start_wait_longer(tmp_path: Path) -> None:
    log: list[str] = []
    part = Fake("a", [])
    supervisor = Supervisor([part], record=tmp_path / "r", say=log.append)
    supervisor.start()
    at, waits = 100.0, []
    for _ in range(8):
        part.runs = False
        ended = at
        supervisor.look(at=at)
        if not part.runs:
            assert missing(tmp_path / "r") == ["a"]
        while not part.runs:
            at += 0.25
            supervisor.look(at=at)
        waits.append(at - ended)
        supervisor.look(at=at)
    assert waits == [0, 1, 2, 4, 8, 16, 30, 30]
    assert log[:2] == ["a ended by itself and is started again at once", "a answers again"]
    assert missing(tmp_path / "r") == []
    part.runs = False
    supervisor.look(at=at + 61)
    assert part.runs, "after a quiet minute it is started at once again"
    assert told(tmp_path / "r")[1].again == 9


def test_a_start_that_fails_is_told_and_tried_again_with_pauses(tmp_path: Path) -> None:
    log: list[str] = []
    part = Fake("a", [])
    supervisor = Supervisor([part], record=tmp_path / "r", say=log.append)
    supervisor.start()
    part.runs, part.fault = False, "no disk"
    for at in (0.0, 0.5, 1.0, 2.0, 3.0):
        supervisor.look(at=at)
    assert log == ["a ended by itself and is started again at once", *["a does not start: no disk"] * 3]
    part.fault = ""
    supervisor.look(at=3.1)
    supervisor.look(at=20.0)
    supervisor.look(at=20.1)
    assert log[-1] == "a answers again"


def test_one_that_runs_and_does_not_answer_yet_is_left_to_come(tmp_path: Path) -> None:
    log: list[str] = []
    part = Fake("a", [])
    supervisor = Supervisor([part], record=tmp_path / "r", say=log.append)
    supervisor.start()
    part.runs = part.ready = False
    supervisor.look(at=0.0)
    supervisor.look(at=5.0)
    assert log == ["a ended by itself and is started again at once"]
    part.ready = True
    supervisor.look(at=6.0)
    assert log[-1] == "a answers again"


def asked(supervisor: Supervisor, *, at: float) -> None:
    supervisor.look(at=at)
    for kept in supervisor._kept:
        if kept.asking is not None:
            kept.asking.join()


def test_one_that_runs_and_does_not_respond_for_two_minutes_is_ended_and_started_again(tmp_path: Path) -> None:
    log: list[str] = []
    part, other = Fake("a", log), Fake("b", log)
    supervisor = Supervisor([part, other], record=tmp_path / "r", say=log.append)
    supervisor.start()
    log.clear()
    part.hangs = True
    for at in range(100, 180, 20):
        asked(supervisor, at=at)
    part.hangs = False
    asked(supervisor, at=180)
    part.hangs = True
    for at in range(200, 320, 20):
        asked(supervisor, at=at)
    assert log == [], "it is not ended for being slow"
    supervisor.look(at=321)
    assert log == [
        "stop a",
        "a did not respond for two minutes and is started again at once",
        "launch a",
    ]
    part.hangs = False
    supervisor.look(at=322)
    assert log[-1] == "a answers again"
    assert told(tmp_path / "r")[1].again == 1
    for at in range(340, 600, 20):
        asked(supervisor, at=at)
    assert log[-1] == "a answers again"


def test_a_question_that_hangs_holds_nobody_up_and_is_not_asked_twice(tmp_path: Path) -> None:
    part, gate, questions = Fake("a", []), threading.Event(), []

    def wait() -> bool:
        questions.append(1)
        return gate.wait()

    part.responds = wait  # type: ignore[method-assign]
    supervisor = Supervisor([part], record=tmp_path / "r", say=pytest.fail)
    supervisor.start()
    for at in range(100, 400, 20):
        supervisor.look(at=at)
    assert questions == [1]
    gate.set()


def test_a_program_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    number = tmp_path / "number"
    script = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"p = pathlib.Path({str(number)!r}); q = p.with_suffix('.part'); q.write_text(str(child.pid)); q.rename(p)\n"
        "time.sleep(600)\n"
    )
    program = Program("p", [sys.executable, "-c", script], answers=number.exists)
    assert program.pid() is None
    program.launch()
    while not program.answers():
        assert program.pid() is not None
    first, grandchild = program.pid(), int(number.read_text())
    assert first is not None
    os.kill(first, 9)
    while program.pid() is not None:
        pass
    assert start_of(grandchild) is not None
    number.unlink()
    program.launch()
    while start_of(grandchild) is not None:
        pass
    while not program.answers():
        assert program.pid() is not None
    assert program.pid() != first
    program.stop()
    assert program.pid() is None
    while start_of(int(number.read_text())) is not None:
        pass
    program.stop()


def test_a_command_whose_starter_is_gone_already_is_never_begun(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    ours = ending_with_us([sys.executable, "-c", f"import pathlib; pathlib.Path({str(begun)!r}).touch()"])
    subprocess.run(["/bin/sh", "-c", '"$@"; exit 0', "sh", *ours], check=True)
    assert not begun.exists()
    subprocess.run(ours, check=True)
    assert begun.exists()


def test_a_program_that_does_not_end_when_asked_is_killed() -> None:
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    child.stdout.readline()
    program = Program("p", [sys.executable], running=child)
    assert program.pid() == child.pid
    program.stop(timeout=0.1)
    assert child.returncode == -9
    assert program.pid() is None
    child.stdout.close()


def test_an_adopted_program_is_left_alone_and_replaced_once_it_is_gone() -> None:
    found: list[int | None] = [os.getpid()]
    program = Program("p", [sys.executable, "-c", "import time; time.sleep(600)"], adopted=lambda: found[0])
    assert program.pid() == os.getpid()
    program.launch()
    program.stop()
    assert program.pid() == os.getpid()
    found[0] = None
    assert program.pid() is None
    program.launch()
    assert program.pid() not in (None, os.getpid())
    program.stop()


def test_a_record_that_is_no_record_says_nothing(tmp_path: Path) -> None:
    record = tmp_path / "r"
    for content in (b"", b"{", b"[]", json.dumps({"processes": [{"name": "a"}]}).encode()):
        record.write_bytes(content)
        assert told(record) == []
        assert missing(record) == []


def test_a_number_that_another_process_carries_by_now_does_not_run(tmp_path: Path) -> None:
    record = tmp_path / "r"
    Supervisor([], record=record, say=print).start()
    said = json.loads(record.read_bytes())
    said["processes"][0]["started"] += 1
    record.write_text(json.dumps(said))
    assert [each.runs for each in told(record)] == [False]
