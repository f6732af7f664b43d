"""The PDQ kernel is its plain twin, bit for bit, whatever the picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from havenline.fingerprints.pdq import hash_picture
from havenline.fingerprints.pdq_kernel import LANES, pdq_bits, reduced_kernel
from havenline.fingerprints.pdq_twin import luma, pdq_twin, reduced


def drawn(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Blocks of colour under noise: edges, flat parts and fine grain in one picture."""
    random = np.random.default_rng(seed)
    coarse = random.normal(size=(height // 37 + 1, width // 29 + 1, 3))
    picture = np.kron(coarse, np.ones((37, 29, 1)))[:height, :width] + random.normal(size=(height, width, 3)) / 3
    return np.ascontiguousarray(np.clip(picture * 50 + 128, 0, 255).astype(np.uint8))


def checker(height: int, width: int, side: int) -> NDArray[np.uint8]:
    """A chessboard: the picture with the most ties around the median."""
    rows, columns = np.arange(height)[:, None] // side, np.arange(width)[None, :] // side
    board = ((rows + columns) % 2 * 255).astype(np.uint8)
    return np.ascontiguousarray(np.repeat(board[:, :, None], 3, axis=2))


def assert_equal_to_twin(picture: NDArray[np.uint8]) -> None:
    bits, quality = pdq_bits(picture)
    twin_bits, twin_quality = pdq_twin(picture)
    np.testing.assert_array_equal(bits, twin_bits)
    assert quality == twin_quality


SIZES = [
    (5, 5),
    (5, 700),
    (700, 5),
    (63, 64),
    (64, 64),
    (64, 65),
    (127, 128),
    (128, 129),
    (129, 127),
    (LANES - 1, 300),
    (LANES, 300),
    (LANES + 1, 300),
    (4 * LANES, 4 * LANES + 1),
    (1004, 1600),
    (1601, 203),
]


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_float_of_the_reduced_picture_is_the_twins(height: int, width: int) -> None:
    picture = drawn(height, width, seed=height * 10_000 + width)
    np.testing.assert_array_equal(reduced_kernel(picture), reduced(luma(picture)))
    assert_equal_to_twin(picture)


@settings(deadline=None, max_examples=120)
@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 2**32 - 1))
def test_drawn_pictures_hash_as_the_twin_says(height: int, width: int, seed: int) -> None:
    assert_equal_to_twin(drawn(height, width, seed))


@pytest.mark.parametrize("side", [1, 2, 3, 8, 16, 31])
def test_chessboards_hash_as_the_twin_says(side: int) -> None:
    assert_equal_to_twin(checker(256, 320, side))


@pytest.mark.parametrize(("height", "width"), [(4, 500), (500, 4), (1, 1), (4, 4)])
def test_a_side_under_five_pixels_gives_the_empty_hash_of_no_quality(height: int, width: int) -> None:
    assert hash_picture(drawn(height, width, seed=1)) == ("0" * 64, 0)


def test_a_flat_picture_has_no_quality() -> None:
    assert hash_picture(np.full((200, 300, 3), 77, dtype=np.uint8))[1] == 0


def test_a_picture_that_is_a_view_or_may_not_be_written_hashes_the_same() -> None:
    picture = drawn(180, 240, seed=2)
    frozen = picture.copy()
    frozen.setflags(write=False)
    turned = np.asfortranarray(picture)
    assert hash_picture(frozen) == hash_picture(turned) == hash_picture(picture)


@pytest.mark.parametrize(
    "wrong",
    [np.zeros(9, np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3), np.uint16)],
    ids=["one-dimension", "four-channels", "sixteen-bit"],
)
def test_an_array_that_is_no_picture_is_refused(wrong: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="unsigned bytes"):
        hash_picture(wrong)
