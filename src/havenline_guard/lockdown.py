"""What a process gives up for good once it has opened what it needs: network, programs, other processes, core dumps.

Source of the method: Linux's seccomp filters (`seccomp(2)`), assembled here by hand. It is a list of what is refused,
not of what is allowed: an interpreter needs too much that differs between machines. What it cannot stop: reading
files that the user may read, and answering over sockets that are open already.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
from collections.abc import Iterator
from dataclasses import dataclass

from havenline_guard.call_filter import ALLOW, MACHINES, REFUSE, UNKNOWN, beginning, end, install, when, when_flags

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_PDEATHSIG, _PR_GET_DUMPABLE = 4, 38, 1, 3
_NEW_SPACES = 0x7E020080
"""Flags of `clone` that make new namespaces."""
_AS_THREAD = 0x00010000
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# Name: number on x86-64, number on aarch64; None where the machine has no such call.
_NEVER: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "setns": (308, 268),
    "unshare": (272, 97),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "open_by_handle_at": (304, 265),
    "memfd_create": (319, 279),
    "personality": (135, 92),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "setuid": (105, 146),
    "setgid": (106, 144),
    "setreuid": (113, 145),
    "setresuid": (117, 147),
}
_ACCEPTING: dict[str, tuple[int | None, int | None]] = {"accept": (43, 202), "accept4": (288, 242)}
_STARTING: dict[str, tuple[int | None, int | None]] = {
    "socketpair": (53, 199),
    "fork": (57, None),
    "vfork": (58, None),
    "kill": (62, 129),
    "tkill": (200, 130),
    "pidfd_send_signal": (424, 424),
}
_WRITING: dict[str, tuple[int | None, int | None]] = {
    "creat": (85, None),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
}
_OPEN, _OPENAT, _OPENAT2 = (2, None), (257, 56), (437, 437)
_CLONE, _CLONE3 = (56, 220), (435, 435)


@dataclass(frozen=True, slots=True)
class LockedDown:
    """What holds in a process after `lock_down`: `filtered`, system calls are filtered; else `why` not."""

    filtered: bool
    why: str = ""


def lock_down(*, accepts: bool, starts: bool, writes: bool) -> LockedDown:
    """Give up, for this process and all it starts: core dumps, being read by others, privileges, network, programs.

    Afterwards the kernel refuses (EPERM) to make, bind or connect a socket, to start a program, to look into another
    process, and more (`_NEVER`). Sockets that are open stay open. `accepts`: may still accept connections. `starts`:
    may still start processes of the same program, talk with them and signal them. `writes`: may still change files.
    Where the kernel knows no filters, or the machine is unknown, the rest still holds, and the answer says why. Calls
    add up: nothing comes back. Not done: a filter of what is read.
    """
    give_up_privileges()
    machine = platform.machine()
    if machine not in MACHINES:
        return LockedDown(False, f"no filter of system calls is known for {machine}")
    why = install(list(_assembled(machine, accepts=accepts, starts=starts, writes=writes)), machine)
    return LockedDown(not why, why)


def give_up_privileges() -> None:
    """No core dumps, no reading of this process's memory by others of its user, no new privileges. Raises OSError."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl was refused")


def end_with_parent(signal: int, *, parent: int) -> None:
    """Have the kernel send this process `signal` when the thread that started it ends; at once if `parent` did."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal)


def is_dumpable() -> bool:
    """Whether a process of the same user could read this one's memory."""
    return bool(ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0))


def _assembled(machine: str, *, accepts: bool, starts: bool, writes: bool) -> Iterator[bytes]:
    """The filter's instructions, each eight bytes."""
    column, _ = MACHINES[machine]

    def numbers(calls: dict[str, tuple[int | None, int | None]]) -> Iterator[int]:
        yield from (pair[column] for pair in calls.values() if pair[column] is not None)  # type: ignore[misc]

    yield from beginning(machine, foreign=REFUSE)
    refused = [*numbers(_NEVER)]
    refused += [] if accepts else numbers(_ACCEPTING)
    refused += [] if starts else numbers(_STARTING)
    refused += [] if writes else numbers(_WRITING)
    for number in refused:
        yield from when(number, REFUSE)
    # A pointer hides its flags, so glibc is sent back to `clone` and `openat`, whose flags can be seen.
    yield from when(_CLONE3[column], UNKNOWN)
    yield from when_flags(_CLONE[column], 0, _NEW_SPACES, REFUSE)
    if not starts:
        yield from when_flags(_CLONE[column], 0, _AS_THREAD, REFUSE, wanted=True)
    if not writes:
        yield from when(_OPENAT2[column], UNKNOWN)
        yield from when_flags(_OPENAT[column], 2, _WRITES, REFUSE)
        if _OPEN[column] is not None:
            yield from when_flags(_OPEN[column], 1, _WRITES, REFUSE)
    yield end(ALLOW)
