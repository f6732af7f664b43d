"""One picture beside another: what lies alike is placed, what differs is mapped, strangers are told apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from havenline.provenance.derived import GRID, Cell, Comparison, compare
from havenline.provenance.keypoints import LONGEST, as_shown, keypoints, shrunk
from havenline.testing.drawing import choose_subject, draw_subject

SEED = 7


def drawn(number: int) -> Image.Image:
    subject = choose_subject(SEED, number)
    return Image.fromarray(draw_subject(subject, seed=SEED, number=number, attempt=0)).convert("L")


def found(one: Image.Image, other: Image.Image) -> Comparison:
    return compare(np.asarray(one), np.asarray(other))


def cells(comparison: Comparison) -> list[Cell]:
    return [cell for row in comparison.cells for cell in row]


@pytest.mark.parametrize("number", [0, 3, 5, 8])
def test_a_picture_lies_on_itself_in_full(number: int) -> None:
    same = found(drawn(number), drawn(number))
    assert same.score > 0.9
    assert (same.mirrored, same.differing) == (False, 0.0)
    assert same.scale == pytest.approx(1, abs=0.01)
    assert same.turn == pytest.approx(0, abs=0.5)
    assert same.overlap > 0.97
    assert (len(same.cells), {len(row) for row in same.cells}) == (GRID, {GRID})


def test_size_turn_and_mirror_are_told() -> None:
    one = drawn(3)
    smaller = one.resize((one.width * 6 // 10, one.height * 6 // 10), Image.Resampling.BOX)
    assert found(one, smaller).scale == pytest.approx(0.6, rel=0.03)
    turned = found(one, one.rotate(-15, Image.Resampling.BILINEAR, expand=True))
    assert turned.turn == pytest.approx(15, abs=1)
    assert turned.score > 0.9
    mirrored = found(one, ImageOps.mirror(one))
    assert mirrored.mirrored
    assert mirrored.score > 0.9


@pytest.mark.parametrize("number", [0, 3, 8])
def test_what_was_painted_over_is_mapped_where_it_is_and_nowhere_else(number: int) -> None:
    one = drawn(number)
    other = one.copy()
    box = (one.width // 4, one.height // 4, one.width // 2, one.height // 2)
    other.paste(drawn(number + 1).resize((box[2] - box[0], box[3] - box[1])), box[:2])
    seen = found(one, other)
    assert seen.score > 0.9
    inside = [seen.cells[y][x] for y in range(5, 7) for x in range(5, 7)]
    outside = [seen.cells[y][x] for y in range(GRID) for x in range(GRID) if not (3 <= x <= 8 and 3 <= y <= 8)]
    assert inside.count(Cell.DIFFERS) >= 3
    assert outside.count(Cell.DIFFERS) <= 2


def test_what_a_part_does_not_cover_is_outside_and_no_difference() -> None:
    one = drawn(8)
    left = found(one, one.crop((0, 0, one.width // 2, one.height)))
    assert left.overlap == pytest.approx(0.5, abs=0.05)
    assert all(row[12:] == (Cell.OUTSIDE,) * 4 for row in left.cells)
    assert left.differing < 0.05


def test_strangers_with_the_same_words_on_them_are_no_likeness() -> None:
    scores = [found(drawn(number), drawn(number + 1)).score for number in range(0, 12, 2)]
    assert max(scores) < 0.5


def test_plain_and_tiny_pictures_have_no_corners_and_no_likeness() -> None:
    plain = Image.new("L", (400, 300), 90)
    card = plain.copy()
    ImageDraw.Draw(card).rectangle((100, 100, 200, 200), fill=200)
    for one, other in (
        (plain, plain),
        (plain, card),
        (Image.new("L", (1, 1)), card),
        (plain, Image.new("L", (3000, 2))),
    ):
        nothing = found(one, other)
        assert nothing.score < 0.5
        assert nothing.cells == ()
    assert len(keypoints(shrunk(np.asarray(plain))).at) == 0


def test_the_same_pixels_give_the_same_answer_and_the_work_is_bounded() -> None:
    chance = np.random.default_rng(11)
    noise: NDArray[np.uint8] = chance.integers(0, 255, (900, 1400), dtype=np.uint8)
    assert compare(noise, noise) == compare(noise.copy(), noise.copy())
    corners = keypoints(shrunk(noise))
    assert max(shrunk(noise).shape) == LONGEST
    assert len(corners.at) <= 1000
    assert corners.bits.shape == (len(corners.at), 256)


def test_a_turning_mark_is_applied_before_pictures_are_compared() -> None:
    rgb = np.asarray(drawn(3).convert("RGB"))
    stored = np.ascontiguousarray(np.rot90(rgb))
    assert np.array_equal(as_shown(stored, 6), as_shown(rgb, 1))
