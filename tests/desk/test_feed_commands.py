"""`havenline feed` as a person runs it, on a list that the desk's own acts released, published and opened."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone
from typer.testing import CliRunner

from havenline.formats.vics import VicsRecord, read_vics
from havenline_cli import desk as opening
from havenline_cli import main
from havenline_desk.actions.keep_partners import subscribe_partner
from havenline_desk.actions.record_feed_vote import record_feed_vote
from havenline_desk.models import Canary, Door, Person, VoteReason

from . import factories as make
from . import feeds

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> dict[str, Person]:
    """Somebody of each role; commands run in this process and on this test's database."""

    @contextlib.contextmanager
    def here(*_: object, **__: object) -> Iterator[None]:
        yield

    monkeypatch.setattr(opening, "desk", here)
    monkeypatch.setattr(opening, "existing_home", lambda path: path)
    at = timezone.now() - dt.timedelta(hours=1)
    made = make.world(at=at)
    make.assess(made["analyst-one"], make.TRIANGLE, at=at)
    make.assess(made["analyst-two"], make.TRIANGLE, at=at)
    return made


def run(*arguments: object) -> str:
    done = CliRunner().invoke(main.app, ["feed", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return f"{done.exit_code} {done.output}"


def test_a_password_is_printed_once_and_ended(people: dict[str, Person]) -> None:
    feeds.partner("north", at=timezone.now())
    first, second = run("credential", "north", "--by", "liaison"), run("credential", "north", "--by", "liaison")
    assert "user      north" in first
    assert first != second
    assert "has no credential any more" in run("end-credential", "north", "--by", "liaison")
    with pytest.raises(opening.CommandError, match="no partner nobody is enrolled"):
        run("credential", "nobody", "--by", "liaison")


def test_votes_against_are_printed_for_whoever_reviews_them(people: dict[str, Person]) -> None:
    assert run("votes") == "0 no partner votes against an entry\n"
    at = timezone.now()
    listed = feeds.house_list("house-csam", made_by=people["liaison"], at=at)
    subscription = feeds.subscribe(feeds.partner("north", at=at), listed, at=at)
    for against in (VoteReason.ADULT, None, VoteReason.WRONG_PICTURE):
        record_feed_vote(subscription, "a" * 32, fingerprint="pdq", against=against, at=at)
    record_feed_vote(subscription, "b" * 32, fingerprint="pdq", against=VoteReason.ADULT, at=at)
    record_feed_vote(subscription, "b" * 32, fingerprint="pdq", against=None, at=at)
    told = run("votes")
    assert told.count("\n") == 1
    assert "finds another, lawful picture" in told


def test_a_file_is_written_for_a_partner_to_whom_the_desk_opened_that_door(
    people: dict[str, Person], tmp_path: Path
) -> None:
    at = timezone.now()
    listed = feeds.house_list("house-csam", made_by=people["liaison"], at=at)
    feeds.release(listed, range(2), at=at)
    partner = feeds.partner("north", at=at)
    subscribe_partner(partner, listed, Door.FILE, by=people["liaison"], at=at)
    feeds.publish(listed, at=at)
    path = tmp_path / "given.json"
    asked = ("export", "north", "house-csam", "-o", path, "--by", "liaison", "--version", "1.3", "--category", "A=2")
    assert "records, SHA-256" in run(*asked)
    _, records = read_vics(path, model="US")
    found = list(records)
    assert all(isinstance(each, VicsRecord) and each.category == 2 for each in found)
    assert len(found) == 2 + Canary.objects.filter(partner=partner).count() > 30
    with pytest.raises(opening.CommandError, match="cannot be written"):
        run(*asked)
    assert "is not of the form CODE=NUMBER" in run(*asked, "--category", "A")
    assert "are written" in run(*asked[:4], tmp_path / "b", "--by", "liaison", "--model", "?")


def test_it_is_not_served_beyond_loopback_without_a_certificate(tmp_path: Path) -> None:
    assert "passwords need TLS" in run("serve", "--host", "0.0.0.0")
    assert "go together" in run("serve", "--certificate", tmp_path / "a.pem")
