"""The members of an archive, unpacked by a process that is closed off and can hand nothing over but them."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from threading import Event, Thread
from typing import Any

from havenline.media import archives
from havenline.media.containers import Unpacking
from havenline.media.postings import ContainerLimits, Posting, RefusedPosting, open_descriptor, shown
from havenline.scan_workers import CloseOff, get_ready
from havenline.vocabulary import Refusal, Refused

_FELL = Refused(Refusal.ARCHIVE_BROKEN, "the archive ended the process that unpacked it; what came before was read")
_LONGEST_HEAD = 1 << 20


def unpacked_by(close_off: CloseOff, *, seconds: float) -> Unpacking:
    """Unpacking in a process that `close_off` closes off; one member may take `seconds`.

    Where it falls, is late, or says what none says, the archive as a whole is refused and what came before stands.
    """
    return partial(_members, close_off, seconds)


def _members(
    close_off: CloseOff, seconds: float, source: Path, kind: str, limits: ContainerLimits
) -> Iterator[Posting | RefusedPosting]:
    whole = shown(os.fsencode(source.name))
    get_ready(close_off.__module__)
    context: Any = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process: BaseProcess = context.Process(target=_unpack, args=(theirs, close_off, whole, kind, limits), daemon=True)
    process.start()
    theirs.close()
    watch = _Watch(process, seconds)
    told: set[str] = set()
    try:
        descriptor = open_descriptor(source)
        send_handle(ours, descriptor, process.pid)
        os.close(descriptor)
        while True:
            watch.begin()
            found = _received(ours, limits)
            watch.end()
            if found is None:
                return
            # Names are unique from there on, or the process is no longer ours.
            if found.path in told or len(told) > limits.max_members + 1:
                raise ValueError
            told.add(found.path)
            yield found
    except (EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        yield RefusedPosting(whole if whole not in told else f"{whole} (fallen)", _FELL)
    finally:
        watch.close()
        ours.close()
        process.kill()
        process.join()
        process.close()


def _received(pipe: Connection, limits: ContainerLimits) -> Posting | RefusedPosting | None:
    """The next member, or None after the last. Raises ValueError and others for what is none."""
    said = json.loads(pipe.recv_bytes(_LONGEST_HEAD))
    if said is None:
        return None
    path = said["path"]
    if not isinstance(path, str) or shown(path.encode("utf-8", "surrogatepass")) != path:
        raise ValueError("no path of a posting")
    if "reason" in said:
        return RefusedPosting(path, Refused(Refusal(said["reason"]), str(said["detail"])[:300]))
    content = pipe.recv_bytes(limits.max_member_bytes)
    return Posting(path, len(content), content=content)


class _Watch:
    """Kills a process that stays at one member for too long, also in the midst of a message."""

    def __init__(self, process: BaseProcess, seconds: float) -> None:
        self._process, self._seconds = process, seconds
        self._since: float | None = None
        self._ended = Event()
        Thread(target=self._run, daemon=True).start()

    def begin(self) -> None:
        self._since = time.monotonic()

    def end(self) -> None:
        self._since = None

    def close(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(1.0):
            since = self._since
            if since is not None and time.monotonic() > since + self._seconds:
                with suppress(OSError, ValueError):  # it may be gone already
                    self._process.kill()


def _unpack(pipe: Connection, close_off: CloseOff, whole: str, kind: str, limits: ContainerLimits) -> None:
    """The life of the process that unpacks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    close_off(pipe.fileno())
    # The caller may be gone by the time there is something to say.
    with suppress(OSError), os.fdopen(recv_handle(pipe), "rb") as stream:
        for each in archives.members_of(stream, whole, kind, limits):
            if isinstance(each, RefusedPosting):
                said = {"path": each.path, "reason": each.refused.reason.value, "detail": each.refused.detail}
                pipe.send_bytes(json.dumps(said).encode())
            else:
                pipe.send_bytes(json.dumps({"path": each.path}).encode())
                pipe.send_bytes(each.content or b"")
        pipe.send_bytes(b"null")
