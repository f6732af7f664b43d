"""The index at its real thresholds: large, skewed and natural sets, and code made for other processors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from havenline.matching import HammingIndex, hamming, search_twin
from havenline.matching.index_twin import arranged

SOAK = bool(os.environ.get("HAVENLINE_SOAK"))
LONG = pytest.mark.skipif(not SOAK, reason="the long form: ./dev soak")

Codes = NDArray[np.uint8]
Rows = NDArray[np.int64]


def drawn(count: int, *, seed: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def near(codes: Codes, count: int, *, seed: int, most: int = 64) -> Codes:
    """`count` of `codes`, each with 0 to `most` bits turned."""
    draw = np.random.default_rng(seed)
    chosen, counts = draw.integers(0, len(codes), count), draw.integers(0, most + 1, count)
    made = codes[chosen]
    for start in range(0, count, 1 << 14):
        part = slice(start, start + (1 << 14))
        ranks = draw.random((len(made[part]), 256)).argsort(axis=1)
        made[part] ^= np.packbits(ranks < counts[part, None], axis=1)
    return made


def listed(found: search_twin.Found) -> Rows:
    """The findings sorted, as rows of three."""
    rows = np.stack([np.asarray(part, dtype=np.int64) for part in found], axis=1)
    return rows[np.lexsort(rows.T[::-1])]


def scanned(queries: Codes, codes: Codes, radius: int) -> Rows:
    """What the compiled scan finds, which `test_hamming.py` compares with the definition."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hamming, "_TABLED_FROM", 1 << 40)
        patch.setattr(hamming, "_SMALL", -1)
        return listed(HammingIndex.build(codes, threads=2).search(queries, radius=radius, threads=2))


def twin(queries: Codes, codes: Codes, radius: int) -> Rows:
    return listed(search_twin.scan(queries.view(np.uint64), codes.view(np.uint64), radius))


@pytest.mark.parametrize("radius", [0, 15, 31, 32, 47, 48, 64])
def test_a_large_set_is_exact(radius: int) -> None:
    """In the long form 2**20 codes; the truth is NumPy's."""
    codes = drawn(1 << (20 if SOAK else 17), seed=23)
    queries = near(codes, 100 if SOAK else 30, seed=24)
    index = HammingIndex.build(codes, threads=2)
    expected = twin(queries, codes, radius)
    np.testing.assert_array_equal(listed(index.search(queries, radius=radius, threads=2)), expected)
    for row, query in enumerate(queries):
        mine = expected[expected[:, 0] == row][:, 1:]
        np.testing.assert_array_equal(listed(index.search(query[None], radius=radius))[:, 1:], mine)
    assert len(expected) > (0 if radius else -1)


def on_the_edge(codes: Codes, *, seed: int) -> Codes:
    """A query near each code at distance 31, two bits of each chunk but one, which has one."""
    draw = np.random.default_rng(seed)
    counts = np.full((len(codes), 16), 2)
    counts[np.arange(len(codes)), draw.integers(0, 16, len(codes))] = 1
    bits = draw.random((len(codes), 16, 16)).argsort(axis=2) < counts[:, :, None]
    # By diagonals, as chunks are: bit r of chunk c is bit (c - r) % 16 of row r.
    plain = np.zeros((len(codes), 16, 16), bool)
    for chunk in range(16):
        for row in range(16):
            plain[:, row, (chunk - row) % 16] = bits[:, chunk, row]
    return codes ^ np.packbits(plain.reshape(-1, 256), axis=1, bitorder="little")


def test_queries_on_the_edge_are_found_among_many() -> None:
    codes = drawn(1_000_000 if SOAK else 50_000, seed=33)
    step = 10 if SOAK else 5
    chosen = codes[::step]
    queries = on_the_edge(chosen, seed=34)
    differing = arranged(queries.view(np.uint64)) ^ arranged(chosen.view(np.uint64))
    by_chunk = np.bitwise_count(differing.view(np.uint16))
    assert set(np.unique(by_chunk.sum(axis=1))) == {31}
    assert by_chunk.max() == 2
    rows, entries, distances = HammingIndex.build(codes, threads=2).search(queries, threads=2)
    own = entries == rows * step
    assert sorted(rows[own].tolist()) == list(range(len(queries)))
    assert set(distances[own].tolist()) == {31}


def a_hash_100_000_times() -> Codes:
    codes = np.concatenate([drawn(60_000, seed=35), np.repeat(drawn(1, seed=36), 100_000, axis=0)])
    return codes[np.random.default_rng(37).permutation(len(codes))]


def chains() -> Codes:
    """A hundred chains, each code one bit from the one before, among random codes."""
    draw = np.random.default_rng(38)
    steps = np.zeros((100, 256, 256), bool)
    for chain in steps:
        chain[np.arange(256), draw.permutation(256)] = True
    turned = np.packbits(np.logical_xor.accumulate(steps, axis=1), axis=2)
    return np.concatenate([(drawn(100, seed=39)[:, None] ^ turned).reshape(-1, 32), drawn(30_000, seed=40)])


def empty_chunks() -> Codes:
    """Codes of which half the chunks are empty, so that whole buckets are overfull, among random ones."""
    codes = drawn(40_000, seed=41)
    bits = np.unpackbits(codes[:15_000], axis=1, bitorder="little").reshape(-1, 16, 16)
    rows, columns = np.indices((16, 16))
    bits[:, (rows + columns) % 16 < 8] = 0
    codes[:15_000] = np.packbits(bits.reshape(-1, 256), axis=1, bitorder="little")
    return codes


def clusters() -> Codes:
    """Ten thousand codes within 30 bits of one, as many apart."""
    return np.concatenate([near(drawn(1, seed=42), 10_000, seed=43, most=30), drawn(10_000, seed=44)])


SKEWED = {each.__name__: each for each in (a_hash_100_000_times, chains, empty_chunks, clusters)}


@pytest.mark.parametrize("name", SKEWED)
def test_skewed_sets_are_exact_by_codes(name: str) -> None:
    codes = SKEWED[name]()
    index = HammingIndex.build(codes, threads=2)
    common = drawn(1, seed=36) if name == "a_hash_100_000_times" else codes[:1]
    queries = np.concatenate([near(codes, 2000 if SOAK else 40, seed=45, most=40), common, np.zeros((1, 32), np.uint8)])
    order = [int(index.entries_of(code)[0]) for code in range(index.code_count)]
    distinct = codes[order]
    assert len(np.unique(codes, axis=0)) == len(distinct) == index.code_count
    for radius in (0, 15, 31, 32, 47, 48, 64):
        expected = scanned(queries, distinct, radius)
        np.testing.assert_array_equal(listed(index.search_codes(queries, radius=radius)), expected)
        whole = index.search(common, radius=radius)
        np.testing.assert_array_equal(listed(whole), twin(common, codes, radius))


@pytest.mark.parametrize("name", SKEWED)
def test_skewed_sets_are_joined_exactly(name: str) -> None:
    """By the definition of a self-join: what a search for every code finds, but for the order of the two."""
    codes = np.unique(SKEWED[name](), axis=0)
    codes = codes[np.random.default_rng(46).permutation(len(codes))[: 20_000 if SOAK else 9_000]]
    found = scanned(codes, codes, 31)
    np.testing.assert_array_equal(
        listed(HammingIndex.build(codes, threads=2).pairs(threads=2)), found[found[:, 0] < found[:, 1]]
    )


@LONG
@pytest.mark.timeout(3600)
def test_100_000_queries_among_ten_million_codes_are_exact() -> None:
    """A third random, a third near a stored code, a third on the edge; some codes repeated. Many minutes and 6 GB."""
    codes = drawn(10_000_000, seed=47)
    codes[9_990_000:] = codes[:10_000]
    third = 100_000 // 3
    queries = np.concatenate(
        [drawn(100_000 - 2 * third, seed=48), near(codes, third, seed=49), on_the_edge(codes[5:][:third], seed=50)]
    )
    found = listed(HammingIndex.build(codes, threads=2).search(queries, threads=2))
    np.testing.assert_array_equal(found, scanned(queries, codes, 31))
    assert len(found) > third


ELSEWHERE = """
import sys
import numpy as np
from havenline.matching import HammingIndex, kernels, search_twin, table_kernel
kernels.prepare(lambda: print("compiling"))
draw = np.random.default_rng(25)
codes = draw.integers(0, 256, (10_000, 32), dtype=np.uint8)
codes[9_000:] = codes[:1000] ^ np.packbits(draw.random((1000, 256)) < 0.06, axis=1)
queries = codes[:300] ^ np.packbits(draw.random((300, 256)) < 0.1, axis=1)
index = HammingIndex.build(codes)
def rows(found): return sorted(zip(*(part.tolist() for part in found)))
for radius in (15, 31, 47, 64):
    truth = rows(search_twin.scan(queries.view(np.uint64), codes.view(np.uint64), radius))
    assert rows(index.search(queries, radius=radius)) == truth, radius
    ones = [index.search(queries[row : row + 1], radius=radius) for row in range(300)]
    assert [(row, *each[1:]) for row, one in enumerate(ones) for each in rows(one)] == truth, radius
joined = rows(index.pairs())
truth = rows(search_twin.scan(codes.view(np.uint64), codes.view(np.uint64), 31))
assert joined == [each for each in truth if each[0] < each[1]] and len(joined) > 500
assert (index.codes_of(range(10_000)) == codes).all()
code = "".join(table_kernel.search_tables.inspect_asm().values())
print(max(register for register in ("xmm", "ymm", "zmm") if "%" + register in code))
"""


@pytest.mark.parametrize(
    ("name", "features", "register"),
    [
        pytest.param("x86-64", "", "xmm", id="SSE2"),
        pytest.param("haswell", "+avx2,+popcnt", "ymm", id="AVX2", marks=LONG),
        pytest.param("icelake-server", "", "zmm", id="AVX-512", marks=LONG),
    ],
)  # fmt: skip
def test_other_processors_find_the_same(name: str, features: str, register: str, tmp_path: Path) -> None:
    """Compiled anew as for another processor; a second process finds all loops in the cache."""
    flags = Path("/proc/cpuinfo").read_text()
    wanted = {"ymm": " avx2 ", "zmm": " avx512_bitalg "}.get(register, "")
    if wanted not in flags:
        pytest.skip(f"this processor has no{wanted}")
    surroundings = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    again = "from havenline.matching import kernels; kernels.prepare(lambda: print('compiling'))"
    said = [
        subprocess.run(
            [sys.executable, "-c", script], check=True, env=os.environ | surroundings, capture_output=True, text=True
        ).stdout.split()
        for script in (ELSEWHERE, again)
    ]
    assert said == [["compiling", register], []]
