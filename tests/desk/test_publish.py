"""Figures from the desk: its records as a snapshot, and a publication that takes two people and is signed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from django.test import override_settings
from django.utils import timezone
from typer.testing import CliRunner

from havenline.figures import FiguresError
from havenline.figures.counting import count
from havenline.figures.definitions import Scope, key_of
from havenline.figures.study import october_2023
from havenline.formats import publication_note
from havenline.formats.audit_log import AuditLogError, VerifierKey
from havenline_cli import desk as opening
from havenline_cli import main
from havenline_desk.actions.approve import approve
from havenline_desk.actions.carry_out import carry_out
from havenline_desk.actions.propose import propose
from havenline_desk.actions.publish_edition import publish_edition
from havenline_desk.actions.record_study import record_study
from havenline_desk.actions.release_publication import sign_publication
from havenline_desk.agreement import ProposalRefused
from havenline_desk.gates import Act, Denied
from havenline_desk.keys import keyd
from havenline_desk.models import AuditAct, AuditEntry, Item, Location, Person, Proposal, Publication
from havenline_desk.queries.audit import log_key
from havenline_desk.queries.figures import funnel_of
from havenline_desk.queries.snapshot import FiguresPeriod, period_of, write_snapshot

from . import factories as make

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
DIGEST = "d" * 64


def test_the_snapshot_of_a_desk_counts_what_its_funnel_counts(tmp_path: Path) -> None:
    whole = october_2023()
    looks = tuple(look for look in whole.looks if look.posting < 400)
    investigation = record_study(dataclasses.replace(whole, postings=whole.postings[:400], looks=looks), at=AT)
    desk = funnel_of(investigation)
    counted = count(write_snapshot(investigation, tmp_path / "s", period=None))
    cells = counted.cells[Scope.ITEMS]
    assert cells[key_of({})] == desk.posted == 400
    assert cells[key_of({"step": "assessed"})] == desk.assessed > 100
    assert cells[key_of({"step": "criminal"})] == desk.confirmed > 10
    for one in desk.by_class:
        assert cells[key_of({"step": "criminal", "class": one.class_id})] == one.count
    assert counted.work.people == desk.analysts
    assert counted.work.active_ms == sum(look.active_seconds for look in looks) * 1000


def test_a_snapshot_names_nobody_and_nothing_from_outside(tmp_path: Path) -> None:
    people = make.world(at=AT, stacks=3)
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT)
    make.assess(people["analyst-two"], make.TRIANGLE, at=AT + dt.timedelta(hours=2))
    item = Item.objects.order_by("pk")[0]
    item.locations.add(Location.objects.create(url="https://host.invalid/x", host="host.invalid", country="NL"))
    investigation = make.investigation()
    made = write_snapshot(investigation, tmp_path / "s", period=None)
    counted = count(made)
    assert counted.cells[Scope.PAIRS][key_of({"same:shapes": "same"})] == 1
    assert counted.cells[Scope.VIEWS][key_of({})] >= 2
    assert pq.read_table(made.file("items"))["country"].to_pylist().count("NL") == 1
    spent = pq.read_table(made.file("items"))["minutes_to_outcome"].to_pylist()
    assert [one for one in spent if one is not None] == [121]
    secret = [b"host.invalid", item.path.encode(), bytes.fromhex(item.file.sha256), item.file.sha256.encode()]  # type: ignore[union-attr]
    secret += [name.encode() for name in ("analyst-one", people["analyst-one"].audit_id.hex)]
    for path in made.folder.iterdir():
        assert not [one for one in secret if one in path.read_bytes()], path.name


def test_the_time_to_the_list_is_that_of_the_first_edition_that_carries_the_file(tmp_path: Path) -> None:
    people = make.world(at=AT, stacks=2)
    make.settle(people, make.TEXTURED, at=AT + dt.timedelta(minutes=1))
    make.hash_all()
    later = AT + dt.timedelta(hours=3)
    house_list = make.house_list(people, at=later)
    make.clear_all(people["lead"], at=later)
    assert len(make.release(house_list, people, at=later)) == 1

    def minutes(name: str) -> list[int]:
        made = write_snapshot(make.investigation(), tmp_path / name, period=None)
        return [one for one in pq.read_table(made.file("items"))["minutes_to_list"].to_pylist() if one is not None]

    assert minutes("released") == [], "no edition carries it yet"
    publish_edition(house_list, person=people["liaison"], at=later + dt.timedelta(minutes=5))
    assert minutes("published") == [185]
    make.settle(people, make.TEXTURED, at=later)
    make.clear_all(people["lead"], at=later + dt.timedelta(hours=2))
    assert len(make.release(house_list, people, at=later + dt.timedelta(hours=2))) == 1
    publish_edition(house_list, person=people["liaison"], at=later + dt.timedelta(hours=2))
    assert minutes("again") == [185, 300], "a later edition does not move what an earlier one carried"


def test_a_period_takes_what_was_taken_in_then(tmp_path: Path) -> None:
    make.world(at=AT, stacks=3)
    day = FiguresPeriod(AT.date(), AT.date())
    now = write_snapshot(make.investigation(), tmp_path / "now", period=day)
    assert (now.head.posted, now.head.period) == (None, "2026-03-02 to 2026-03-02")
    assert count(now).cells[Scope.ITEMS][key_of({})] == Item.objects.count() > 0
    later = period_of("2026-03-03..2026-03-31")
    assert count(write_snapshot(make.investigation(), tmp_path / "later", period=later)).cells[Scope.ITEMS][()] == 0
    for text in ("2026-03-03", "2026-03-31..2026-03-01", "March"):
        with pytest.raises(FiguresError, match="period"):
            period_of(text)


def proposed(people: dict[str, Person], **other: str) -> dict[str, str | int]:
    what = {"investigation": make.investigation().audit_id.hex, "reference": "HL-2026-1", "title": "Drawn"}
    return {**what, "period": "2026-01-01 to 2026-12-31", "digest": DIGEST, **other}


def test_two_people_release_a_publication_and_it_is_signed() -> None:
    people = make.world(at=AT)
    for name in ("senior", "auditor", "analyst-one"):
        with pytest.raises(Denied):
            propose(Act.PUBLISH_FIGURES, proposed(people), person=people[name], at=AT)
    proposal = propose(Act.PUBLISH_FIGURES, proposed(people), person=people["lead"], at=AT)
    with pytest.raises(ProposalRefused, match="2 people must agree"):
        carry_out(proposal, person=people["lead"], at=AT)
    with pytest.raises(ProposalRefused):
        approve(proposal, person=people["lead"], digest=proposal.digest, at=AT)
    assert not Publication.objects.exists()
    approve(proposal, person=people["auditor"], digest=proposal.digest, at=AT)
    carry_out(proposal, person=people["lead"], at=AT)
    publication = Publication.objects.get()
    assert (publication.digest, str(publication)) == (DIGEST, "HL-2026-1")
    assert AuditEntry.objects.filter(act=AuditAct.PUBLICATION_RELEASED, object=publication.audit_id).count() == 1
    note, key = sign_publication(publication), VerifierKey.parse(log_key())
    assert note == sign_publication(publication)
    publication_note.check(note, key, DIGEST)
    with pytest.raises(AuditLogError, match="another manifest"):
        publication_note.check(note, key, "e" * 64)
    forged = note.replace(b"d" * 64, b"e" * 64)
    with pytest.raises(AuditLogError, match="not that of this key"):
        publication_note.check(forged, key, "e" * 64)
    with pytest.raises(AuditLogError, match="signed by"):
        publication_note.check(note, VerifierKey("other", key.algorithm, key.public_key), DIGEST)
    with pytest.raises(AuditLogError, match="no signature"):
        publication_note.check(b"something", key, DIGEST)


def test_a_number_and_a_manifest_are_published_once() -> None:
    people = make.world(at=AT)
    make.agree(Act.PUBLISH_FIGURES, proposed(people), first=people["lead"], second=people["senior"], at=AT)
    for other in ({"digest": "e" * 64}, {"reference": "HL-2026-2"}):
        with pytest.raises(ProposalRefused, match="published before"):
            make.agree(
                Act.PUBLISH_FIGURES, proposed(people, **other), first=people["lead"], second=people["senior"], at=AT
            )
    assert Publication.objects.count() == 1


def test_the_key_process_signs_what_two_people_released(tmp_path: Path) -> None:
    from tests.guard.keyd_rig import Process

    people = make.world(at=AT)
    make.agree(Act.PUBLISH_FIGURES, proposed(people), first=people["lead"], second=people["senior"], at=AT)
    process = Process(tmp_path / "keyd", peer=f"{os.getuid()}:desk")
    process.start()
    with override_settings(KEYD=str(process.socket)):
        publication = Publication.objects.get()
        note = sign_publication(publication)
        asked = keyd()
        assert asked is not None
        asked.close()
    with process.client() as client:
        status = client.status()
    key = VerifierKey(str(status["origin"]), 1, bytes.fromhex(status["public_key"]))
    publication_note.check(note, key, DIGEST)
    process.stop()


@contextmanager
def _this_database(*_args: object, **_named: object) -> Iterator[None]:
    yield


@pytest.mark.timeout(900)
def test_the_command_makes_releases_and_checks_a_publication(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(opening, "desk", _this_database)
    monkeypatch.setattr(opening, "existing_home", lambda path: path)
    make.world(at=timezone.now())
    out, snapshot = tmp_path / "HL-2026-014", tmp_path / "snapshot"

    def run(*arguments: str | Path) -> tuple[int, str]:
        done = CliRunner().invoke(main.app, ["publish", *map(str, arguments)])
        said = done.output + (str(done.exception) if done.exception else "")
        return done.exit_code, said

    made = ("HL-1", "--number", "HL-2026-014", "--title", "A first figure", "--to", out, "--snapshot", snapshot)
    code, told = run(*made, "--by", "lead")
    agreed = re.search(r"proposal approve (\w{32}) --digest (\w{64})", told)
    assert agreed is not None, told
    release = ("--release", out, "--proposal", agreed[1], "--by", "lead")
    assert "2 people must agree" in run(*release)[1]
    assert not (out / "manifest.sig").exists()
    proposal = Proposal.objects.get(digest=agreed[2])
    approve(proposal, person=Person.objects.get(name="senior"), digest=agreed[2], at=timezone.now())
    assert run(*release)[0] == 0
    signed = (out / "manifest.sig").read_bytes()
    assert run(*release)[0] == 0, "a release is signed again where its signature was lost"
    assert (out / "manifest.sig").read_bytes() == signed
    code, said = run("--verify", out, "--key", log_key(), "--snapshot", snapshot)
    assert (code, "The signature is that of the key." in said) == (0, True), said
    assert "40 items were posted" in (out / "index.html").read_text()
    (out / "manifest.json").write_bytes((out / "manifest.json").read_bytes().replace(b"A first", b"Another"))
    code, said = run("--verify", out, "--key", log_key())
    assert code == 1
    assert "manifest.json is not what the cube gives" in said
    assert "manifest.sig: this signs another manifest" in said
    assert "not the one that was agreed to" in run(*release)[1]
    assert "needs --number" in run("HL-1", "--by", "lead")[1]
    assert "--proposal" in run("--release", out, "--by", "lead")[1]
    assert "who does this" in run("HL-1")[1]
