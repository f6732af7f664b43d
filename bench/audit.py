"""The audit log: how fast entries are appended to a real PostgreSQL, sealed, exported and verified.

No peer does the same work; the rate of the same transactions without the log is printed beside it, from the same run.
`HAVENLINE_BENCH_ENTRIES` sets the size of the log that is verified (default one million).
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

SECONDS = 8.0
ROUNDS = 3
VERIFIED = int(os.environ.get("HAVENLINE_BENCH_ENTRIES", "1000000"))


def rate(act: Callable[[], object]) -> float:
    """Acts in a second of wall clock, one after another, each in a transaction of its own."""
    done, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < SECONDS:
        act()
        done += 1
    return done / spent


def main() -> None:
    from havenline_desk.sites.cluster import throwaway_folder
    from havenline_desk.sites.home import Home
    from havenline_desk.sites.wiring import wire

    os.environ.pop("HAVENLINE_DATABASE_URL", None)
    folder = throwaway_folder()
    home = Home.locate(environ={"HAVENLINE_HOME": str(folder / "bench")}, uid=os.geteuid())
    home.create("desk")
    wired = wire(home)
    try:
        append_rates()
    finally:
        from django.db import connections

        connections.close_all()
        wired.release()
        shutil.rmtree(folder, ignore_errors=True)
    verify_rate()


def append_rates() -> None:
    from django.db import transaction

    from havenline_desk import audit
    from havenline_desk.models import AuditAct, AuditEntry, Person, Policy
    from havenline_desk.sites.schema import bring_up_to_date

    bring_up_to_date()
    at = dt.datetime.now(dt.UTC)
    person = Person.objects.create(name="bench", enrolled_at=at)

    def bare() -> None:
        with transaction.atomic():
            Policy.objects.create(kind="desk", declared_at=at)

    def logged(act: AuditAct) -> Callable[[], None]:
        def one() -> None:
            with transaction.atomic():
                policy = Policy.objects.create(kind="desk", declared_at=at)
                audit.append(act, at=at, actor=person, about=policy, record=policy)

        return one

    ways = {
        "the same row without the log": bare,
        "logged, a checkpoint each 256": logged(AuditAct.MATCHES_RECORDED),
        "logged and sealed at once": logged(AuditAct.REVEAL_USED),
    }
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, act in ways.items():
            measured[name].append(rate(act))
    base = statistics.median(measured["the same row without the log"])
    for name, rates in measured.items():
        middle = statistics.median(rates)
        print(
            f"{name:34} {middle:8.0f} acts/s   {middle / base:5.2f} of the bare row   {[round(each) for each in rates]}"
        )
    with transaction.atomic():
        began = time.perf_counter()
        for _ in range(2000):
            audit.append(AuditAct.MATCHES_RECORDED, at=at, actor=person)
        print(f"{'many entries in one transaction':34} {2000 / (time.perf_counter() - began):8.0f} entries/s")
    print(f"{AuditEntry.objects.count():,} entries in the log")


def verify_rate() -> None:
    from tests.guard import logs

    from havenline_guard import verify as checker

    with tempfile.TemporaryDirectory() as folder:
        log = logs.made(VERIFIED, every=256, seed=1)
        export, checkpoints, journal = log.write(Path(folder))
        size = export.stat().st_size
        del log
        began, cpu = time.perf_counter(), time.thread_time()
        report = checker.verify(export, checkpoints=checkpoints, keys=[logs.Signer().key()], journal=journal)
        wall, spent = time.perf_counter() - began, time.thread_time() - cpu
        assert report.exit_code == checker.HOLDS, report.bad
        print(
            f"verify: {VERIFIED:,} entries, {size / 1e6:.0f} MB, {report.checkpoints:,} checkpoints, journal: "
            f"{wall:.1f} s wall, {spent:.1f} s CPU, {VERIFIED / spent:,.0f} entries/s"
        )


if __name__ == "__main__":
    main()
