"""The radius search is exact, whichever of its two forms answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from havenline.matching import HammingIndex, codes_from_hex, hamming

FORMS = ("numpy", "compiled")


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(hamming, "_SMALL", -1 if request.param == "compiled" else 1 << 62)
    return str(request.param)


def drawn(count: int, *, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def flipped(code: NDArray[np.uint8], bits: int, *, seed: int) -> NDArray[np.uint8]:
    """`code` with exactly `bits` of its 256 bits turned."""
    turned = np.unpackbits(code)
    turned[np.random.default_rng(seed).choice(256, bits, replace=False)] ^= 1
    return np.packbits(turned)


def by_counting(queries: NDArray[np.uint8], codes: NDArray[np.uint8], radius: int) -> set[tuple[int, int, int]]:
    """The definition, one pair after the other, in whole numbers."""
    wholes = [int.from_bytes(code.tobytes(), "big") for code in codes]
    found = set()
    for row, query in enumerate(queries):
        value = int.from_bytes(query.tobytes(), "big")
        for column, whole in enumerate(wholes):
            distance = (value ^ whole).bit_count()
            if distance <= radius:
                found.add((row, column, distance))
    return found


def as_set(
    found: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int16]],
) -> set[tuple[int, int, int]]:
    left, right, distances = found
    listed = list(zip(left.tolist(), right.tolist(), distances.tolist(), strict=True))
    assert len(listed) == len(set(listed)), "a pair was reported twice"
    return set(listed)


@pytest.mark.parametrize("radius", range(65))
@pytest.mark.usefixtures("form")
def test_every_distance_up_to_the_radius_is_found_and_none_beyond(radius: int) -> None:
    query = drawn(1, seed=3)
    codes = np.stack([flipped(query[0], bits, seed=bits) for bits in range(70)])
    left, right, distances = HammingIndex.build(codes).search(query, radius=radius)
    assert sorted(right.tolist()) == list(range(radius + 1))
    assert distances.tolist() == right.tolist()
    assert set(left.tolist()) == {0}


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0), (1, 1), (2, 1), (1, 2), (1023, 7), (1025, 7), (2049, 3)])
@pytest.mark.usefixtures("form")
def test_small_and_odd_sizes_agree_with_counting(n: int, m: int) -> None:
    codes, queries = drawn(n, seed=n), drawn(m, seed=m + 1)
    if n and m:
        queries[0] = flipped(codes[n - 1], 31, seed=5)
    found = as_set(HammingIndex.build(codes).search(queries))
    assert found == by_counting(queries, codes, 31)
    assert len(found) == (1 if n and m else 0)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 1024, 1025])
@pytest.mark.usefixtures("form")
def test_a_self_join_gives_each_pair_once(n: int) -> None:
    codes = drawn(n, seed=n)
    if n > 1:
        codes[n - 1] = flipped(codes[0], 31, seed=1)
    found = as_set(HammingIndex.build(codes).pairs())
    assert found == ({(0, n - 1, 31)} if n > 1 else set())


@pytest.mark.usefixtures("form")
def test_entries_with_one_hash_are_kept_apart() -> None:
    code = drawn(1, seed=1)
    index = HammingIndex.build(np.repeat(code, 300, axis=0))
    assert as_set(index.search(code)) == {(0, entry, 0) for entry in range(300)}
    assert len(as_set(index.pairs())) == 300 * 299 // 2


def test_more_findings_than_the_first_buffers_hold_are_all_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hamming, "_SMALL", -1)
    monkeypatch.setattr(hamming, "_FIRST_ROOM", 8)
    codes = np.repeat(drawn(1, seed=1), 100, axis=0)
    assert len(as_set(HammingIndex.build(codes).search(codes[:5]))) == 500
    assert len(as_set(HammingIndex.build(codes).pairs())) == 4950


def test_cutting_the_work_for_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = drawn(3000, seed=8)
    codes[1500:] = np.stack([flipped(code, place % 40, seed=place) for place, code in enumerate(codes[:1500])])
    whole = HammingIndex.build(codes)
    searched, joined = as_set(whole.search(codes[:200])), as_set(whole.pairs())
    monkeypatch.setattr(hamming, "_QUERIES_PER_TASK", 64)
    monkeypatch.setattr(hamming, "_CODES_PER_TASK", 700)
    monkeypatch.setattr(hamming, "_ROWS_PER_TASK", 500)
    assert as_set(whole.search(codes[:200], threads=3)) == searched
    assert as_set(whole.pairs(threads=3)) == joined
    assert len(joined) > 1000


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 40), m=st.integers(0, 40), radius=st.integers(0, 64))
def test_both_forms_equal_the_definition(seed: int, n: int, m: int, radius: int) -> None:
    draw = np.random.default_rng(seed)
    # Few distinct bits turned on a common base: many pairs close to every radius.
    base = draw.integers(0, 256, 32, dtype=np.uint8)
    codes = base ^ np.packbits(draw.random((n, 256)) < 0.1, axis=1)
    queries = base ^ np.packbits(draw.random((m, 256)) < 0.1, axis=1)
    expected = by_counting(queries, codes, radius)
    joined = {(i, j, d) for i, j, d in by_counting(codes, codes, radius) if i < j}
    for small in (-1, 1 << 62):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(hamming, "_SMALL", small)
            index = HammingIndex.build(codes)
            assert as_set(index.search(queries, radius=radius)) == expected
            assert as_set(index.pairs(radius=radius)) == joined


@pytest.mark.parametrize("radius", [-1, 65, 256])
def test_a_radius_outside_0_to_64_is_refused(radius: int) -> None:
    index = HammingIndex.build(drawn(2, seed=1))
    with pytest.raises(ValueError, match=r"0\.\.64"):
        index.search(drawn(1, seed=1), radius=radius)
    with pytest.raises(ValueError, match=r"0\.\.64"):
        index.pairs(radius=radius)


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros((2, 31), np.uint8),
        np.zeros(32, np.uint8),
        np.zeros((2, 32), np.int16),
        np.zeros((2, 4), np.uint64),
    ],
)
def test_codes_of_another_shape_or_type_are_refused(codes: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="uint8 of shape"):
        HammingIndex.build(codes)
    with pytest.raises(ValueError, match="uint8 of shape"):
        HammingIndex.build(drawn(1, seed=1)).search(codes)


def test_no_thread_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="threads"):
        HammingIndex.build(drawn(1, seed=1), threads=0)


def test_an_index_keeps_its_own_copy() -> None:
    codes = drawn(3, seed=4)
    index = HammingIndex.build(codes)
    query = codes[1:2].copy()
    codes[:] = 0
    assert as_set(index.search(query)) == {(0, 1, 0)}


def test_codes_that_are_not_contiguous_are_read_right() -> None:
    wide = drawn(6, seed=4)
    index = HammingIndex.build(wide[::2])
    assert as_set(index.search(wide[::-1])) == {(1, 2, 0), (3, 1, 0), (5, 0, 0)}


def test_hex_becomes_bytes_in_order() -> None:
    assert codes_from_hex([]).shape == (0, 32)
    assert codes_from_hex(["00" * 31 + "ff", "f0" + "00" * 31])[:, [0, 31]].tolist() == [[0, 255], [240, 0]]
