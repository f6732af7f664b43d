"""Films compared by the shares of their frames, against a plain double loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from havenline.matching.films import FilmIndex
from havenline.vocabulary import FrameHash


def frame(second: float, *bits: int, quality: int = 100) -> FrameHash:
    return FrameHash(second, f"{sum(1 << bit for bit in bits):064x}", quality)


def test_shares_are_told_both_ways_with_the_moments() -> None:
    long = [frame(float(n), *range(n * 40)) for n in range(6)]
    part = long[2:4]
    (match,) = FilmIndex.build({"long": long}).lookup(part)
    assert (match.name, match.query_share, match.compared_share) == ("long", 1.0, 2 / 6)
    assert match.moments == ((2.0, 2.0, 0), (3.0, 3.0, 0))
    assert FilmIndex.build({"part": part}).lookup(long) == ()
    (match,) = FilmIndex.build({"part": part}).lookup(long, query_share=0.3)
    assert (match.query_share, match.compared_share) == (2 / 6, 1.0)
    assert FilmIndex.build({"part": part}).lookup(long, query_share=0.3, compared_share=1.0) != ()


def test_equal_frames_count_once_and_keep_all_their_seconds() -> None:
    still = [frame(float(n), 1, 2, 3) for n in range(9)] + [frame(9.0, *range(100))]
    (match,) = FilmIndex.build({"other": [frame(5.0, 1, 2, 3, 4)]}).lookup(still, query_share=0.5)
    assert match.query_share == 0.5
    assert match.moments == tuple((float(n), 5.0, 1) for n in range(9))


def test_flat_frames_neither_match_nor_count() -> None:
    flat = [frame(0.0, quality=49), frame(1.0, *range(128))]
    assert FilmIndex.build({"other": [frame(0.0)]}).lookup(flat, query_share=0) == ()
    (match,) = FilmIndex.build({"other": flat}).lookup([frame(3.0, *range(127))])
    assert (match.compared_share, match.query_share) == (1.0, 1.0)
    assert FilmIndex.build({}).lookup(flat) == ()
    assert FilmIndex.build({"other": flat}).lookup([]) == ()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_shares_are_those_of_the_double_loop(seed: int) -> None:
    chance = np.random.default_rng(seed)
    centres = chance.integers(0, 2, (3, 256))
    films = {}
    for name in "abc":
        codes = centres[chance.integers(0, 3, 12)] ^ (chance.random((12, 256)) < 0.08)
        values = np.packbits(codes.astype(bool), axis=1)
        films[name] = [
            FrameHash(float(n), row.tobytes().hex(), int(chance.integers(30, 101))) for n, row in enumerate(values)
        ]
    asked = films.pop("c")
    found = {each.name: each for each in FilmIndex.build(films).lookup(asked, query_share=0)}
    mine = {each.pdq for each in asked if each.quality >= 50}
    for name, frames in films.items():
        theirs = {each.pdq for each in frames if each.quality >= 50}
        pairs = {(a, b) for a in mine for b in theirs if (int(a, 16) ^ int(b, 16)).bit_count() <= 31}
        if not pairs:
            assert name not in found
            continue
        assert found[name].query_share == len({a for a, _ in pairs}) / len(mine)
        assert found[name].compared_share == len({b for _, b in pairs}) / len(theirs)
