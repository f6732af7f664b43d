"""The `keyd` of one data folder on a machine of its own: made, started as a process of its own, or adopted.

Production runs `keyd` as a unit of its own under its own user and names its socket in HAVENLINE_KEYD; nothing here is
used then.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from havenline.vocabulary import HavenlineError
from havenline_guard.keyd_client import KeyClient, KeydUnreachable
from havenline_guard.keyd_wire import LONGEST_PATH, KeydRefused

from .folders import is_private, write
from .server import ending_with_us

_READY_WITHIN = 20.0
_CREDENTIALS = struct.Struct("3i")


class OwnKeydError(HavenlineError):
    """`keyd` could not be started; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class OwnKeyd:
    """The `keyd` whose files lie in `folder`; the passphrase lies beside them, for its owner alone."""

    folder: Path

    @property
    def passphrase(self) -> Path:
        return self.folder / "passphrase"

    @property
    def exists(self) -> bool:
        """Whether there are master keys."""
        return (self.folder / "master.keys").exists()

    @property
    def socket(self) -> Path:
        """Below the folder where its path is short enough for a socket, else in a folder that `create` chose."""
        record = self.folder / "socket_folder"
        return Path(record.read_text()) / "keyd" if record.exists() else self.folder / "keyd.socket"

    def create(self, *, owner: int) -> None:
        """Make the folder, a passphrase and master keys, where there are none."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if not is_private(self.folder, owner=owner):
            raise OwnKeydError(f"{self.folder} is open to others: `chmod 700` it")
        if self.exists:
            return
        if not self.passphrase.exists():
            write(self.passphrase, secrets.token_urlsafe(32).encode())
        if len(str(self.folder / "keyd.socket").encode()) > LONGEST_PATH:
            write(self.folder / "socket_folder", tempfile.mkdtemp(prefix="havenline-keyd-").encode())
        made = subprocess.run([*self._command("init")], capture_output=True, text=True, check=False)  # noqa: S603
        if made.returncode:
            raise OwnKeydError(made.stderr.strip() or "keyd could not make its keys")

    def start(self) -> subprocess.Popen[bytes] | None:
        """Start it and wait until it answers; None where one answers already. It ends with this process."""
        if self.answers():
            return None
        child = subprocess.Popen(  # noqa: S603 - our own arguments
            ending_with_us(self.command), start_new_session=True
        )
        deadline = time.monotonic() + _READY_WITHIN
        while time.monotonic() < deadline:
            if self.answers():
                return child
            if child.poll() is not None:
                raise OwnKeydError(f"keyd ended at once with code {child.returncode}; its reason stands above")
            time.sleep(0.02)
        stop(child)
        raise OwnKeydError(f"keyd did not answer on {self.socket} within {_READY_WITHIN:.0f} s")

    def answers(self) -> bool:
        """Whether a `keyd` answers on the socket."""
        with contextlib.suppress(KeydUnreachable, KeydRefused), KeyClient(self.socket, timeout=5.0) as client:
            client.status()
            return True
        return False

    def responds(self) -> bool:
        """Whether it says anything at all, be it a refusal."""
        try:
            with KeyClient(self.socket, timeout=15.0) as client:
                client.status()
        except KeydRefused:
            return True
        except KeydUnreachable:
            return False
        return True

    def pid(self) -> int | None:
        """The process number of whatever listens on the socket; None when nothing does."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(1.0)
            asking.connect(str(self.socket))
            return int(_CREDENTIALS.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
        return None

    @property
    def command(self) -> list[str]:
        """What runs it."""
        return [*self._command("serve"), "--quiet"]

    def _command(self, do: str) -> list[str]:
        files = ["--folder", str(self.folder), "--passphrase-file", str(self.passphrase)]
        return [sys.executable, "-m", "havenline_guard.keyd", do, *files, "--socket", str(self.socket)]


def stop(child: subprocess.Popen[bytes], *, timeout: float = 8.0) -> None:
    """Ask a child to end, and kill it where it does not within `timeout` seconds."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(timeout=timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
