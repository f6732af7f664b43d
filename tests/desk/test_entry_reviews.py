"""What partners say against an entry of ours: who looks at it, what follows, and that a vote withdraws nothing."""

from __future__ import annotations

import datetime as dt

import pytest

from havenline_desk.actions.record_feed_vote import record_feed_vote
from havenline_desk.actions.review_entries import ReviewRefused, dispute_entry, record_entry_finding
from havenline_desk.actions.withdraw_entries import withdraw_entry
from havenline_desk.gates import Denied
from havenline_desk.models import (
    Assignment,
    AuditEntry,
    Canary,
    EntryFinding,
    EntryReview,
    EntryVerdict,
    Outcome,
    Person,
    QualityReview,
    ReleasedEntry,
    Role,
    RoleGrant,
    Subscription,
    VoteReason,
    Withdrawal,
    WithdrawalReason,
)
from havenline_desk.waiting import waiting_for

from . import factories as make
from . import feeds

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def people() -> dict[str, Person]:
    made = make.world(at=AT)
    make.settle(made, make.TEXTURED, at=AT + MINUTE)
    make.hash_all()
    make.clear_all(made["lead"], at=AT + 5 * MINUTE)
    made["other"] = make.make_person("other-analyst", Role.ANALYST, at=AT)
    RoleGrant.objects.update(effective_from=AT)
    return made


@pytest.fixture
def entry(people: dict[str, Person]) -> ReleasedEntry:
    listed = make.house_list(people, at=AT + 6 * MINUTE)
    (made,) = make.release(listed, people, at=AT + 6 * MINUTE)
    return made


@pytest.fixture
def north(entry: ReleasedEntry) -> Subscription:
    return feeds.subscribe(feeds.partner("north", at=AT), entry.list, at=AT)


def vote(
    subscription: Subscription,
    entry: str,
    against: VoteReason | None = VoteReason.NOT_ILLEGAL,
    *,
    fingerprint: str = "md5",
    minutes: int = 10,
) -> None:
    record_feed_vote(subscription, entry, fingerprint=fingerprint, against=against, at=AT + minutes * MINUTE)


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("seq").values_list("act", flat=True))


def test_several_votes_on_one_entry_are_one_review_and_withdraw_nothing(
    entry: ReleasedEntry, north: Subscription
) -> None:
    south = feeds.subscribe(feeds.partner("south", at=AT), entry.list, at=AT)
    vote(north, entry.entry)
    assert acts()[-2:] == ["feed_vote_received", "entry_review_opened"]
    vote(north, entry.entry, fingerprint="sha1")
    vote(south, entry.entry, VoteReason.ADULT)
    (review,) = EntryReview.objects.all()
    assert (review.entry, review.partner, review.reason) == (entry, north.partner, "not_illegal")
    assert not Withdrawal.objects.exists()


def test_a_vote_in_favour_a_canary_and_a_withdrawn_entry_open_nothing(
    entry: ReleasedEntry, north: Subscription, people: dict[str, Person]
) -> None:
    vote(north, entry.entry, None)
    vote(north, Canary.objects.filter(partner=north.partner)[0].entry)
    withdraw_entry(entry, reason=WithdrawalReason.ERROR, person=people["lead"], at=AT + 11 * MINUTE)
    vote(north, entry.entry)
    assert not EntryReview.objects.exists()


def test_what_stands_is_looked_at_again_for_a_new_vote_and_not_for_the_same(
    entry: ReleasedEntry, north: Subscription, people: dict[str, Person]
) -> None:
    vote(north, entry.entry)
    record_entry_finding(EntryReview.objects.get(), EntryVerdict.STANDS, person=people["senior"], at=AT + 11 * MINUTE)
    vote(north, entry.entry, minutes=12)
    assert EntryReview.objects.count() == 1
    vote(north, entry.entry, VoteReason.WRONG_PICTURE, minutes=13)
    newest = EntryReview.objects.order_by("pk")[1]
    assert (newest.reason, EntryFinding.objects.count()) == ("wrong_picture", 1)
    first = EntryReview.objects.order_by("pk")[0]
    with pytest.raises(ReviewRefused, match="ended this review meanwhile"):
        record_entry_finding(first, EntryVerdict.STANDS, person=people["lead"], at=AT + 14 * MINUTE)


def test_one_person_upholds_a_dispute_and_the_entry_is_withdrawn_at_once(
    entry: ReleasedEntry, north: Subscription, people: dict[str, Person]
) -> None:
    vote(north, entry.entry)
    assert record_entry_finding(
        EntryReview.objects.get(), EntryVerdict.WITHDRAWN, person=people["lead"], at=AT + 11 * MINUTE
    )
    gone = Withdrawal.objects.get()
    assert (gone.entry, gone.reason, gone.person) == (entry, "partner", people["lead"])
    assert acts()[-2:] == ["entry_withdrawn", "entry_reviewed"]


@pytest.mark.parametrize("name", ["analyst-one", "adjudicator", "liaison", "auditor", "admin", "welfare"])
def test_others_find_nothing(entry: ReleasedEntry, north: Subscription, people: dict[str, Person], name: str) -> None:
    vote(north, entry.entry)
    with pytest.raises(Denied):
        record_entry_finding(EntryReview.objects.get(), EntryVerdict.STANDS, person=people[name], at=AT + 11 * MINUTE)
    assert not EntryFinding.objects.exists()


def test_who_assessed_the_file_does_not_look_at_its_dispute(
    entry: ReleasedEntry, north: Subscription, people: dict[str, Person]
) -> None:
    vote(north, entry.entry)
    RoleGrant.objects.filter(person=people["analyst-one"]).update(role=Role.SENIOR)
    with pytest.raises(Denied, match="assessed this file"):
        record_entry_finding(
            EntryReview.objects.get(), EntryVerdict.WITHDRAWN, person=people["analyst-one"], at=AT + 11 * MINUTE
        )
    assert not Withdrawal.objects.exists()


def test_others_assess_the_file_anew_while_the_entry_stands_and_what_they_find_withdraws_it(
    entry: ReleasedEntry, north: Subscription, people: dict[str, Person]
) -> None:
    vote(north, entry.entry)
    record_entry_finding(
        EntryReview.objects.get(), EntryVerdict.ASSESS_ANEW, person=people["senior"], at=AT + 11 * MINUTE
    )
    anew = QualityReview.objects.get()
    assert (anew.outcome, anew.finding) == (entry.outcome, None)
    assert acts()[-2:] == ["entry_reviewed", "review_opened"]
    assert not Withdrawal.objects.exists()
    RoleGrant.objects.filter(person=people["senior"]).update(role=Role.ANALYST)
    for name, free in (("analyst-one", False), ("senior", False), ("other", True)):
        waits = waiting_for(people[name], ["first", "second"], at=AT + 12 * MINUTE)
        assert waits.filter(revision=anew.revision).exists() is free, name
    people["last"] = make.make_person("last-analyst", Role.ANALYST, at=AT)
    RoleGrant.objects.update(effective_from=AT)
    pair = {"analyst-one": people["other"], "analyst-two": people["last"]}
    make.settle(pair, make.NO_SHAPES, at=AT + 12 * MINUTE)
    assert Outcome.objects.filter(corrects=entry.outcome).exists()
    assert Withdrawal.objects.get().reason == "corrected"
    assert not Assignment.objects.filter(revision=anew.revision, done_at=None).exists()


def test_a_dispute_by_letter_opens_one_review(
    entry: ReleasedEntry, north: Subscription, people: dict[str, Person]
) -> None:
    said = {"partner": north.partner, "reason": VoteReason.ADULT, "at": AT + 10 * MINUTE}
    with pytest.raises(Denied):
        dispute_entry(entry, by=people["analyst-two"], **said)
    review = dispute_entry(entry, by=people["liaison"], **said)
    assert (review.opened_by, acts()[-1]) == (people["liaison"], "entry_review_opened")
    vote(north, entry.entry)
    with pytest.raises(ReviewRefused, match="open already"):
        dispute_entry(entry, by=people["liaison"], **said)
    assert EntryReview.objects.count() == 1
