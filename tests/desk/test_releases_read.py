"""What others read of lists, editions and partners."""

from __future__ import annotations

import datetime as dt

import pytest

from havenline.formats.edition import ListKind, read_edition, write_edition
from havenline_desk import editions
from havenline_desk.models import (
    Canary,
    Door,
    HouseList,
    Partner,
    PublishedEdition,
    Subscription,
    Withdrawal,
)
from havenline_desk.queries import releases

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def house_list() -> HouseList:
    people = make.world(at=AT)
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT + MINUTE)
    make.assess(people["analyst-two"], make.TRIANGLE, at=AT + 3 * MINUTE)
    return HouseList.objects.create(name="house-csam", kind=ListKind.CSAM, made_by=people["liaison"], made_at=AT)


def test_what_is_in_force_becomes_an_edition_and_the_newest_one_counts(house_list: HouseList) -> None:
    make.released_row(house_list, 1, first_number=1)
    gone = make.released_row(house_list, 2, first_number=1)
    make.released_row(house_list, 3, first_number=None, pdq=False)
    Withdrawal.objects.create(entry=gone, reason="error", person=house_list.made_by, withdrawn_at=AT)
    assert releases.newest_edition(house_list) is None
    made = write_edition(
        editions.folder_of_list(house_list),
        list_name=house_list.name,
        kind=ListKind.CSAM,
        entries=editions.entries_in_force(house_list),
        previous=None,
        made_at=AT,
    )
    for number in (1, 2):
        PublishedEdition.objects.create(
            list=house_list,
            number=number,
            digest=made.digest,
            root=made.root,
            entries=made.entries,
            added=made.added,
            withdrawn=0,
            published_by=house_list.made_by,
            made_at=AT,
        )
    newest = releases.newest_edition(house_list)
    assert newest is not None
    assert newest.number == 2
    held = list(read_edition(editions.folder_of(PublishedEdition.objects.get(number=1)))[1])
    assert [(each.entry, sorted(each.values)) for each in held] == [
        (f"{1:032x}", ["pdq", "sha256"]),
        (f"{3:032x}", ["sha256"]),
    ]


def test_what_was_withdrawn_since_is_told_before_any_edition_tells_it(house_list: HouseList) -> None:
    def withdrawn(number: int, *, first: int | None, gone: int | None) -> None:
        Withdrawal.objects.create(
            entry=make.released_row(house_list, number, first_number=first),
            reason="error",
            withdrawn_at=AT,
            first_number=gone,
        )

    withdrawn(1, first=1, gone=2)
    withdrawn(2, first=1, gone=None)
    withdrawn(3, first=2, gone=3)
    withdrawn(4, first=None, gone=None)
    held = {number: editions.withdrawn_since(PublishedEdition(list=house_list, number=number)) for number in (1, 2, 3)}
    never, gone = f"{4:032x}", f"{2:032x}"  # an entry of no edition is named too: it stands in none
    assert held[1] == {f"{1:032x}", gone, f"{3:032x}", never}
    assert held[2] == {gone, f"{3:032x}", never}
    assert held[3] == {gone, never}


def test_a_partner_gets_what_it_subscribed_to_by_that_door_until_it_is_suspended(house_list: HouseList) -> None:
    partner = Partner.objects.create(slug="north", name="North", purpose="agreement 4", enrolled_at=AT)
    Subscription.objects.create(
        partner=partner, list=house_list, door=Door.EXCHANGE, opened_by=house_list.made_by, opened_at=AT
    )
    assert releases.feeds_of(partner, Door.EXCHANGE) == (house_list,)
    assert releases.feeds_of(partner, Door.MATCH) == ()
    assert releases.subscribers_of(house_list, Door.EXCHANGE) == (partner,)
    Partner.objects.update(suspended_at=AT)
    assert releases.feeds_of(partner, Door.EXCHANGE) == ()
    assert releases.subscribers_of(house_list, Door.EXCHANGE) == ()


def test_canaries_are_entries_of_that_partner_and_list(house_list: HouseList) -> None:
    partner = Partner.objects.create(slug="north", name="North", purpose="agreement 4", enrolled_at=AT)
    other = Partner.objects.create(slug="south", name="South", purpose="agreement 5", enrolled_at=AT)
    Canary.objects.create(
        partner=partner,
        list=house_list,
        entry="c" * 32,
        values={"pdq": "d" * 64},
        quality=88,
        framework="demo.shapes",
        framework_version="1",
        code="A",
        assessments=2,
        released_at=AT,
        made_at=AT,
    )
    (canary,) = releases.canaries_of(partner, house_list)
    assert (canary.entry, canary.values, canary.kind) == ("c" * 32, {"pdq": "d" * 64}, ListKind.CSAM)
    assert releases.canaries_of(other, house_list) == ()
