"""Every query of the page "How the work stands" over a million items, against one plain count in SQL.

The rows are those of `bench/_full_desk.py` in a real PostgreSQL of our own: one investigation of which seven stacks in
ten wait and three in ten were assessed twice, all of it inside the days that the charts look at, which is the most that
they can have to read. Each chart is asked several times; told are the middle time, the longest, and the processor time
of the database's process without helpers, which a loaded machine hardly stretches. Asked are 300 ms for each. The peer
is the least that answers the question at all: `SELECT count(*)` over the table that the chart reads most of, in the
same database.

HAVENLINE_BENCH_ITEMS (1000000), _ROUNDS (7), _SEED (2026).
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _full_desk import fill, on_a_desk

ITEMS = int(os.environ.get("HAVENLINE_BENCH_ITEMS", "1000000"))
ROUNDS = int(os.environ.get("HAVENLINE_BENCH_ROUNDS", "7"))
SEED = int(os.environ.get("HAVENLINE_BENCH_SEED", "2026"))
ASKED = 300
"""Milliseconds that a query may take."""
READS = {
    "inflow": "desk_item",
    "backlog": "desk_assignment",
    "progress": "desk_item",
    "agreement": "desk_assessment",
    "time_to_outcome": "desk_outcome",
    "exposure": "desk_reveal",
}
"""The table that each chart reads most of; the list of hash lists has a row for each edition and no peer."""


def run(_wired: Any) -> int:
    from havenline_desk.models import Investigation, Person
    from havenline_desk.queries import dashboard

    at = dt.datetime.now(dt.UTC)
    print(f"machine: {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at start")
    began = time.monotonic()
    filled = fill(ITEMS, 6, 0, seed=SEED, at=at - dt.timedelta(days=10))
    print(
        f"{filled.postings:,} items in {filled.stacks:,} stacks, {filled.waiting:,} steps wait; filled in "
        f"{time.monotonic() - began:.0f} s; seed {SEED}"
    )
    investigation = Investigation.objects.get()
    reader = Person.objects.order_by("pk")[0]
    charts: dict[str, Callable[[], Any]] = {
        "inflow": lambda: dashboard.inflow(investigation, at=at),
        "backlog": lambda: dashboard.backlog(investigation, at=at),
        "progress": lambda: dashboard.progress(investigation),
        "agreement": lambda: dashboard.agreement(investigation, at=at),
        "time_to_outcome": lambda: dashboard.time_to_outcome(investigation),
        "lists": lambda: dashboard.list_freshness(at=at),
        "exposure": lambda: dashboard.team(seen_by=reader, at=at),
    }
    print(f"{'chart':<17}{'ms':>7}{'longest':>9}{'processor':>11}{'count(*)':>10}{'ratio':>7}")
    slow = []
    for name, chart in charts.items():
        taken = timed(chart)
        middle = statistics.median(taken)
        peer = statistics.median(timed(lambda table=READS[name]: counted(table))) if name in READS else None
        against = f"{peer:>10.0f}{middle / peer:>7.2f}" if peer else f"{'–':>10}{'–':>7}"
        print(f"{name:<17}{middle:>7.0f}{max(taken):>9.0f}{processor(chart):>11.0f}{against}")
        if middle > ASKED:
            slow.append(name)
    print(f"asked: {ASKED} ms each; {'MISSED by ' + ', '.join(slow) if slow else 'met'}")
    return 1 if slow else 0


def timed(asked: Callable[[], Any]) -> list[float]:
    """Milliseconds of each round; the first one, which warms what is cached, is not told."""
    taken = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        asked()
        taken.append((time.perf_counter() - began) * 1000)
    return taken[1:]


def processor(asked: Callable[[], Any]) -> float:
    """Milliseconds of processor time for one asking, of the one process of the database that answers here."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = int(cursor.fetchone()[0])
        cursor.execute("SET max_parallel_workers_per_gather = 0")

    def used() -> int:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(words[11]) + int(words[12])

    before = used()
    for _ in range(ROUNDS):
        asked()
    with connection.cursor() as cursor:
        cursor.execute("RESET max_parallel_workers_per_gather")
    return (used() - before) * 1000 / os.sysconf("SC_CLK_TCK") / ROUNDS


def counted(table: str) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    sys.exit(on_a_desk(run))
