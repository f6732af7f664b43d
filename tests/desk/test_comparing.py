"""Two pictures compared: for the third person alone, after both assessments, unseen, inside the budget, not kept."""

from __future__ import annotations

import datetime as dt
import io

import numpy as np
import pytest
from django.db import connection
from django.utils import timezone
from PIL import Image

from havenline.testing.drawing import choose_subject, draw_subject
from havenline_desk.actions.open_assignments import open_assignments
from havenline_desk.models import (
    Assignment,
    AuditEntry,
    MemberPlace,
    Person,
    Reveal,
    Stack,
    StackMember,
    StackRevision,
    Step,
)
from havenline_desk.queries.exposure import own_exposure

from . import factories as make

pytestmark = pytest.mark.django_db
CIRCLE = make.TRIANGLE | {"largest_shape": "circle"}
SEED = 7


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now() - dt.timedelta(minutes=20)


def drawn(number: int) -> Image.Image:
    return Image.fromarray(draw_subject(choose_subject(SEED, number), seed=SEED, number=number, attempt=0))


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    """One stack of a drawn picture, one that was made of it with a part painted over, and a stranger."""
    made = make.world(at=at, stacks=0)
    taken_in = make.make_investigation(made["lead"], at=at, reference="HL-2")
    one, altered = drawn(3), drawn(3)
    altered.paste(Image.new("RGB", (200, 160), (30, 30, 30)), (180, 120))
    files = [make.add_file(taken_in, png(each), at=at) for each in (one, altered, drawn(8))]
    stack = Stack.objects.create(investigation=taken_in.investigation, representative=files[0], formed_at=at)
    revision = StackRevision.objects.create(stack=stack, number=1, opened_at=at)
    for file, place in zip(files, (MemberPlace.SHOWN, MemberPlace.NEAR, MemberPlace.NEAR), strict=True):
        StackMember.objects.create(revision=revision, file=file, place=place, why="within distance 31", distance=8)
    open_assignments([revision], at=at)
    return made


def dispute(people: dict[str, Person], *, at: dt.datetime) -> None:
    make.assess(people["analyst-one"], make.TRIANGLE, at=at)
    make.assess(people["analyst-two"], CIRCLE, at=at + dt.timedelta(minutes=3))


def ask(person: Person, member: object) -> tuple[int, dict[str, list[str]]]:
    client = make.client_of(person)
    client.post("/work/start")
    answer = client.post("/work/compare", {"member": member}, content_type="application/json")
    return answer.status_code, answer.json()


def near() -> list[StackMember]:
    return list(StackMember.objects.filter(place=MemberPlace.NEAR).order_by("distance", "pk"))


def everything() -> dict[str, int]:
    tables = [name for name in connection.introspection.table_names() if not name.startswith("django_session")]
    with connection.cursor() as cursor:
        counts = {}
        for name in tables:
            cursor.execute(f'SELECT count(*) FROM "{name}"')
            counts[name] = cursor.fetchone()[0]
    return counts


def test_before_both_assessments_nothing_is_compared_and_the_page_offers_nothing(
    people: dict[str, Person], at: dt.datetime
) -> None:
    status, said = ask(people["analyst-one"], near()[0].pk)
    assert status == 403
    assert "once both assessments are in" in said["error"]
    assert "data-compare" not in make.client_of(people["analyst-one"]).get("/work").content.decode()
    assert Reveal.objects.count() == 0


def test_the_third_person_is_told_what_lies_alike_and_where_it_differs_and_nothing_is_kept(
    people: dict[str, Person], at: dt.datetime
) -> None:
    dispute(people, at=at)
    third = people["adjudicator"]
    client = make.client_of(third)
    client.post("/work/start")
    page = client.get("/work").content.decode()
    assert page.count("data-member=") == 3  # the picture that is judged, and two to compare it with
    before, views = everything(), own_exposure(third, at=timezone.now())
    status, said = ask(third, near()[0].pk)
    assert status == 200, said
    assert "Much of it lies alike" in said["lines"][0]
    assert any(line.startswith("Does not show which of the two was first") for line in said["lines"])
    rows = np.array([list(row) for row in said["cells"]])
    assert rows.shape == (16, 16)
    assert {"a", "d"} <= set(rows.ravel())
    assert (rows == "d").sum() < (rows == "a").sum()
    after = {name: count - before[name] for name, count in everything().items() if count != before[name]}
    assert after.pop("desk_reveal") == 2
    assert after.keys() <= {"desk_auditentry", "desk_auditcheckpoint", "desk_session"}, "grants and their log alone"
    assert set(Reveal.objects.filter(ladder_step=0).values_list("person", "assignment__step")) == {
        (third.pk, Step.THIRD)
    }
    purposes = AuditEntry.objects.filter(act="reveal_used", purpose="third_assessment.0")
    assert purposes.count() == 2
    assert own_exposure(third, at=timezone.now()).by_step == views.by_step


def test_a_stranger_is_no_likeness_and_has_no_map(people: dict[str, Person], at: dt.datetime) -> None:
    dispute(people, at=at)
    status, said = ask(people["adjudicator"], near()[1].pk)
    assert status == 200
    assert "No likeness was found" in said["lines"][0]
    assert said["cells"] == []


def test_a_comparison_is_no_look_and_its_grant_shows_nothing(people: dict[str, Person], at: dt.datetime) -> None:
    dispute(people, at=at)
    third = people["adjudicator"]
    ask(third, near()[0].pk)
    client = make.client_of(third)
    assignment = Assignment.objects.get(step=Step.THIRD)
    form = {f"fact.{name}": answer for name, answer in CIRCLE.items()}
    answer = client.post("/work/submit", form | {"assignment": str(assignment.pk), "active_seconds": "5"})
    assert answer.status_code == 422
    assert b"othing of this picture was viewed yet" in answer.content


def test_nobody_else_and_nothing_outside_the_stack(people: dict[str, Person], at: dt.datetime) -> None:
    dispute(people, at=at)
    shown = StackMember.objects.get(place=MemberPlace.SHOWN)
    for member in (shown.pk, 10**9, "1", None, -1, True):
        assert ask(people["adjudicator"], member)[0] == 403
    assert ask(people["analyst-one"], near()[0].pk)[0] == 403
    other = make.add_stack(make.make_investigation(people["lead"], at=at, reference="HL-3"), 4, at=at)[1][0]
    assert ask(people["adjudicator"], other.pk)[0] == 403
    assert not Reveal.objects.filter(ladder_step=0).exists()


def test_while_a_picture_is_assessed_blind_elsewhere_it_is_not_compared(
    people: dict[str, Person], at: dt.datetime
) -> None:
    dispute(people, at=at)
    first = Assignment.objects.get(step=Step.FIRST)
    elsewhere = make.make_investigation(people["lead"], at=at, reference="HL-3").investigation
    stack = Stack.objects.create(investigation=elsewhere, representative=near()[0].file, formed_at=at)
    revision = StackRevision.objects.create(stack=stack, number=1, opened_at=at)
    StackMember.objects.create(revision=revision, file=near()[0].file, place=MemberPlace.SHOWN, why="representative")
    open_assignments([revision], at=at)
    status, said = ask(people["adjudicator"], near()[0].pk)
    assert status == 403
    assert "still assesses one of these pictures blind" in said["error"]
    assert first.done_at is not None
