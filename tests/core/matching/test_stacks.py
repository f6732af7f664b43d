"""Stacks follow their definition: a representative, and what lies within 31 of it."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from havenline.matching import stacks
from havenline.matching.stacks import StackFile, StackMember, StackPlan, Why, form_stacks
from havenline.vocabulary import PDQ_FULL

NEAR, REPRESENTATIVE = Why.NEAR, Why.REPRESENTATIVE


def sha(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def bits(*ranges: tuple[int, int]) -> str:
    """The PDQ hex whose bits in the given ranges are set."""
    return f"{sum(1 << bit for start, stop in ranges for bit in range(start, stop)):064x}"


def placed(name: str, pdq: str | None, quality: int | None = 100) -> StackFile:
    return StackFile(sha256=sha(name), pdq=pdq, quality=quality, order=name)


def near(name: str, distance: int) -> StackMember:
    return StackMember(sha(name), NEAR, distance, PDQ_FULL)


def alone(name: str, *members: StackMember, existing: bool = False) -> StackPlan:
    return StackPlan(sha(name), (StackMember(sha(name), REPRESENTATIVE), *members), existing)


CASES = {
    "nothing": ([], [], ()),
    "31 joins, 32 does not": (
        [placed("a", bits()), placed("b", bits((0, 31))), placed("c", bits((100, 132)))],
        [],
        (alone("a", near("b", 31)), alone("c")),
    ),
    "no chain: near a member is not enough": (
        [placed("a", bits()), placed("b", bits((0, 20))), placed("c", bits((0, 40)))],
        [],
        (alone("a", near("b", 20)), alone("c")),
    ),
    "the nearest representative wins": (
        [placed("a", bits()), placed("b", bits((0, 40))), placed("c", bits((0, 30)))],
        [],
        (alone("a"), alone("b", near("c", 10))),
    ),
    "of equally near ones the earlier wins": (
        [placed("a", bits()), placed("b", bits((0, 40))), placed("c", bits((0, 20)))],
        [],
        (alone("a", near("c", 20)), alone("b")),
    ),
    "equal hashes are near, not the same file": (
        [placed("a", bits()), placed("b", bits())],
        [],
        (alone("a", near("b", 0)),),
    ),
    "below quality 50 a file stands alone and attracts none": (
        [placed("a", bits(), 49), placed("b", bits(), 50), placed("c", bits(), 49), placed("d", bits(), 50)],
        [],
        (alone("a"), alone("b", near("d", 0)), alone("c")),
    ),
    "without a hash a file stands alone": (
        [placed("a", None, None), placed("b", None, None)],
        [],
        (alone("a"), alone("b")),
    ),
    "an existing representative precedes every file": (
        [placed("a", bits()), placed("b", bits((0, 35)))],
        [placed("z", bits((0, 5)))],
        (alone("z", near("a", 5), near("b", 30), existing=True),),
    ),
    "an existing one stays, alone and even below the floor": (
        [placed("a", bits())],
        [placed("z", bits(), 10), placed("y", None, None)],
        (alone("y", existing=True), alone("z", existing=True), alone("a")),
    ),
    "existing ones near each other stay apart": (
        [placed("a", bits((0, 1)))],
        [placed("y", bits()), placed("z", bits((0, 2)))],
        (alone("y", near("a", 1), existing=True), alone("z", existing=True)),
    ),
}


@pytest.mark.parametrize(("files", "existing", "expected"), CASES.values(), ids=CASES.keys())
def test_stacks_follow_the_definition(
    files: list[StackFile], existing: list[StackFile], expected: tuple[StackPlan, ...]
) -> None:
    assert form_stacks(files, existing) == expected


def test_the_pipeline_is_recorded_with_each_near_member() -> None:
    (plan,) = form_stacks([placed("a", bits()), placed("b", bits())], pipeline="pdq-other/7")
    assert plan.members[1].pipeline == "pdq-other/7"


def test_one_file_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        form_stacks([placed("a", bits())], [placed("a", bits())])


def by_hand(
    files: Sequence[StackFile], existing: Sequence[StackFile]
) -> list[tuple[str, list[tuple[str, int | None]]]]:
    """The definition, file after file, as slowly and plainly as it can be said."""

    def natural(file: StackFile) -> tuple[str, str]:
        return file.order, file.sha256

    stacks_formed = [(file, [(file.sha256, None)]) for file in sorted(existing, key=natural)]
    for file in sorted(files, key=natural):
        best: tuple[int, int] | None = None
        for place, (representative, _) in enumerate(stacks_formed):
            if not (file.comparable and representative.comparable):
                continue
            distance = (int(file.pdq or "", 16) ^ int(representative.pdq or "", 16)).bit_count()
            if distance <= 31 and (best is None or distance < best[0]):
                best = distance, place
        if best is None:
            stacks_formed.append((file, [(file.sha256, None)]))
        else:
            stacks_formed[best[1]][1].append((file.sha256, best[0]))  # type: ignore[arg-type]
    return [(representative.sha256, members) for representative, members in stacks_formed]  # type: ignore[misc]


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(0, 40),
    earlier=st.integers(0, 10),
    spread=st.sampled_from([4, 12, 20, 40]),
    at_once=st.sampled_from([1, 3, 7, 4096]),
)
def test_stacks_equal_the_definition_whatever_the_order_of_arrival(
    seed: int, count: int, earlier: int, spread: int, at_once: int
) -> None:
    draw = random.Random(seed)
    centres = [draw.getrandbits(256) for _ in range(3)]

    def file(number: int) -> StackFile:
        code = draw.choice(centres)
        for bit in draw.sample(range(256), draw.randint(0, spread)):
            code ^= 1 << bit
        quality = draw.choice([100, 100, 100, 50, 49, 0])
        without = draw.random() < 0.1
        return StackFile(
            sha256=sha((seed, number)),
            pdq=None if without else f"{code:064x}",
            quality=None if without else quality,
            order=f"{draw.randint(0, 60):03d}",
        )

    files = [file(number) for number in range(count)]
    existing = [file(number) for number in range(count, count + earlier)]
    expected = by_hand(files, existing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacks, "_AT_ONCE", at_once)
        formed = form_stacks(files, existing)
        draw.shuffle(files)
        draw.shuffle(existing)
        again = form_stacks(files, existing)
    assert [
        (plan.representative, [(member.sha256, member.distance) for member in plan.members]) for plan in formed
    ] == expected
    assert again == formed
    assert [plan.existing for plan in formed] == [place < earlier for place in range(len(formed))]


def test_a_thousand_alike_pictures_form_one_stack() -> None:
    files = [placed(f"{number:04d}", bits((number % 30, 30))) for number in range(1000)]
    (plan,) = form_stacks(files)
    assert len(plan.members) == 1000
