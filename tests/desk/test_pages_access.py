"""Who may open what: the sign-in page, the matrix of roles, and the one route that emits media."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone
from PIL import Image

from havenline_desk.gates import Act
from havenline_desk.models import Assignment, Person, Reveal, StackMember

from . import factories

pytestmark = pytest.mark.django_db

PAGES = {
    "/": {"analyst-one", "adjudicator", "senior", "lead", "liaison", "welfare", "admin", "auditor"},
    "/work": {"analyst-one", "adjudicator", "senior"},
    "/escalations": {"analyst-one", "adjudicator", "senior", "lead"},
    "/escalations/waiting": {"analyst-one", "adjudicator", "senior", "lead"},
    "/investigations": {"senior", "lead", "auditor"},
    "/investigations/HL-1": {"senior", "lead", "auditor"},
    "/investigations/HL-1/law": {"senior", "adjudicator", "lead", "liaison", "auditor"},
    "/investigations/HL-1/agreement": {"senior", "lead"},
    "/calibration": {"analyst-one", "adjudicator", "senior"},
    "/quality": {"senior"},
    "/frameworks": {"analyst-one", "adjudicator", "senior", "lead", "liaison", "welfare", "admin", "auditor"},
    "/frameworks/gb-eaw/2023-09": {
        *("analyst-one", "adjudicator", "senior", "lead", "liaison", "welfare", "admin", "auditor"),
    },
    "/exposure": {"analyst-one", "adjudicator", "senior", "lead", "liaison", "welfare", "admin", "auditor"},
    "/exposure/people": {"welfare"},
    "/exposure/team": {"lead", "welfare", "auditor"},
    "/figures/HL-1": {"senior", "adjudicator", "lead", "liaison", "auditor"},
    "/figures/HL-1.json": {"senior", "adjudicator", "lead", "liaison", "auditor"},
    "/figures/HL-1.csv": {"senior", "adjudicator", "lead", "liaison", "auditor"},
}
POSTED = ("/work/start", "/work/reveal", "/work/skip", "/work/submit")


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    return factories.world(at=at, near=1)


def routes() -> Iterator[tuple[str, object]]:
    for pattern in get_resolver().url_patterns:
        yield str(pattern.pattern), pattern.callback


OPEN = {
    *("ready", "language", "sign-out"),
    *("sign-in", "sign-in/passkey", "sign-in/passkey/options", "sign-in/second-factor", "sign-in/recovery"),
    *("sign-in/set-up", "sign-in/set-up/options"),
    *("sign-in/organisation", "sign-in/from/<str:provider_id>"),
}
OWN = ("/own-sign-in", "/own-sign-in/add", "/confirm")


def test_every_route_declares_an_act_and_only_those_of_signing_in_are_open_to_everybody() -> None:
    acts = {route: getattr(view, "act", None) for route, view in routes()}
    assert None not in acts.values()
    assert {route for route, act in acts.items() if act is Act.SIGN_IN} == OPEN


@pytest.mark.parametrize("page", OWN)
def test_ones_own_sign_in_is_open_to_every_person_whatever_their_role(at: dt.datetime, page: str) -> None:
    nobody_yet = factories.make_person("waiting", at=at)
    assert factories.client_of(nobody_yet).get(page).status_code == 200
    assert factories.client_of().get(page).status_code == 302


@pytest.mark.parametrize("page", [*PAGES, *POSTED, "/reveal/unknown"])
def test_a_stranger_is_sent_to_sign_in_whatever_is_asked(people: dict[str, Person], page: str) -> None:
    for answer in (factories.client_of().get(page), factories.client_of().post(page)):
        assert answer.status_code == 302
        assert answer.url == f"/sign-in?next={page}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_to_the_roles_that_need_it_and_to_no_other(people: dict[str, Person], page: str) -> None:
    opened = {name for name, person in people.items() if factories.client_of(person).get(page).status_code == 200}
    assert opened == PAGES[page] | ({"analyst-two"} & set(people) if "analyst-one" in PAGES[page] else set())


@pytest.mark.parametrize("page", POSTED)
def test_nobody_without_assessment_work_reaches_a_verb_of_it(people: dict[str, Person], page: str) -> None:
    for name in ("lead", "liaison", "welfare", "admin", "auditor"):
        assert factories.client_of(people[name]).post(page).status_code == 403


def test_a_quality_lead_who_reaches_the_workspace_is_handed_no_assessment(people: dict[str, Person]) -> None:
    senior = factories.client_of(people["senior"])
    for page in POSTED:
        senior.post(page)
    assert senior.get("/work").status_code == 200
    assert not Assignment.objects.filter(person=people["senior"]).exists()


def test_a_refused_role_reads_what_to_do(people: dict[str, Person]) -> None:
    answer = factories.client_of(people["admin"]).get("/work")
    assert answer.status_code == 403
    assert "ask your investigation lead or the administrator" in answer.content.decode()


def test_what_does_not_exist_is_said_plainly(people: dict[str, Person]) -> None:
    lead = factories.client_of(people["lead"])
    for page in ("/nowhere", "/investigations/HL-9", "/figures/HL-9", "/figures/HL-9.json"):
        answer = lead.get(page)
        assert answer.status_code == 404
        assert "Nothing was changed" in answer.content.decode()


def test_exactly_one_route_emits_media(people: dict[str, Person]) -> None:
    client = factories.client_of(people["analyst-one"])
    client.post("/work/start")
    member = StackMember.objects.order_by("pk").first()
    assert member is not None
    url = ask(client, member.pk, 1).json()["url"]
    emitting = set()
    for route, _ in routes():
        filled = route.replace("<str:reference>", "HL-1").replace("<str:token>", url.removeprefix("/reveal/"))
        if route == "sign-out":
            continue
        for answer in (client.get(f"/{filled}"), client.post(f"/{filled}")):
            if answer.headers.get("Content-Type", "").partition("/")[0] in {"image", "video", "audio"}:
                emitting.add(route)
            if b"WEBP" in answer.content[:16] or b"PNG" in answer.content[:16]:
                emitting.add(route)
    assert emitting == {"reveal/<str:token>"}


def test_a_reveal_is_shown_once_and_never_cached(people: dict[str, Person]) -> None:
    client = factories.client_of(people["analyst-one"])
    url = granted(client)
    first, again = client.get(url), client.get(url)
    assert (first.status_code, first.headers["Content-Type"]) == (200, "image/webp")
    assert first.headers["Cache-Control"] == "no-store"
    with Image.open(io.BytesIO(first.content)) as picture:
        assert (picture.format, picture.size != (960, 720)) == ("WEBP", True)
    refused(again)
    assert Reveal.objects.count() == 1


def test_a_reveal_is_refused_to_another_person_and_in_another_session(people: dict[str, Person]) -> None:
    client = factories.client_of(people["analyst-one"])
    url = granted(client)
    refused(factories.client_of(people["analyst-two"]).get(url))
    refused(factories.client_of(people["analyst-one"]).get(url))
    assert Reveal.objects.get().used_at is None
    assert client.get(url).status_code == 200


def test_a_reveal_is_refused_late_and_to_a_made_up_token(people: dict[str, Person]) -> None:
    client = factories.client_of(people["analyst-one"])
    url = granted(client)
    Reveal.objects.update(expires_at=timezone.now())
    refused(client.get(url))
    refused(client.get("/reveal/made-up"))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("[]", 400),
        ('{"member": "1", "step": 1}', 400),
        ('{"member": 1.5, "step": 1}', 400),
        ('{"member": true, "step": 1}', 400),
        ('{"member": 99999999999999999999, "step": 1}', 400),
        ('{"member": 999999, "step": 1}', 403),
        ('{"member": MEMBER, "step": 0}', 403),
        ('{"member": MEMBER, "step": 5}', 403),
        ('{"member": MEMBER, "step": -1}', 403),
    ],
)
def test_a_request_that_makes_no_sense_grants_nothing(people: dict[str, Person], body: str, status: int) -> None:
    client = factories.client_of(people["analyst-one"])
    client.post("/work/start")
    member = StackMember.objects.order_by("pk").first()
    assert member is not None
    answer = client.post("/work/reveal", body.replace("MEMBER", str(member.pk)), content_type="application/json")
    assert answer.status_code == status
    assert answer.json()["error"]
    assert not Reveal.objects.exists()


def test_no_member_of_a_stack_that_is_not_open_in_my_name_is_granted(people: dict[str, Person]) -> None:
    member = StackMember.objects.order_by("pk").first()
    assert member is not None
    client = factories.client_of(people["analyst-one"])
    assert ask(client, member.pk, 1).status_code == 403
    client.post("/work/start")
    assert ask(client, member.pk, 1).status_code == 200
    assert ask(factories.client_of(people["analyst-two"]), member.pk, 1).status_code == 403


def ask(client: Client, member: int, step: int) -> HttpResponse:
    return client.post("/work/reveal", {"member": member, "step": step}, content_type="application/json")


def granted(client: Client) -> str:
    client.post("/work/start")
    member = StackMember.objects.order_by("pk").first()
    assert member is not None
    return str(ask(client, member.pk, 2).json()["url"])


def refused(answer: HttpResponse) -> None:
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
