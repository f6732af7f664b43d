"""A whole publication of ten million synthetic assessments: counted, protected, drawn, set and written.

No peer makes the same thing. Beside it, in the same run and on the same files, a plain DuckDB query counts severity
by age alone: no publication could be faster than that. `HAVENLINE_BENCH_ASSESSMENTS` (default ten million) and
`HAVENLINE_BENCH_SEED`. The time to write the snapshot is told and not counted: a desk writes it before.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ASSESSMENTS = int(os.environ.get("HAVENLINE_BENCH_ASSESSMENTS", "10000000"))
SEED = int(os.environ.get("HAVENLINE_BENCH_SEED", "2026"))
THREADS = 2


def write(folder: Path) -> None:
    from havenline.figures.synthetic import synthetic_snapshot

    began = time.perf_counter()
    synthetic_snapshot(folder / "snapshot", assessments=ASSESSMENTS, seed=SEED)
    size = sum(path.stat().st_size for path in (folder / "snapshot").iterdir())
    print(f"{ASSESSMENTS:,} assessments, seed {SEED}: snapshot of {size / 1e6:,.0f} MB in {spent(began)}", flush=True)


def make(folder: Path) -> None:
    from havenline.figures.counting import count
    from havenline.figures.cube import Imprint, cube_of
    from havenline.figures.publication import write_publication
    from havenline.figures.snapshot import read_snapshot

    whole, began = time.perf_counter(), time.perf_counter()
    snapshot = read_snapshot(folder / "snapshot")
    commitment = snapshot.commitment()
    print(f"  commitment   {spent(began)}", flush=True)
    began = time.perf_counter()
    counted = count(snapshot, threads=THREADS)
    print(f"  counting     {spent(began)}", flush=True)
    began = time.perf_counter()
    cube = cube_of(counted, Imprint("HL-BENCH", "Synthetic", "Nobody"), commitment=commitment)
    print(f"  disclosure   {spent(began)}, {cube.hidden} cells hidden", flush=True)
    began = time.perf_counter()
    write_publication(folder / "publication", cube)
    print(f"  publication  {spent(began)}")
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    used = sum(
        one.ru_utime + one.ru_stime
        for one in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )
    print(f"whole: {spent(whole)} (bar 60 s), {used:.1f} s of processor time")
    print(f"peak memory {peak / 2**20:.2f} GiB (bar 4 GiB)")


def plain(folder: Path) -> None:
    import duckdb

    held = duckdb.connect(config={"threads": THREADS})
    began = time.perf_counter()
    held.execute(
        f"SELECT severity, q_youngest_band, count(*) FROM read_parquet('{folder}/snapshot/items.parquet') "
        "WHERE status = 'criminal' GROUP BY ALL"
    ).fetchall()
    print(f"beside it, severity by age alone in plain DuckDB: {spent(began)}")


def spent(began: float) -> str:
    return f"{time.perf_counter() - began:.1f} s"


PARTS = {"write": write, "make": make, "plain": plain}


def main() -> int:
    if len(sys.argv) == 3:
        PARTS[sys.argv[1]](Path(sys.argv[2]))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="havenline-bench-figures-"))
    try:
        for part in PARTS:  # each in a process of its own, so that peak memory is of that part alone
            if subprocess.run([sys.executable, __file__, part, str(folder)], check=False).returncode:
                return 1
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
