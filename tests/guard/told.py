"""Closed processes tell which branches they passed through, over a socket that was open before they closed themselves.

Only `./dev coverage` starts them so. Nothing of how they close themselves is changed, but that this one descriptor is
kept too; a listener that nothing closes writes down what it is told. Run as a program, this is `havenline`.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from array import array
from collections.abc import Callable
from fcntl import F_DUPFD_CLOEXEC, fcntl
from typing import Any

import coverage

from havenline_guard import decoder_zygote, sandbox

MEASURED = "COVERAGE_RUN" in os.environ
HAVENLINE = [sys.executable, *([__file__] if MEASURED else ["-c", "from havenline_cli.main import main; main()"])]
"""How tests start the command line."""
_HIGH = 200
"""Above the descriptors that probes of closed processes look for."""
leave, close_others = os._exit, sandbox._close_others


def begin() -> None:
    """From here on this process, and all that it forks, tell what they passed through when they end by `os._exit`."""
    measured = coverage.Coverage.current()
    if measured is None:
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # Not a child of this process, for tests count its children; nor of its group, which tests kill.
    first = os.fork()
    if not first:
        ours.close()
        os.setsid()
        if not os.fork():
            _listen(theirs, os.path.abspath(measured.config.data_file))  # noqa: PTH100
        leave(0)
    os.waitpid(first, 0)
    theirs.close()
    telling = fcntl(ours.fileno(), F_DUPFD_CLOEXEC, _HIGH)
    ours.close()

    def tell() -> None:
        collector: Any = measured._collector
        for name, passed in dict(collector.data).items():
            os.write(telling, name.encode() + b"\0" + array("Q", passed).tobytes())

    def leave_told(code: int) -> None:
        tell()
        leave(code)

    reap = decoder_zygote._Zygote._reap

    def reap_told(zygote: decoder_zygote._Zygote) -> None:
        reap(zygote)
        tell()

    os._exit = leave_told  # type: ignore[assignment]
    sandbox._close_others = lambda keep: close_others({*keep, telling})
    # A zygote is ended by kill -9, which tells nothing.
    decoder_zygote._Zygote._reap = reap_told  # type: ignore[method-assign]


def run(work: Callable[[], object]) -> None:
    """Do it, then tell and end: Python's own end would have to write a file."""
    code: Any = 0
    try:
        work()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _listen(told: socket.socket, file: str) -> None:
    """Gather until all who tell have ended, then write what `coverage combine` reads."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    passed: dict[str, set[int]] = {}
    while said := told.recv(1 << 20):
        name, _, packed = said.partition(b"\0")
        lines = array("Q")
        lines.frombytes(packed)
        passed.setdefault(name.decode(), set()).update(lines)
    data = coverage.CoverageData(file, suffix=f"told.{os.getpid()}.{os.urandom(4).hex()}")
    data.add_arcs({name: [_pair(each) for each in lines] for name, lines in passed.items()})
    data.write()


def _pair(packed: int) -> tuple[int, int]:
    """Two numbers of lines, as coverage's tracer packs them into one."""
    first, then = packed & 0xFFFFFFF, packed >> 28 & 0xFFFFFFF
    return (-first if packed >> 56 & 1 else first), (-then if packed >> 57 & 1 else then)


if __name__ == "__main__":
    from havenline_cli.main import main

    sys.argv[0] = "havenline"
    begin()
    run(main)
