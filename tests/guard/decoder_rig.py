"""A `decoderd` in processes of its own; run as a program, one whose children try the probes that contents name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from havenline_guard import decoder_child
from havenline_guard import decoder_wire as wire
from havenline_guard.decoder_client import DecoderClient
from tests.guard.told import HAVENLINE

OPENING = [*HAVENLINE, "decoderd", "--socket"]
_NO_AV = "import sys; sys.modules['av'] = None; from havenline_cli.main import main; main()"
WITHOUT_FILMS = [sys.executable, "-c", _NO_AV, "decoderd", "--socket"]
PROBING = [sys.executable, "-m", "tests.guard.decoder_rig"]


class Rig:
    """One started server; `path` is short, for paths of sockets have at most 100 bytes."""

    def __init__(self, folder: Path, command: list[str], *options: str) -> None:
        self.path, self.log = folder / "s", folder / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*command, str(self.path), *options], stderr=log, start_new_session=True)
        self.client = DecoderClient(self.path)
        for _ in range(6000):
            if "answering on" in self.log.read_text():
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def zygote(self) -> int:
        (child,) = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(child)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


def probing(content: bytes, asked: decoder_child.Asked) -> bytes:
    """As `decoder_child.answer`, but a content that names a probe has it tried."""
    from tests.guard.closed_probes import PROBES, attempt

    name = content.decode("latin-1")
    if name in PROBES or name == "spin":
        refused = attempt(content).refusal
        assert refused is not None
        return wire.refusal(refused)
    if name == "sleep":
        time.sleep(3600)
    if name == "says too much":
        while True:
            os.write(_reply(), bytes(1 << 20))
    if name == "says half":
        return decoder_child.answer(b"", decoder_child.Asked(8, 8))[:-3]
    if name == "says other pixels":
        return wire.picture(
            wire.Decoded(8, 8, 1, 1, False, "image/png", "0" * 64, 0, "0" * 64, 0, 8, 8, bytes(3 * 8 * 7))
        )
    return decoder_child.answer(content, asked)


def _reply() -> int:
    """The highest of the child's descriptors that can be written to."""
    for each in range(15, 2, -1):
        try:
            if not os.write(each, b""):
                return each
        except OSError:
            continue
    raise AssertionError


if __name__ == "__main__":
    from havenline_guard.decoderd import Settings, serve
    from tests.guard import closed_probes, told

    assert closed_probes
    if told.MEASURED:
        told.begin()
    work = partial(
        serve,
        Settings(Path(sys.argv[1]), users=frozenset({os.geteuid()}), at_once=2, seconds=float(sys.argv[2])),
        say=lambda text: print(text, file=sys.stderr, flush=True),
        answering=probing,
    )
    told.run(work) if told.MEASURED else work()
