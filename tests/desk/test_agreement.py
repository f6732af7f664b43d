"""Agreement by fact, pool and week: figures from real assessments, nothing of a person, nothing of a pair."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools

import pytest
from django.utils import timezone

from havenline_desk.models import Assessment, Person, Pool, PoolKind, PoolNeed, Role, Stack
from havenline_desk.queries.agreement import AgreementPage, FactAgreement, agreement_page

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
WEEK = dt.timedelta(weeks=1)


def assess_all(people: list[Person], *, differing: int, at: dt.datetime) -> None:
    """Each waiting stack by two of the people in turn; the first `differing` ones are answered differently."""
    turns = itertools.cycle(people)
    open_ = [stack.pk for stack in Stack.objects.order_by("pk") if not Assessment.objects.filter(revision__stack=stack)]
    for number in range(2 * len(open_)):
        facts = dict(make.TRIANGLE)
        if number % 2 and number // 2 < differing:
            facts["largest_colour"] = "blue"
        make.assess(next(turns), facts, at=at + dt.timedelta(seconds=number))


def fact(facts: tuple[FactAgreement, ...], name: str) -> FactAgreement:
    return next(one for one in facts if one.question.id == name)


def stacks_of(count: int, people: dict[str, Person], *, at: dt.datetime, start: int = 100) -> None:
    from havenline_desk.models import Import

    taken_in = Import.objects.get()
    for number in range(start, start + count):
        make.add_stack(taken_in, number, at=at)


def three(people: dict[str, Person], *, at: dt.datetime) -> list[Person]:
    return [people["analyst-one"], people["analyst-two"], make.make_person("analyst-three", Role.ANALYST, at=at)]


def test_a_fact_gets_its_figures_and_a_question_that_was_not_asked_counts_for_nothing() -> None:
    people = make.world(at=AT, stacks=20)
    assess_all(three(people, at=AT - 2 * make.DAY), differing=5, at=AT + dt.timedelta(minutes=1))
    page = agreement_page(make.investigation(), at=AT + WEEK)
    assert page.stacks == 20
    colour = fact(page.by_fact, "largest_colour").agreement
    assert colour is not None
    assert (colour.units, colour.per_cent.value) == (20, 75)
    assert colour.kappa.value == 0  # one of the two never varied
    alike = fact(page.by_fact, "largest_shape").agreement
    assert alike is not None
    assert (alike.per_cent.value, alike.ac1.value, alike.kappa.value) == (100, 1, None)
    assert [group.name for group in page.by_week] == ["2026-W10"]
    assert page.by_pool == ()


def test_below_twenty_stacks_nothing_is_given() -> None:
    people = make.world(at=AT, stacks=19)
    assess_all(three(people, at=AT - 2 * make.DAY), differing=0, at=AT + dt.timedelta(minutes=1))
    page = agreement_page(make.investigation(), at=AT + WEEK)
    assert {(one.agreement, one.why_not) for one in page.by_fact} == {(None, "fewer than 20 stacks")}


def test_two_people_are_a_pair_whatever_they_did() -> None:
    people = make.world(at=AT, stacks=22)
    assess_all([people["analyst-one"], people["analyst-two"]], differing=3, at=AT + dt.timedelta(minutes=1))
    page = agreement_page(make.investigation(), at=AT + WEEK)
    asked = [one for one in page.by_fact if one.why_not != "fewer than 20 stacks"]
    assert {(one.agreement, one.why_not) for one in asked} == {(None, "fewer than 3 people")}


def test_pools_and_weeks_are_groups_of_their_own() -> None:
    people = make.world(at=AT, stacks=20)
    staff = three(people, at=AT - 2 * make.DAY)
    assess_all(staff, differing=0, at=AT + dt.timedelta(minutes=1))
    stacks_of(5, people, at=AT + WEEK)
    assess_all(staff, differing=0, at=AT + WEEK + dt.timedelta(minutes=1))
    pool = Pool.objects.create(name="maps", kind=PoolKind.SPECIALIST, made_at=AT)
    for stack in Stack.objects.order_by("pk")[:3]:
        PoolNeed.objects.create(stack=stack, pool=pool, said_by=people["lead"], said_at=AT)
    page = agreement_page(make.investigation(), at=AT + 2 * WEEK)
    counted = {group.name: fact(group.facts, "shapes") for group in (*page.by_pool, *page.by_week)}
    assert list(counted) == ["", "maps", "2026-W11", "2026-W10"]
    assert counted["maps"].why_not == counted["2026-W11"].why_not == "fewer than 20 stacks"
    told = "it would tell of a smaller group"
    assert counted[""].why_not == counted["2026-W10"].why_not == told, "the whole less this would be that of a few"
    stacks_of(22, people, at=AT + 2 * WEEK, start=200)
    assess_all(staff, differing=0, at=AT + 2 * WEEK + dt.timedelta(minutes=1))
    page = agreement_page(make.investigation(), at=AT + 3 * WEEK)
    counted = {group.name: fact(group.facts, "shapes") for group in page.by_week}
    assert counted["2026-W10"].why_not == told
    newest = counted["2026-W12"].agreement
    assert newest is not None
    assert newest.units == 22


def test_the_alarm_rings_for_the_fact_that_fell_and_for_no_other() -> None:
    people = make.world(at=AT, stacks=30)
    staff = three(people, at=AT - 2 * make.DAY)
    assess_all(staff, differing=0, at=AT + dt.timedelta(minutes=1))
    stacks_of(30, people, at=AT + 6 * WEEK)
    assess_all(staff, differing=20, at=AT + 6 * WEEK + dt.timedelta(minutes=1))
    page = agreement_page(make.investigation(), at=AT + 7 * WEEK)
    assert [one.question.id for one in page.drift] == ["largest_colour"]
    assert agreement_page(make.investigation(), at=AT + 5 * WEEK).drift == ()


def test_no_figure_and_no_field_is_of_a_person() -> None:
    names = {field.name for one in (AgreementPage, FactAgreement) for field in dataclasses.fields(one)}
    assert not {name for name in names if "person" in name or "people" in name or "pair" in name}
    at = timezone.now()
    people = make.world(at=at - make.DAY, stacks=20)
    assess_all(three(people, at=at - 3 * make.DAY), differing=4, at=at - dt.timedelta(hours=1))
    answer = make.client_of(people["lead"]).get("/investigations/HL-1/agreement")
    page = answer.content.decode()
    assert "left out:" not in page.split("By fact")[1].split("</section>")[0]
    assert "80.0" in page
    for name in ("analyst-one", "analyst-two", "analyst-three"):
        assert name not in page
    assert make.client_of(people["lead"]).get("/investigations/HL-0/agreement").status_code == 404
    # An auditor reads the investigation, but is not sent to a page that would be refused.
    assert "/agreement" not in make.client_of(people["auditor"]).get("/investigations/HL-1").content.decode()
