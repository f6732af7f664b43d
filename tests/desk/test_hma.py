"""A session of HMA's own documents and tests runs against our server, which fetches nothing and changes no list."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from havenline.fingerprints import fingerprint_bytes
from havenline.matching.asked import KINDS
from havenline.vocabulary import EditionRef, HashKind, Match
from havenline_desk.api import door, hashing, hma, service
from havenline_desk.models import KeyScope, LookupCount
from havenline_guard.sandbox import close_worker
from tests.guard.conftest import Running

from .match_rig import key, pdq
from .test_match_api import drawn_picture

pytestmark = [pytest.mark.django_db, pytest.mark.urls("havenline_desk.sites.hma_urls")]
SESSION = json.loads(Path(__file__).with_name("hma_session.json").read_text())["steps"]


@pytest.fixture
def secret(lists: Running, home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    settings.MIDDLEWARE = []
    settings.FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
    monkeypatch.setattr(hashing, "close_off", close_worker)
    made = service.Service(home=home, matchd=str(lists.socket), secret="of the tests", step=0)
    door.use(made)
    _, shown = key("own-scanner", KeyScope.HMA, at=timezone.now())
    made.refresh()
    yield shown
    door.use(None)


def test_a_recorded_session_runs_and_no_connection_is_made_but_to_matchd(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = drawn_picture()
    made = fingerprint_bytes(picture)
    lead = Match(EditionRef("shapes", 1, "0" * 64), "b", HashKind.PDQ, 3)
    assert lead.kind in KINDS
    values = {"$PICTURE": made.pdq, "$MD5": made.md5, "$ID": hma.content_id(lead), "$PDQ": pdq("b")["pdq"]}

    def filled(said: Any) -> Any:
        if isinstance(said, dict):
            return {name: filled(each) for name, each in said.items()}
        if isinstance(said, list):
            return [filled(each) for each in said]
        return values.get(said, said) if isinstance(said, str) else said

    connect = socket.socket.connect

    def guarded(made: socket.socket, address: Any) -> None:
        assert made.family == socket.AF_UNIX, f"a connection to {address}"
        connect(made, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    client = Client(enforce_csrf_checks=True)
    for step in SESSION:
        path = step["path"].replace("$PDQ", values["$PDQ"])
        more: dict[str, Any] = {"headers": {"Authorization": f"Bearer {secret}"}}
        if "form" in step:
            said = client.post(path, {step["form"]: SimpleUploadedFile("drawn.png", picture)}, **more)
        elif "body" in step:
            said = client.generic(step["method"], path, json.dumps(step["body"]), "application/json", **more)
        else:
            said = client.generic(step["method"], path, **more)
        assert said.status_code == step["status"], (step["from"], said.content)
        if "json" in step:
            assert said.json() == filled(step["json"]), step["from"]
        if "text" in step:
            assert said.content.decode() == step["text"]
        if said.status_code >= 400:
            assert set(said.json()) == {"message"}, step["from"]


@pytest.mark.parametrize("path", sorted({step["path"].partition("?")[0] for step in SESSION} - {"/status"}))
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer hvl_of_nobody"}])
def test_every_address_but_the_status_needs_a_key_of_this_door(secret: str, path: str, headers: dict[str, str]) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        assert Client().generic(method, path, headers=headers).status_code == 401


def test_what_is_asked_here_is_counted_and_probing_freezes(secret: str) -> None:
    client, headers = Client(), {"Authorization": f"Bearer {secret}"}
    statuses = [
        client.get("/m/lookup", {"signal_type": "pdq", "signal": pdq("b", turned=turned)["pdq"]}, headers=headers)
        for turned in range(20)
    ]
    assert [each.status_code for each in statuses] == [200] * 19 + [403]
    made = door.service()
    made._count(older_than=0.0)
    assert LookupCount.objects.get().items == 19


def test_names_and_ids_are_as_hma_writes_them() -> None:
    assert [hma.bank_name(name) for name in ("shapes", "own.list-2", "2025")] == ["SHAPES", "OWN_LIST_2", "_2025"]
    first = Match(EditionRef("shapes", 1, "0" * 64), "b", HashKind.PDQ, 3)
    later = Match(EditionRef("shapes", 9, "1" * 64), "b", HashKind.SHA256, 0)
    assert hma.content_id(first) == hma.content_id(later) < 1 << 53
    assert hma.content_id(first) == int(hashlib.sha256(b"shapes\nb").hexdigest()[:16], 16) >> 11
