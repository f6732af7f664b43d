"""The price of isolation: a picture opened by `decoderd` against the same work in this process, in interleaved rounds.

Both decode, hash by both of Meta's pipelines and shrink to 1024 pixels at most. Timed by `decoderd` is all that its
client waits for: sealing the content, the way there, the child's fork, its closing off, its work and the way back.
The middle of each and of their differences is printed; 35 ms more for a picture of 640 x 480 are allowed.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from havenline_guard import decoder_child
from havenline_guard.decoder_client import DecoderClient, DecoderdUnreachable
from havenline_guard.decoder_wire import Decoded

SIZES = ((640, 480), (2560, 1920), (6000, 4000))
ALLOWED = 35.0
DECODERD = [sys.executable, "-c", "from havenline_cli.main import main; main()", "decoderd", "--socket"]


def drawn(width: int, height: int) -> bytes:
    """A JPEG of soft noise."""
    chance = np.random.default_rng(7)
    noise = chance.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(out, "JPEG", quality=85)
    return out.getvalue()


def milliseconds(client: DecoderClient | None, content: bytes) -> float:
    """Of one picture: by `decoderd`, or in this process."""
    begun = time.perf_counter()
    if client is None:
        decoder_child.answer(content, decoder_child.Asked(1024, 1024))
    else:
        assert isinstance(client.decode(content, width=1024, height=1024), Decoded)
    return (time.perf_counter() - begun) * 1e3


def main() -> None:
    """Start, ask, compare, print; fails beyond what is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    decoder_child.warm()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        server = subprocess.Popen([*DECODERD, str(path)], stderr=subprocess.DEVNULL)
        try:
            client = DecoderClient(path)
            while True:
                try:
                    client.state()
                    break
                except DecoderdUnreachable:
                    time.sleep(0.1)
            print(f"machine: {platform.machine()}, {len(os.sched_getaffinity(0))} cores, {_processor()}")
            prices = []
            for size in SIZES:
                content = drawn(*size)
                pairs = [(milliseconds(None, content), milliseconds(client, content)) for _ in range(rounds)]
                inside, apart = (statistics.median(each) for each in zip(*pairs, strict=True))
                prices.append(statistics.median(other - own for own, other in pairs))
                print(
                    f"{size[0]} x {size[1]}: in process {inside:7.1f} ms, by decoderd {apart:7.1f} ms "
                    f"({apart / inside:5.2f}x), price {prices[-1]:5.1f} ms"
                )
            print(f"most resident memory of a child: {client.state()['most_kib'] / 1024:.0f} MiB")
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()
    if prices[0] > ALLOWED:
        sys.exit(f"a picture of 640 x 480 costs {prices[0]:.1f} ms more; {ALLOWED:g} are allowed")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
