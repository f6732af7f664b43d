"""What `sandbox` asks of the kernel, layer by layer, and that it says so where a layer cannot be had.

That a closed process reaches nothing is tried in `test_decoderd.py` and `test_closed_workers.py`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from havenline_guard import call_filter, lockdown, sandbox
from havenline_guard.sandbox import Closed, Room, SandboxUnavailable
from tests.guard.filters import verdict, wrong_numbers
from tests.guard.told import close_others

KILL, ALLOW, REFUSE = 0x80000000, 0x7FFF0000, 0x00050000 | errno.EPERM
UNKNOWN = 0x00050000 | errno.ENOSYS


class Libc:
    """In place of the C library: notes each system call, and answers as it is told."""

    def __init__(self, *answers: int) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._answers = list(answers)

    def __call__(self, name: None, *, use_errno: bool) -> Libc:
        assert use_errno
        return self

    def syscall(self, *arguments: Any) -> int:
        self.asked.append(tuple(each.value if isinstance(each, ctypes.c_size_t) else each for each in arguments))
        ctypes.set_errno(errno.EINVAL)
        return self._answers.pop(0)

    def prctl(self, *arguments: Any) -> int:
        return self.syscall(*arguments)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Libc]:
    def answering(*answers: int) -> Libc:
        libc = Libc(*answers)
        monkeypatch.setattr(ctypes, "CDLL", libc)
        return libc

    return answering


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The layers in the order in which they are laid, none of them laid: this process must stay open."""
    laid: list[Any] = []
    for name in ("_close_others", "_limit", "give_up_privileges", "_no_capabilities", "_no_paths"):
        monkeypatch.setattr(sandbox, name, lambda *told, name=name: laid.append((name, *told)))
    monkeypatch.setattr(sandbox, "install", lambda program, machine: laid.append(("install", machine)) or "")
    calls = {
        "open": lambda path, flags: laid.append(("open", path, flags)) or 77,
        "dup2": lambda one, other: laid.append(("dup2", one, other)),
    }
    monkeypatch.setattr(sandbox, "os", SimpleNamespace(O_RDONLY=os.O_RDONLY, **calls))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return laid


def test_every_layer_is_laid_and_the_filter_last(layers: list[Any]) -> None:
    room = Room(seconds=8)
    sandbox.close_off(room, keep=(1, 9))
    nothing = [("open", "/dev/null", os.O_RDONLY), ("dup2", 77, 0), ("dup2", 77, 2)]
    assert layers == [
        *nothing,
        ("_close_others", {0, 1, 2, 9}),
        ("_limit", room),
        ("give_up_privileges",),
        ("_no_capabilities", 0),
        ("_no_paths",),
        ("install", "x86_64"),
    ]


def test_a_worker_keeps_its_one_descriptor_and_no_count_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(sandbox, "close_off", lambda room, *, keep: told.append((room, keep)))
    sandbox.close_worker(7)
    assert told == [(Room(800 << 20, None, 64), (7,))]


def test_a_machine_without_a_filter_is_told_before_anything_is_given_up(
    layers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "vax")
    with pytest.raises(SandboxUnavailable, match="no filter of system calls is known for vax"):
        sandbox.close_off(Room(), keep=())
    assert layers == []


def test_a_kernel_that_takes_no_filter_closes_nothing_off(layers: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "install", lambda program, machine: "the kernel refused")
    with pytest.raises(SandboxUnavailable, match="the kernel refused"):
        sandbox.close_off(Room(), keep=())


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ({0, 1, 2}, [(3, 512)]),
        ({0, 1, 2, 9, 5}, [(3, 5), (6, 9), (10, 512)]),
        ({4}, [(0, 4), (5, 512)]),
    ],
)
def test_all_descriptors_are_closed_but_those_that_are_kept(
    keep: set[int], expected: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "closerange", lambda low, high: closed.append((low, high)))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (512, 4096))
    close_others(keep)
    assert closed == expected
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1 << 40, 1 << 40))
    close_others(keep)
    assert closed[-1][1] == 1 << 20


@pytest.mark.parametrize("seconds", [None, 8])
@pytest.mark.parametrize("most", [resource.RLIM_INFINITY, 1 << 60, 1])
def test_the_limits_are_set_for_good_and_never_above_what_is_allowed(
    seconds: int | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: dict[int, tuple[int, int]] = {}
    ignored: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (most, most))
    monkeypatch.setattr(resource, "setrlimit", lambda name, pair: limits.__setitem__(name, pair))
    monkeypatch.setattr(Path, "read_text", lambda path: {"/proc/self/statm": "1000 2 3 4"}[str(path)])
    monkeypatch.setattr(signal, "signal", lambda *told: ignored.append(told))
    sandbox._limit(Room(memory=500, seconds=seconds, descriptors=16))
    wanted = {
        resource.RLIMIT_AS: 1000 * resource.getpagesize() + 500,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NOFILE: 16,
    }
    if seconds is not None:
        wanted[resource.RLIMIT_CPU] = seconds
    capped = {name: value if most != 1 else min(value, 1) for name, value in wanted.items()}
    assert limits == {name: (value, value) for name, value in capped.items()}
    assert ignored == [(signal.SIGXFSZ, signal.SIG_IGN)]


def test_capabilities_are_given_up_or_it_is_said(kernel: Callable[..., Libc]) -> None:
    libc = kernel(0, 0)
    sandbox._no_capabilities(0)
    sandbox._no_capabilities(1)
    version_3_of_nobody = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    assert libc.asked == [(126, *version_3_of_nobody), (91, *version_3_of_nobody)]
    kernel(-1)
    with pytest.raises(SandboxUnavailable, match="capabilities cannot be given up: Invalid argument"):
        sandbox._no_capabilities(0)


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (1, [0x1FFF]),
        (2, [0x3FFF]),
        (3, [0x7FFF]),
        (4, [0x7FFF, 3]),
        (5, [0xFFFF, 3]),
        (6, [0xFFFF, 3, 3]),
        (7, [0xFFFF, 3, 3]),
    ],
)
def test_landlock_takes_every_right_that_the_kernel_knows(
    version: int, told: list[int], kernel: Callable[..., Libc], monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[int] = []
    monkeypatch.setattr(os, "close", closed.append)
    libc = kernel(version, 55, 0)
    sandbox._no_paths()
    ruleset = struct.pack(f"={len(told)}Q", *told)
    assert libc.asked == [(444, None, 0, 1), (444, ruleset, len(ruleset), 0), (446, 55, 0)]
    assert closed == [55]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((0,), "the kernel has no Landlock"),
        ((-1,), "the kernel has no Landlock"),
        ((1, -1), "refused Landlock: Invalid"),
        ((1, 0, -1), "the kernel refused Landlock"),
    ],
)
def test_a_kernel_without_landlock_is_told(answers: tuple[int, ...], why: str, kernel: Callable[..., Libc]) -> None:
    kernel(*answers)
    with pytest.raises(SandboxUnavailable, match=why):
        sandbox._no_paths()


def test_a_filter_that_the_kernel_refuses_is_told_and_so_are_other_privileges(kernel: Callable[..., Libc]) -> None:
    libc = kernel(0, -1)
    assert call_filter.install([b"8 bytes."], "x86_64") == ""
    assert libc.asked[0][:3] == (317, 1, 1)
    program = ctypes.cast(libc.asked[0][3], ctypes.POINTER(call_filter._Program)).contents
    assert (program.length, program.instructions) == (1, b"8 bytes.")
    assert call_filter.install([b"8 bytes."], "aarch64") == (
        "the kernel refused a filter of system calls: Invalid argument"
    )
    assert libc.asked[1][0] == 277


def test_privileges_that_cannot_be_given_up_are_told(
    kernel: Callable[..., Libc], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[Any] = []
    monkeypatch.setattr(resource, "setrlimit", lambda name, pair: limits.append((name, pair)))
    libc = kernel(0, 0)
    lockdown.give_up_privileges()
    assert limits == [(resource.RLIMIT_CORE, (0, 0))]
    assert libc.asked == [(4, 0, 0, 0, 0), (38, 1, 0, 0, 0)]
    for answers in ((-1,), (0, -1)):
        kernel(*answers)
        with pytest.raises(OSError, match="prctl was refused") as caught:
            lockdown.give_up_privileges()
        assert caught.value.errno == errno.EINVAL


def test_a_lock_down_says_what_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[bool] = []
    monkeypatch.setattr(lockdown, "give_up_privileges", lambda: given_up.append(True))
    monkeypatch.setattr(lockdown, "install", lambda program, machine: "refused" if machine == "x86_64" else "")
    asked = {"accepts": False, "starts": False, "writes": False}
    for machine, expected in (
        ("vax", lockdown.LockedDown(False, "no filter of system calls is known for vax")),
        ("x86_64", lockdown.LockedDown(False, "refused")),
        ("aarch64", lockdown.LockedDown(True, "")),
    ):
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        assert lockdown.lock_down(**asked) == expected
    assert len(given_up) == 3


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SandboxUnavailable("no Landlock"), b"no Landlock"),
        (SandboxUnavailable("x" * 600), b"x" * 500),
        (OSError(errno.EPERM, "Operation not permitted"), b"the limits of a process cannot be set: Operation not perm"),
    ],
)
def test_who_tries_says_why_it_cannot_be_closed_off(
    error: Exception, expected: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(room: Room, *, keep: tuple[int, ...]) -> None:
        raise error

    monkeypatch.setattr(sandbox, "close_off", refuse)
    said, code = tried_out(monkeypatch)
    assert said.startswith(expected)
    assert len(said) <= 500
    assert code == 1


class Left(Exception):
    pass


def tried_out(monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, int]:
    """What `_try_out` says and ends with, in this process."""

    def leave(code: int) -> None:
        raise Left(code)

    reading, writing = os.pipe()
    with monkeypatch.context() as patched:
        patched.setattr(os, "_exit", leave)
        with pytest.raises(Left) as left:
            sandbox._try_out(writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        return told.read(), left.value.args[0]


@pytest.mark.parametrize(("opens", "expected"), [(True, b"the kernel took a filter"), (False, b"closed")])
def test_who_tries_sees_whether_the_filter_holds(opens: bool, expected: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(sandbox, "close_off", lambda room, *, keep: kept.append((room, len(keep))))

    def tried(path: str, flags: int) -> int:
        if not opens:
            raise PermissionError
        return 99

    monkeypatch.setattr(os, "open", tried)
    said, code = tried_out(monkeypatch)
    assert said.startswith(expected)
    assert (said == b"closed") is not opens
    assert code == 0
    assert kept == [(Room(), 1)]


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        (b"closed", Closed(True)),
        (b"no Landlock", Closed(False, "no Landlock")),
        (b"", Closed(False, "a process that was closed off ended at once (7)")),
    ],
)
def test_the_probe_tells_what_the_process_said(says: bytes, expected: Closed, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(writing: int) -> None:
        os.write(writing, says)
        os._exit(7)

    monkeypatch.setattr(sandbox, "_try_out", say)
    assert sandbox.probe() == expected


def test_each_step_of_a_filter_leaves_other_calls_alone() -> None:
    machine, name = "aarch64", 0xC00000B7
    machines = {"x86_64": (0, 0xC000003E), machine: (1, name)}
    assert machines == call_filter.MACHINES
    when_flags = call_filter.when_flags
    for steps, refused in (
        (call_filter.when(5, REFUSE), {(5, 0), (5, 1), (5, 2), (5, 5)}),
        (when_flags(5, 1, 6, REFUSE), {(5, 2), (5, 5)}),
        (when_flags(5, 1, 2, REFUSE, wanted=True), {(5, 0), (5, 1), (5, 5)}),
        (call_filter.when_one_of(5, 1, (1, 2, 7, 8), REFUSE), {(5, 1), (5, 2)}),
        (call_filter.when_one_of(5, 1, (1,), REFUSE), {(5, 1)}),
    ):
        # A second step sees the number, whatever the first one looked at.
        program = [*call_filter.beginning(machine, foreign=KILL), *steps, *call_filter.when(8, KILL)]
        program.append(call_filter.end(ALLOW))
        asked = [(number, told) for number in (1, 2, 5, 7, 8) for told in (0, 1, 2, 5)]
        found = {each: verdict(program, name, each[0], 9, each[1]) for each in asked}
        assert {each for each, how in found.items() if how == REFUSE} == refused
        assert {each for each, how in found.items() if how == KILL} == {(8, told) for told in (0, 1, 2, 5)}


SINGLES = {
    "mmap": sandbox._MMAP,
    "mprotect": sandbox._MPROTECT,
    "fcntl": sandbox._FCNTL,
    "clone": sandbox._CLONE,
    "clone3": sandbox._CLONE3,
}


def test_the_numbers_of_system_calls_are_those_of_the_headers() -> None:
    assert wrong_numbers(sandbox._ALLOWED | sandbox._REFUSED | SINGLES) == []
    kernels = {"capset": sandbox._CAPSET, "landlock_create_ruleset": (sandbox._CREATE_RULESET,) * 2}
    assert wrong_numbers(kernels | {"landlock_restrict_self": (sandbox._RESTRICT_SELF,) * 2}) == []
    assert not set(sandbox._ALLOWED) & (set(sandbox._REFUSED) | set(SINGLES))


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_allows_what_is_listed_and_kills_at_all_else(machine: str) -> None:
    column, name = call_filter.MACHINES[machine]
    program = list(sandbox._assembled(machine))
    number = {call: pair[column] for call, pair in (sandbox._ALLOWED | sandbox._REFUSED | SINGLES).items()}

    def said(call: str, *arguments: int) -> int:
        return verdict(program, name, number[call] or 0, *arguments)

    for calls, expected in ((sandbox._ALLOWED, ALLOW), (sandbox._REFUSED, REFUSE)):
        assert {call for call in calls if number[call] is not None and said(call) != expected} == set()
    listed = set(number.values())
    assert {verdict(program, name, each) for each in range(500) if each not in listed} == {KILL}
    for call in ("mmap", "mprotect"):
        assert [said(call, 0, 4096, prot) for prot in (0, 1, 2, 3, 4, 5, 7)] == [ALLOW] * 4 + [REFUSE] * 3
    asked = {what: said("fcntl", 3, what) for what in (*range(16), 1024, 1030, 1031, 1033)}
    assert {what for what, how in asked.items() if how == ALLOW} == {0, 1, 2, 3, 1030}
    assert {how for what, how in asked.items() if what not in {0, 1, 2, 3, 1030}} == {REFUSE}
    assert said("clone3") == UNKNOWN
    assert said("clone", 0x10000) == ALLOW
    assert said("clone", 17) == KILL
    for space in (0x00000080, *(1 << bit for bit in range(25, 31)), 0x02000000):
        assert said("clone", 0x10000 | space) == KILL, hex(space)
    assert verdict(program, name ^ 1, number["read"] or 0) == KILL
    assert {verdict(program, name, 0x40000000 | each) for each in range(500)} == {KILL}
