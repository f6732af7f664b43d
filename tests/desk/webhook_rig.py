"""A real server that receives webhooks and does what a test tells it; plainly or by TLS."""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass
class Receiver:
    """What arrived. `answers`: statuses of the answers to come, then 200; `first` runs before each is given."""

    answers: list[int] = field(default_factory=list)
    first: Callable[[], object] = lambda: None
    got: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)
    address: str = ""

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for _, headers in self.got]


@contextmanager
def receiving(*, certificate: Path | None = None) -> Iterator[Receiver]:
    made = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append((body, {name.lower(): value for name, value in self.headers.items()}))
            made.first()
            status = made.answers.pop(0) if made.answers else 200
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{made.address}elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a sender that hangs up is what some tests are about

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made.address = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certificate(path: Path, *, name: str = "127.0.0.1") -> Path:
    """A certificate of its own for a number, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2120, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    whole = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(whole + made.public_bytes(serialization.Encoding.PEM))
    return path
