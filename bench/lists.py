"""Taking a partner's list in, against what people write by hand and against the incumbent's own index, in one process.

Run it with `./dev bench lists`. The list is drawn: ids, MD5, PDQ, qualities, labels, all random. Peers, from the same
CSV: `csv.reader` into a dictionary of MD5 and a list of PDQ values, which checks nothing; and `PDQIndex.build` of the
package `threatexchange`, which keeps PDQ alone. Ours checks every line, keeps every column, refuses repeated ids and
takes the digest. Times are processor time, medians of interleaved rounds. The numbers of entries must agree: no
difference, no times. The whole command runs by itself first, for its time by the clock and the most memory it held.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from havenline.formats.hash_list import read_list
from havenline.matching import kernels
from havenline.matching.snapshot import Edition, Snapshot

warnings.simplefilter("ignore")
from threatexchange.signal_type.pdq.pdq_index import PDQIndex  # noqa: E402

HAVENLINE = (sys.executable, "-c", "from havenline_cli.main import main; main()")
LABELS = 7
AT_ONCE = 100_000
ASKED = 60
SPOILT = 100
"""One line in so many of the spoilt file is bad."""


def draw(path: Path, count: int) -> None:
    """A CSV of `count` lines."""
    chance = np.random.default_rng(1)
    with path.open("w") as file:
        file.write("entry,md5,pdq,pdq_quality,label\n")
        for start in range(0, count, AT_ONCE):
            some = range(min(AT_ONCE, count - start))
            text = chance.bytes(48 * len(some)).hex()
            file.writelines(
                f"e{start + k:09d},{text[96 * k : 96 * k + 32]},{text[96 * k + 32 : 96 * k + 96]},"
                f"{50 + k % 51},group {k % LABELS}\n"
                for k in some
            )


def other_forms(path: Path, folder: Path) -> dict[str, str]:
    """The same list in every form, and a CSV of which some lines are bad: what `read_list` takes, by name."""
    strings = pacsv.ConvertOptions(column_types=dict.fromkeys(("entry", "md5", "pdq", "label"), pa.string()))
    table = pacsv.read_csv(path, convert_options=strings)
    pq.write_table(table, folder / "list.parquet")
    with (folder / "list.jsonl").open("w") as file:
        for batch in table.to_batches(AT_ONCE):
            file.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())
    with (folder / "list.txt").open("w") as file:
        file.writelines(value.as_py() + "\n" for value in table["pdq"])
    with path.open() as lines, (folder / "spoilt.csv").open("w") as file:
        file.writelines(line.replace(",", ",x", 1) if at % SPOILT == 1 else line for at, line in enumerate(lines))
    return {
        "CSV": str(path),
        "CSV, 1 % of lines bad": str(folder / "spoilt.csv"),
        "Parquet": str(folder / "list.parquet"),
        "raw hex": f"pdq:{folder / 'list.txt'}",
        "JSON Lines": str(folder / "list.jsonl"),
    }


def by_hand(path: Path) -> int:
    """What a short script does; no value is checked."""
    by_md5: dict[str, tuple[str, str]] = {}
    codes: list[bytes] = []
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        for entry, md5, pdq, _, label in rows:
            by_md5[md5] = entry, label
            codes.append(bytes.fromhex(pdq))
    return len(codes)


def by_incumbent(path: Path) -> int:
    """The incumbent's index, from the hex of its own reader's lines."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        index = PDQIndex.build((row[2], row[0]) for row in rows)
    return len(index)


def measured(work: Callable[[], int], runs: list[float]) -> int:
    began = time.process_time()
    count = work()
    runs.append(time.process_time() - began)
    return count


def prepared(path: str) -> int:
    """A list read, and made ready to answer lookups."""
    read = read_list(path)
    return len(Snapshot.build([Edition(read.ref, read.entries)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10**6)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    kernels.prepare()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "list.csv"
        draw(path, chosen.lines)
        # First, because a child's peak counts what this process held when it was forked.
        began = time.monotonic()
        subprocess.run(
            [*HAVENLINE, "list", "import", path, "-o", folder / "list.snapshot"], check=True, stdout=subprocess.DEVNULL
        )
        by_clock, peak = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        forms = other_forms(path, folder)
        works: dict[str, Callable[[], int]] = {
            f"havenline, {form}, read": lambda file=file: len(read_list(file).entries)  # type: ignore[misc]
            for form, file in forms.items()
        }
        works["havenline, CSV, read and made a snapshot"] = lambda: prepared(forms["CSV"])
        works["csv.reader into a dict, nothing checked"] = lambda: by_hand(path)
        works["csv.reader into PDQIndex (threatexchange)"] = lambda: by_incumbent(path)
        runs: dict[str, list[float]] = {each: [] for each in works}
        for _ in range(chosen.rounds):
            for each, work in works.items():
                count = measured(work, runs[each])
                bad = -(-(chosen.lines) // SPOILT) if "bad" in each else 0
                if count != chosen.lines - bad:
                    sys.exit(f"{each}: {count:,} entries of {chosen.lines:,}")
        print(f"machine: {platform.machine()}, Python {platform.python_version()}, {_processor()}")
        print(f"threatexchange {version('threatexchange')}, numpy {version('numpy')}, pyarrow {version('pyarrow')}")
        megabytes = path.stat().st_size / 1e6
        print(f"{chosen.lines:,} lines, {megabytes:,.0f} MB as CSV; processor time, medians of {chosen.rounds} rounds")
        medians = {each: statistics.median(times) for each, times in runs.items()}
        for each, seconds in medians.items():
            print(f"  {each:<44} {seconds:7.2f} s {chosen.lines / seconds:12,.0f} lines/s")
        ours, peer = (medians[each] for each in list(works)[-3::2])
        print(f"  havenline list import, the whole command: {by_clock:.1f} s by the clock, at most {peak:,.0f} MiB")
        print(f"  asked: {ASKED} s a million: {'met' if by_clock <= ASKED * chosen.lines / 10**6 else 'MISSED'}")
        print(f"  ready to answer, ours against PDQIndex: {peer / ours:.1f}x")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
