"""The three digests of a file in one pass against `openssl dgst` for the three, on the same bytes from the same file.

Run it with `./dev bench digests`. Both are timed in CPU time, in turn, medians of the rounds; the programs of `openssl`
are each run on an empty file too, and that start is taken off, since a scan does not start a program for each file.
Every digest is compared with openssl's before anything is timed. Asked: no more than openssl needs.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from havenline.fingerprints.digests import digest

SIZES = (1 << 20, 1 << 24, 1 << 26)
ROUNDS = 9
KINDS = ("md5", "sha1", "sha256")


def of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def by_openssl(path: Path) -> tuple[float, dict[str, str]]:
    began, said = of_children(), {}
    for kind in KINDS:
        told = subprocess.run(
            ["openssl", "dgst", f"-{kind}", "-r", str(path)], capture_output=True, text=True, check=True
        )
        said[kind] = told.stdout.split()[0]
    return of_children() - began, said


def by_us(path: Path) -> tuple[float, dict[str, str]]:
    began = time.process_time()
    with path.open("rb") as file:
        made = digest(file)
    return time.process_time() - began, {kind: getattr(made, kind) for kind in KINDS}


def main() -> None:
    if shutil.which("openssl") is None:
        print("bench/digests: openssl is missing (Debian: apt-get install openssl)")
        sys.exit(1)
    peer = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"digests: {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {peer}")
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "empty"
        empty.touch()
        start = statistics.median(by_openssl(empty)[0] for _ in range(ROUNDS))
        for size in SIZES:
            path = Path(folder) / str(size)
            path.write_bytes(np.random.default_rng(size).bytes(size))
            ours, theirs = [], []
            for _ in range(ROUNDS):
                (spent, one), (peers, other) = by_us(path), by_openssl(path)
                assert one == other, "the digests differ"
                ours.append(spent)
                theirs.append(peers - start)
            ratio = statistics.median(ours) / statistics.median(theirs)
            missed |= size > 1 << 20 and ratio > 1.0
            print(
                f"  {size >> 20:3d} MiB: {1e3 * statistics.median(ours):7.2f} ms, openssl "
                f"{1e3 * statistics.median(theirs):7.2f} ms and {1e3 * start:.1f} ms to start: {ratio:.2f} of openssl"
            )
    told = "MISSED" if missed else "met"
    print("asked: no more than openssl, from 16 MiB on, where its clock is fine enough:", told)


if __name__ == "__main__":
    main()
