"""What a process keeps that opens hostile bytes: memory, descriptors that it was given, and no way to anything else.

Three layers, each of the kernel's own, none needs a package or a privilege: limits (`setrlimit(2)`), Landlock without a
single rule, so that no path can be opened, and a filter that lists the system calls that are allowed and kills at any
other. All that is needed must be loaded before: nothing can be afterwards. What each stops: docs/decisions/0011.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from havenline.vocabulary import HavenlineError
from havenline_guard.call_filter import (
    ALLOW,
    KILL,
    MACHINES,
    REFUSE,
    UNKNOWN,
    beginning,
    end,
    install,
    when,
    when_flags,
    when_one_of,
)
from havenline_guard.lockdown import give_up_privileges

MIB = 1 << 20
ROOM = 800 * MIB
"""Bytes of memory that a process gets beyond what it has when it is closed: with its base, under 1 GiB resident."""

_PROT_EXEC = 4
_CAPSET, _CAPABILITIES = (126, 91), 0x20080522
_CREATE_RULESET, _RESTRICT_SELF, _ASK_VERSION = 444, 446, 1
_WRITE_FILE = ((1, 13), (2, 14), (3, 15), (5, 16))
"""Landlock's version, and how many rights over files it knows from there on."""
_RULES_OF_TCP, _SCOPES = 3, 3

# Name: number on x86-64, number on aarch64; None where the machine has no such call.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "readv": (19, 65),
    "pread64": (17, 67),
    "write": (1, 64),
    "writev": (20, 66),
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "dup": (32, 23),
    "poll": (7, None),
    "ppoll": (271, 73),
    "recvmsg": (47, 212),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "alarm": (37, None),
    "setitimer": (38, 103),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getsockname": (51, 204),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "time": (201, None),
    "gettimeofday": (96, 169),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
# Libraries ask for these in good faith and do without: a refusal is enough.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "stat": (4, None),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "ioctl": (16, 29),
    "socket": (41, 198),
    "connect": (42, 203),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    "getrlimit": (97, 163),
    "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "mlock": (149, 228),
    "unlink": (87, None),
    "unlinkat": (263, 35),
}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_AS_THREAD, _NEW_SPACES = 0x00010000, 0x7E020080
"""Flags of `clone`: a thread of this process; new namespaces."""
_MMAP, _MPROTECT, _FCNTL = (9, 222), (10, 226), (72, 25)
_HARMLESS_OF_FCNTL = (0, 1, 2, 3, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC."""


class SandboxUnavailable(HavenlineError):
    """This machine cannot close a process off; the text says what is missing. Hash-only work goes on without."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Whether this machine can close a process off, and `why` not."""

    can: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """What a closed process may use: bytes of memory beyond what it has, seconds of processor time (None: not counted
    here), and numbers of descriptors."""

    memory: int = ROOM
    seconds: int | None = None
    descriptors: int = 64


def close_off(room: Room, *, keep: Collection[int]) -> None:
    """Leave this process nothing but its memory and the descriptors `keep`; for good.

    The standard streams become /dev/null, all other descriptors are closed. From here on opening and asking for paths
    and sockets meets EPERM; programs, processes, signals and every call that is not listed end the process. Threads
    may still be started; those that run already are not held by Landlock, so there should be none.
    Raises SandboxUnavailable where a layer cannot be had; the process is then to be ended.
    """
    machine = platform.machine()
    if machine not in MACHINES:
        raise SandboxUnavailable(f"no filter of system calls is known for {machine}")
    # For reading alone, for whoever starts this process may have given up to open for writing already.
    nothing = os.open("/dev/null", os.O_RDONLY)
    for stream in (0, 1, 2):
        if stream not in keep:
            os.dup2(nothing, stream)
    _close_others({0, 1, 2, *keep})
    _limit(room)
    give_up_privileges()
    _no_capabilities(MACHINES[machine][0])
    _no_paths()
    if why := install(list(_assembled(machine)), machine):
        raise SandboxUnavailable(why)


def close_worker(keep: int) -> None:
    """Close off a worker of a scan that speaks over the descriptor `keep` (`scan_workers.CloseOff`).

    Its time is counted by who gave it its files, for it opens several.
    """
    close_off(Room(), keep=(keep,))


def probe() -> Closed:
    """Try it in a process of its own: whether a process can be closed off here, and whether it then holds."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _try_out(writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        said = told.read(500).decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    if said != "closed":
        return Closed(
            False, said or f"a process that was closed off ended at once ({os.waitstatus_to_exitcode(status)})"
        )
    return Closed(True)


def _try_out(writing: int) -> None:
    """The life of the process that tries."""
    try:
        close_off(Room(), keep=(writing,))
    except SandboxUnavailable as error:
        os.write(writing, str(error).encode()[:500])
        os._exit(1)
    except OSError as error:
        os.write(writing, f"the limits of a process cannot be set: {error.strerror}".encode())
        os._exit(1)
    try:
        os.open("/", os.O_RDONLY)
        os.write(writing, b"the kernel took a filter of system calls and does not keep to it")
    except OSError:
        os.write(writing, b"closed")
    os._exit(0)


def _close_others(keep: set[int]) -> None:
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 20)
    low = 0
    for each in sorted(keep):
        if low < each:  # an empty range from 0 would close all
            os.closerange(low, each)
        low = each + 1
    os.closerange(low, most)


def _limit(room: Room) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = {
        resource.RLIMIT_AS: pages * resource.getpagesize() + room.memory,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NOFILE: room.descriptors,
    }
    if room.seconds is not None:
        limits[resource.RLIMIT_CPU] = room.seconds
    for name, value in limits.items():
        _, most = resource.getrlimit(name)
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(name, (value, value))
    # Beyond the limit of file sizes a write shall fail; nothing else that a library catches may save the process.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _no_capabilities(column: int) -> None:
    """Also root is nobody in particular from here on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_CAPSET[column], struct.pack("=Ii", _CAPABILITIES, 0), bytes(24)):
        raise SandboxUnavailable(f"capabilities cannot be given up: {os.strerror(ctypes.get_errno())}")


def _no_paths() -> None:
    """Landlock with all rights taken and none given: no file, no TCP port, no signal to processes outside."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    if version < 1:
        raise SandboxUnavailable("the kernel has no Landlock (needs Linux 5.13 with landlock among its LSMs)")
    rights = max(count for since, count in _WRITE_FILE if version >= since)
    told = [(1 << rights) - 1]
    told += [_RULES_OF_TCP] if version >= 4 else []
    told += [_SCOPES] if version >= 6 else []
    ruleset = struct.pack(f"={len(told)}Q", *told)
    descriptor = libc.syscall(_CREATE_RULESET, ruleset, ctypes.c_size_t(len(ruleset)), 0)
    if descriptor < 0 or libc.syscall(_RESTRICT_SELF, descriptor, 0):
        raise SandboxUnavailable(f"the kernel refused Landlock: {os.strerror(ctypes.get_errno())}")
    os.close(descriptor)


def _assembled(machine: str) -> Iterator[bytes]:
    """The filter's instructions: what is allowed first, for it is asked most."""
    column = MACHINES[machine][0]
    yield from beginning(machine, foreign=KILL)
    for pair in _ALLOWED.values():
        if (number := pair[column]) is not None:
            yield from when(number, ALLOW)
    for pair in (_MMAP, _MPROTECT):
        yield from when_flags(pair[column], 2, _PROT_EXEC, REFUSE)
        yield from when(pair[column], ALLOW)
    yield from when_one_of(_FCNTL[column], 1, _HARMLESS_OF_FCNTL, ALLOW)
    yield from when(_FCNTL[column], REFUSE)
    # libde265 cannot do without a thread. glibc is sent back to `clone`, whose flags can be seen.
    yield from when(_CLONE3[column], UNKNOWN)
    yield from when_flags(_CLONE[column], 0, _NEW_SPACES, KILL)
    yield from when_flags(_CLONE[column], 0, _AS_THREAD, ALLOW)
    for pair in _REFUSED.values():
        if (number := pair[column]) is not None:
            yield from when(number, REFUSE)
    yield end(KILL)
