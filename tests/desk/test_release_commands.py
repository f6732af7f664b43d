"""`havenline release`, `partner` and `proposal correct`: what they print, and that they do what they say."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.utils import timezone
from typer.testing import CliRunner

from havenline.matching.live import LiveLists
from havenline_cli import desk as opening
from havenline_cli import main
from havenline_desk import editions
from havenline_desk.models import DeconflictionTerm, Outcome, Person, Proposal, PublishedEdition, ReleasedEntry

from . import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> dict[str, Person]:
    @contextmanager
    def this_database(*_arguments: object, **_named: object) -> Iterator[None]:
        yield

    monkeypatch.setattr(opening, "desk", this_database)
    monkeypatch.setattr(opening, "existing_home", lambda path: path)
    at = timezone.now()
    made = make.world(at=at - 2 * make.DAY)
    make.settle(made, make.TEXTURED, at=at - make.DAY)
    make.hash_all()
    return made


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main.app, list(words), catch_exceptions=code == 0)
    assert result.exit_code == code, (words, result.output, result.exception)
    return result.output


def said(*words: str) -> str:
    """What refuses the command."""
    with pytest.raises(opening.CommandError) as refused:
        CliRunner().invoke(main.app, list(words), catch_exceptions=False)
    return str(refused.value)


def test_a_release_from_the_first_command_to_the_last(people: dict[str, Person], tmp_path: Path) -> None:
    assert "There is no list yet" in run("release", "status")
    assert "No partner is enrolled" in run("partner", "list")
    run("release", "open", "house-csam", "csam", "--by", "liaison")
    run("release", "term", "7", "--by", "lead")
    assert DeconflictionTerm.objects.get().days == 7
    assert "police: 1" in run("release", "status")
    outcome = Outcome.objects.get()
    run(*("release", "police", "HL-1", "clear", "--reference", "p 1", "--record", outcome.audit_id.hex), "--by", "lead")
    assert json.loads(run("release", "status", "--json"))[0]["candidates"] == {"ready": 1}
    assert "Release 1 entries" in run("release", "propose", "house-csam", "--by", "senior")
    proposal = Proposal.objects.get()
    run(*("proposal", "approve", proposal.audit_id.hex, "--digest", proposal.digest), "--by", "adjudicator")
    run("proposal", "carry-out", proposal.audit_id.hex, "--by", "senior")
    assert "house-csam number 1: 1 entries, 1 new, 0 withdrawn" in run(
        "release", "publish", "house-csam", "--by", "liaison"
    )
    shutil.rmtree(editions.live_folder())
    assert "1 list changed" in run("release", "follow")
    assert len(LiveLists.open(editions.live_folder()).current()) == 1
    entry = ReleasedEntry.objects.get().entry
    assert "Withdrawn." in run("release", "withdraw", entry, "error", "--by", "lead")
    assert "0 lists changed" in run("release", "follow", "--list", "house-csam")
    run("release", "follow", "--list", "house-csam", "--number", "1")
    assert len(LiveLists.open(editions.live_folder()).current()) == 0
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(make.NO_SHAPES))
    words = ("proposal", "correct", outcome.audit_id.hex, "--answers", str(answers), "--reason", "reviewed")
    assert "Correct the outcome" in run(*words, "--by", "senior")
    assert PublishedEdition.objects.count() == 1


def test_partners_on_the_command_line(people: dict[str, Person]) -> None:
    make.house_list(people, at=timezone.now())
    what = ("--name", "North", "--purpose", "agreement 4", "--by", "liaison")
    assert "Enrol the key" in run("partner", "enrol", "north", make.AGE_KEYS[0], *what)
    proposal = Proposal.objects.get()
    run(*("proposal", "approve", proposal.audit_id.hex, "--digest", proposal.digest), "--by", "lead")
    run("proposal", "carry-out", proposal.audit_id.hex, "--by", "liaison")
    run("partner", "open", "north", "house-csam", "match", "--by", "liaison")
    assert "gets house-csam by match" in run("partner", "list")
    run("partner", "close", "north", "house-csam", "match", "--by", "lead")
    assert "is not open to" in said("partner", "close", "north", "house-csam", "match", "--by", "lead")
    run("partner", "suspend", "north", "--by", "lead")
    assert json.loads(run("partner", "list", "--json"))[0]["suspended"] is True


def test_what_is_not_there_is_named(people: dict[str, Person]) -> None:
    at = dt.datetime.now(dt.UTC)
    make.house_list(people, at=at)
    assert "no partner nowhere" in said("partner", "suspend", "nowhere", "--by", "lead")
    assert "no list nothing" in said("release", "publish", "nothing", "--by", "liaison")
    assert "no released entry" in said("release", "withdraw", "0" * 32, "error", "--by", "lead")
    assert "no outcome" in said(
        *("release", "police", "HL-1", "clear", "--reference", "p", "--record", "0" * 32), "--by", "lead"
    )
    assert "no id of a record" in said(
        *("release", "police", "HL-1", "clear", "--reference", "p", "--record", "x"), "--by", "lead"
    )
