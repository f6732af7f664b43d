"""What a file that took its process over would try. Each probe returns when it was refused, or raises `Escaped`.

All is looked up before the process is closed off: afterwards nothing can be loaded.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import platform
import resource
import socket
from collections.abc import Callable
from pathlib import Path

from havenline.vocabulary import Fingerprint, Refusal, Refused

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYSCALL = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long
_MMAP = _LIBC.mmap
_MMAP.restype = ctypes.c_void_p
_MMAP.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_FAILED = ctypes.c_void_p(-1).value
_PARENT = os.getpid()
ESCAPED = Path(__file__).with_name("escaped")
"""Beside the tests, so that a changed copy of the tree (`./dev mutate`) leaves its own alone."""
_X86 = platform.machine() == "x86_64"


class Escaped(Exception):
    """The process did what it must not be able to do."""


def call(number: int, *arguments: object) -> None:
    """A system call by its number on x86-64; done is an escape."""
    if not _X86:
        raise NotImplementedError("numbers of system calls are those of x86-64")
    if _SYSCALL(number, *arguments) >= 0:
        raise Escaped


def refused(work: Callable[[], object]) -> None:
    try:
        work()
    except (OSError, ValueError, MemoryError):
        return
    raise Escaped


def fork() -> None:
    if not os.fork():
        os._exit(0)
    raise Escaped


def kill_parent() -> None:
    os.kill(os.getppid() or _PARENT, 0)
    raise Escaped


def spin() -> None:
    while True:
        pass


def four_gibibytes() -> None:
    refused(lambda: bytearray(4 << 30))


def executable_memory() -> None:
    if _MMAP(None, 4096, mmap.PROT_READ | 4, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0) != _FAILED:
        raise Escaped


def made_executable() -> None:
    page = _MMAP(None, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if _LIBC.mprotect(ctypes.c_void_p(page), 4096, 5) == 0:
        raise Escaped


PROBES: dict[str, Callable[[], None]] = {
    "open": lambda: refused(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "open own memory": lambda: refused(lambda: os.open("/proc/self/mem", os.O_RDWR)),
    "write a file": lambda: refused(lambda: os.open(ESCAPED, os.O_WRONLY | os.O_CREAT)),
    "stat": lambda: refused(lambda: os.stat("/etc/passwd")),  # noqa: PTH116
    "list": lambda: refused(lambda: os.listdir("/")),  # noqa: PTH208
    "socket inet": lambda: refused(lambda: socket.socket(socket.AF_INET)),
    "socket unix": lambda: refused(lambda: socket.socket(socket.AF_UNIX)),
    "connect": lambda: call(42, 0, None, 0),
    "bind": lambda: call(49, 0, None, 0),
    "sendmsg": lambda: call(46, 0, None, 0),
    "fork": fork,
    "vfork": lambda: call(58),
    "exec": lambda: refused(lambda: os.execv("/bin/true", ["true"])),
    "execveat": lambda: call(322, 0, b"", None, None, 0x1000),
    "ptrace": lambda: call(101, 16, _PARENT, None, None),
    "process_vm_readv": lambda: call(310, _PARENT, None, 0, None, 0, 0),
    "keyctl": lambda: call(250, 0, -3, 1),
    "unshare user": lambda: call(272, 0x10000000),
    "clone into a user space": lambda: call(56, 0x10000000 | 17, None, None, None, None),
    "io_uring": lambda: call(425, 8, ctypes.create_string_buffer(256)),
    "bpf": lambda: call(321, 0, None, 0),
    "memfd": lambda: call(319, b"x", 0),
    "kill parent": kill_parent,
    "kill all": lambda: call(62, -1, 0),
    "pidfd of parent": lambda: call(434, _PARENT, 0),
    "raise the limits": lambda: refused(lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1))),
    "be dumpable": lambda: call(157, 4, 1, 0, 0, 0),
    "another numbering": lambda: call(0x40000000 | 2, b"/etc/passwd", 0),
    "executable memory": executable_memory,
    "memory made executable": made_executable,
    "four gibibytes": four_gibibytes,
    "segfault": lambda: ctypes.memset(8, 1, 1) and None,
    "abort": os.abort,
}


def attempt(content: bytes) -> Fingerprint:
    """A fingerprint by digests alone, after the probe that the content names; told is how it went."""
    name, how = content.decode(), "clean"
    if name == "spin":
        spin()
    if name in PROBES:
        try:
            PROBES[name]()
            how = "refused"
        except Escaped:
            how = "escaped"
        except NotImplementedError:
            how = "not tried"
    return Fingerprint(
        md5=hashlib.md5(content).hexdigest(),
        sha1=hashlib.sha1(content).hexdigest(),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        refusal=Refused(Refusal.UNKNOWN_KIND, how),
    )
