"""From a release that two people confirmed to another installation's list, and a withdrawal behind it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from havenline.connectors.alarms import Distrusted
from havenline.connectors.exchange import Exchange
from havenline_desk import gates
from havenline_desk.actions.keep_partners import end_subscription, subscribe_partner, suspend_partner
from havenline_desk.actions.publish_edition import publish_edition
from havenline_desk.actions.withdraw_entries import withdraw_entry
from havenline_desk.models import Canary, Door, HouseList, Partner, Person, WithdrawalReason
from havenline_desk.queries.exchange_feeds import exchange_feeds
from tests.core.connectors.publisher_rig import START, House
from tests.core.connectors.publisher_rig import Partner as Installation

from . import factories as make

pytestmark = pytest.mark.django_db
AT = START - dt.timedelta(hours=2)
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def people() -> dict[str, Person]:
    made = make.world(at=AT, stacks=2)
    make.settle(made, make.TEXTURED, at=AT + MINUTE)
    make.settle(made, make.TEXTURED, at=AT + 10 * MINUTE)
    make.hash_all()
    make.clear_all(made["lead"], at=START)
    return made


@pytest.fixture
def csam(people: dict[str, Person]) -> HouseList:
    return make.house_list(people, at=START)


def held(installation: Installation) -> set[str]:
    opened = Exchange(installation.exchange)
    try:
        return {entry.entry for entry in opened.store.entries()}
    finally:
        opened.close()


def test_what_two_people_released_reaches_the_partner_and_a_withdrawal_follows(
    people: dict[str, Person], csam: HouseList, tmp_path: Path
) -> None:
    house, there = House(tmp_path / "house"), Installation(tmp_path / "there", "elsewhere")
    there.greet(house)
    partner = make.enrol_partner(people, slug="elsewhere", key=house.keys["elsewhere"], at=START)
    released = make.release(csam, people, at=START)
    assert exchange_feeds() == ()  # enrolled is not subscribed: every feed is off until somebody opens it
    subscribe_partner(partner, csam, Door.EXCHANGE, by=people["liaison"], at=START)
    assert exchange_feeds() == ()  # and nothing is published yet
    publish_edition(csam, person=people["liaison"], at=START)
    house.publish(START, exchange_feeds())
    there.add(house, their_list=csam.name)
    there.fetch(START)
    canaries = set(Canary.objects.filter(partner=partner).values_list("entry", flat=True))
    assert len(canaries) == 32
    assert held(there) == {each.entry for each in released} | canaries

    withdraw_entry(released[0], reason=WithdrawalReason.ERROR, person=people["lead"], at=START)
    publish_edition(csam, person=people["liaison"], at=START)
    house.publish(START, exchange_feeds())
    there.fetch(START)
    assert held(there) == {released[1].entry} | canaries


def test_by_the_other_doors_and_to_the_suspended_nothing_is_staged(
    people: dict[str, Person], csam: HouseList, tmp_path: Path
) -> None:
    house, there = House(tmp_path / "house"), Installation(tmp_path / "there", "elsewhere")
    there.greet(house)
    partner: Partner = make.enrol_partner(people, slug="elsewhere", key=house.keys["elsewhere"], at=START)
    make.release(csam, people, at=START)
    publish_edition(csam, person=people["liaison"], at=START)
    for door in (Door.MATCH, Door.NCMEC):
        subscribe_partner(partner, csam, door, by=people["liaison"], at=START)
    assert exchange_feeds() == ()
    subscription = subscribe_partner(partner, csam, Door.EXCHANGE, by=people["liaison"], at=START)
    (feed,) = exchange_feeds()
    assert (feed.partner, feed.list_name, feed.newest, len(feed.canaries)) == ("elsewhere", csam.name, 1, 32)
    house.publish(START, [feed])
    there.add(house, their_list=csam.name)
    there.fetch(START)
    end_subscription(subscription, by=people["liaison"], at=START)
    assert exchange_feeds() == ()
    subscribe_partner(partner, csam, Door.EXCHANGE, by=people["liaison"], at=START)
    suspend_partner(partner, by=people["lead"], at=START)
    assert exchange_feeds() == ()
    house.publish(START, exchange_feeds())
    with pytest.raises(Distrusted, match="gives us no list"):
        there.fetch(START)


def test_who_hears_a_fingerprint_may_propose_a_key_and_another_may_agree_to_it(people: dict[str, Person]) -> None:
    def among(*names: str) -> None:
        gates.require_among([people[name] for name in names], gates.Act.ENROL_PARTNER_KEY, at=START)

    for names in (["liaison"], ["lead"], ["liaison", "lead"], ["lead", "liaison"], ["admin", "liaison"]):
        among(*names)
    for names in (["senior"], ["liaison", "senior"], ["lead", "admin"], ["welfare", "lead"]):
        with pytest.raises(gates.Denied):
            among(*names)
