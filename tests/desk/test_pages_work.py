"""The workspace: what it shows, what it refuses, and that it says nothing of anybody else's answers."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.test import Client
from django.utils import timezone

from havenline_desk.models import Assessment, Assignment, MemberAnswer, Person, Role, StackMember

from . import factories
from .factories import NO_SHAPES, TRIANGLE

pytestmark = pytest.mark.django_db


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now() - dt.timedelta(minutes=5)


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    return factories.world(at=at, stacks=2, near=2)


def started(person: Person) -> Client:
    client = factories.client_of(person)
    assert client.post("/work/start").url == "/work"
    return client


def see(client: Client, *, step: int = 2) -> None:
    for member in Assignment.objects.get(done_at=None, person__isnull=False).revision.members.all():
        url = client.post("/work/reveal", {"member": member.pk, "step": step}, content_type="application/json").json()[
            "url"
        ]
        assert client.get(url).status_code == 200


def form(person: Person, facts: dict[str, str], *, seconds: str = "12.5", near: str = "same") -> dict[str, str]:
    assignment = Assignment.objects.get(person=person, done_at=None)
    members = assignment.revision.members.filter(place="near")
    return {
        "assignment": str(assignment.pk),
        "active_seconds": seconds,
        **{f"fact.{question}": answer for question, answer in facts.items()},
        **{f"member.{member.pk}": near for member in members},
    }


def test_nothing_is_loaded_by_the_page_itself(people: dict[str, Person]) -> None:
    page = started(people["analyst-one"]).get("/work").content.decode()
    assert "<img" not in page
    assert "/reveal/" not in page
    assert " style=" not in page
    assert "<style" not in page
    scripts = re.findall(r"<script([^>]*)>", page)
    assert all("src=" in attributes or 'type="application/json"' in attributes for attributes in scripts)


def test_no_address_names_an_item_and_no_digest_leaves(people: dict[str, Person]) -> None:
    page = started(people["analyst-one"]).get("/work").content.decode()
    assert not re.search(r"[0-9a-f]{32,}", re.sub(r'value="[A-Za-z0-9]{64}"', "", page))
    assert not re.search(r'(?:href|action)="[^"]*\d', page)


def test_without_an_item_the_page_says_what_comes_next(people: dict[str, Person]) -> None:
    assert "Ready when you are" in factories.client_of(people["analyst-one"]).get("/work").content.decode()
    assert "Nothing waits for you" in factories.client_of(people["adjudicator"]).get("/work").content.decode()


def test_a_missing_certificate_is_said_and_nothing_is_assigned(people: dict[str, Person], at: dt.datetime) -> None:
    new = factories.make_person("new", Role.ANALYST, at=at - factories.DAY, certified=False)
    new.role_grants.update(effective_from=at)
    client = factories.client_of(new)
    assert "A certificate comes first" in client.get("/").content.decode()
    assert client.post("/work/start").url == "/work"
    assert "A certificate comes first" in client.get("/work").content.decode()
    assert not Assignment.objects.filter(person=new).exists()


def test_a_submission_is_held_and_recorded_when_the_next_item_is_opened(people: dict[str, Person]) -> None:
    client = started(people["analyst-one"])
    first = Assignment.objects.get(person=people["analyst-one"], done_at=None)
    see(client)
    answer = client.post("/work/submit", form(people["analyst-one"], TRIANGLE))
    assert answer.url == "/work"
    assert not Assessment.objects.exists()
    assert "Take it back" in client.get("/work").content.decode()
    client.post("/work/start")
    assert Assignment.objects.get(person=people["analyst-one"], done_at=None).revision_id != first.revision_id
    assessment = Assessment.objects.get()
    assert assessment.facts == TRIANGLE
    assert assessment.ladder_step == 2
    assert MemberAnswer.objects.filter(assessment=assessment, same=True).count() == 2


def test_what_was_taken_back_is_open_again_with_every_answer(people: dict[str, Person]) -> None:
    client = started(people["analyst-one"])
    see(client)
    client.post("/work/submit", form(people["analyst-one"], TRIANGLE, near="different"))
    page = client.post("/work/undo").content.decode()
    assert page.count(" checked") == len(TRIANGLE) + 2
    assert not Assessment.objects.exists()
    client.post("/work/submit", form(people["analyst-one"], TRIANGLE))
    client.post("/work/record")
    assert "Recorded." in client.get("/work").content.decode()
    assert Assessment.objects.get().facts == TRIANGLE
    assert client.post("/work/undo").url == "/work"
    assert "Too late" in client.get("/work").content.decode()
    assert "Too late" not in client.get("/work").content.decode()


def test_what_is_submitted_is_neither_shown_nor_passed_on(people: dict[str, Person]) -> None:
    client = started(people["analyst-one"])
    see(client)
    sent = form(people["analyst-one"], TRIANGLE)
    member = StackMember.objects.filter(revision__assignments=sent["assignment"]).first()
    assert member is not None
    client.post("/work/submit", sent)
    asked = {"member": member.pk, "step": 4}
    assert client.post("/work/reveal", asked, content_type="application/json").status_code == 403
    client.post("/work/skip", {"assignment": sent["assignment"], "reason": "unclear"})
    assert Assignment.objects.get(pk=sent["assignment"]).person == people["analyst-one"]
    assert client.post("/work/submit", sent).url == "/work"
    client.post("/work/record")
    assert Assessment.objects.count() == 1


def test_an_open_question_is_named_beside_itself_and_nothing_typed_is_lost(people: dict[str, Person]) -> None:
    client = started(people["analyst-one"])
    see(client)
    facts = {question: answer for question, answer in TRIANGLE.items() if question != "photographic"}
    answer = client.post("/work/submit", form(people["analyst-one"], facts, near="different"))
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'id="problem-photographic"' in page
    assert page.count('class="problem"') == 1
    for question, code in facts.items():
        assert re.search(rf'name="fact\.{question}" value="{code}" checked', page)
    assert len(re.findall(r'value="different" checked', page)) == 2
    assert 'name="active_seconds" value="12.5"' in page
    assert not Assessment.objects.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fact.shapes": "four"}, 'id="problem-shapes"'),
        ({"fact.largest_shape": ""}, 'id="problem-largest_shape"'),
        ({"fact.shapes": "none"}, 'id="problem-largest_shape"'),
        ({"fact.unheard_of": "yes"}, "no such question"),
        ({"active_seconds": "NaN"}, "clock could not be read"),
        ({"active_seconds": "-1"}, "clock could not be read"),
        ({"active_seconds": "soon"}, "clock could not be read"),
    ],
)
def test_bad_input_gets_a_message_and_records_nothing(
    people: dict[str, Person], change: dict[str, str], said: str
) -> None:
    client = started(people["analyst-one"])
    see(client)
    answer = client.post("/work/submit", form(people["analyst-one"], TRIANGLE) | change)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Assessment.objects.exists()


def test_near_pictures_need_their_own_look(people: dict[str, Person]) -> None:
    client = started(people["analyst-one"])
    shown = StackMember.objects.filter(place="shown").order_by("pk").first()
    assert shown is not None
    url = client.post("/work/reveal", {"member": shown.pk, "step": 1}, content_type="application/json").json()["url"]
    client.get(url)
    answer = client.post("/work/submit", form(people["analyst-one"], TRIANGLE))
    assert answer.status_code == 422
    assert "not looked at as closely" in answer.content.decode()
    page = client.get("/work").content.decode()
    assert len(re.findall(r'data-seen="0"', page)) == 2
    assert len(re.findall(r'data-seen="1"', page)) == 1


@pytest.mark.parametrize("assignment", ["", "0", "999999", "x", "1; drop", "9" * 40])
def test_an_answer_for_another_item_never_lands_on_this_one(people: dict[str, Person], assignment: str) -> None:
    client = started(people["analyst-one"])
    see(client)
    answer = client.post("/work/submit", form(people["analyst-one"], TRIANGLE) | {"assignment": assignment})
    assert answer.url == "/work"
    assert "no longer yours" in client.get("/work").content.decode()
    assert not Assessment.objects.exists()


def test_skipping_frees_the_item_and_keeps_no_answer(people: dict[str, Person]) -> None:
    client = started(people["analyst-one"])
    assignment = Assignment.objects.get(person=people["analyst-one"])
    client.post("/work/skip", {"assignment": assignment.pk, "reason": "unclear"})
    assert not Assignment.objects.filter(person=people["analyst-one"]).exists()
    assert "Passed on" in client.get("/work").content.decode()


@pytest.mark.parametrize("page", ["/work/start", "/work/skip", "/work/submit", "/work/reveal"])
def test_a_verb_is_never_a_link(people: dict[str, Person], page: str) -> None:
    client = started(people["analyst-one"])
    before = list(Assignment.objects.order_by("pk").values())
    assert client.get(page).url == "/work"
    assert list(Assignment.objects.order_by("pk").values()) == before


def test_the_third_person_sees_two_nameless_columns_and_nothing_filled_in(
    people: dict[str, Person], at: dt.datetime
) -> None:
    factories.assess(people["analyst-one"], TRIANGLE, at=at)
    factories.assess(people["analyst-two"], NO_SHAPES, at=at)
    page = started(people["adjudicator"]).get("/work").content.decode()
    assert "two people differed" in page
    assert "One answer" in page
    assert "The other answer" in page
    assert page.count('class="differs"') == 5
    assert " checked" not in page
    assert not re.search(r"\b(mine|ben)\b", page)


def test_the_first_two_are_both_called_assessment(people: dict[str, Person]) -> None:
    pages = [started(people[name]).get("/work").content.decode() for name in ("analyst-one", "analyst-two")]
    for page in pages:
        assert not re.search(r"first assessment|second assessment|One answer", page)
        assert "Hidden until both assessments are in" in page


def test_a_lease_that_ran_out_is_said_and_can_be_kept(people: dict[str, Person]) -> None:
    client = started(people["analyst-one"])
    Assignment.objects.filter(person=people["analyst-one"]).update(expires_at=timezone.now())
    assert ">Keep it</button>" in client.get("/work").content.decode()
    client.post("/work/start")
    assert ">Keep it</button>" not in client.get("/work").content.decode()


def test_the_ladder_is_recorded_as_it_was_used(people: dict[str, Person]) -> None:
    client = started(people["analyst-one"])
    see(client, step=3)
    reveals = people["analyst-one"].reveals.all()
    assert {reveal.ladder_step for reveal in reveals} == {3}
    assert all(reveal.used_at for reveal in reveals)
