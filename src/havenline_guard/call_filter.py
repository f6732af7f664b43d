"""Filters of system calls, assembled by hand: what Linux's `seccomp(2)` reads, without a library.

Source: the classic packet filter of `bpf(4)` over `struct seccomp_data`. A filter is a list of instructions of eight
bytes. Numbers of calls are those of x86-64 and aarch64; a machine that is not in `MACHINES` has no filter.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator, Sequence

ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE = 0x00050000 | errno.EPERM
UNKNOWN = 0x00050000 | errno.ENOSYS
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Place in a pair of numbers, and what the kernel calls the machine."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Instructions: load a word, jump if equal, if at least, if any bit is set, return."""
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16
_OTHER_ABI = 0x40000000
"""System calls of x86-64's second numbering (x32) start here."""
_SECCOMP = (317, 277)
_SET_FILTER, _ALL_THREADS = 1, 1


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def install(instructions: Sequence[bytes], machine: str) -> str:
    """Put the filter on all threads of this process, for good; why it could not be, or nothing.

    The process must have given up new privileges (`PR_SET_NO_NEW_PRIVS`) before.
    """
    program = _Program(len(instructions), b"".join(instructions))
    number = _SECCOMP[MACHINES[machine][0]]
    if ctypes.CDLL(None, use_errno=True).syscall(number, _SET_FILTER, _ALL_THREADS, ctypes.byref(program)):
        return f"the kernel refused a filter of system calls: {os.strerror(ctypes.get_errno())}"
    return ""


def beginning(machine: str, *, foreign: int) -> Iterator[bytes]:
    """Kill what calls as another machine would; `foreign` is the verdict on x86-64's second numbering."""
    yield _step(_LOAD, _MACHINE)
    yield _step(_EQUAL, MACHINES[machine][1], then=1)
    yield end(KILL)
    yield _step(_LOAD, _NUMBER)
    if machine == "x86_64":
        yield _step(_AT_LEAST, _OTHER_ABI, otherwise=1)
        yield end(foreign)


def when(number: int, verdict: int) -> Iterator[bytes]:
    """The verdict on one call, whatever its arguments."""
    yield _step(_EQUAL, number, otherwise=1)
    yield end(verdict)


def when_flags(number: int | None, argument: int, flags: int, verdict: int, *, wanted: bool = False) -> Iterator[bytes]:
    """The verdict on a call when one of `flags` is in its argument; with `wanted`, when none is. Others go on."""
    assert number is not None
    yield _step(_EQUAL, number, otherwise=4)
    yield _step(_LOAD, _ARGUMENTS + 8 * argument)
    yield _step(_ANY_BIT, flags, then=1 if wanted else 0, otherwise=0 if wanted else 1)
    yield end(verdict)
    yield _step(_LOAD, _NUMBER)


def when_one_of(number: int, argument: int, values: Sequence[int], verdict: int) -> Iterator[bytes]:
    """The verdict on a call when its argument is one of `values`. Others go on."""
    yield _step(_EQUAL, number, otherwise=2 + 2 * len(values))
    yield _step(_LOAD, _ARGUMENTS + 8 * argument)
    for value in values:
        yield _step(_EQUAL, value, otherwise=1)
        yield end(verdict)
    yield _step(_LOAD, _NUMBER)


def end(verdict: int) -> bytes:
    """The verdict on whatever comes as far as this."""
    return _step(_RETURN, verdict)


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
