"""Signing in and out, and the probe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from havenline_desk.models import Person, Role

from . import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def analyst(demo_home: Path) -> Person:
    factories.declare_demo(at=timezone.now())
    return factories.make_person("analyst-one", Role.ANALYST, at=timezone.now())


def sign_in(name: str, password: str, **more: str) -> HttpResponse:
    return factories.client_of().post("/sign-in", {"name": name, "password": password, **more})


def test_the_right_password_leads_home(analyst: Person) -> None:
    answer = sign_in("analyst-one", factories.PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


def test_a_wrong_name_and_a_wrong_password_look_alike_and_keep_the_name(analyst: Person) -> None:
    wrong_password = sign_in("analyst-one", "not it")
    wrong_name = sign_in("nobody", "not it")
    assert wrong_password.status_code == wrong_name.status_code == 422
    page = without_token(wrong_password.content.decode())
    assert 'value="analyst-one"' in page
    assert "do not belong together" in page
    assert page == without_token(wrong_name.content.decode()).replace("nobody", "analyst-one")


def test_an_inactive_account_is_told_nothing_else(analyst: Person) -> None:
    before = without_token(sign_in("analyst-one", "not it").content.decode())
    Person.objects.update(is_active=False)
    assert without_token(sign_in("analyst-one", factories.PASSWORD).content.decode()) == before


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        ("/work", "/work"),
        ("/figures/HL-1", "/figures/HL-1"),
        ("", "/"),
        ("https://elsewhere.example/", "/"),
        ("//elsewhere.example/", "/"),
        ("/\\elsewhere.example", "/"),
        ("javascript:alert(1)", "/"),
        ("work", "/"),
    ],
)
def test_next_never_leads_out_of_the_house(analyst: Person, wanted: str, reached: str) -> None:
    assert sign_in("analyst-one", factories.PASSWORD, next=wanted).headers["Location"] == reached


def test_signing_out_ends_the_session_and_clears_the_browser(analyst: Person) -> None:
    client = factories.client_of(analyst)
    assert client.get("/sign-out").url == "/"
    assert client.get("/").status_code == 200
    answer = client.post("/sign-out")
    assert answer.url == "/sign-in"
    assert '"storage"' in answer.headers["Clear-Site-Data"]
    assert client.get("/").status_code == 302


def test_ready_says_one_word_to_anybody() -> None:
    answer = factories.client_of().get("/ready")
    assert (answer.status_code, answer.content) == (200, b"ready\n")


def test_a_form_from_an_old_page_is_refused_with_words(analyst: Person) -> None:
    client = Client(enforce_csrf_checks=True, **{"wsgi.url_scheme": "https"})
    answer = client.post("/sign-in", {"name": "analyst-one", "password": factories.PASSWORD})
    assert answer.status_code == 403
    assert "This form is too old" in answer.content.decode()


def without_token(page: str) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", page)
