"""What a third person decided or two corrected may be released once two who never saw it confirm it blind."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from havenline.vocabulary import LARGEST_RADIUS, PDQ_FULL
from havenline_desk.actions.ask_for_pair import ask_for_pair, ask_for_pairs
from havenline_desk.actions.release_entries import ReleaseRefused, propose_release
from havenline_desk.actions.take_next import take_next
from havenline_desk.agreement import ProposalRefused
from havenline_desk.confirmed import Candidate, ReleaseState, candidates
from havenline_desk.gates import Act, Denied
from havenline_desk.models import (
    AlterationApart,
    Assignment,
    AuditEntry,
    ConfirmingPair,
    HouseList,
    Outcome,
    PairResult,
    PerceptualHash,
    Person,
    Plan,
    Role,
    StoredContent,
    Tombstone,
)

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
LATER = AT + 60 * MINUTE


@pytest.fixture
def people() -> dict[str, Person]:
    """A house in which a third person decided one file, and two analysts never saw it."""
    made = make.world(at=AT, stacks=1)
    make.assess(made["analyst-one"], make.TEXTURED, at=AT)
    make.assess(made["analyst-two"], make.NO_SHAPES, at=AT + 5 * MINUTE)
    make.assess(made["adjudicator"], make.TEXTURED, at=AT + 10 * MINUTE)
    for name in ("analyst-three", "analyst-four"):
        made[name] = make.make_person(name, Role.ANALYST, at=AT - 3 * make.DAY)
    make.give_budgets(at=AT)
    make.hash_all()
    make.clear_all(made["lead"], at=LATER)
    return made


@pytest.fixture
def csam(people: dict[str, Person]) -> HouseList:
    return make.house_list(people, at=LATER)


def only(house_list: HouseList) -> Candidate:
    (found,) = candidates(at=LATER + make.DAY, house_list=house_list)
    return found


def confirm(people: dict[str, Person], one: dict[str, str], other: dict[str, str]) -> None:
    make.assess(people["analyst-three"], one, at=LATER + 10 * MINUTE)
    make.assess(people["analyst-four"], other, at=LATER + 20 * MINUTE)


def test_two_who_never_saw_it_confirm_what_a_third_person_decided_and_it_goes_out(
    people: dict[str, Person], csam: HouseList
) -> None:
    assert only(csam).state is ReleaseState.NOT_AGREED
    assert ask_for_pairs(csam, most=10, by=people["lead"], at=LATER) == 1
    assert only(csam).state is ReleaseState.PAIR
    for name in ("analyst-one", "analyst-two"):
        assert take_next(people[name], at=LATER + MINUTE) is None  # they have assessed it
    before = list(Outcome.objects.values())
    confirm(people, make.TEXTURED, make.TEXTURED)
    assert list(Outcome.objects.values()) == before  # what stands is touched by nobody
    assert (only(csam).state, only(csam).assessments) == (ReleaseState.READY, 2)
    acts = list(AuditEntry.objects.filter(act__startswith="pair_").order_by("seq").values_list("act", "purpose"))
    assert acts == [("pair_opened", ""), ("pair_closed", "agrees")]
    with pytest.raises(ProposalRefused, match="adjudicator assessed a file of this batch"):
        propose_release(csam, [only(csam).outcome], person=people["adjudicator"], at=LATER + make.DAY)
    propose_release(csam, [only(csam).outcome], person=people["senior"], at=LATER + make.DAY)


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        (make.TEXTURED, make.NO_SHAPES, "split"),
        (make.NO_SHAPES, make.NO_SHAPES, "differs"),
        (make.TRIANGLE, make.TRIANGLE, "differs"),
    ],
)
def test_where_the_two_do_not_agree_with_what_stands_it_never_goes_out_and_nobody_is_asked_again(
    people: dict[str, Person], csam: HouseList, one: dict[str, str], other: dict[str, str], verdict: str
) -> None:
    ask_for_pairs(csam, most=10, by=people["senior"], at=LATER)
    confirm(people, one, other)
    assert PairResult.objects.get().verdict == verdict
    assert not Assignment.objects.filter(done_at=None).exists()  # no third person is asked
    assert only(csam).state is ReleaseState.NOT_CONFIRMED
    with pytest.raises(ReleaseRefused, match="not confirmed"):
        propose_release(csam, [only(csam).outcome], person=people["senior"], at=LATER + make.DAY)
    with pytest.raises(ReleaseRefused, match="nothing for house-csam waits"):
        ask_for_pairs(csam, most=10, by=people["lead"], at=LATER + make.DAY)
    with pytest.raises(ReleaseRefused, match="two were asked already"):
        ask_for_pair(only(csam).outcome, by=people["lead"], at=LATER + make.DAY)


def test_without_two_who_never_saw_it_nothing_is_opened(people: dict[str, Person], csam: HouseList) -> None:
    people["analyst-four"].is_active = False
    people["analyst-four"].save(update_fields=("is_active",))
    with pytest.raises(ReleaseRefused, match=r"1 never saw this file, and it takes 2"):
        ask_for_pairs(csam, most=10, by=people["lead"], at=LATER)
    assert (ConfirmingPair.objects.count(), only(csam).state) == (0, ReleaseState.NOT_AGREED)
    with pytest.raises(Denied):
        ask_for_pairs(csam, most=10, by=people["liaison"], at=LATER)
    with pytest.raises(ReleaseRefused, match="ask for 1 to 50"):
        ask_for_pairs(csam, most=51, by=people["lead"], at=LATER)


def test_who_asked_and_who_looked_without_assessing_are_not_handed_it(
    people: dict[str, Person], csam: HouseList
) -> None:
    """The lead who asks holds the role of an analyst too; one analyst was shown it and let the lease run out."""
    asking = make.make_person("both", Role.ANALYST, Role.LEAD, at=AT - 3 * make.DAY)
    looked = make.make_person("looked", Role.ANALYST, at=AT - 3 * make.DAY)
    make.give_budgets(at=AT)
    ask_for_pairs(csam, most=10, by=asking, at=LATER)
    assert take_next(asking, at=LATER) is None
    held = take_next(looked, at=LATER)
    assert held is not None
    make.look(held, looked, held.revision.members.get(), step=1, at=LATER)
    again = take_next(looked, at=LATER + 40 * MINUTE)  # who looked inside the pair goes on with it
    assert again is not None
    assert again.revision == held.revision


def test_content_that_is_not_kept_any_more_is_told(people: dict[str, Person], csam: HouseList) -> None:
    kept = StoredContent.objects.get()
    Tombstone.objects.create(stored=kept, rule="test", hashes_removed=False, destroyed_at=LATER)
    with pytest.raises(ReleaseRefused, match="not kept any more"):
        ask_for_pairs(csam, most=10, by=people["lead"], at=LATER)


def test_what_one_person_assessed_takes_two_more(people: dict[str, Person], csam: HouseList) -> None:
    single = make.make_investigation(people["lead"], reference="HL-2", plan=Plan.SINGLE, at=LATER)
    make.add_stack(single, 9, at=LATER)
    make.assess(people["analyst-one"], make.TEXTURED, at=LATER)
    make.clear_all(people["lead"], at=LATER)
    ask_for_pairs(csam, most=2, by=people["lead"], at=LATER + MINUTE)
    assert ConfirmingPair.objects.count() == 2
    confirm(people, make.TEXTURED, make.TEXTURED)
    make.assess(people["analyst-three"], make.TEXTURED, at=LATER + 30 * MINUTE)
    make.assess(people["analyst-two"], make.TEXTURED, at=LATER + 40 * MINUTE)
    assert {one.state for one in candidates(at=LATER + make.DAY)} == {ReleaseState.READY}


def test_a_correction_ends_what_a_pair_said_and_may_be_asked_for_anew(
    people: dict[str, Person], csam: HouseList
) -> None:
    ask_for_pairs(csam, most=10, by=people["lead"], at=LATER)
    confirm(people, make.TEXTURED, make.TEXTURED)
    altered = make.TEXTURED | {"altered": "yes"}
    what = {"outcome": only(csam).outcome.audit_id.hex, "facts": json.dumps(altered), "reason": "reviewed"}
    make.agree(Act.CORRECT_OUTCOME, what, first=people["senior"], second=people["adjudicator"], at=LATER + make.DAY)
    assert only(csam).state is ReleaseState.NOT_AGREED
    assert only(csam).algorithms == ("sha256",)  # nobody who assessed it saw the alteration; the correction knows of it
    for name in ("analyst-five", "analyst-six"):
        make.make_person(name, Role.ANALYST, at=AT - 3 * make.DAY)
    assert ask_for_pairs(csam, most=10, by=people["lead"], at=LATER + make.DAY) == 1


def far_and_near(people: dict[str, Person]) -> tuple[Outcome, Outcome]:
    """An alteration, and its original as a file of this house; their hashes differ in all 256 bits."""
    taken_in = make.make_investigation(people["lead"], reference="HL-3", plan=Plan.SINGLE, at=LATER)
    make.add_stack(taken_in, 11, at=LATER)
    make.assess(people["analyst-one"], make.NO_SHAPES, at=LATER)
    altered, original = Outcome.objects.order_by("pk")
    PerceptualHash.objects.create(file=original.file, pipeline=PDQ_FULL, pdq="f" * 64, quality=90)
    PerceptualHash.objects.filter(file=altered.file).update(pdq="0" * 64)
    return altered, original


def test_rule_3_two_show_that_the_hash_of_an_alteration_lies_far_from_the_original(
    people: dict[str, Person], csam: HouseList
) -> None:
    ask_for_pairs(csam, most=10, by=people["lead"], at=LATER)
    confirm(people, *(2 * [make.TEXTURED | {"altered": "cannot_determine"}]))
    assert only(csam).state is ReleaseState.READY  # this answer is not compared; a doubt holds the perceptual hash back
    altered, original = far_and_near(people)
    assert only(csam).algorithms == ("sha256",)
    what = {"outcome": altered.audit_id.hex, "original": original.audit_id.hex}

    def agree() -> None:
        make.agree(Act.SHOW_APART, what, first=people["senior"], second=people["adjudicator"], at=LATER + make.DAY)

    kept = PerceptualHash.objects.filter(file=original.file)
    kept.update(pdq=f"{(1 << LARGEST_RADIUS) - 1:064x}")
    with pytest.raises(ProposalRefused, match="within 64 bits"):
        agree()
    kept.update(quality=49)
    with pytest.raises(ProposalRefused, match="no perceptual hash of quality 50"):
        agree()
    assert only(csam).algorithms == ("sha256",)
    kept.update(pdq=f"{(1 << LARGEST_RADIUS + 1) - 1:064x}", quality=50)
    agree()
    assert only(csam).algorithms == ("sha256", "sha1", "md5", "pdq")
    shown = AlterationApart.objects.get()
    assert (shown.radius, shown.original) == (LARGEST_RADIUS, original.file)
    with pytest.raises(ProposalRefused, match="recorded already"):
        agree()
    with pytest.raises(ProposalRefused, match="same file twice"):
        make.agree(
            Act.SHOW_APART,
            {"outcome": original.audit_id.hex, "original": original.audit_id.hex},
            first=people["senior"],
            second=people["adjudicator"],
            at=LATER + make.DAY,
        )
