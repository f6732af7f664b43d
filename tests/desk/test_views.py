"""Views beside those of a plain review: each contribution by itself, and nothing of what is not settled."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction

import pytest

from havenline_cli.views import view_lines
from havenline_desk.actions.form_stacks import form_stacks
from havenline_desk.models import Item, ItemKind, ItemState, Outcome, SamplingRule, Selection
from havenline_desk.queries.views import Views, views_of

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)


def test_copies_identical_postings_and_the_ladder_are_told_apart_and_add_up() -> None:
    people = make.world(at=AT, stacks=2, near=1)
    analysts = (people["analyst-one"], people["analyst-two"])
    for person in analysts:
        make.assess(person, make.TRIANGLE, step=4, at=AT)  # two files, four items: the shown one was posted thrice
    before = views_of(make.investigation())
    assert (before.items, before.confirmed, before.people, before.plain) == (4, 4, 2, 8)
    assert (before.full, before.any_step) == (4, 4)
    assert (before.copies, before.identical, before.ladder, before.more) == (0, 4, 0, 0)
    for person in analysts:
        make.assess(person, make.NO_SHAPES, step=2, at=AT + dt.timedelta(minutes=2))
    views = views_of(make.investigation())
    assert (views.items, views.confirmed, views.plain, views.full, views.any_step) == (8, 4, 16, 4, 8)
    assert (views.copies, views.identical, views.ladder, views.more) == (0, 8, 4, 0)
    assert views.plain - views.copies - views.identical - views.ladder + views.more == views.full
    assert views.share == Fraction(1, 4)
    assert views.per_confirmed(views.plain) == 4


def test_a_copy_that_was_settled_before_costs_no_view() -> None:
    people = make.world(at=AT, stacks=1)
    for name in ("analyst-one", "analyst-two"):
        make.assess(people[name], make.TRIANGLE, step=4, at=AT)
    later = AT + dt.timedelta(hours=1)
    other = make.make_investigation(people["lead"], reference="HL-2", at=later)
    item = Item.objects.create(
        investigation=other.investigation,
        taken_in=other,
        collection="drawn",
        path="again.png",
        file=Outcome.objects.get().file,
        kind=ItemKind.PICTURE,
        state=ItemState.VIEWABLE,
        imported_at=later,
    )
    Selection.objects.create(item=item, rule=SamplingRule.EVERYTHING, viewed_by_person=False, selected_at=later)
    form_stacks(other.investigation, at=later)
    views = views_of(other.investigation)
    assert (views.items, views.confirmed, views.plain, views.full, views.any_step, views.copies) == (1, 1, 2, 0, 0, 2)


def test_a_third_person_and_a_second_look_are_counted_as_more() -> None:
    people = make.world(at=AT, stacks=1)
    make.assess(people["analyst-one"], make.TRIANGLE, step=4, at=AT)
    make.assess(people["analyst-two"], make.TRIANGLE | {"largest_colour": "blue"}, step=3, at=AT)
    assert views_of(make.investigation()).items == 0
    assert list(view_lines(views_of(make.investigation()))) == ["views: nothing is settled yet"]
    make.assess(people["adjudicator"], make.TRIANGLE, step=4, at=AT + dt.timedelta(minutes=5))
    views = views_of(make.investigation())
    assert (views.plain, views.full, views.any_step, views.ladder, views.more) == (2, 2, 3, 1, 1)


def test_the_lines_say_what_a_plain_review_is_and_what_saved_what() -> None:
    told = "\n".join(view_lines(Views(10, 4, 2, 20, 5, 30, 4, 2, 10, 1)))
    assert "full views 5 of 20 in a plain review, where two people each view every posting in full: 25.0 %" in told
    assert "for each of 4 confirmed items: 1.25 full views against 5.00; views at any step 7.50" in told
    assert "settled before 4, by byte-identical postings 2, by the ladder 10" in told
    assert "–" in "\n".join(view_lines(Views(10, 0, 1, 10, 5, 30, 4, 2, 10, 1)))
