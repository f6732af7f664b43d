"""The whole `havenline scan` against the loop people write by hand: Pillow, `pdqhash`, a faiss flat index.

Both go over the same drawn JPEGs and the same list, in the same run, in interleaved rounds; medians are
printed. The command is timed as a whole, from its start to its table. The loop is timed without its imports,
takes PDQ alone, no MD5, SHA-1 or SHA-256, and writes nothing. Both must find the same files.

A second table is about the scan itself: what its workers do at steady state, after the first files, against
reading, digesting and hashing the same files by both pipelines in one process with nothing around it. Each is a
process of its own, so that workers are not forked from one that has loaded the peer. Two cores are compared with one
core, which the scanning process, its worker and the start of the next worker share.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from havenline.entries import Entries
from havenline.fingerprints.digests import digest
from havenline.fingerprints.pdq import hash_512_first, hash_picture
from havenline.list_files import write_snapshot
from havenline.matching import Snapshot
from havenline.media.decode import Picture, decode_picture
from havenline.scan import fingerprint_source
from havenline.scan_workers import CloseOff
from havenline.vocabulary import NEAR_DISTANCE, QUALITY_FLOOR, HashKind, ListEntry
from havenline_cli.told import all_cores
from havenline_guard.sandbox import close_worker

SIZES = ((640, 480), (640, 480), (640, 480), (1280, 960), (1280, 960), (2560, 1920))
LISTED = 20
STRANGERS = 20_000
WARM_UP = 100
HAVENLINE = [sys.executable, "-c", "from havenline_cli.main import main; main()"]


def draw(folder: Path, count: int) -> None:
    """JPEGs of noise whose spectrum falls off as in photographs, in sizes that boards and phones show."""
    chance = np.random.default_rng(7)
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        half = (width // 2, height // 2)
        canvas = np.zeros((half[1], half[0], 3), dtype=np.float32)
        for octave in range(2, 8):
            cells = 2**octave
            noise = chance.integers(0, 256, (cells * 3 // 4, cells, 3), dtype=np.uint8)
            grown = Image.fromarray(noise).resize(half, Image.Resampling.BILINEAR)
            canvas += (np.asarray(grown, dtype=np.float32) - 128) / octave
        picture = Image.fromarray(np.clip(canvas + 128, 0, 255).astype(np.uint8))
        picture.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{number:05d}.jpg", quality=85)


def make_list(pictures: Path, scratch: Path) -> Path:
    """An edition of some of the pictures among many hashes of nothing."""
    chosen = scratch / "chosen"
    chosen.mkdir()
    for each in sorted(pictures.iterdir())[:LISTED]:
        (chosen / each.name).hardlink_to(each)
    subprocess.run(
        [*HAVENLINE, "list", "make", chosen, "-o", scratch / "chosen.snapshot"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    known = Snapshot.open(scratch / "chosen.snapshot").entries()
    chance = np.random.default_rng(8)
    strangers = [
        ListEntry(f"s{number:06d}", pdq=chance.bytes(32).hex(), pdq_quality=100) for number in range(STRANGERS)
    ]
    path = scratch / "list.snapshot"
    write_snapshot(path, Entries.joined([known, Entries.of(strangers)]), name="bench", number=1, made_by="bench")
    return path


def by_havenline(pictures: Path, edition: Path, scratch: Path, *, workers: int) -> tuple[float, set[str]]:
    """Seconds of the whole command, and the files it matched."""
    limited = ("--workers", str(workers))
    begun = time.perf_counter()
    ended = subprocess.run(
        [*HAVENLINE, "scan", pictures, "--list", edition, "-o", scratch / "out.parquet", "--json", *limited],
        check=False,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - begun
    if ended.returncode:
        sys.exit(ended.stderr)
    return seconds, {match["path"] for match in json.loads(ended.stdout)["matches"]}


def by_hand(pictures: Path, codes: NDArray[np.uint8]) -> tuple[float, set[str]]:
    """Seconds of the loop, and the files it matched."""
    import faiss  # here, or every worker of the scans below would load it
    import pdqhash

    faiss.omp_set_num_threads(1)
    begun = time.perf_counter()
    index = faiss.IndexBinaryFlat(256)
    index.add(codes)
    found = set()
    for path in sorted(pictures.iterdir()):
        with Image.open(path) as image:
            bits, quality = pdqhash.compute(np.asarray(image.convert("RGB")))
        if quality >= QUALITY_FLOOR:
            # faiss takes the radius as exclusive.
            ends, _, _ = index.range_search(np.packbits(bits)[None, :], NEAR_DISTANCE + 1)
            if ends[-1]:
                found.add(path.name)
    return time.perf_counter() - begun, found


def bare(pictures: Path) -> float:
    """Files a second of one process that reads, digests, decodes and hashes by both pipelines, and no more."""
    paths = sorted(pictures.iterdir())[WARM_UP:]
    begun = time.perf_counter()
    for path in paths:
        content = path.read_bytes()
        digest(content)
        picture = decode_picture(content)
        assert isinstance(picture, Picture)
        hash_picture(picture.rgb)
        hash_512_first(picture.rgb)
    return len(paths) / (time.perf_counter() - begun)


def steady(pictures: Path, *, workers: int, close_off: CloseOff | None) -> float:
    """Files a second of a scan's workers from the first answers on."""
    begun, count = 0.0, 0
    scanned = fingerprint_source(pictures, workers=workers, close_off=close_off)
    for count, _ in enumerate(scanned, start=1):
        if count == WARM_UP:
            begun = time.perf_counter()
    return (count - WARM_UP) / (time.perf_counter() - begun)


def measured(pictures: Path, *wanted: str, cores: Collection[int]) -> float:
    """Files a second of a process of its own that may use these cores: `--bare`, or `--workers N`, perhaps `--open`."""
    done = subprocess.run(
        [sys.executable, __file__, "--pictures", pictures, *wanted],
        check=True,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return float(done.stdout)


def print_steady(pictures: Path, *, rounds: int) -> None:
    """Interleaved rounds, medians of ratios."""
    able = sorted(os.sched_getaffinity(0))
    rates: dict[str, list[float]] = {}
    bare_row, one, all_of_them = "bare: read, digests, both pipelines, 1 process", "scan on 1 core, 1 closed worker", ""
    for _ in range(rounds):
        rates.setdefault(bare_row, []).append(measured(pictures, "--bare", cores=able))
        rates.setdefault(one, []).append(measured(pictures, "--workers", "1", cores=able[:1]))
        for workers in sorted({1, len(able)}):
            for name, options in (("open", ("--open",)), ("closed", ())):
                all_of_them = f"scan on {len(able)} cores, {workers} {name} workers"
                rate = measured(pictures, "--workers", str(workers), *options, cores=able)
                rates.setdefault(all_of_them, []).append(rate)
    for name, each in rates.items():
        ratio = statistics.median(one / base for one, base in zip(each, rates[bare_row], strict=True))
        print(f"{name:<52} {statistics.median(each):8.1f} files/s {ratio:6.2f}x")
    ratio = statistics.median(many / few for many, few in zip(rates[all_of_them], rates[one], strict=True))
    print(f"{len(able)} cores against 1 core, closed workers: {ratio:.2f}x")


def main() -> None:
    """Draw, run, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--open", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.bare:
        bare(chosen.pictures)
        print(bare(chosen.pictures))
        return
    if chosen.workers:
        print(steady(chosen.pictures, workers=chosen.workers, close_off=None if chosen.open else close_worker))
        return
    cores = all_cores()
    with tempfile.TemporaryDirectory() as folder:
        scratch, pictures = Path(folder), Path(folder) / "pictures"
        pictures.mkdir()
        draw(pictures, chosen.files)
        megabytes = sum(each.stat().st_size for each in pictures.iterdir()) / 1e6
        edition = make_list(pictures, scratch)
        codes = Snapshot.open(edition).entries().hashes[HashKind.PDQ].values
        runs: dict[str, list[float]] = {}
        for _ in range(chosen.rounds):
            seconds, expected = by_hand(pictures, codes)
            runs.setdefault("loop: Pillow + pdqhash + faiss flat, 1 process", []).append(seconds)
            for workers in sorted({1, cores}):
                seconds, found = by_havenline(pictures, edition, scratch, workers=workers)
                runs.setdefault(f"havenline scan --workers {workers}, whole command", []).append(seconds)
                if found != expected or not found:
                    sys.exit(f"the answers differ: {len(found)} matched files against {len(expected)}")
        steady_rows = io.StringIO()
        with redirect_stdout(steady_rows):
            print_steady(pictures, rounds=chosen.rounds)
    print(f"machine: {platform.machine()}, {cores} cores, Python {platform.python_version()}, {_processor()}")
    print(f"{chosen.files} drawn JPEGs, {megabytes:.0f} MB, list of {len(codes):,}; {len(found)} matched")
    medians = {name: statistics.median(each) for name, each in runs.items()}
    peer = next(iter(medians.values()))
    for name, seconds in medians.items():
        print(f"{name:<52} {seconds:7.2f} s {chosen.files / seconds:8.1f} files/s {peer / seconds:6.2f}x")
    print(steady_rows.getvalue(), end="")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    main()
