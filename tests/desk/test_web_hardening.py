"""What every answer of the desk carries, and what the settings of an installation behind TLS come to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from havenline_desk.models import Person

from . import factories

pytestmark = pytest.mark.django_db

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "base-uri 'none'; connect-src 'self'; default-src 'none'; form-action 'self'; frame-ancestors 'none'; "
        "img-src 'self'; script-src 'self'; style-src 'self'"
    ),
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), microphone=(), geolocation=(), display-capture=(), "
        "publickey-credentials-get=(self), publickey-credentials-create=(self)"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
FILLED = {"<str:reference>": "HL-1", "<str:provider_id>": "organisation"}


def pages() -> list[str]:
    found = []
    for pattern in get_resolver().url_patterns:
        assert isinstance(pattern, URLPattern)
        route = str(pattern.pattern)
        for name, value in FILLED.items():
            route = route.replace(name, value)
        found.append("/" + re.sub("<[^>]+>", "1", route))
    return found


@pytest.fixture
def people() -> dict[str, Person]:
    return factories.world(at=timezone.now())


@pytest.mark.parametrize("who", [None, "lead", "analyst-one"])
def test_every_route_answers_with_the_same_headers_to_everybody(people: dict[str, Person], who: str | None) -> None:
    client = factories.client_of(people[who] if who else None)
    asked = [page for page in pages() if page != "/sign-out"] + ["/nowhere"]
    for page in asked:
        for answer in (client.get(page), client.post(page)):
            assert carried(answer) == HEADERS, page
            assert answer.status_code < 500, page


def carried(answer: HttpResponse) -> dict[str, str]:
    said = {name: answer.headers.get(name, "") for name in HEADERS}
    policy = said["Content-Security-Policy"]
    said["Content-Security-Policy"] = "; ".join(sorted(policy.split("; ")))
    assert "unsafe" not in said["Content-Security-Policy"]
    return said


def test_no_template_has_a_script_or_a_style_of_its_own_or_asks_another_origin() -> None:
    folder = Path(__file__).parents[2] / "src/havenline_desk/templates"
    found = sorted(folder.rglob("*.html"))
    assert len(found) > 20
    for path in found:
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text), path
        assert not re.search(r"(src|href|action)=\"(https?:)?//", text), path


BEHIND_TLS = {
    "HAVENLINE_ORIGIN": "https://desk.example.org",
    "HAVENLINE_TRUSTED_PROXIES": "1",
    "HAVENLINE_HOME": "/nonexistent",
    "HAVENLINE_SECRET_KEY": "Zq3v!x0".join("a-long-and-random-secret-key-of-a-test"),
    "DJANGO_SETTINGS_MODULE": "havenline_desk.sites.settings",
}
ASK = """
import json, django
from django.conf import settings
from django.core.management import call_command
from django.test import Client
django.setup()
call_command("check", deploy=True, fail_level="WARNING")
secure = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_HOST": "desk.example.org"}
plain = Client().get("/sign-in", HTTP_HOST="desk.example.org")
strange = Client().get("/sign-in", HTTP_X_FORWARDED_PROTO="https", HTTP_HOST="elsewhere.example")
print(json.dumps({
    "plain": [plain.status_code, plain.headers.get("Location")],
    "strange": strange.status_code,
    "cookies": [settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME],
    "flags": [settings.SESSION_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY, settings.SESSION_COOKIE_SAMESITE,
        settings.SESSION_COOKIE_PATH, settings.SESSION_COOKIE_DOMAIN, settings.CSRF_COOKIE_SECURE],
    "hsts": settings.SECURE_HSTS_SECONDS,
}))
"""


def ask(program: str, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environ | BEHIND_TLS | more, capture_output=True, text=True
    )


def test_the_settings_behind_tls_pass_the_deployment_check_and_bind_cookies_to_the_host() -> None:
    done = ask(ASK)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["plain"] == [301, "https://desk.example.org/sign-in"]
    assert said["strange"] == 400
    assert said["cookies"] == ["__Host-sessionid", "__Host-csrftoken"]
    assert said["flags"] == [True, True, "Strict", "/", None, True]
    assert said["hsts"] >= 31_536_000


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"HAVENLINE_OIDC_ISSUER": "http://login.example.org"}, "must begin with https"),
        ({"HAVENLINE_OIDC_ISSUER": "https://login.example.org"}, "HAVENLINE_OIDC_SECRET_FILE must name a file"),
    ],
)
def test_a_provider_without_tls_or_secret_is_refused_at_the_start(changed: dict[str, str], words: str) -> None:
    done = ask("import django; django.setup()", **changed)
    assert done.returncode != 0
    assert words in done.stderr
