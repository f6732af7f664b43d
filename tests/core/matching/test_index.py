"""The tables of the index are exact: at every radius, on even, clustered and skewed sets, at the pigeonhole's edge."""

from __future__ import annotations

import os
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core import event
from numpy.typing import NDArray

from havenline.matching import HammingIndex, hamming, index_twin, kernels, search_twin, table_kernel, tables
from havenline.matching.pigeonhole import CHUNKS, LARGEST_TABLED, PAIRS, plan

SOAK = bool(os.environ.get("HAVENLINE_SOAK"))

Codes = NDArray[np.uint8]
Rows = NDArray[np.int64]


@pytest.fixture(autouse=True)
def _tables_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sets take the way of large ones."""
    monkeypatch.setattr(hamming, "_TABLED_FROM", 0)
    monkeypatch.setattr(hamming, "_CODES_PER_KEY", 0)
    monkeypatch.setattr(hamming, "_SMALL", -1)


def drawn(count: int, *, seed: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def turned(codes: Codes, counts: NDArray[np.integer], *, seed: int) -> Codes:
    """Each of `codes` with as many bits turned as `counts` says."""
    ranks = np.random.default_rng(seed).random((len(codes), 256)).argsort(axis=1)
    return codes ^ np.packbits(ranks < counts[:, None], axis=1)


def near_some(codes: Codes, count: int, *, seed: int, most: int = 64) -> Codes:
    draw = np.random.default_rng(seed)
    return turned(codes[draw.integers(0, len(codes), count)], draw.integers(0, most + 1, count), seed=seed)


def words(codes: Codes) -> NDArray[np.uint64]:
    return np.ascontiguousarray(codes).view(np.uint64)


def listed(found: search_twin.Found) -> Rows:
    """The findings sorted, as rows of three."""
    rows = np.stack([np.asarray(part, dtype=np.int64) for part in found], axis=1)
    return rows[np.lexsort(rows.T[::-1])]


def every_distance(queries: Codes, codes: Codes, radius: int = 64) -> Rows:
    return listed(search_twin.scan(words(queries), words(codes), radius))


def agree(queries: Codes, codes: Codes, radii: list[int]) -> int:
    """Search and brute force find the same; how much that was."""
    truth, index = every_distance(queries, codes), HammingIndex.build(codes)
    for radius in radii:
        expected = truth[truth[:, 2] <= radius]
        np.testing.assert_array_equal(listed(index.search(queries, radius=radius)), expected, f"radius {radius}")
    return len(truth)


def on_the_edge(codes: Codes, radius: int, *, seed: int) -> Codes:
    """A query near each code at exactly `radius`, its turned bits spread as evenly as they can be over the pairs
    of chunks, and within each pair over its two chunks: no group is nearer than it must be."""
    draw = np.random.default_rng(seed)
    bits = np.zeros((len(codes), CHUNKS, 16), bool)
    for row in range(len(codes)):
        counts = np.full(PAIRS, radius // PAIRS)
        counts[draw.permutation(PAIRS)[: radius % PAIRS]] += 1
        for pair, count in enumerate(counts):
            first = count // 2 + (count % 2) * int(draw.integers(2))
            for chunk, some in ((2 * pair, first), (2 * pair + 1, count - first)):
                bits[row, chunk, draw.choice(16, some, replace=False)] = True
    flat = np.packbits(bits.reshape(-1, 256)[:, np.argsort(index_twin._DIAGONALS)], axis=1, bitorder="little")
    return codes ^ flat


@pytest.mark.parametrize("radius", range(LARGEST_TABLED + 1))
def test_the_bounds_of_a_plan_leave_no_gap(radius: int) -> None:
    chosen = plan(radius)
    assert (chosen.bounds + 1).sum() == radius + 1
    for pair, bound in enumerate(chosen.bounds.tolist()):
        first, second = chosen.reaches[2 * pair : 2 * pair + 2].tolist()
        for apart in range(bound + 1):
            assert all(one <= first or apart - one <= second for one in range(apart + 1))
    weights = np.bitwise_count(chosen.flips)
    assert weights.tolist() == chosen.weights.tolist() == sorted(weights.tolist())
    for reach, probes in zip(chosen.reaches.tolist(), chosen.probes.tolist(), strict=True):
        assert probes == sum(comb(16, weight) for weight in range(reach + 1))


def test_radius_31_probes_272_keys_and_radius_15_exact_ones() -> None:
    assert (plan(31).keys, plan(15).keys, plan(47).keys) == (272, 16, 16 * 137)
    with pytest.raises(ValueError, match=r"0\.\.47"):
        plan(48)


def test_a_chunk_is_a_diagonal_and_no_bit_is_lost() -> None:
    codes = drawn(300, seed=1)
    bits = np.unpackbits(codes, axis=1, bitorder="little").reshape(-1, 16, 16)
    chunks = np.unpackbits(index_twin.arranged(words(codes)).view(np.uint8), axis=1, bitorder="little")
    for chunk in range(16):
        for row in range(16):
            np.testing.assert_array_equal(chunks[:, 16 * chunk + row], bits[:, row, (chunk - row) % 16])


@pytest.mark.parametrize("few", [-1, 1 << 30], ids=["compiled", "twin"])
@pytest.mark.parametrize("name", ["none", "one", "distinct", "repeated"])
def test_the_codes_of_entries_come_back_as_they_were_given(
    name: str, few: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tables, "_FEW", few)
    codes = repeated() if name == "repeated" else drawn({"none": 0, "one": 1, "distinct": 3000}[name], seed=26)
    HammingIndex.build(codes).save(tmp_path / "index")
    index = HammingIndex.open(tmp_path / "index")
    np.testing.assert_array_equal(index.codes_of(range(len(codes)), threads=2), codes)
    np.testing.assert_array_equal(index.codes_of(range(len(codes) // 2, len(codes), 3)), codes[len(codes) // 2 :: 3])
    chosen = np.random.default_rng(27).integers(0, max(1, len(codes)), 5000 if len(codes) else 0)
    for kind in (np.int64, np.uint32):
        found = index.codes_of(chosen.astype(kind))
        np.testing.assert_array_equal(found, codes[chosen])
    assert found.dtype == np.uint8
    assert found.shape == (len(chosen), 32)
    for outside in (-1, len(codes)):
        with pytest.raises(IndexError):
            index.codes_of(np.array([outside]))
    for wrong in (np.zeros((2, 2), np.int64), np.zeros(2, np.float64)):
        with pytest.raises(ValueError, match="integers in one dimension"):
            index.codes_of(wrong)


@pytest.mark.parametrize("threads", [1, 3])
def test_built_tables_equal_the_twin(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_FEW", -1)
    codes = words(np.concatenate([drawn(3000, seed=2), drawn(700, seed=2), np.zeros((40, 32), np.uint8)]))
    made = tables.build_tables(codes, tabled=True, threads=threads)
    whole = index_twin.arranged(codes)
    np.testing.assert_array_equal(made.codes, whole[[*range(3000), 3700]])
    for which in range(CHUNKS):
        directory, partners, postings = index_twin.table(made.codes, which)
        run = slice(which * 3001, (which + 1) * 3001)
        np.testing.assert_array_equal(made.directory[which], directory)
        np.testing.assert_array_equal(made.partners[run], partners)
        np.testing.assert_array_equal(made.postings[run], postings)
    places, entries = made.entries(np.arange(3001))
    np.testing.assert_array_equal(made.codes[places], whole[entries])
    assert sorted(entries.tolist()) == list(range(len(codes)))


def test_arrays_start_with_a_cache_line_and_answer_as_well_where_they_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_FEW", -1)
    codes = np.concatenate([drawn(3000, seed=51), drawn(50, seed=51)])
    made = tables.build_tables(words(codes), tabled=True, threads=1)
    names = ("codes", "directory", "partners")
    assert [getattr(made, name).ctypes.data % 64 for name in names] == [0, 0, 0]

    def shifted(array: NDArray[Any]) -> NDArray[Any]:
        room = tables.aligned((array.nbytes + 64,), np.uint8)
        moved = room[8 : 8 + array.nbytes].view(array.dtype).reshape(array.shape)
        moved[...] = array
        return moved

    arrays = {name: getattr(made, name) for name in tables.Tables.__slots__}
    moved = HammingIndex(tables.Tables(**arrays | {name: shifted(arrays[name]) for name in names}))
    queries = near_some(codes, 200, seed=52, most=40)
    np.testing.assert_array_equal(listed(moved.search(queries)), every_distance(queries, codes, 31))
    np.testing.assert_array_equal(listed(moved.search(queries[:1])), every_distance(queries[:1], codes, 31))
    np.testing.assert_array_equal(listed(moved.pairs()), listed(HammingIndex(made).pairs()))


@pytest.mark.parametrize(
    ("radius", "size", "count"),
    [(radius, 400, 12) for radius in (0, 3, 7, 8, 15, 16, 23, 36, 47)] + [(31, 2500, 400 if SOAK else 40)],
)
def test_look_ups_equal_the_twin(radius: int, size: int, count: int) -> None:
    """In the long form over a million pairs."""
    codes = drawn(size, seed=3)
    queries = near_some(codes, count, seed=4, most=radius)
    arranged = index_twin.arranged(words(queries)), index_twin.arranged(words(codes))
    twin = index_twin.search(*arranged, plan(radius), radius)
    np.testing.assert_array_equal(listed(HammingIndex.build(codes).search(queries, radius=radius)), listed(twin))
    assert len(twin[0]) >= count


def test_every_radius_is_exact() -> None:
    codes = drawn(4096, seed=5)
    codes[2048:] = near_some(codes[:64], 2048, seed=6)
    queries = np.concatenate([near_some(codes, 25, seed=7), near_some(codes[:64], 175, seed=8)])
    assert agree(queries, codes, list(range(65))) > 500


@pytest.mark.parametrize("exponent", range(1, 21 if SOAK else 15))
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_sizes_about_powers_of_two_are_exact(exponent: int, off: int) -> None:
    codes = drawn((1 << exponent) + off, seed=exponent)
    assert agree(near_some(codes, 3, seed=8, most=40), codes, [15, 31, 40]) >= 3


def test_no_code_at_all_is_searched_as_well() -> None:
    index = HammingIndex.build(drawn(0, seed=1))
    assert [len(part) for part in index.search(drawn(3, seed=1))] == [0, 0, 0]
    assert [len(part) for part in index.pairs()] == [0, 0, 0]
    assert [len(part) for part in HammingIndex.build(drawn(3, seed=1)).search(drawn(0, seed=1))] == [0, 0, 0]


@pytest.mark.parametrize("radius", [15, 16, 23, 24, 30, 31, 32, 39, 40, 47])
def test_queries_on_the_edge_of_the_pigeonhole_are_found(radius: int) -> None:
    codes = drawn(30_000 if SOAK else 1000, seed=9)
    queries = on_the_edge(codes, radius, seed=radius)
    rows, entries, distances = HammingIndex.build(codes).search(queries, radius=radius)
    assert sorted(rows[rows == entries].tolist()) == list(range(len(codes)))
    assert set(distances.tolist()) == {radius}


def clustered() -> Codes:
    return near_some(drawn(20, seed=10), 3000, seed=11, most=30)


def one_bit_apart() -> Codes:
    """A chain: each code one bit from the one before."""
    steps = np.eye(256, dtype=np.uint8)
    return drawn(1, seed=12) ^ np.packbits(np.bitwise_xor.accumulate(np.tile(steps, (12, 1))[:3000], axis=0), axis=1)


def zero_chunks() -> Codes:
    """Codes of which all but two chunks are empty: nearly all of them in one bucket of most tables."""
    chunks = np.zeros((3000, CHUNKS), np.uint16)
    chunks[:, 4:6] = np.random.default_rng(13).integers(0, 1 << 16, (3000, 2))
    bits = np.unpackbits(chunks.view(np.uint8), axis=1, bitorder="little")
    return np.packbits(bits[:, np.argsort(index_twin._DIAGONALS)], axis=1, bitorder="little")


def repeated() -> Codes:
    """One code five thousand times among others, and others twice."""
    codes = np.concatenate([drawn(1500, seed=14), np.repeat(drawn(1, seed=15), 5000, axis=0), drawn(1500, seed=14)])
    return codes[np.random.default_rng(16).permutation(len(codes))]


SETS = {"clustered": clustered, "one bit apart": one_bit_apart, "zero chunks": zero_chunks, "repeated": repeated}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("crowd", [8, 1 << 40], ids=["crowded", "uncrowded"])
def test_skewed_sets_are_exact_whether_buckets_crowd_or_not(
    name: str, crowd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hamming, "_CROWD", 1 / crowd if crowd > 8 else crowd)
    codes = SETS[name]()
    queries = np.concatenate([near_some(codes, 20, seed=17, most=40), drawn(5, seed=18), np.zeros((1, 32), np.uint8)])
    assert agree(queries, codes, [0, 15, 31, 32, 47, 48, 64]) > 20


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("radius", [0, 15, 31, 40])
@pytest.mark.parametrize("by", ["tables", "scan"])
def test_a_self_join_gives_every_pair_once(name: str, radius: int, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HammingIndex, "_join_is_light", lambda _index, _radius: by == "tables")
    codes = SETS[name]()[:1200]
    truth = every_distance(codes, codes, radius)
    np.testing.assert_array_equal(
        listed(HammingIndex.build(codes).pairs(radius=radius, threads=2)), truth[truth[:, 0] < truth[:, 1]]
    )


def test_uneven_buckets_leave_the_self_join_to_the_scan() -> None:
    assert HammingIndex.build(drawn(20_000, seed=1))._join_is_light(31)
    assert not HammingIndex.build(zero_chunks())._join_is_light(31)


def test_threads_and_the_cutting_of_the_work_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = clustered()
    queries = near_some(codes, 300, seed=19)
    expected = listed(HammingIndex.build(codes).search(queries)), listed(HammingIndex.build(codes).pairs())
    monkeypatch.setattr(hamming, "_LOOKED_UP_PER_TASK", 70)
    monkeypatch.setattr(hamming, "_KEYS_PER_TASK", 1000)
    for threads in (1, 3):
        index = HammingIndex.build(codes, threads=threads)
        np.testing.assert_array_equal(listed(index.search(queries, threads=threads)), expected[0])
        np.testing.assert_array_equal(listed(index.pairs(threads=threads)), expected[1])


@pytest.mark.parametrize("dense", [0, 1 << 30], ids=["one by one", "all sought"])
def test_an_answer_by_codes_does_not_grow_with_repetition(dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_DENSE", dense)
    codes = repeated()
    index = HammingIndex.build(codes)
    assert (len(index), index.code_count) == (8000, 1501)
    rows, found, distances = index.search_codes(drawn(1, seed=15))
    assert (len(rows), distances.tolist()) == (1, [0])
    same = np.flatnonzero((codes == drawn(1, seed=15)).all(axis=1))
    np.testing.assert_array_equal(index.entries_of(int(found[0])), same)
    whole = np.concatenate([index.entries_of(code) for code in range(index.code_count)])
    assert sorted(whole.tolist()) == list(range(8000))
    with pytest.raises(IndexError):
        index.entries_of(1501)


def test_many_findings_and_candidates_outgrow_the_first_buffers() -> None:
    codes = near_some(drawn(1, seed=20), 4000, seed=21, most=8)
    queries = near_some(codes, 40, seed=22, most=4)
    assert agree(queries, codes, [31]) == 40 * 4000


@pytest.mark.parametrize("count", [1, 9])
def test_read_only_and_unaligned_queries_need_no_second_compilation(count: int) -> None:
    index, codes = HammingIndex.build(drawn(3000, seed=1)), drawn(count, seed=1)
    expected = listed(index.search(codes))
    assert len(expected) == count
    kernels = table_kernel.search_tables, table_kernel.search_one
    compiled = [len(kernel.signatures) for kernel in kernels]
    whole = b"x" + codes.tobytes()
    for buffer, offset in ((whole, 1), (bytearray(whole), 1), (whole[1:], 0)):
        queries = np.frombuffer(buffer, np.uint8, offset=offset).reshape(count, 32)
        np.testing.assert_array_equal(listed(index.search(queries)), expected)
        wide = np.repeat(queries, 2, axis=1)[:, ::2]
        np.testing.assert_array_equal(listed(index.search(wide)), expected)
    assert [len(kernel.signatures) for kernel in kernels] == compiled


def test_one_query_is_answered_as_among_many() -> None:
    codes = np.concatenate([drawn(3000, seed=28), zero_chunks(), repeated(), near_some(drawn(1, seed=29), 90, seed=30)])
    index = HammingIndex.build(codes)
    queries = np.concatenate([near_some(codes, 60, seed=31, most=40), drawn(1, seed=29), np.zeros((1, 32), np.uint8)])
    for radius in (0, 15, 31, 40, 47):
        expected = listed(index.search(queries, radius=radius))
        for row in range(len(queries)):
            found = index.search(queries[row : row + 1], radius=radius)
            assert [part.dtype for part in found] == [np.int64, np.int64, np.int16]
            mine = expected[expected[:, 0] == row]
            np.testing.assert_array_equal(listed(found), mine - np.array([row, 0, 0]))
    assert len(index.search(drawn(1, seed=29), radius=47)[0]) > 64


def test_an_answer_to_one_query_may_be_changed_without_harm_to_the_next() -> None:
    index, query = HammingIndex.build(drawn(3000, seed=1)), drawn(1, seed=1)
    for part in index.search(query):
        part += 7
    assert [part.tolist() for part in index.search(query)] == [[0], [0], [0]]


def test_nothing_is_compiled_once_the_loops_are_prepared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    kernels.prepare()
    codes = np.concatenate([drawn(20_000, seed=32), drawn(100, seed=32)])
    compiled: list[str] = []
    with event.install_recorder("numba:compile") as record:
        for count, threads in ((1_500, 1), (20_100, 2)):
            built = HammingIndex.build(codes[:count], threads=threads)
            built.save(tmp_path / "index")
            for index in (built, HammingIndex.open(tmp_path / "index")):
                for radius in (0, 15, 31, 47, 48, 64):
                    for asked in (0, 1, 2, 100, 2000):
                        index.search(codes[:asked], radius=radius, threads=threads)
                index.pairs(threads=threads)
                index.codes_of(range(count), threads=threads)
        compiled += [str(each) for each in record.buffer]
    assert compiled == []
