"""Who feels for the edge of a list is found, and who looks up what people upload is not."""

from __future__ import annotations

import os

import numpy as np
import pytest
from numpy.typing import NDArray

from havenline.matching.probes import FEWEST, LASTS, REACH, ProbeTable, close_to

SEED = 20_261_128
NOON = 1_800_000_000
Codes = NDArray[np.uint64]


def turned(code: Codes, bits: int, chance: np.random.Generator) -> Codes:
    flat = np.unpackbits(code.view(np.uint8))
    flat[chance.choice(256, bits, replace=False)] ^= 1
    return np.packbits(flat).view(np.uint64)


def drawn(count: int, chance: np.random.Generator) -> Codes:
    return chance.integers(0, 1 << 64, (count, 4), np.uint64)


def by_hand(code: Codes, codes: Codes, radius: int) -> dict[int, int]:
    far = np.unpackbits((codes ^ code).view(np.uint8).reshape(len(codes), 32), axis=1).sum(axis=1)
    return {row: int(distance) for row, distance in enumerate(far) if distance <= radius}


@pytest.mark.parametrize("radius", [0, 31, REACH])
def test_close_values_are_found_as_by_comparing_bit_by_bit(radius: int) -> None:
    print("seed", SEED)
    chance = np.random.default_rng(SEED)
    code = drawn(1, chance)[0]
    near = np.array([turned(code, bits, chance) for bits in range(90)])
    codes = np.ascontiguousarray(np.concatenate([drawn(300, chance), near]))
    rows, distances = close_to(code, codes, radius=radius)
    assert dict(zip(rows.tolist(), distances.tolist(), strict=True)) == by_hand(code, codes, radius)


@pytest.mark.parametrize("seed", range(5))
def test_probing_is_found_at_the_twentieth_close_value_and_not_before(seed: int) -> None:
    chance = np.random.default_rng(seed)
    table, base = ProbeTable.empty(1000), drawn(1, chance)[0]
    counts = []
    for turn in range(FEWEST):
        for other in drawn(40, chance):  # what else is asked for in between
            assert table.note(other, second=NOON + turn) == 1
        counts.append(table.note(turned(base, turn, chance), second=NOON + turn))
    assert counts == list(range(1, FEWEST + 1))


def test_the_same_value_over_and_over_is_one() -> None:
    table, code = ProbeTable.empty(100), drawn(1, np.random.default_rng(1))[0]
    assert {table.note(code, second=NOON + turn) for turn in range(50)} == {1}
    assert int(table.filled[0]) == 1


def test_what_was_asked_for_a_day_ago_counts_no_more() -> None:
    chance = np.random.default_rng(2)
    table, base = ProbeTable.empty(100), drawn(1, chance)[0]
    for turn in range(19):
        table.note(turned(base, 1 + turn, chance), second=NOON)
    assert table.note(turned(base, 0, chance), second=NOON + LASTS) == 1
    assert table.note(turned(base, 3, chance), second=NOON + LASTS) == 2


def test_many_other_values_in_between_do_not_wash_close_ones_away() -> None:
    chance = np.random.default_rng(3)
    table, base = ProbeTable.empty(200), drawn(1, chance)[0]
    for turn in range(2):
        table.note(turned(base, 1 + turn, chance), second=NOON)
    for other in drawn(1000, chance):
        table.note(other, second=NOON + 1)
    assert table.note(base, second=NOON + 2) == 3


def test_drawn_values_and_the_copies_that_are_passed_on_never_look_like_probing() -> None:
    """Random values, every tenth with up to eight copies a few bits away, as when a picture is passed on."""
    chance = np.random.default_rng(SEED)
    table, most = ProbeTable.empty(4096), 0
    for number, code in enumerate(drawn(100_000 if os.environ.get("HAVENLINE_SOAK") else 3000, chance)):
        most = max(most, table.note(code, second=NOON + number))
        for _ in range(int(chance.integers(0, 9)) if number % 10 == 0 else 0):
            most = max(most, table.note(turned(code, int(chance.integers(0, 9)), chance), second=NOON + number))
    assert 1 < most < FEWEST
