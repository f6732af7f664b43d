"""A signed list from one installation to another: what is published arrives, what is withdrawn goes, by every way."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from tests.core.connectors.publisher_rig import START, House, Partner, canaries

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[House, Partner]:
    """A house that gave out edition 1, entries 0 to 4, and a partner that added it and fetched nothing yet."""
    house, partner = House(tmp_path / "a"), Partner(tmp_path / "b")
    partner.greet(house)
    house.edition(range(5))
    house.publish(START)
    partner.add(house)
    return house, partner


def test_what_is_published_arrives_with_the_canaries_of_this_recipient_and_withdrawals_follow(
    pair: tuple[House, Partner],
) -> None:
    house, partner = pair
    partner.fetch(START)
    assert partner.found(range(8), at=START) == {0, 1, 2, 3, 4}
    assert partner.checkpoint()["entries"] == 5 + len(canaries(partner.name))

    house.edition([0, 1, 3, 4, 5])
    house.publish(START + HOUR)
    done = partner.fetch(START + HOUR)

    assert done.records == 2  # by changes, not the whole list anew
    assert partner.found(range(8), at=START) == {0, 1, 3, 4, 5}
    assert partner.alarm() is None
    assert partner.fetch(START + 2 * HOUR).records == 0
