"""A proxy between the desk and PostgreSQL that a test makes cut, stall, slow down or half-close what goes through."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path


class Fault(StrEnum):
    """What the proxy does to what goes through."""

    NONE = "none"
    CUT = "cut"
    STALL = "stall"
    SLOW = "slow"
    HALF_CLOSE = "half-close"


class FaultProxy:
    """Listens on a TCP port of loopback, for a server on a Unix socket."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.fault, self.carried = Fault.NONE, 0
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def doing(self, fault: Fault) -> Iterator[None]:
        """Do this to every connection, old and new, until the block ends."""
        self.fault = fault
        with self._lock:
            pairs = list(self._pairs)
        for client, server in pairs:
            with contextlib.suppress(OSError):
                if fault is Fault.CUT:
                    client.shutdown(socket.SHUT_RDWR)
                    server.shutdown(socket.SHUT_RDWR)
                elif fault is Fault.HALF_CLOSE:
                    client.shutdown(socket.SHUT_WR)  # the client reads an end; the server knows of nothing
        try:
            yield
        finally:
            self.fault = Fault.NONE
            if fault is Fault.HALF_CLOSE:
                for client, server in pairs:
                    with contextlib.suppress(OSError):
                        server.shutdown(socket.SHUT_RDWR)
                        client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.fault is Fault.CUT:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._server))
            except OSError:
                client.close()
                server.close()
                continue
            pair = (client, server)
            with self._lock:
                self._pairs.add(pair)
            ended = threading.Semaphore(0)
            for reading, writing in (pair, pair[::-1]):
                threading.Thread(target=self._carry, args=(reading, writing, ended), daemon=True).start()
            threading.Thread(target=self._end, args=(pair, ended), daemon=True).start()

    def _carry(self, reading: socket.socket, writing: socket.socket, ended: threading.Semaphore) -> None:
        with contextlib.suppress(OSError):
            while piece := reading.recv(1 << 16):
                while self.fault is Fault.STALL:
                    time.sleep(0.01)
                if self.fault is Fault.SLOW:
                    time.sleep(0.1)
                writing.sendall(piece)
                self.carried += len(piece)
        with contextlib.suppress(OSError):
            writing.shutdown(socket.SHUT_WR)
        ended.release()

    def _end(self, pair: tuple[socket.socket, socket.socket], ended: threading.Semaphore) -> None:
        ended.acquire()
        ended.acquire()
        for each in pair:
            each.close()
        with self._lock:
            self._pairs.discard(pair)
