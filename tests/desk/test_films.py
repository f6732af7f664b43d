"""A film on the desk: said before it is seen, shown as one sheet on the ladder, each step granted and logged."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from PIL import Image
from pytest_django import Settings

from havenline.fingerprints import fingerprint_bytes
from havenline.scan import Scanned
from havenline.testing.films import film
from havenline_desk.actions.form_stacks import form_stacks
from havenline_desk.actions.record_postings import record_postings
from havenline_desk.models import (
    Assignment,
    AuditAct,
    AuditEntry,
    Item,
    ItemKind,
    ItemState,
    Outcome,
    Person,
    Reveal,
    SamplingRule,
    Selection,
)
from tests.guard.decoder_rig import WITHOUT_FILMS, Rig

from . import factories as make

pytestmark = pytest.mark.django_db
SECONDS = 6


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now() - dt.timedelta(minutes=5)


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    """A desk with one film, taken in and selected as an import does it."""
    people = make.world(at=at, stacks=0)
    take_in({"film.mp4": film(seconds=SECONDS)}, at=at)
    return people


def take_in(contents: dict[str, bytes], *, at: dt.datetime) -> None:
    investigation = make.investigation()
    scanned = [
        Scanned(path, len(content), fingerprint=fingerprint_bytes(content), content=content)
        for path, content in contents.items()
    ]
    record_postings(investigation.imports.get(), scanned, rows={}, at=at)
    for item in investigation.items.filter(state=ItemState.VIEWABLE, selection=None):
        Selection.objects.create(item=item, rule=SamplingRule.EVERYTHING, viewed_by_person=False, selected_at=at)
    form_stacks(investigation, at=at)


def started(person: Person) -> tuple[Client, str, int]:
    """A browser at its workspace, the page, and the member that is shown there."""
    client = make.client_of(person)
    client.post("/work/start")
    member = Assignment.objects.get(person=person, done_at=None).revision.members.get()
    return client, client.get("/work").content.decode(), member.pk


def look(client: Client, member: int, step: int) -> tuple[int, bytes]:
    asked = {"member": member, "step": step}
    said = client.post("/work/reveal", json.dumps(asked), content_type="application/json").json()
    answer = client.get(said["url"])
    return answer.status_code, answer.content


def test_a_film_that_is_kept_can_be_assessed_and_is_a_film_in_its_record(people: dict[str, Person]) -> None:
    item = Item.objects.get(path="film.mp4")
    assert (item.kind, item.state) == (ItemKind.VIDEO, ItemState.VIEWABLE)
    assert Assignment.objects.count() == 2


def test_what_it_is_and_how_long_is_said_before_anything_of_it_is_loaded(people: dict[str, Person]) -> None:
    _, page, _ = started(people["analyst-one"])
    assert "<dd>film (<bdi>MP4</bdi>)</dd>" in page
    assert f"about {SECONDS} seconds" in page
    assert f"one sheet of up to {SECONDS} frames, no sound" in page
    assert "<img" not in page
    assert "<video" not in page
    assert "/reveal/" not in page
    assert "film-not-opened" not in page
    assert not Reveal.objects.exists()


def test_each_step_of_the_ladder_is_a_grant_of_its_own_and_shows_a_sheet(people: dict[str, Person]) -> None:
    client, _, member = started(people["analyst-one"])
    sizes = []
    for step in (1, 2, 3, 4):
        status, content = look(client, member, step)
        assert status == 200
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "WEBP"
            assert getattr(image, "n_frames", 1) == 1, "no film leaves the desk"
            sizes.append(image.size)
            colours = image.convert("RGB").crop((0, 0, image.width, image.height - 30)).getcolors(1 << 20)
        assert colours is not None
        grey = all(max(colour) - min(colour) <= 12 for _, colour in colours)  # type: ignore[type-var,arg-type]
        assert grey == (step in (2, 3))
    assert all(max(size) <= limit for size, limit in zip(sizes, (512, 320, 640, 1024), strict=True))
    assert sizes[3][0] > 3 * 192, "frames lie side by side"
    assert list(Reveal.objects.order_by("pk").values_list("ladder_step", flat=True)) == [1, 2, 3, 4]
    acts = AuditEntry.objects.filter(act__in=(AuditAct.REVEAL_GRANTED, AuditAct.REVEAL_USED)).values_list(
        "act", flat=True
    )
    assert list(acts) == [AuditAct.REVEAL_GRANTED, AuditAct.REVEAL_USED] * 4


def test_two_people_settle_a_film_as_they_settle_a_picture(people: dict[str, Person]) -> None:
    for name in ("analyst-one", "analyst-two"):
        client, _, member = started(people[name])
        assert look(client, member, 1)[0] == 200
        facts = {f"fact.{question}": answer for question, answer in make.TRIANGLE.items()}
        assignment = Assignment.objects.get(person=people[name], done_at=None)
        client.post("/work/submit", facts | {"assignment": str(assignment.pk), "active_seconds": "1"})
        client.post("/work/record")
    assert Outcome.objects.get().file == Item.objects.get(path="film.mp4").file


def test_where_the_decoder_opens_no_films_the_item_says_so_and_nothing_is_shown(
    people: dict[str, Person], settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rig = Rig(tmp_path_factory.mktemp("d"), WITHOUT_FILMS)
    settings.DECODERD = str(rig.path)
    try:
        client, page, member = started(people["analyst-one"])
        assert 'id="film-not-opened"' in page
        status, content = look(client, member, 1)
        assert status == 403
        assert b"havenline[video]" in content
        assert AuditEntry.objects.filter(act=AuditAct.REVEAL_FAILED).count() == 1
    finally:
        assert rig.stop() == 0


def test_a_picture_asks_no_decoder_before_it_is_looked_at(
    people: dict[str, Person], settings: Settings, tmp_path: Path, at: dt.datetime
) -> None:
    Assignment.objects.all().delete()
    make.add_stack(make.investigation().imports.get(), 1, at=at)
    settings.DECODERD = str(tmp_path / "gone")
    _, page, _ = started(people["analyst-one"])
    assert "<dd>picture (<bdi>PNG</bdi>)</dd>" in page
    assert "film-not-opened" not in page


def test_a_film_of_which_no_frame_was_read_is_not_assigned_and_its_reason_stands(
    people: dict[str, Person], at: dt.datetime
) -> None:
    whole = film(seconds=2)
    take_in({"damaged.mp4": whole[:600] + bytes(len(whole) - 600)}, at=at)
    item = Item.objects.select_related("file").get(path="damaged.mp4")
    assert item.file is not None
    assert item.state == ItemState.NOT_VIEWABLE
    assert "no frame of it could be read" in item.file.refusal_detail
    assert Assignment.objects.count() == 2
