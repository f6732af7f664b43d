"""Settled records by pages, the newest first; and every table that can scroll sideways takes the focus."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from django.utils import timezone

from havenline_desk.models import Plan
from havenline_desk.queries import origin

from . import factories as make

TEMPLATES = Path(origin.__file__).parents[1] / "templates"


@pytest.mark.django_db
def test_every_settled_record_stands_on_one_page_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    at = timezone.now() - make.DAY
    people = make.world(at=at, plan=Plan.SINGLE, stacks=5)
    for number in range(5):
        make.assess(people["analyst-one"], make.TRIANGLE, at=at + dt.timedelta(minutes=number + 1))
    monkeypatch.setattr(origin, "NEWEST", 2)
    lead, address, found = make.client_of(people["lead"]), "/investigations/HL-1/records", list[str]()
    for place in range(3):
        page = lead.get(address).content.decode()
        found += re.findall(r'records/([0-9a-f]{32})"', page.split('<nav class="actions"')[0])
        assert ("The newest" in page) == (place > 0)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        assert (following is not None) == (place < 2)
        address = following[1] if following else ""
    newest_first = origin.record_lines("HL-1")
    assert newest_first is not None
    assert len(set(found)) == len(found) == 5
    assert found[:2] == [line.record for line in newest_first.lines]
    assert "The newest" not in lead.get("/investigations/HL-1/records/after/unknown").content.decode()


def test_every_table_that_can_scroll_sideways_takes_the_focus_and_has_a_name() -> None:
    found = [
        (path.name, tag)
        for path in TEMPLATES.rglob("*.html")
        for tag in re.findall(r'<div class="card table[^>]*>', path.read_text())
    ]
    assert len(found) > 25
    assert [one for one in found if not re.search(r'tabindex="0" role="group" aria-label', one[1])] == []
