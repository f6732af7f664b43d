"""What the partners' simulators share: a real HTTP server on loopback, in a thread, that can be made to fail.

For tests and benchmarks alone. A simulator is written from the partner's documents, not from its client.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `query`: the last value of each name."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Given:
    """One answer. `cut`: so many bytes of the body are sent, and then the connection is closed."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


@dataclass(slots=True)
class Faults:
    """What goes wrong: each answer that is waiting here is given in place of a true one, the first first.

    None lets one true answer through. `cut_next` cuts one true answer short.
    """

    instead: deque[Given | None] = field(default_factory=deque)
    cut_next: int | None = None


@contextmanager
def served(answer: Callable[[Asked], Given], faults: Faults, *, at: str = "") -> Iterator[str]:
    """Serve on a free port of 127.0.0.1 while the block lasts; gives the base URL, which ends in the path `at`."""

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are written apart; without this each answer waits for the other side's delayed acknowledgement.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def do_PUT(self) -> None:
            self._serve()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(
                self.command,
                parts.path.removeprefix(at),
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                dict(self.headers),
                body,
            )
            given = faults.instead.popleft() if faults.instead else None
            if given is None:
                given = answer(asked) if parts.path.startswith(at) else Given(status=404)
                cut, faults.cut_next = faults.cut_next, None
                given = given if cut is None else Given(given.body, given.status, given.headers, cut)
            self.send_response_only(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(given.body)))
            self.end_headers()
            self.wfile.write(given.body[: given.cut])
            if given.cut is not None:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}{at}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
