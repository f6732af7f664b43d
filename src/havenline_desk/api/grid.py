"""When an answer goes out: at the next step of a grid after its question came, whatever was found.

How long looking took would otherwise tell whether something was found.
"""

from __future__ import annotations

import time

STEP_NS = 50_000_000
"""50 ms."""


def released_at(asked: int, ready: int, *, step: int = STEP_NS) -> int:
    """When what was asked at `asked` and is ready at `ready` goes out; nanoseconds of one clock.

    A whole number of steps after `asked`, one at least, and never before `ready`. `step` 0: at once.
    """
    if step == 0:
        return ready
    return asked + max(1, -((asked - ready) // step)) * step


def wait_for_it(asked: int, *, step: int = STEP_NS) -> None:
    """Sleep until the answer to what was asked at `asked` (`time.monotonic_ns`) may go out."""
    now = time.monotonic_ns()
    until = released_at(asked, now, step=step)
    if until > now:
        time.sleep((until - now) / 1e9)
