"""`matchd` as it is, but that it may write: so that its processes can tell which branches they passed through.

Only `./dev coverage` starts it so; `test_matchd.py` sees elsewhere that the real one is closed.
"""

from __future__ import annotations

import os
import sys

import coverage

from havenline_cli.main import main
from havenline_guard import matchd
from havenline_guard.lockdown import LockedDown

leave = os._exit


def _leave_told(code: int) -> None:
    """A process that ends without Python's own end tells what it passed through first."""
    measured = coverage.Coverage.current()
    if measured is not None:
        measured.stop()
        measured.save()
    leave(code)


def _stay_open(**_: bool) -> LockedDown:
    return LockedDown(False, "what it passes through is measured")


os._exit = _leave_told  # type: ignore[assignment]
matchd.lock_down = _stay_open  # type: ignore[assignment]
sys.argv[0] = "havenline"
main()
