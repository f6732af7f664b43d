"""The exact index against faiss and against the incumbent's own class, in one process, on the same codes.

Run it with `./dev bench matching`; it takes some ten minutes and 5 GB. `.venv/bin/python bench/matching.py --sizes
--join 0 --natural 0 --large 100000000` measures that many codes, without peers, and takes 18 GB.

Peers: faiss `IndexBinaryFlat` (brute force), faiss `IndexBinaryMultiHash(256, 16, 16)` with one flip, as the
incumbent configures it, and `PDQIndex.query` of the package `threatexchange`. Codes are random; half of the queries
are random, half are stored codes with 0 to 31 bits turned. Codes of natural pictures are measured beside as many
random ones. One thread each unless said otherwise. Times are processor time of the thread, medians of interleaved
rounds; peers that take milliseconds a query are sampled, with at least 400 queries, and the output says so. Every
sampled query is answered by brute force too, and the answers must be the same: no difference, no times.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from _natural import natural_codes
from havenline.matching import HammingIndex
from havenline.vocabulary import NEAR_DISTANCE

warnings.simplefilter("ignore")
from threatexchange.signal_type.pdq.pdq_index import PDQIndex  # noqa: E402

BATCH = 1000
ROUNDS = 9
SAMPLE = 50
AVX512 = 1.0
AVX2 = 0.7
DEMANDS = {
    "batch against Flat": {10**6: 90, 10**7: 350},
    "batch against MultiHash": {10**6: 150, 10**7: 850},
    "single, warm, against PDQIndex": {10**6: 90},
    "single, cold, against PDQIndex": {10**6: 30},
    "self-join against Flat": {10**6: 550},
}
LIMITS = {
    "build of 10,000,000, 2 threads": (3.0, "s"),
    "file": (132.0, "bytes a hash"),
    "open": (1.0, "ms"),
    "natural against random, batch": (1.15, "x"),
    "natural against random, one call": (1.15, "x"),
    "first query, after imports": (1.5, "s"),
    "first query, from the start of the process": (3.0, "s"),
    "build of 100,000,000, peak of the process": (24.0, "GiB"),
    "one call among 100,000,000, median": (1000.0, "us"),
    "batch among 100,000,000": (250.0, "us a query"),
}
"""What may not be exceeded."""
FIRST = """
import sys, time, numpy as np
from havenline.matching import HammingIndex
import numba
index = HammingIndex.open(sys.argv[1])
query = np.random.default_rng(5).integers(0, 256, (1, 32), dtype=np.uint8)
began = time.perf_counter()
index.search(query)
print(time.perf_counter() - began, flush=True)
"""
CHILD = """
import sys, numpy as np
from havenline.matching import HammingIndex
index = HammingIndex.open(sys.argv[1])
index.search(np.random.default_rng(5).integers(0, 256, (20000, 32), dtype=np.uint8))
mapped = False
for line in open("/proc/self/smaps"):
    if "-" in line.split()[0] and not line.split()[0].endswith(":"):
        mapped = line.rstrip().endswith(sys.argv[1])
    elif mapped and line.startswith(("Rss:", "Pss:")):
        print(line.split()[0], line.split()[1])
"""

Codes = NDArray[np.uint8]


def drawn(count: int, seed: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def turned(codes: Codes, most: int, seed: int) -> Codes:
    """Each of `codes` with 0 to `most` bits turned."""
    chance = np.random.default_rng(seed)
    counts = chance.integers(0, most + 1, len(codes))
    out = np.empty_like(codes)
    for start in range(0, len(codes), 20_000):
        part = slice(start, start + 20_000)
        ranks = chance.random((len(codes[part]), 256)).argsort(axis=1)
        out[part] = codes[part] ^ np.packbits(ranks < counts[part, None], axis=1)
    return out


def asked(codes: Codes, count: int, seed: int) -> Codes:
    queries = drawn(count, seed)
    chosen = np.random.default_rng(seed + 1).integers(0, len(codes), count // 2)
    queries[::2] = turned(codes[chosen], NEAR_DISTANCE, seed + 2)
    return queries


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.thread_time()
    result = work()
    return time.thread_time() - began, result


def wall(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def as_set(rows: Any, entries: Any, distances: Any) -> set[tuple[int, int, int]]:
    return set(zip(rows.tolist(), entries.tolist(), np.asarray(distances).astype(int).tolist(), strict=True))


def from_faiss(index: Any, queries: Codes) -> set[tuple[int, int, int]]:
    # faiss takes the radius as exclusive.
    ends, distances, entries = index.range_search(queries, NEAR_DISTANCE + 1)
    return as_set(np.repeat(np.arange(len(queries)), np.diff(ends.astype(np.int64))), entries, distances)


def same(found: set[tuple[int, int, int]], truth: set[tuple[int, int, int]], what: str) -> None:
    if found != truth:
        sys.exit(f"bench/matching: {what}: {len(truth - found)} missed, {len(found - truth)} too many; no times given")


class Report:
    """Lines as they come, and what each demand came to."""

    def __init__(self, share: float) -> None:
        self.share = share

    def ratio(self, name: str, size: int, reached: float) -> None:
        demand = DEMANDS[name].get(size)
        if demand is None:
            self.line(name, f"{reached:,.0f}x")
            return
        here = demand * self.share
        verdict = "met" if reached >= here else "met within noise" if reached >= 0.9 * here else "NOT MET"
        self.line(name, f"{reached:,.0f}x   demand {demand}x with AVX-512, {here:.0f}x on this machine: {verdict}")

    def limit(self, name: str, reached: float) -> None:
        most, unit = LIMITS[name]
        verdict = "met" if reached <= most else "met within noise" if reached <= most / 0.9 else "NOT MET"
        self.line(name, f"{reached:,.2f} {unit}   at most {most:g}: {verdict}")

    def line(self, name: str, value: str) -> None:
        print(f"  {name:<44}{value}", flush=True)


def built(report: Report, codes: Codes) -> HammingIndex:
    HammingIndex.build(codes[:10_000]).search(codes[:10])
    one, _ = cpu(lambda: HammingIndex.build(codes))
    two, _ = wall(lambda: HammingIndex.build(codes, threads=2))
    _ = None
    before = resident()
    again, index = wall(lambda: HammingIndex.build(codes, threads=2))
    report.line("build, 1 thread, processor time", f"{one:.2f} s")
    report.line("build, 2 threads, wall", f"{min(two, again):.2f} s")
    if len(codes) == 10**7:
        report.limit("build of 10,000,000, 2 threads", min(two, again))
    report.line("resident growth of a build", f"{(resident() - before) / len(codes):.1f} bytes a hash")
    return index


def filed(report: Report, index: HammingIndex, peer: Any, folder: Path) -> HammingIndex:
    path, theirs = folder / "index", folder / "faiss"
    report.line("save", f"{wall(lambda: index.save(path))[0]:.2f} s")
    report.limit("file", path.stat().st_size / len(index))
    opens = [wall(lambda: HammingIndex.open(path))[0] * 1000 for _ in range(21)]
    report.limit("open", statistics.median(opens))
    report.line("open, verified", f"{wall(lambda: HammingIndex.open(path, verify=True))[0]:.2f} s")
    faiss.write_index_binary(peer, str(theirs))
    report.line("faiss MultiHash, file", f"{theirs.stat().st_size / len(index):.1f} bytes a hash")
    report.line("faiss MultiHash, read", f"{wall(lambda: faiss.read_index_binary(str(theirs)))[0]:.2f} s")
    theirs.unlink()
    firsts = [first_query(path) for _ in range(5)]
    report.limit("first query, after imports", statistics.median(first for first, _ in firsts))
    report.limit("first query, from the start of the process", statistics.median(whole for _, whole in firsts))
    opened = HammingIndex.open(path)
    opened.search(drawn(20_000, 5))
    ended = subprocess.run([sys.executable, "-c", CHILD, path], check=True, capture_output=True, text=True)
    memory = dict.fromkeys(("Rss:", "Pss:"), 0)
    for line in ended.stdout.splitlines():
        memory[line.split()[0]] += int(line.split()[1])
    report.line(
        "a second process that maps it",
        f"{memory['Rss:'] / 1024:.0f} MB seen, {memory['Pss:'] / 1024:.0f} MB its own share",
    )
    return opened


def first_query(path: Path) -> tuple[float, float]:
    """In a fresh process that finds its loops in the cache: seconds of the first query, and since the start."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", FIRST, path], stdout=subprocess.PIPE, text=True) as child:
        first = float(child.stdout.readline())
        return first, time.perf_counter() - began


def searched(report: Report, codes: Codes, indexes: dict[str, HammingIndex], flat: Any, multi: Any) -> None:
    """Batches, large batches and single queries against the two of faiss."""
    size = len(codes)
    queries = asked(codes, BATCH, 20)
    large = asked(codes, 20 * BATCH, 30)
    times: dict[str, list[float]] = {}

    def took(name: str, seconds: float, count: int) -> None:
        times.setdefault(name, []).append(seconds / count * 1e6)

    for index in indexes.values():
        index.search(queries)
    first = next(iter(indexes.values()))
    sampled = 0
    for turn in range(ROUNDS):
        sample = queries[turn * SAMPLE : (turn + 1) * SAMPLE]
        sampled += len(sample)
        seconds, truth = cpu(lambda part=sample: from_faiss(flat, part))
        took("faiss Flat", seconds, SAMPLE)
        took("faiss MultiHash", cpu(lambda part=sample: from_faiss(multi, part))[0], SAMPLE)
        for name, index in indexes.items():
            seconds, found = cpu(lambda index=index: index.search(queries))
            took(f"{name}, batch of {BATCH}", seconds, BATCH)
            rows, entries, distances = found
            here = (rows >= turn * SAMPLE) & (rows < (turn + 1) * SAMPLE)
            same(as_set(rows[here] - turn * SAMPLE, entries[here], distances[here]), truth, f"{size:,} codes, {name}")
            for each in range(100):
                one = queries[turn * 100 + each : turn * 100 + each + 1]
                took(f"{name}, one call from Python", cpu(lambda index=index, one=one: index.search(one))[0], 1)
        if turn % 3 == 0:
            took(f"index, batch of {20 * BATCH:,}", cpu(lambda: first.search(large))[0], len(large))
            took(
                f"index, batch of {20 * BATCH:,}, 2 threads, wall",
                wall(lambda: first.search(large, threads=2))[0],
                len(large),
            )
    if size >= 10**7:
        many(report, codes, first, flat)
    medians = {name: statistics.median(each) for name, each in times.items()}
    report.line("recall against brute force", f"1.0 on {sampled} sampled queries; the peers are timed on these alone")
    for name, median in medians.items():
        report.line(name, f"{median:,.1f} us a query (best {min(times[name]):,.1f})")
    ours = medians[f"index, batch of {BATCH}"]
    report.ratio("batch against Flat", size, medians["faiss Flat"] / ours)
    report.ratio("batch against MultiHash", size, medians["faiss MultiHash"] / ours)


def many(report: Report, codes: Codes, index: HammingIndex, flat: Any) -> None:
    """100,000 queries at once, of which the last hundred are answered by brute force too."""
    queries = asked(codes, 100_000, 35)
    one, found = cpu(lambda: index.search(queries))
    two, _ = wall(lambda: index.search(queries, threads=2))
    last = found[0] >= len(queries) - 100
    ours = as_set(found[0][last] - len(queries) + 100, found[1][last], found[2][last])
    same(ours, from_faiss(flat, queries[-100:]), "100,000 queries")
    name = f"index, batch of {len(queries):,}"
    report.line(name, f"{one / len(queries) * 1e6:,.1f} us a query; 2 threads, wall: {two / len(queries) * 1e6:,.1f}")


def against_incumbent(report: Report, codes: Codes, index: HammingIndex) -> None:
    """One call at a time, as at uploads: cold, the two in turn; warm, fifty of one in a row."""
    hexes = [code.tobytes().hex() for code in codes]
    seconds, theirs = cpu(lambda: PDQIndex((value, place) for place, value in enumerate(hexes)))
    report.line("PDQIndex, build", f"{seconds:.1f} s")
    values = [query.tobytes().hex() for query in asked(codes, 100 * ROUNDS, 40)]
    times: dict[str, list[float]] = {}

    def call(name: str, state: str, value: str) -> list[int]:
        if name == "PDQIndex":
            seconds, found = cpu(lambda: theirs.query(value))
            answer = sorted(each.metadata for each in found)
        else:
            seconds, found = cpu(lambda: index.search(np.frombuffer(bytes.fromhex(value), np.uint8).reshape(1, 32)))
            answer = sorted(found[1].tolist())
        times.setdefault(f"{name}, {state}", []).append(seconds * 1e6)
        return answer

    names = ("PDQIndex", "index")
    for turn in range(ROUNDS):
        for value in values[turn * 100 : turn * 100 + 50]:
            if call(names[turn % 2], "cold", value) != call(names[1 - turn % 2], "cold", value):
                sys.exit("bench/matching: PDQIndex and the index answer differently; no times given")
        for name in names:
            for value in values[turn * 100 + 50 : turn * 100 + 100]:
                call(name, "warm", value)
    medians = {name: statistics.median(each) for name, each in times.items()}
    for name, median in medians.items():
        report.line(f"{name}, hex in", f"{median:,.1f} us a call")
    for state in ("warm", "cold"):
        report.ratio(
            f"single, {state}, against PDQIndex", len(codes), medians[f"PDQIndex, {state}"] / medians[f"index, {state}"]
        )


def clustered(size: int) -> Codes:
    """Half singletons, half clusters of ten within 15 bits of their middle."""
    middles = drawn(size // 20, 50)
    codes = np.concatenate([drawn(size // 2, 51), turned(np.repeat(middles, 10, axis=0), NEAR_DISTANCE // 2, 52)])
    return codes[np.random.default_rng(53).permutation(len(codes))]


def joined(report: Report, size: int) -> None:
    codes = clustered(size)
    index = HammingIndex.build(codes, threads=2)
    flat = faiss.IndexBinaryFlat(256)
    flat.add(codes)
    times: dict[str, list[float]] = {"ours": [], "two": [], "flat": []}
    sampled = np.random.default_rng(54).choice(size, ROUNDS * SAMPLE, replace=False)
    index.pairs()
    for turn in range(ROUNDS):
        rows = sampled[turn * SAMPLE : (turn + 1) * SAMPLE]
        seconds, truth = cpu(lambda rows=rows: from_faiss(flat, codes[rows]))
        times["flat"].append(seconds / SAMPLE * size)
        if turn % 3 == 0:
            seconds, pairs = cpu(index.pairs)
            times["ours"].append(seconds)
            times["two"].append(wall(lambda: index.pairs(threads=2))[0])
        left, right, distances = pairs
        found = set()
        for place, row in enumerate(rows.tolist()):
            found.add((place, row, 0))
            for mine, other in ((left, right), (right, left)):
                at = np.flatnonzero(mine == row)
                found |= {(place, *each) for each in zip(other[at].tolist(), distances[at].tolist(), strict=True)}
        same(found, truth, "self-join")
    medians = {name: statistics.median(each) for name, each in times.items()}
    print(f"\n{size:,} codes, half of them in clusters of ten: {len(left):,} pairs within {NEAR_DISTANCE}")
    report.line("self-join, 1 thread, processor time", f"{medians['ours']:.2f} s")
    report.line("self-join, 2 threads, wall", f"{medians['two']:.2f} s")
    report.line(f"faiss Flat, {len(sampled)} queries, times {size:,}", f"{medians['flat']:,.0f} s")
    report.ratio("self-join against Flat", size, medians["flat"] / medians["ours"])


def measured(report: Report, size: int) -> None:
    print(f"\n{size:,} random codes")
    codes = drawn(size, 10)
    index = built(report, codes)
    flat = faiss.IndexBinaryFlat(256)
    flat.add(codes)
    multi = faiss.IndexBinaryMultiHash(256, 16, 16)
    multi.nflip = 1
    before = resident()
    seconds, _ = cpu(lambda: multi.add(codes))
    report.line("faiss MultiHash, build", f"{seconds:.1f} s")
    report.line("faiss MultiHash, resident growth", f"{(resident() - before) / size:.0f} bytes a hash")
    with tempfile.TemporaryDirectory() as folder:
        opened = filed(report, index, multi, Path(folder))
        searched(report, codes, {"index": index, "mapped file": opened}, flat, multi)
    if size <= 10**6:
        against_incumbent(report, codes, index)


def natural(report: Report, size: int) -> None:
    """Codes of natural pictures against random ones of the same number, in turn; both against brute force."""
    seconds, (codes, pictures) = wall(lambda: natural_codes(size + BATCH // 2))
    sets = {"natural": codes[: -BATCH // 2], "random": drawn(len(codes) - BATCH // 2, 61)}
    print(f"\n{len(sets['natural']):,} codes of crops of {pictures} pictures, made in {seconds:.0f} s, and random ones")
    queries, indexes = {}, {}
    for name, these in sets.items():
        queries[name] = asked(these, BATCH, 62)
        if name == "natural":
            queries[name][1::2] = codes[-BATCH // 2 :]
        indexes[name] = HammingIndex.build(these, threads=2)
        flat = faiss.IndexBinaryFlat(256)
        flat.add(these)
        truth = from_faiss(flat, queries[name][:400])
        rows, entries, distances = indexes[name].search(queries[name])
        here = rows < 400
        same(as_set(rows[here], entries[here], distances[here]), truth, name)
        report.line(f"{name}, findings", f"{len(rows) / BATCH:.1f} a query; 400 queries compared with brute force")
    times: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, index in indexes.items():
            seconds, _ = cpu(lambda name=name, index=index: index.search(queries[name]))
            times.setdefault(f"{name}, batch", []).append(seconds / BATCH * 1e6)
            for row in range(0, BATCH, 5):
                one = queries[name][row : row + 1]
                seconds = cpu(lambda index=index, one=one: index.search(one))[0]
                times.setdefault(f"{name}, one call", []).append(seconds * 1e6)
    medians = {name: statistics.median(each) for name, each in times.items()}
    for name, median in medians.items():
        report.line(name, f"{median:,.1f} us a query (99 of 100 below {np.percentile(times[name], 99):,.1f})")
    for state in ("batch", "one call"):
        report.limit(f"natural against random, {state}", medians[f"natural, {state}"] / medians[f"random, {state}"])


def large(report: Report, size: int) -> None:
    """Without peers, which this many codes do not leave room for: the queries' own codes must be among the findings."""
    print(f"\n{size:,} random codes")
    codes = np.empty((size, 32), np.uint8)
    for start in range(0, size, 10**6):
        codes[start : start + 10**6] = drawn(min(10**6, size - start), start)
    seconds, index = wall(lambda: HammingIndex.build(codes, threads=2))
    report.line("build, 2 threads, wall", f"{seconds:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    queries, chosen = asked(codes, 20 * BATCH, 70), np.random.default_rng(71).integers(0, size, 10 * BATCH)
    found = index.search(queries)
    own = set(zip(found[0].tolist(), found[1].tolist(), strict=True))
    if not all((2 * row, entry) in own for row, entry in enumerate(chosen.tolist())):
        sys.exit("bench/matching: a code is not found again; no times given")
    batches = [cpu(lambda: index.search(queries[:BATCH]))[0] / BATCH * 1e6 for _ in range(ROUNDS)]
    report.line("batch of 20,000", f"{cpu(lambda: index.search(queries))[0] / len(queries) * 1e6:,.1f} us a query")
    ones = [wall(lambda row=row: index.search(queries[row : row + 1]))[0] * 1e6 for row in range(BATCH)]
    report.line("one call from Python, wall, 99 of 100 below", f"{np.percentile(ones, 99):,.1f} us")
    if size == 10**8:
        report.limit("build of 100,000,000, peak of the process", peak)
        report.limit("batch among 100,000,000", statistics.median(batches))
        report.limit("one call among 100,000,000, median", statistics.median(ones))
    else:
        report.line("batch of 1,000", f"{statistics.median(batches):,.1f} us a query")
        report.line("one call, median", f"{statistics.median(ones):,.1f} us; peak {peak:.1f} GiB")


def machine() -> Iterator[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    yield f"machine: {model}, {os.cpu_count()} cores, {widest()}; load {os.getloadavg()[0]:.1f} at the start"
    yield ", ".join(
        [f"Python {platform.python_version()}"]
        + [f"{name} {version(name)}" for name in ("numba", "numpy", "faiss-cpu", "threatexchange")]
    )


def widest() -> str:
    flags = Path("/proc/cpuinfo").read_text()
    return "AVX-512" if "avx512_bitalg" in flags else "AVX2" if " avx2" in flags else "neither AVX2 nor AVX-512"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10**6, 10**7])
    parser.add_argument("--join", type=int, default=10**6)
    parser.add_argument("--natural", type=int, default=400_000)
    parser.add_argument("--large", type=int, default=0)
    chosen = parser.parse_args()
    faiss.omp_set_num_threads(1)
    for line in machine():
        print(line)
    report = Report(AVX512 if widest() == "AVX-512" else AVX2)
    for size in chosen.sizes:
        measured(report, size)
    if chosen.join:
        joined(report, chosen.join)
    if chosen.natural:
        natural(report, chosen.natural)
    if chosen.large:
        large(report, chosen.large)


if __name__ == "__main__":
    main()
