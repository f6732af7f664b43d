"""An S3 server as a process of its own, and what the tests do to it behind the store's back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

LIBRARIES = Path(__file__).parents[2] / ".tools" / "s3-server"
BUCKET = "drawn-shapes"
_UNCHECKED = "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


class S3Server:
    """moto at a port of its own; it forgets everything when it is stopped."""

    def __init__(self, folder: Path) -> None:
        assert LIBRARIES.is_dir(), "the S3 server of the tests is not installed: run the tests by ./dev test"
        self._log = folder / "s3.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                env={**os.environ, "PYTHONPATH": str(LIBRARIES)},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.ask("PUT", f"/{BUCKET}")
                return
            except OSError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.05)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(30)

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """One request, behind the store's back; moto checks no signature. Raises OSError."""
        headers = {"Content-Type": "application/octet-stream", "Authorization": _UNCHECKED}
        request = urllib.request.Request(f"{self.endpoint}{path}", data=body, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            read: bytes = answer.read()
        return read
