"""Three values: one false decides, one unknown leaves open."""

import itertools

import pytest

from havenline.frameworks.conditions import Condition, Truth, all_of

T, F, U = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN


@pytest.mark.parametrize(
    ("values", "joined"),
    [
        ((), T),
        ((T,), T),
        ((T, T), T),
        ((U,), U),
        ((T, U), U),
        ((U, T), U),
        ((F,), F),
        ((U, F), F),
        ((F, U), F),
        ((T, F, U), F),
    ],
)
def test_all_of_is_kleenes_and(values: tuple[Truth, ...], joined: Truth) -> None:
    assert all_of(values) is joined


def test_order_does_not_matter() -> None:
    for values in itertools.product((T, F, U), repeat=3):
        assert len({all_of(order) for order in itertools.permutations(values)}) == 1


def test_a_condition_is_told_as_plain_lists() -> None:
    condition = Condition((("child", ("yes",)), ("kind", ("a", "b"))))
    assert condition.as_mapping() == {"child": ["yes"], "kind": ["a", "b"]}
