"""What one key has asked: its quotas, and its values of the last day, in one mapped file that all servers share.

A file and not the database (docs/decisions/0026-match-api.md): it is read and written with each request. It holds
nothing that must survive but its own counts, and the values in it are blinded with a secret of the installation.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import hashlib
import hmac
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from havenline.matching.probes import ROOM, Codes, ProbeTable
from havenline.vocabulary import HavenlineError

_MAGIC = 0x4C564E48_31303030
_HEADER = 4096
_SIZE = _HEADER + ROOM * (32 + 8 + 1)
_MINUTE, _DAY = 60, 86_400
_FOLDER = "match-api"
NEAR = 0.8
"""The share of a day's quota from which on its owner and the liaison are told."""


class LedgerUnusable(HavenlineError):
    """The file of a key cannot be opened, so nothing is answered to that key; the text says why."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether so many items may be looked up now; else after how many seconds it may be tried again.

    `near`: most of the day's quota is used up, which is said once a day.
    """

    admitted: bool
    retry_after: int = 0
    near: bool = False


class Ledger:
    """The file of one key. Threads and processes take turns; counts hold across both, and across a restart.

    A minute and a day begin where those of UTC do. A clock that is set back leaves the later window in force.
    """

    def __init__(self, folder: Path, name: str, *, secret: bytes) -> None:
        """Open or make `folder`/match-api/`name`. Raises LedgerUnusable."""
        blind = hmac.new(secret, b"havenline match api " + name.encode(), hashlib.sha256).digest()
        self._blind = np.frombuffer(blind, np.uint64)
        self._lock = threading.Lock()
        path = folder / _FOLDER / name
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with self._alone():
                if os.fstat(self._descriptor).st_size != _SIZE:
                    os.ftruncate(self._descriptor, _SIZE)
                self._map = mmap.mmap(self._descriptor, _SIZE)
                header = np.frombuffer(self._map, np.int64, _HEADER // 8)
                if header[0] not in (0, _MAGIC):
                    raise LedgerUnusable(f"{path} is no file of the match service; move it away")
                header[0] = _MAGIC
        except OSError as error:
            raise LedgerUnusable(f"{path} cannot be used ({error.strerror})") from None
        self._windows, self._frozen, self._near_on = header[1:5], header[7:8], header[8:9]
        codes = np.frombuffer(self._map, np.uint64, ROOM * 4, _HEADER).reshape(ROOM, 4)
        seconds = np.frombuffer(self._map, np.int64, ROOM, _HEADER + ROOM * 32)
        close = np.frombuffer(self._map, np.uint8, ROOM, _HEADER + ROOM * 40)
        self._probes = ProbeTable(codes, seconds, close, header[5:7])

    @property
    def frozen(self) -> bool:
        """Whether probing was found; every server sees it at once."""
        return bool(self._frozen[0])

    def admit(self, items: int, *, per_minute: int, per_day: int, at: dt.datetime) -> Admission:
        """Count `items` against both quotas, or refuse them all and count none."""
        second = int(at.timestamp())
        with self._alone():
            for place, length in ((0, _MINUTE), (2, _DAY)):
                if second // length > self._windows[place]:
                    self._windows[place], self._windows[place + 1] = second // length, 0
            for place, length, most in ((2, _DAY, per_day), (0, _MINUTE, per_minute)):
                if self._windows[place + 1] + items > most:
                    near = place == 2 and self._said_near()
                    return Admission(False, max(1, int((self._windows[place] + 1) * length) - second), near)
            self._windows[1] += items
            self._windows[3] += items
            return Admission(True, near=self._windows[3] >= NEAR * per_day and self._said_near())

    def _said_near(self) -> bool:
        """True once a day."""
        before, self._near_on[0] = int(self._near_on[0]), self._windows[2]
        return before != int(self._windows[2])

    def probing(self, codes: Sequence[Codes] | Codes, *, limit: int, at: dt.datetime) -> bool:
        """Keep the PDQ values, uint64 (4,) each, unless the key is or gets frozen; whether it is."""
        second = int(at.timestamp())
        with self._alone():
            for code in codes:
                if not self._frozen[0] and self._probes.note(code ^ self._blind, second=second) >= limit:
                    self._frozen[0] = 1
            return bool(self._frozen[0])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
