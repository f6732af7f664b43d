"""The warm process of `decoderd` that forks a child for each file, and never looks at one itself."""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from typing import NoReturn

from havenline_guard.decoder_child import Answering, Asked, live
from havenline_guard.decoder_wire import Wanted
from havenline_guard.lockdown import end_with_parent, lock_down

JOB = struct.Struct("<QHHHHQ")
"""To the zygote: number of the job, what is wanted, width, height, number as in the question, bytes of content; with
the descriptors of content and reply. Nothing wanted: end the child of that job."""
ENDED = struct.Struct("<QiI")
"""From the zygote: number, wait status, greatest resident memory in KiB. Number 0: ready."""


def be_zygote(control: socket.socket, *, parent: int, warm: Callable[[], None], answering: Answering) -> NoReturn:
    """Warm up, then fork a child for each job that comes over `control`, until that is closed; never returns.

    It ends with `parent`, the process that started it.
    """
    code = 1
    try:
        end_with_parent(signal.SIGKILL, parent=parent)
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        warm()
        # Only now: loops that were never compiled on this machine are compiled, and kept in a folder.
        lock_down(accepts=False, starts=True, writes=False)
        _Zygote(control, answering).run()
        code = 0
    except BaseException:
        # It has not looked at any content, so nothing of one can stand in the traceback.
        traceback.print_exc(file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


class _Zygote:
    def __init__(self, control: socket.socket, answering: Answering) -> None:
        self._control, self._answering = control, answering
        self._children: dict[int, int] = {}
        """Numbers of jobs by the children that are at them."""
        self._wake, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        self._control.send(ENDED.pack(0, 0, 0))
        with DefaultSelector() as selector:
            selector.register(self._control, EVENT_READ)
            selector.register(self._wake, EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._control:
                        if not self._told():
                            return
                    else:
                        with suppress(BlockingIOError):
                            os.read(self._wake, 4096)
                self._reap()

    def _told(self) -> bool:
        """Do what the parent says; whether it is still there."""
        said, descriptors, _, _ = socket.recv_fds(self._control, JOB.size, 2)
        if not said:
            return False
        job, wanted, width, height, number, length = JOB.unpack(said)
        if not wanted:
            for pid, one in self._children.items():
                if one == job:
                    os.kill(pid, signal.SIGKILL)
            return True
        content, reply = descriptors
        zygote = os.getpid()
        pid = os.fork()
        if not pid:
            asked = Asked(width, height, number, Wanted(wanted))
            live(content, length, reply, parent=zygote, asked=asked, answering=self._answering)
        self._children[pid] = job
        os.close(content)
        os.close(reply)
        return True

    def _reap(self) -> None:
        while self._children:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if not pid:
                return
            self._control.send(ENDED.pack(self._children.pop(pid), status, used.ru_maxrss))
