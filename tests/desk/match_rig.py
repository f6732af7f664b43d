"""What the tests of the match service share: lists in a `matchd`, keys, and questions about drawn values."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path
from typing import Any

from django.http import HttpResponse
from django.test import Client

from havenline.matching.live import LiveLists
from havenline.vocabulary import ListTerms
from havenline_desk.actions.keep_api_keys import make_api_key
from havenline_desk.models import ApiKey, KeyScope, Person, Role
from tests.guard.conftest import Running
from tests.guard.drawn import edition

from . import factories

LISTS = ["shapes", "others"]


def matchd(folder: Path) -> Running:
    """One with the entries a, b, c in `shapes`, d in `others`, near ones within 10 bits alone, and e in `hidden`."""
    LiveLists.create(
        folder / "lists",
        [edition("a", "b", "c"), edition("d", of="others", terms=ListTerms(radius=2)), edition("e", of="hidden")],
    )
    return Running(folder / "lists", folder / "s", "--workers", "1")


def liaison(at: dt.datetime) -> Person:
    found = Person.objects.filter(name="liaison").first()
    return found or factories.make_person("liaison", Role.LIAISON, at=at, certified=False)


def key(name: str, scope: KeyScope = KeyScope.ONE_BIT, *, at: dt.datetime, **what: Any) -> tuple[ApiKey, str]:
    return make_api_key(name, scope, lists=LISTS, made_by=liaison(at), at=at, **what)


def sha256(name: str) -> dict[str, Any]:
    """The item with the digest of the entry of that name, which is listed or not."""
    return {"sha256": f"{random.Random(name).getrandbits(256):064x}"}


def pdq(name: str, *, turned: int = 0, quality: int = 100) -> dict[str, Any]:
    """The item whose value lies 3 bits from that of the entry of that name, and `turned` more."""
    value = random.Random(name).getrandbits(256) ^ ((1 << turned) - 1) << 100
    return {"pdq": f"{value:064x}", "quality": quality}


def ask(
    client: Client, secret: str, *items: dict[str, Any], path: str = "/v1/match/hashes", **more: Any
) -> HttpResponse:
    body = json.dumps({"items": items})
    said: HttpResponse = client.post(
        path, body, "application/json", headers={"Authorization": f"Bearer {secret}"}, **more
    )
    return said
