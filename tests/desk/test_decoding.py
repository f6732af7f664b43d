"""Kept content becomes pixels through `decoderd` alone; without it nothing is shown, and the refusal says why."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import pytest
from django.utils import timezone
from PIL import Image
from pytest_django import Settings

from havenline_desk.models import Assignment, Person

from . import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now() - dt.timedelta(minutes=5)


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    return factories.world(at=at, stacks=1)


def shown(person: Person, *, step: int) -> tuple[int, bytes]:
    client = factories.client_of(person)
    client.post("/work/start")
    member = Assignment.objects.get(done_at=None, person=person).revision.members.first()
    assert member is not None
    asked = {"member": member.pk, "step": step}
    url = client.post("/work/reveal", asked, content_type="application/json").json()["url"]
    answer = client.get(url)
    return answer.status_code, answer.content


def test_a_rendition_is_made_of_pixels_that_left_the_sandbox(people: dict[str, Person]) -> None:
    status, content = shown(people["analyst-one"], step=3)
    assert status == 200
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "WEBP"
        assert 0 < max(image.size) <= 640


@pytest.mark.parametrize("named", ["", "gone"])
def test_without_a_decoder_nothing_is_shown(
    people: dict[str, Person], settings: Settings, tmp_path: Path, named: str
) -> None:
    settings.DECODERD = str(tmp_path / named) if named else ""
    status, content = shown(people["analyst-one"], step=3)
    assert status == 403
    assert b"decoderd" in content


def test_the_desk_itself_runs_no_decoder_on_kept_content() -> None:
    import havenline_desk

    for path in Path(havenline_desk.__file__).parent.rglob("*.py"):
        assert "decode_picture" not in path.read_text(), path
