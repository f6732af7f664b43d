"""Signing in by an account at the organisation's provider: in place of a password, never in place of a factor."""

from __future__ import annotations

import html
import re
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from havenline_desk.actions.change_factors import FactorsUnchanged
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.actions.enrol_person import close_person, enrol_person
from havenline_desk.actions.link_account import link_account, unlink_accounts
from havenline_desk.models import AuditEntry, InstallationKind, Person, Role, Session

from . import factories
from .authenticator import Authenticator
from .provider import CLIENT, SECRET, Provider
from .test_sign_in import WEEK, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def provider(settings: Settings) -> Iterator[Provider]:
    declare_policy(InstallationKind.DESK, at=timezone.now())
    settings.ORIGIN = "https://testserver"
    with Provider() as running:
        settings.OIDC_ISSUER = running.issuer
        settings.OIDC_NAME = "the organisation"
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app(running.issuer)]}}
        yield running


@pytest.fixture
def lead(provider: Provider) -> Person:
    at = timezone.now()
    person = enrol_person("lead", password="x", roles=(Role.LEAD,), secret_until=at + WEEK, at=at)
    link_account(person, "staff-1", at=at)
    return person


def app(issuer: str) -> dict[str, Any]:
    return {
        "provider_id": "organisation",
        "name": "the organisation",
        "client_id": CLIENT,
        "secret": SECRET,
        "settings": {
            "server_url": issuer,
            "fetch_userinfo": False,
            "oauth_pkce_enabled": True,
            "scope": ["openid"],
        },
    }


class Unfollowed(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


def sent_back(client: Client) -> str:
    """Go to the provider as a browser would; returns where it sends the browser back to."""
    leaving = client.get("/sign-in/organisation")
    assert leaving.status_code == 302, leaving.content.decode()
    with pytest.raises(HTTPError) as answered:
        urllib.request.build_opener(Unfollowed).open(leaving.url)
    with answered.value as answer:
        return str(answer.headers["Location"]).split("testserver", 1)[1].removeprefix(":80")


def through(client: Client) -> HttpResponse:
    """Come back without cookies, as from another site, and then from within, as the page that answers makes it."""
    back = sent_back(client)
    arriving = factories.client_of().get(back)
    assert arriving.status_code == 200
    onward = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', arriving.content.decode())
    assert onward is not None
    assert "Havenline" in arriving.content.decode()
    return client.get(html.unescape(onward[1]))


def test_the_sign_in_page_offers_it_where_it_is_configured(provider: Provider, settings: Settings) -> None:
    assert "Go on with the organisation" in factories.client_of().get("/sign-in").content.decode()
    settings.OIDC_ISSUER = settings.OIDC_NAME = ""
    client = factories.client_of()
    assert "Go on with" not in client.get("/sign-in").content.decode()
    for page in ("/sign-in/organisation", "/sign-in/from/organisation"):
        assert client.get(page).status_code == 404


def test_an_account_leads_to_the_second_factor_and_no_further(lead: Person) -> None:
    client, key = factories.client_of(), Authenticator()
    assert through(client).url == "/sign-in/set-up"
    assert not signed_in(client)
    options = client.post("/sign-in/set-up/options").json()
    assert client.post("/sign-in/set-up", {"answer": key.create(options)}).status_code == 200
    again = factories.client_of()
    assert through(again).url == "/sign-in/second-factor"
    assert not signed_in(again)
    options = again.post("/sign-in/passkey/options").json()
    assert again.post("/sign-in/passkey", {"answer": key.get(options)}).status_code == 302
    assert signed_in(again)


def test_nobody_is_ever_enrolled_by_an_account(lead: Person, provider: Provider) -> None:
    provider.subject = "somebody else"
    client = factories.client_of()
    refused(through(client), "nobody who is enrolled here")
    assert list(Person.objects.all()) == [lead]
    assert not Session.objects.exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "another client"},
        {"exp": 1_700_000_000},
        {"sub": None},
        {"sub": ""},
        {"exp": None},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_desk_proves_nobody(
    lead: Person, provider: Provider, changed: dict[str, Any]
) -> None:
    provider.changed = changed
    client = factories.client_of()
    assert through(client).status_code == 422
    assert not signed_in(client)


def test_what_the_provider_sent_one_browser_serves_no_other_and_only_once(lead: Person) -> None:
    client = factories.client_of()
    back = f"{sent_back(client)}&_redir="
    assert factories.client_of().get(back).status_code == 422
    assert client.get(back).status_code == 302
    assert client.get(back).status_code == 422


def test_a_browser_that_comes_with_an_error_or_without_a_code_is_refused(lead: Person) -> None:
    client = factories.client_of()
    state = re.search(r"state=([^&]+)", sent_back(client))[1]  # type: ignore[index]
    for said in (f"error=access_denied&state={state}", f"state={state}", "code=x&state=made-up", ""):
        assert client.get(f"/sign-in/from/organisation?{said}&_redir=").status_code == 422


def test_a_provider_that_does_not_answer_is_said_to_not_answer(lead: Person, settings: Settings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app("http://127.0.0.1:9")]}}
    refused(factories.client_of().get("/sign-in/organisation"), "does not answer")


def test_who_was_unlinked_or_closed_is_nobody(lead: Person) -> None:
    at = timezone.now()
    client = factories.client_of(lead)
    assert unlink_accounts(lead, at=at) == 1
    assert not signed_in(client)
    refused(through(factories.client_of()), "nobody who is enrolled here")
    link_account(lead, "staff-1", at=at)
    close_person(lead, at=at)
    refused(through(factories.client_of()), "nobody who is enrolled here")
    assert {"account_linked", "account_unlinked", "sign_in_failed"} <= set(
        AuditEntry.objects.values_list("act", flat=True)
    )


def test_an_account_is_one_persons(lead: Person, settings: Settings) -> None:
    at = timezone.now()
    other = enrol_person("other", password=None, roles=(Role.SENIOR,), at=at)
    with pytest.raises(FactorsUnchanged, match="already"):
        link_account(other, "staff-1", at=at)
    settings.OIDC_ISSUER = ""
    with pytest.raises(FactorsUnchanged, match="HAVENLINE_OIDC_ISSUER"):
        link_account(other, "staff-2", at=at)


def refused(answer: HttpResponse, words: str) -> None:
    assert answer.status_code == 422
    assert words in answer.content.decode()
