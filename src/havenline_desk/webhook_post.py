"""Sign an event and send it to the one address that a person configured, by the form of Standard Webhooks.

The address is looked at twice: when it is configured and when it is connected to, by the very number that is then
connected to. No redirect is followed, no proxy of the environment is used, and of an answer only the status is read.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from urllib.parse import SplitResult, urlsplit

from havenline.vocabulary import HavenlineError

from .models import WebhookResult

SECRET_BEGINS = "whsec_"  # noqa: S105 - what every secret begins with
LONGEST_ADDRESS = 500
SECONDS = 15.0
"""For one attempt, from the first question for the number of a name to the status of the answer."""
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")

Resolve = Callable[[str, int], Sequence[str]]
"""The numbers of a name. Raises OSError."""


class AddressRefused(HavenlineError):
    """No webhook is sent there; the text says why."""


@dataclass(frozen=True, slots=True)
class Destination:
    """`of_house`: a program of this house, which may listen on loopback; else only public addresses are good."""

    address: str
    of_house: bool


def numbers_of(host: str, port: int) -> Sequence[str]:
    """By the system's resolver."""
    return [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def check_address(to: Destination, *, resolve: Resolve = numbers_of) -> None:
    """Raise AddressRefused where nothing could ever be sent there."""
    parts = _parts(to)
    try:
        numbers = resolve(str(parts.hostname), _port(parts))
    except OSError:
        raise AddressRefused(f"{parts.hostname} is no name that can be found; nothing was made") from None
    _checked(numbers, to)


def signature(secrets: Sequence[str], *, message: str, second: int, body: bytes) -> str:
    """The value of `webhook-signature`: one for each secret, the newest first. Raises ValueError for no secret."""
    signed = f"{message}.{second}.".encode() + body
    made = []
    for secret in secrets:
        try:
            key = base64.b64decode(secret.removeprefix(SECRET_BEGINS), validate=True)
        except binascii.Error:
            raise ValueError("this is no secret of a webhook") from None
        made.append("v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode())
    return " ".join(made)


def post(
    to: Destination,
    body: bytes,
    *,
    message: str,
    second: int,
    secrets: Sequence[str],
    resolve: Resolve = numbers_of,
    seconds: float = SECONDS,
) -> tuple[WebhookResult, int | None]:
    """Send it once; how that went, and the status of the answer."""
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "havenline",
        "webhook-id": message,
        "webhook-timestamp": str(second),
        "webhook-signature": signature(secrets, message=message, second=second, body=body),
    }
    try:
        parts = _parts(to)
        number = _checked(resolve(str(parts.hostname), _port(parts)), to)
        status = _status(parts, number, body, headers, seconds=seconds)
    except AddressRefused:
        return WebhookResult.ADDRESS, None
    except ssl.SSLCertVerificationError:
        return WebhookResult.CERTIFICATE, None
    except TimeoutError:
        return WebhookResult.SLOW, None
    except (OSError, HTTPException):
        return WebhookResult.UNREACHABLE, None
    if 200 <= status < 300:
        return WebhookResult.DELIVERED, status
    return (WebhookResult.REDIRECT if 300 <= status < 400 else WebhookResult.STATUS), status


class _ToNumber(HTTPConnection):
    """Connects to the number that was looked at, and to no other that the name may have by then."""

    def __init__(self, parts: SplitResult, number: str, *, seconds: float) -> None:
        super().__init__(str(parts.hostname), _port(parts), timeout=seconds)
        self.default_port = 443 if parts.scheme == "https" else 80  # or the header Host would name it
        self._tls, self._number, self._name = parts.scheme == "https", number, str(parts.hostname)

    def connect(self) -> None:
        self.sock = socket.create_connection((self._number, self.port), self.timeout)
        if self._tls:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self._name)


def _status(parts: SplitResult, number: str, body: bytes, headers: dict[str, str], *, seconds: float) -> int:
    connection = _ToNumber(parts, number, seconds=seconds)
    over = threading.Event()

    def cut() -> None:
        over.set()
        if connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    # The limit of a socket is for one piece; who sends a byte now and then would hold us for hours.
    watch = threading.Timer(seconds, cut)
    watch.start()
    try:
        connection.request("POST", parts.path or "/", body, headers)
        return connection.getresponse().status
    except (OSError, HTTPException):
        if over.is_set():
            raise TimeoutError from None
        raise
    finally:
        watch.cancel()
        connection.close()


def _parts(to: Destination) -> SplitResult:
    try:
        parts = urlsplit(to.address)
        port = parts.port
    except ValueError:
        raise AddressRefused("this is no address; nothing was made") from None
    strange = any(not 32 < ord(each) < 127 for each in to.address)
    if strange or len(to.address) > LONGEST_ADDRESS or not parts.hostname or port == 0:
        raise AddressRefused("this is no address; nothing was made")
    if parts.username is not None or parts.password is not None or parts.fragment or parts.query:
        raise AddressRefused("an address has a host and a path alone: what is secret stands in no address")
    on_loopback = to.of_house and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and on_loopback):
        raise AddressRefused("an address begins with https://; nothing was made")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _checked(numbers: Sequence[str], to: Destination) -> str:
    """The first of the numbers, where every one is good. Raises AddressRefused."""
    if not numbers or not all(_good(number, of_house=to.of_house) for number in numbers):
        raise AddressRefused("its name leads into a private network; nothing is sent there")
    return numbers[0]


def _good(number: str, *, of_house: bool) -> bool:
    try:
        address = ipaddress.ip_address(number)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        # A number within a number: who wraps a private one gets no further.
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address.sixtofour is not None or address.teredo is not None or address in _TRANSLATED:
            return False
    if address.is_loopback:
        return of_house
    return address.is_global and not address.is_multicast and not address.is_reserved
