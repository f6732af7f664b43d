"""The time that `keyd` goes by: it never goes back, and setting the machine's clock does not move it.

Between two starts of the machine only the seconds since the start count (CLOCK_BOOTTIME, which goes on in sleep and
which nobody can set). The clock on the wall is read once after each start, and only to go forward from the last entry
of the log.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Clocks:
    """One look at the machine's clocks: which start of the machine, microseconds since it, microseconds UTC."""

    boot: str
    since_boot: int
    wall: int


def read_clocks() -> Clocks:
    """Look at the clocks of this machine."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    since = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    return Clocks(boot, since, time.time_ns() // 1000)
