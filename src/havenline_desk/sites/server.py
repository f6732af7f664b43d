"""Run the desk's web server on loopback and wait until it answers."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from havenline.vocabulary import HavenlineError

LOOPBACK = "127.0.0.1"


class ServerError(HavenlineError):
    """The web server could not be started; the text says why and what to do."""


def free_port(wanted: int, *, tries: int = 20) -> int:
    """The first port from `wanted` on that nobody listens on; 0 lets the system choose."""
    for port in range(wanted, wanted + tries) if wanted else (0,):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise ServerError(f"the ports {wanted} to {wanted + tries - 1} are all in use; name a free one with --port")


# Asks the kernel to end the server when this process is killed, and becomes the server.
ENDING_WITH_ITS_PARENT = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGTERM); os.execv(sys.argv[1], sys.argv[1:])"
)


@contextlib.contextmanager
def serving(port: int, *, timeout: float = 20.0) -> Iterator[subprocess.Popen[bytes]]:
    """Start the server as a child, without the way in of the tables' owner; it is stopped when the block ends."""
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--log-level", "warning"),
        *(
            "--host",
            LOOPBACK,
            "--port",
            str(port),
            "--workers",
            "1",
            "--blocking-threads",
            str(max(2, os.cpu_count() or 1)),
        ),
        *("--workers-kill-timeout", "3", "havenline_desk.sites.wsgi:application"),
    ]
    environ = {name: value for name, value in os.environ.items() if name != "HAVENLINE_OWNER_URL"}
    child = subprocess.Popen(  # noqa: S603 - our own arguments
        [sys.executable, "-c", ENDING_WITH_ITS_PARENT, *command], env=environ, start_new_session=True
    )
    try:
        _wait_until_ready(child, port, timeout)
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(timeout=8)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def _wait_until_ready(child: subprocess.Popen[bytes], port: int, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if child.poll() is not None:
            raise ServerError(f"the web server ended at once with code {child.returncode}; its reason stands above")
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
            connection.request("GET", "/ready")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.05)
    raise ServerError(f"the web server did not answer on {LOOPBACK}:{port} within {timeout:.0f} s")
