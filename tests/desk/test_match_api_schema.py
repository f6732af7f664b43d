"""The OpenAPI document of the match service is what it does: asked by schemathesis, in process and over WSGI.

Drawn are bodies that the document allows and bodies that it does not. The short form draws some of each; the long one
(HAVENLINE_SOAK) many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from pytest_django import Settings
from schemathesis import GenerationMode, checks

from havenline_desk.api import door, hashing, service
from havenline_desk.models import KeyScope
from havenline_guard.sandbox import close_worker
from tests.guard.conftest import Running

from .match_rig import key

pytestmark = [pytest.mark.django_db, pytest.mark.urls("havenline_desk.sites.match_api_urls")]
EXAMPLES = 300 if os.environ.get("HAVENLINE_SOAK") == "1" else 8
LIMITS = {"per_minute": 10**9, "per_day": 10**9, "probe_limit": 1000}


@pytest.fixture
def asked(lists: Running, home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    settings.MIDDLEWARE = []
    monkeypatch.setattr(hashing, "close_off", close_worker)
    at = timezone.now()
    made = service.Service(home=home, matchd=str(lists.socket), secret="of the tests", step=0)
    secrets = {scope: key(f"key-{scope.name.lower()[:3]}", scope, at=at, **LIMITS)[1] for scope in set(SCOPES.values())}
    made.refresh()
    door.use(made)
    signals = (request_started, request_finished)  # they would close the connection that the test's transaction is on
    for signal in signals:
        signal.disconnect(close_old_connections)
    schema = schemathesis.openapi.from_wsgi("/v1/openapi.json", get_wsgi_application())
    schema.secrets = {path: secrets[scope] for path, scope in SCOPES.items()}
    yield schema
    for signal in signals:
        signal.connect(close_old_connections)
    door.use(None)


SCOPES = {
    "/v1/match/hashes": KeyScope.ONE_BIT,
    "/v1/match/file": KeyScope.ONE_BIT,
    "/v1/staff/match/hashes": KeyScope.STAFF,
    "/v1/staff/match/file": KeyScope.STAFF,
}
CHECKS = (
    *(checks.not_a_server_error, checks.status_code_conformance, checks.content_type_conformance),
    *(checks.response_schema_conformance, checks.negative_data_rejection),
)


@pytest.mark.parametrize("path", SCOPES)
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_every_answer_is_one_that_the_document_names(asked: Any, path: str, mode: GenerationMode) -> None:
    drawn = asked[path]["POST"].as_strategy(generation_mode=mode)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=drawn)
    def ask(case: Any) -> None:
        said = case.call(headers={"Authorization": f"Bearer {asked.secrets[path]}"})
        case.validate_response(said, checks=CHECKS)

    ask()
