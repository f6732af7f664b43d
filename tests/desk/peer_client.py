"""Meta's `threatexchange`, unmodified, in namespaces of its own where NCMEC's test host is this machine.

Nothing outside is asked: the network namespace has a loopback and nothing else, which a Unix socket leads out of.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LIBRARIES = Path(__file__).parents[2] / ".tools" / "peers"
HOST = "exttest.cybertip.org"
_INSIDE = """
set -e
ip link set lo up
rm -f "$PLACE/listening"
mount --bind "$PLACE/hosts" /etc/hosts
"$PYTHON" "$FORWARD" listen 127.0.0.1 443 "$PLACE/way-out" &
forwards=$!
trap 'kill $forwards' EXIT
for _ in $(seq 300); do [ -e "$PLACE/listening" ] && break; sleep 0.1; done
"$PYTHON" -c 'from threatexchange.cli.main import main; main()' "$@"
"""


def namespaces_allowed() -> bool:
    """Whether this kernel lets this user have user, mount and network namespaces."""
    asked = ["unshare", "--user", "--map-root-user", "--mount", "--net", "true"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def certificates(place: Path) -> None:
    """A certification authority of this test alone, `ca.pem`, and the host's certificate and key under it."""
    now = dt.datetime.now(dt.UTC)

    def made(name: str, key: ec.EllipticCurvePrivateKey, above: x509.Name, by: ec.EllipticCurvePrivateKey) -> bytes:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        root = by is key
        known = x509.SubjectAlternativeName([x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        return (
            x509.CertificateBuilder(above, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
            .add_extension(known, critical=False)
            .sign(by, hashes.SHA256())
            .public_bytes(Encoding.PEM)
        )

    above, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
    (place / "ca.pem").write_bytes(made("authority of a test", above, authority, above))
    (place / "host.pem").write_bytes(made(HOST, own, authority, above))
    (place / "host.key").write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


class PeerClient:
    """The client with a state of its own in `place`, whose path is short. `port`: where NCMEC's host is to lead."""

    def __init__(self, place: Path, port: int) -> None:
        assert LIBRARIES.is_dir(), "threatexchange is not installed: run the tests by ./dev test"
        self._place = place
        (place / "hosts").write_text(f"127.0.0.1 localhost {HOST}\n")
        self._way_out = subprocess.Popen([sys.executable, __file__, "lead", str(place / "way-out"), str(port)])

    def close(self) -> None:
        """Nothing leads out any more."""
        self._way_out.kill()
        self._way_out.wait()

    def run(self, *arguments: str, credentials: str, zone: str = "UTC") -> str:
        """What one command of the client prints. Raises AssertionError with what it says where it fails."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._place),
            "PYTHONPATH": str(LIBRARIES),
            "TX_STATEDIR": str(self._place / "state"),
            "TX_NCMEC_CREDENTIALS": credentials,
            "REQUESTS_CA_BUNDLE": str(self._place / "ca.pem"),
            "PLACE": str(self._place),
            "PYTHON": sys.executable,
            "FORWARD": __file__,
            "TZ": zone,
        }
        asked = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-c", _INSIDE, "sh", *arguments]
        done = subprocess.run(asked, env=environ, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout} {done.stderr}"
        return done.stdout


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _forward(listening: socket.socket, onward: tuple[int, object]) -> None:
    while True:
        caller, _ = listening.accept()
        called = socket.socket(onward[0])
        called.connect(onward[1])  # type: ignore[arg-type]
        for pair in ((caller, called), (called, caller)):
            threading.Thread(target=_pump, args=pair, daemon=True).start()


def _main(arguments: list[str]) -> None:
    """`lead SOCKET PORT`: from a Unix socket to a port. `listen HOST PORT SOCKET`: from a port to the socket."""
    if arguments[0] == "lead":
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(arguments[1])
        listening.listen()
        _forward(listening, (socket.AF_INET, ("127.0.0.1", int(arguments[2]))))
    listening = socket.create_server((arguments[1], int(arguments[2])))
    Path(arguments[3]).with_name("listening").touch()
    _forward(listening, (socket.AF_UNIX, arguments[3]))


if __name__ == "__main__":
    _main(sys.argv[1:])
