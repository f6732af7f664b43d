"""How the desk's web server is run on loopback, and whether it answers."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from havenline.vocabulary import HavenlineError

LOOPBACK = "127.0.0.1"


class ServerError(HavenlineError):
    """The web server cannot be started; the text says why and what to do."""


def free_port(wanted: int, *, tries: int = 20) -> int:
    """The first port from `wanted` on that nobody listens on; 0 lets the system choose."""
    for port in range(wanted, wanted + tries) if wanted else (0,):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    raise ServerError(f"the ports {wanted} to {wanted + tries - 1} are all in use; name a free one with --port")


_WITH_ITS_PARENT = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGTERM); "
    "os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[2], sys.argv[2:])"
)


def ending_with_us(command: Sequence[str]) -> list[str]:
    """What to start so that `command` becomes a child which the kernel ends with this thread, however that ends.

    Where this process is gone before the kernel was asked, the command is never begun.
    """
    return [sys.executable, "-c", _WITH_ITS_PARENT, str(os.getpid()), *command]


def command(port: int) -> list[str]:
    """What runs the web server."""
    return _granian("--host", LOOPBACK, "--port", str(port), *_FEW, "havenline_desk.sites.wsgi:application")


def match_api_command(listen: Sequence[str], *, workers: int, application: str) -> list[str]:
    """What runs the match service. Many threads: most of them wait for their answer's turn to go out."""
    return _granian(
        *(*listen, "--http", "1", "--workers", str(workers), "--blocking-threads", "64"),
        *("--workers-kill-timeout", "15", "--respawn-failed-workers", application),
    )


def feed_command(host: str, port: int, *, certificate: Path | None, private_key: Path | None) -> list[str]:
    """What serves the feed in NCMEC's form. No request is logged, whatever the environment asks of the server."""
    tls: list[str] = []
    if certificate is not None and private_key is not None:
        tls = ["--ssl-certificate", str(certificate), "--ssl-keyfile", str(private_key), "--ssl-protocol-min", "tls1.2"]
    return _granian(
        *("--host", host, "--port", str(port), "--no-access-log", *tls, *_FEW),
        "havenline_desk.sites.feed_wsgi:application",
    )


_FEW = ("--workers", "1", "--blocking-threads", str(max(2, os.cpu_count() or 1)), "--workers-kill-timeout", "3")


def _granian(*arguments: str) -> list[str]:
    fixed = (sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws", "--log-level", "warning")
    return [*fixed, *arguments]


def run(command: Sequence[str], *, more: Mapping[str, str] = MappingProxyType({})) -> int:
    """Run a server until it ends, without the way in of the tables' owner; gives its exit code, 0 where this process
    was told to end it. `more`: further variables of its environment."""
    # What it says goes with the log: standard output belongs to the command that started it.
    with subprocess.Popen(ending_with_us(command), env={**environ(), **more}, stdout=2) as running:  # noqa: S603 - our own command
        try:
            return running.wait()
        except KeyboardInterrupt:
            running.terminate()
            running.wait()
            return 0


def environ() -> dict[str, str]:
    """The environment without the way in of the tables' owner."""
    return {name: value for name, value in os.environ.items() if name != "HAVENLINE_OWNER_URL"}


def answers(port: int) -> bool:
    """Whether the desk on that port says that it is ready."""
    return _asked(port, timeout=2) == http.HTTPStatus.OK


def responds(port: int) -> bool:
    """Whether the desk on that port says anything at all, be it that it is not ready."""
    return _asked(port, timeout=15) is not None


def _asked(port: int, *, timeout: float) -> int | None:
    asking = http.client.HTTPConnection(LOOPBACK, port, timeout=timeout)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(asking) as connection:
        connection.request("GET", "/ready")
        return connection.getresponse().status
    return None
