"""Home by role, investigations and figures."""

from __future__ import annotations

import csv
import datetime as dt
import io

import pytest
from django.utils import timezone

from havenline_desk.models import Import, ImportProblem, InstallationKind, Person, Policy

from . import factories
from .factories import TRIANGLE

pytestmark = pytest.mark.django_db


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now() - dt.timedelta(minutes=5)


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    people = factories.world(at=at, stacks=2, near=1)
    factories.assess(people["analyst-one"], TRIANGLE, at=at)
    factories.assess(people["analyst-two"], TRIANGLE, at=at)
    return people


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("analyst-one", "Something waits for you"),
        ("adjudicator", "Nothing waits for you"),
        ("lead", "HL-1"),
        ("liaison", "What leaves the house"),
        ("welfare", "seen by that person and by you alone"),
        ("admin", "sees no content"),
        ("auditor", "HL-1"),
    ],
)
def test_home_speaks_to_the_role(people: dict[str, Person], name: str, words: str) -> None:
    page = factories.client_of(people[name]).get("/").content.decode()
    assert words in page
    assert "Demonstration" in page


def test_home_says_when_content_storage_is_off(people: dict[str, Person]) -> None:
    Policy.objects.create(kind=InstallationKind.DEMO, content_legal_basis="", declared_at=timezone.now())
    page = factories.client_of(people["analyst-one"]).get("/").content.decode()
    assert "Content storage is off" in page


def test_an_investigation_shows_counts_and_no_person_at_work(people: dict[str, Person]) -> None:
    taken_in = Import.objects.get()
    ImportProblem.objects.create(import_of=taken_in, path="a", reason="broken", detail="cut off; ask for it again")
    ImportProblem.objects.create(import_of=taken_in, path="b", reason="broken", detail="cut off")
    page = factories.client_of(people["lead"]).get("/investigations/HL-1").content.decode()
    assert "cut off; ask for it again" in page
    assert "/reveal/" not in page
    assert "<img" not in page
    for name in ("analyst-one", "analyst-two"):
        assert name not in page.split("Record", 1)[1]


def test_counts_are_the_same_on_every_page(people: dict[str, Person]) -> None:
    lead = factories.client_of(people["lead"])
    figures = lead.get("/figures/HL-1.json").json()
    assert (figures["posted"], figures["selected"], figures["assessed"], figures["confirmed"]) == (40, 8, 4, 4)
    line = lead.get("/").context["home"].lines[0].counts
    assert (line.posted, line.selected, line.settled, line.confirmed) == (40, 8, 4, 4)


def test_figures_name_their_table_and_withhold_the_hours_of_two_people(people: dict[str, Person]) -> None:
    lead = factories.client_of(people["lead"])
    page = lead.get("/figures/HL-1").content.decode()
    for words in ("demo.shapes 1", "double", "2023-09-01 to 2023-09-30", "internal", "withheld", "100.0 %"):
        assert words in page
    assert " style=" not in page
    rows = list(csv.DictReader(io.StringIO(lead.get("/figures/HL-1.csv").content.decode())))
    assert next(row for row in rows if row["figure"] == "confirmed")["value"] == "4"


def test_figures_that_contradict_themselves_are_refused_with_the_reason(people: dict[str, Person]) -> None:
    investigation = factories.investigation()
    investigation.posted_total = 1
    investigation.save()
    lead = factories.client_of(people["lead"])
    assert lead.get("/figures/HL-1").status_code == 409
    assert "correct that total" in lead.get("/figures/HL-1").content.decode()
    assert "error" in lead.get("/figures/HL-1.json").json()


def test_pages_ask_a_fixed_number_of_questions(people: dict[str, Person], django_assert_max_num_queries) -> None:  # type: ignore[no-untyped-def]
    for number in range(3):
        factories.make_investigation(people["lead"], at=timezone.now(), reference=f"HL-1{number}")
    lead = factories.client_of(people["lead"])
    with django_assert_max_num_queries(18):
        lead.get("/investigations")
