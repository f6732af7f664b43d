"""Partners: two people enrol, doors are shut until somebody opens one, one person suspends; canaries; corrections."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from havenline.formats.edition import ListKind, read_edition
from havenline_desk import editions
from havenline_desk.actions.keep_feed_credentials import make_feed_credential
from havenline_desk.actions.keep_partners import CANARIES, end_subscription, subscribe_partner, suspend_partner
from havenline_desk.actions.propose import propose
from havenline_desk.actions.publish_edition import publish_edition
from havenline_desk.actions.release_entries import ReleaseRefused
from havenline_desk.agreement import ProposalRefused
from havenline_desk.confirmed import ReleaseState, candidates, counted
from havenline_desk.gates import Act, Denied
from havenline_desk.models import (
    AuditAct,
    AuditEntry,
    Door,
    HouseList,
    Outcome,
    Partner,
    Person,
    Quorum,
    ReleasedEntry,
    Withdrawal,
    WithdrawalReason,
)
from havenline_desk.queries.feeds import partner_of
from havenline_desk.queries.releases import canaries_of, feeds_of, recipient_of

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
LATER = AT + dt.timedelta(hours=1)


@pytest.fixture
def people() -> dict[str, Person]:
    made = make.world(at=AT)
    make.settle(made, make.TEXTURED, at=AT)
    make.hash_all()
    return made


@pytest.fixture
def csam(people: dict[str, Person]) -> HouseList:
    make.clear_all(people["lead"], at=AT)
    return make.house_list(people, at=AT)


def test_two_people_enrol_a_key_and_nothing_is_open(people: dict[str, Person], csam: HouseList) -> None:
    partner = make.enrol_partner(people, at=AT)
    assert recipient_of(partner) == make.AGE_KEYS[0]
    assert [feeds_of(partner, door) for door in Door] == [()] * len(Door)
    assert Quorum.objects.get(record=partner.keys.get().audit_id).people == 2
    assert canaries_of(partner, csam) == ()
    for change, reason in (
        ({"recipient": "age1short"}, "no public key of age"),
        ({"recipient": make.AGE_KEYS[0]}, "enrolled before"),
        ({"partner": "No Slug"}, "short name"),
        ({"name": "Somebody else"}, "another name or purpose"),
    ):
        what = {"partner": "north", "name": "North", "purpose": "agreement 4", "recipient": make.AGE_KEYS[1]} | change
        with pytest.raises(ProposalRefused, match=reason):
            make.agree(Act.ENROL_PARTNER_KEY, what, first=people["liaison"], second=people["lead"], at=AT)
    with pytest.raises(Denied):
        propose(Act.ENROL_PARTNER_KEY, what, person=people["lead"], at=AT)
    assert Partner.objects.count() == 1


def test_a_door_is_opened_by_name_closed_by_one_and_shut_by_a_suspension(
    people: dict[str, Person], csam: HouseList
) -> None:
    partner = make.enrol_partner(people, at=AT)
    other = make.house_list(people, kind=ListKind.PROHIBITED, at=AT)
    opened = subscribe_partner(partner, csam, Door.EXCHANGE, by=people["liaison"], at=AT)
    assert feeds_of(partner, Door.EXCHANGE) == (csam,)
    with pytest.raises(ReleaseRefused, match="open to North by that door already"):
        subscribe_partner(partner, csam, Door.EXCHANGE, by=people["liaison"], at=AT)
    with pytest.raises(ReleaseRefused, match="opted into it by name"):
        subscribe_partner(partner, other, Door.EXCHANGE, by=people["liaison"], at=AT)
    subscribe_partner(partner, other, Door.EXCHANGE, opted_in_by_name=True, by=people["liaison"], at=AT)
    assert feeds_of(partner, Door.EXCHANGE) == (csam, other)
    with pytest.raises(Denied):
        subscribe_partner(partner, csam, Door.MATCH, by=people["lead"], at=AT)
    end_subscription(opened, by=people["lead"], at=AT)
    with pytest.raises(ReleaseRefused, match="closed already"):
        end_subscription(opened, by=people["lead"], at=AT)
    assert feeds_of(partner, Door.EXCHANGE) == (other,)
    secret = make_feed_credential(partner, made_by=people["liaison"], at=AT)
    suspend_partner(partner, by=people["senior"], at=AT)
    assert partner_of(partner.slug, secret) is None
    assert feeds_of(partner, Door.EXCHANGE) == ()
    for refused in (
        lambda: suspend_partner(partner, by=people["senior"], at=AT),
        lambda: subscribe_partner(partner, csam, Door.MATCH, by=people["liaison"], at=AT),
    ):
        with pytest.raises(ReleaseRefused, match="suspended"):
            refused()
    make.enrol_partner(people, key=make.AGE_KEYS[1], at=AT)  # two people look again
    assert partner_of(partner.slug, secret) is None  # its password is given anew, or it fetches nothing
    again = make_feed_credential(partner, made_by=people["liaison"], at=AT)
    make.enrol_partner(people, key=make.AGE_KEYS[2], at=AT)  # a further key of one that is not suspended
    assert partner_of(partner.slug, again) == partner
    assert feeds_of(partner, Door.EXCHANGE) == (other,)
    assert recipient_of(partner) == make.AGE_KEYS[2]


def test_rule_24_canaries_are_each_partners_own_and_the_same_by_every_door(
    people: dict[str, Person], csam: HouseList
) -> None:
    north = make.enrol_partner(people, at=AT)
    south = make.enrol_partner(people, "south", key=make.AGE_KEYS[1], at=AT)
    subscribe_partner(north, csam, Door.EXCHANGE, by=people["liaison"], at=AT)
    assert canaries_of(north, csam) == ()  # nothing that they could look like
    (released,) = make.release(csam, people, at=LATER)
    edition = publish_edition(csam, person=people["liaison"], at=LATER)
    subscribe_partner(south, csam, Door.EXCHANGE, by=people["liaison"], at=LATER)
    before = canaries_of(north, csam)
    subscribe_partner(north, csam, Door.MATCH, by=people["liaison"], at=LATER)
    assert canaries_of(north, csam) == before
    (entry,) = read_edition(editions.folder_of(edition))[1]
    values: set[str] = set()
    for partner in (north, south):
        canaries = canaries_of(partner, csam)
        assert len(canaries) == CANARIES == 32
        assert {(set(each.values), each.quality, each.code, each.released) == (
            *(set(entry.values), entry.quality, entry.code, entry.released),
        ) for each in canaries} == {True}  # fmt: skip
        values |= {each.values["pdq"] for each in canaries} | {each.entry for each in canaries}
    assert len(values) == 4 * CANARIES
    assert not values & {released.entry, *entry.values.values()}
    assert list(read_edition(editions.folder_of(edition))[1]) == [entry]  # in no edition


def test_a_correction_by_two_people_clears_a_file_and_withdraws_it(people: dict[str, Person], csam: HouseList) -> None:
    make.release(csam, people, at=LATER)
    publish_edition(csam, person=people["liaison"], at=LATER)
    old = Outcome.objects.get()
    facts = json.dumps(make.NO_SHAPES)
    what = {"outcome": old.audit_id.hex, "facts": facts, "reason": "wrong_file"}
    for change, reason in (
        ({"facts": json.dumps(make.TEXTURED)}, "stand already"),
        ({"facts": "[]"}, "no JSON object"),
        ({"facts": "{}"}, "do not do"),
        ({"outcome": "0" * 32}, "not here"),
    ):
        with pytest.raises(ProposalRefused, match=reason):
            make.agree(
                Act.CORRECT_OUTCOME, what | change, first=people["senior"], second=people["adjudicator"], at=LATER
            )
    with pytest.raises(Denied):
        propose(Act.CORRECT_OUTCOME, what, person=people["lead"], at=LATER)
    make.agree(Act.CORRECT_OUTCOME, what, first=people["senior"], second=people["adjudicator"], at=LATER)
    new = Outcome.objects.get(corrects=old)
    assert (old.status, new.status, new.facts["shapes"]) == ("criminal", "not_criminal", "none")
    assert Outcome.objects.get(pk=old.pk).facts == old.facts
    assert Withdrawal.objects.get().reason == WithdrawalReason.CORRECTED
    assert counted(candidates(at=LATER)) == {}
    assert AuditEntry.objects.get(act=AuditAct.OUTCOME_CORRECTED).purpose == "wrong_file"
    edition = publish_edition(csam, person=people["liaison"], at=LATER)
    assert (edition.entries, edition.withdrawn) == (0, 1)
    with pytest.raises(ProposalRefused, match="corrected already"):
        make.agree(Act.CORRECT_OUTCOME, what, first=people["senior"], second=people["adjudicator"], at=LATER)
    again = {"outcome": new.audit_id.hex, "facts": json.dumps(make.TEXTURED), "reason": "second_look"}
    make.agree(Act.CORRECT_OUTCOME, again, first=people["senior"], second=people["adjudicator"], at=LATER)
    assert counted(candidates(at=LATER)) == {ReleaseState.NOT_AGREED: 1}  # no two assessed it blind and said so
    assert ReleasedEntry.objects.count() == 1
