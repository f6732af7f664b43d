"""What a process has given up it does not get back: network, programs, other processes, core dumps."""

from __future__ import annotations

import ast
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import havenline_guard
from havenline_guard import call_filter, lockdown
from tests.guard.filters import verdict, wrong_numbers

LOCK = """
import json, os, resource, socket, sys, threading
from havenline_guard.lockdown import is_dumpable, lock_down
kept = open(sys.argv[1], "w")
ours, theirs = socket.socketpair()
locked = lock_down(**json.loads(sys.argv[2]))

def tried(work):
    try:
        work()
        return "done"
    except OSError as error:
        return error.errno

def thread():
    each = threading.Thread(target=lambda: None)
    each.start()
    each.join()

def fork():
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)

print(json.dumps({
    "filtered": locked.filtered, "dumpable": is_dumpable(), "core": resource.getrlimit(resource.RLIMIT_CORE),
    "inet": tried(lambda: socket.socket(socket.AF_INET)), "inet6": tried(lambda: socket.socket(socket.AF_INET6)),
    "unix": tried(lambda: socket.socket(socket.AF_UNIX)),
    "exec": tried(lambda: os.execv("/bin/true", ["true"])), "fork": tried(fork), "thread": tried(thread),
    "kill": tried(lambda: os.kill(os.getpid(), 0)), "read": tried(lambda: open("/etc/passwd").close()),
    "write": tried(lambda: open(sys.argv[1], "a").close()), "remove": tried(lambda: os.unlink(sys.argv[1])),
    "raise core": tried(lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)) if os.geteuid() else None),
    "open sockets": tried(lambda: (ours.send(b"x"), theirs.recv(1))),
}))
"""
EPERM = errno.EPERM


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"accepts": False, "starts": False, "writes": False},
            {"fork": EPERM, "kill": EPERM, "write": EPERM, "remove": EPERM},
        ),
        (
            {"accepts": True, "starts": True, "writes": True},
            {"fork": "done", "kill": "done", "write": "done", "remove": "done"},
        ),
    ],
    ids=["who answers", "who starts others"],
)
def test_a_locked_process_has_no_network_and_starts_no_program(
    tmp_path: Path, given: dict[str, bool], expected: dict[str, object]
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOCK, str(tmp_path / "file"), json.dumps(given)], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    always = {"filtered": True, "dumpable": False, "core": [0, 0], "inet": EPERM, "inet6": EPERM, "unix": EPERM}
    always |= {"exec": EPERM, "thread": "done", "read": "done", "open sockets": "done"}
    assert {name: told[name] for name in always | expected} == always | expected


def test_the_memory_of_a_locked_process_is_closed_to_others_of_its_user() -> None:
    """As root both processes become user 65534 first, since nothing is closed to root; else they are who runs this."""
    read_end, write_end = os.pipe()
    locked = os.fork()
    if not locked:
        if os.geteuid() == 0:
            os.setuid(65534)
        lockdown.lock_down(accepts=False, starts=False, writes=False)
        os.write(write_end, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(read_end, 1)
    reader = os.fork()
    if not reader:
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            os.open(f"/proc/{locked}/mem", os.O_RDONLY)
        except PermissionError:
            os._exit(0)
        os._exit(1)
    closed = os.waitpid(reader, 0)[1] == 0
    os.kill(locked, 9)
    os.waitpid(locked, 0)
    os.close(read_end)
    os.close(write_end)
    assert closed


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_of_each_machine_refuses_what_it_should(machine: str) -> None:
    column, name = call_filter.MACHINES[machine]
    program = list(lockdown._assembled(machine, accepts=False, starts=False, writes=False))
    allow, refuse, unknown = 0x7FFF0000, 0x00050000 | EPERM, 0x00050000 | errno.ENOSYS
    calls = lockdown._NEVER | lockdown._ACCEPTING | lockdown._STARTING | lockdown._WRITING
    for call, numbers in calls.items():
        if numbers[column] is not None:
            assert verdict(program, name, numbers[column] or 0) == refuse, call
    read, openat, clone = {"x86_64": (0, 257, 56), "aarch64": (63, 56, 220)}[machine]
    assert verdict(program, name, read) == allow
    assert verdict(program, name, openat, 3, 0, os.O_RDONLY | os.O_CLOEXEC) == allow
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC):
        assert verdict(program, name, openat, 3, 0, flags) == refuse
    assert verdict(program, name, clone, 0x10000) == allow
    assert verdict(program, name, clone, 17) == refuse
    assert verdict(program, name, clone, 0x10000 | 0x40000000) == refuse
    assert verdict(program, name, 435) == unknown
    assert verdict(program, name ^ 1, read) == 0x80000000
    if machine == "x86_64":
        assert verdict(program, name, 0x40000000 | 41) == refuse


def test_the_numbers_of_system_calls_are_those_of_this_machines_headers() -> None:
    tables = lockdown._NEVER | lockdown._ACCEPTING | lockdown._STARTING | lockdown._WRITING
    assert len({numbers[0] for numbers in tables.values()}) == len(tables)
    singles = {"open": lockdown._OPEN, "openat": lockdown._OPENAT, "openat2": lockdown._OPENAT2}
    singles |= {"clone": lockdown._CLONE, "clone3": lockdown._CLONE3, "seccomp": call_filter._SECCOMP}
    assert wrong_numbers(tables | singles) == []


def test_nothing_of_the_guard_knows_the_web() -> None:
    imported = set()
    for path in Path(havenline_guard.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    assert "socket" in imported
    assert imported & {"http", "ssl", "urllib", "requests", "httpx", "asyncio", "subprocess", "pickle"} == set()


def test_a_process_ends_at_once_where_its_parent_had_ended_before_it_asked() -> None:
    """Otherwise nothing would end it: the kernel tells only of parents that end later."""
    codes = []
    for parent in (os.getpid(), os.getppid()):
        pid = os.fork()
        if not pid:
            try:
                lockdown.end_with_parent(signal.SIGTERM, parent=parent)
            finally:
                os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    assert codes == [0, -signal.SIGTERM]
