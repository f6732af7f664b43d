"""Imports from the inbox: who starts them, what is refused, stopped, killed and resumed; and nothing else is read."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone
from psycopg.conninfo import make_conninfo
from pytest_django import Settings

from havenline.list_files import ListsTogether
from havenline_desk import inbox
from havenline_desk.actions.approve import approve
from havenline_desk.actions.ask_import import ask_import, propose_import, resume_import, stop_import
from havenline_desk.actions.import_collection import ImportRefused
from havenline_desk.actions.run_import import note_progress, note_stage, take_job
from havenline_desk.gates import Denied
from havenline_desk.inbox import InboxRefused
from havenline_desk.jobs.imports import run_next
from havenline_desk.models import (
    AuditAct,
    AuditEntry,
    File,
    ImportJob,
    InstallationKind,
    Investigation,
    JobEnd,
    JobStage,
    Person,
    Policy,
    Session,
)
from havenline_desk.queries.imports import JobState, job_lines

from . import factories as make

pytestmark = pytest.mark.django_db
MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
def at() -> dt.datetime:
    return timezone.now()


@pytest.fixture
def people(at: dt.datetime) -> dict[str, Person]:
    return make.world(at=at, stacks=0)


@pytest.fixture
def box(home: Path) -> Path:
    folder = home / "inbox"
    (folder / "drawn" / "deeper").mkdir(parents=True)
    for number in range(4):
        (folder / "drawn" / f"{number}.png").write_bytes(make.draw(7000 + number))
    (folder / "drawn" / "deeper" / "note.txt").write_text("no picture")
    (folder / "drawn.csv").write_text("path,url\n0.png,https://drawn.invalid/0\n")
    return folder


@pytest.fixture
def real_desk(people: dict[str, Person], at: dt.datetime) -> None:
    """No demonstration: an import takes two people."""
    Policy.objects.create(kind=InstallationKind.DESK, declared_at=at, content_legal_basis="")


def ask(people: dict[str, Person], at: dt.datetime, **more: object) -> ImportJob:
    what = {"source": "drawn", "collection": "drawn shapes", "approved_by": people["senior"]} | more
    return ask_import(make.investigation(), asked_by=people["lead"], at=at, **what)  # type: ignore[arg-type]


def run(*, every: float = 0.0) -> ImportJob | None:
    job = run_next(lists=lambda: ListsTogether([]), workers=1, close_off=None, now=timezone.now, told_every=every)
    if job is not None:
        job.refresh_from_db()
    return job


def state(at: dt.datetime | None = None) -> JobState:
    return job_lines(make.investigation(), at=at or timezone.now())[0].state


@pytest.mark.usefixtures("desk_role")
def test_what_lies_in_the_inbox_is_imported_by_a_job_and_its_errors_are_named(
    people: dict[str, Person], box: Path, at: dt.datetime
) -> None:
    job = ask(people, at, manifest="drawn.csv")
    assert state() is JobState.WAITING
    entry = AuditEntry.objects.get(act=AuditAct.IMPORT_ASKED)
    assert (entry.actor, entry.object) == (people["lead"].audit_id, job.audit_id)
    with pytest.raises(ImportRefused, match="another import"):
        ask(people, at)
    done = run()
    assert done is not None
    assert (done.ending, done.read, done.files) == (JobEnd.FINISHED, 5, 5)
    (line,) = job_lines(make.investigation(), at=timezone.now())
    assert (line.state, line.share, line.agreed_by) == (JobState.FINISHED, 100, "senior")
    named = {problem.reason: problem.details for problem in line.problems}
    (reason,) = (reason for reason, details in named.items() if any("note.txt" in detail for detail in details))
    assert reason == "unknown_kind"
    assert make.investigation().items.filter(collection="drawn shapes").exclude(file=None).count() == 5
    assert run() is None


@pytest.mark.usefixtures("desk_role")
def test_a_job_is_stopped_and_resumed_and_nothing_is_taken_in_twice(
    people: dict[str, Person], box: Path, at: dt.datetime
) -> None:
    for number in range(40):  # more than one batch
        (box / "drawn" / f"more-{number}.png").write_bytes(make.draw(8000 + number, size=(64, 64)))
    job = ask(people, at)
    taken = take_job(at=at)
    assert taken is not None
    assert note_progress(taken, read=1, refused=0, files=45, at=at)
    for name in ("senior", "admin", "auditor"):
        with pytest.raises(Denied):
            stop_import(job, said_by=people[name], at=at)
    stop_import(job, said_by=people["lead"], at=at)
    assert state() is JobState.STOPPING
    with pytest.raises(ImportRefused, match="told to stop already"):
        stop_import(job, said_by=people["lead"], at=at)
    stopped = run()  # the same session takes up what it left
    assert stopped is not None
    assert stopped.ending == JobEnd.STOPPED
    with pytest.raises(ImportRefused, match="had ended"):
        stop_import(job, said_by=people["lead"], at=at)
    again = resume_import(stopped, asked_by=people["lead"], at=at)
    with pytest.raises(ImportRefused, match="nothing to resume"):
        resume_import(again, asked_by=people["lead"], at=at)
    ended = run()
    assert ended is not None
    assert ended.ending == JobEnd.FINISHED
    assert make.investigation().items.filter(collection="drawn shapes").exclude(file=None).count() == 45


@pytest.mark.parametrize("fault", [OperationalError, InterfaceError])
def test_a_job_whose_database_went_away_has_not_ended_and_goes_on(
    people: dict[str, Person], box: Path, at: dt.datetime, monkeypatch: pytest.MonkeyPatch, fault: type[Exception]
) -> None:
    ask(people, at)
    with monkeypatch.context() as patch:
        patch.setattr("havenline_desk.jobs.imports.import_collection", mock.Mock(side_effect=fault("gone")))
        with pytest.raises(fault, match="gone"):
            run()
    assert not ImportJob.objects.get().ending
    ended = run()
    assert ended is not None
    assert ended.ending == JobEnd.FINISHED


@pytest.mark.usefixtures("desk_role")
@pytest.mark.parametrize("stage", [JobStage.MATCHING, JobStage.STACKING])
def test_an_import_says_what_it_is_at_and_stops_while_it_matches_or_forms_stacks(
    people: dict[str, Person], box: Path, at: dt.datetime, monkeypatch: pytest.MonkeyPatch, stage: JobStage
) -> None:
    """What is told is seen by others while the stage is one open transaction, and stopping leaves nothing of it."""
    job, shown = ask(people, at), list[tuple[JobStage, int]]()

    def tells(*args: Any, **kwargs: Any) -> bool:
        goes_on = note_stage(*args, **kwargs)
        (line,) = job_lines(make.investigation(), at=timezone.now())
        shown.append((line.stage, line.stage_of))
        return goes_on and args[1] is not stage

    monkeypatch.setattr("havenline_desk.jobs.imports.note_stage", tells)
    stopped = run()
    assert stopped is not None
    assert stopped.ending == JobEnd.STOPPED
    files = File.objects.filter(items__investigation=make.investigation()).distinct().count()
    assert (shown[0][0], shown[-1][0]) == (JobStage.MATCHING, stage)
    assert shown[0][1] == files
    assert AuditEntry.objects.filter(act=AuditAct.MATCHES_RECORDED).exists() == (stage is JobStage.STACKING)
    assert not AuditEntry.objects.filter(act=AuditAct.STACKS_FORMED).exists()
    monkeypatch.undo()
    resume_import(stopped, asked_by=people["lead"], at=at)
    ended = run()
    assert ended is not None
    assert ended.ending == JobEnd.FINISHED
    assert AuditEntry.objects.filter(act=AuditAct.STACKS_FORMED).count() == 1
    assert job.pk == stopped.pk


def test_an_import_that_waits_says_how_many_are_before_it(
    people: dict[str, Person], box: Path, at: dt.datetime
) -> None:
    ask(people, at)
    other = make.make_investigation(people["lead"], at=at, reference="HL-2").investigation
    ImportJob.objects.create(
        investigation=other, collection="second", source="drawn", asked_by=people["lead"], asked_at=at
    )
    (line,) = job_lines(other, at=at)
    assert (line.state, line.before) == (JobState.WAITING, 1)
    assert job_lines(make.investigation(), at=at)[0].before == 0
    page = make.client_of(people["lead"]).get("/investigations/HL-2/import").content.decode()
    assert "1 import is before it; they run one at a time." in page


RUN = """
import django
django.setup()
from django.utils import timezone
from havenline.list_files import ListsTogether
from havenline_desk.jobs.imports import run_next
if __name__ == "__main__":
    run_next(lists=lambda: ListsTogether([]), workers=1, close_off=None, now=timezone.now, told_every=0.0)
"""


def test_a_real_process_is_killed_in_the_middle_and_the_next_goes_on(
    desk_role: None, people: dict[str, Person], box: Path, at: dt.datetime, home: Path
) -> None:
    for number in range(600):
        (box / "drawn" / f"more-{number:03}.png").write_bytes(make.draw(8000 + number, size=(64, 64)))
    job = ask(people, at)
    (home / "run.py").write_text(RUN)
    parts = connection.settings_dict
    named = {"dbname": parts["NAME"], "host": parts["HOST"], "port": parts["PORT"], "user": parts["USER"]}
    environ = os.environ | {
        "HAVENLINE_DATABASE_URL": make_conninfo(**{name: value for name, value in named.items() if value}),
        "HAVENLINE_HOME": str(home),
    }
    taken_in = make.investigation().items.filter(collection="drawn shapes")
    with subprocess.Popen([sys.executable, home / "run.py"], env=environ, start_new_session=True) as process:
        until = time.monotonic() + 240
        while not taken_in.exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    job.refresh_from_db()
    assert job.ended_at is None, "it was killed before its end"
    assert 0 < taken_in.count() < 605
    until = time.monotonic() + 60
    while (done := run()) is None and time.monotonic() < until:  # PostgreSQL notices that its client is gone
        time.sleep(0.1)
    assert done is not None
    assert (done.pk, done.ending) == (job.pk, JobEnd.FINISHED)
    assert taken_in.exclude(file=None).count() == 605


class Killed(BaseException):
    """Stands in for a process that ends in the middle."""


def test_a_job_whose_process_was_killed_is_free_at_once_and_goes_on(
    people: dict[str, Person], box: Path, at: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    from havenline_desk.jobs import imports

    for number in range(60):
        (box / "drawn" / f"more-{number}.png").write_bytes(make.draw(8000 + number, size=(64, 64)))
    ask(people, at)
    notes = []

    def die(*_args: object, **said: object) -> bool:
        notes.append(said)
        if len(notes) == 40:
            raise Killed
        return True

    monkeypatch.setattr(imports, "note_progress", die)
    with pytest.raises(Killed):
        run()
    monkeypatch.undo()
    job = ImportJob.objects.get()
    assert job.ended_at is None
    half = make.investigation().items.filter(collection="drawn shapes").count()
    assert 0 < half < 65
    done = run()
    assert done is not None
    assert (done.pk, done.ending) == (job.pk, JobEnd.FINISHED)
    assert make.investigation().items.filter(collection="drawn shapes").exclude(file=None).count() == 65


@pytest.fixture
def another_session() -> Iterator[psycopg.Connection]:
    parts = connection.settings_dict
    with psycopg.connect(
        dbname=parts["NAME"], host=parts["HOST"], port=parts["PORT"] or None, user=parts["USER"], autocommit=True
    ) as other:
        yield other


def test_what_another_living_process_is_at_is_left_to_it_and_free_when_it_ends(
    people: dict[str, Person], box: Path, at: dt.datetime, another_session: psycopg.Connection
) -> None:
    from havenline_desk.actions.run_import import _LOCK_SPACE

    job = ask(people, at)
    another_session.execute("SELECT pg_advisory_lock(%s, %s)", [_LOCK_SPACE, job.pk])
    assert take_job(at=at) is None
    another_session.close()
    for _ in range(100):
        if (taken := take_job(at=at)) is not None:
            break
        connection.cursor().execute("SELECT pg_sleep(0.05)")
    assert taken is not None
    assert state(at + 10 * MINUTE) is JobState.SILENT


@pytest.mark.usefixtures("real_desk")
def test_two_people_agree_first_and_to_exactly_this(people: dict[str, Person], box: Path, at: dt.datetime) -> None:
    lead, investigation = people["lead"], make.investigation()
    with pytest.raises(ImportRefused, match="two people must have agreed"):
        ask(people, at)
    what = {"source": "drawn", "collection": "drawn again", "manifest": "drawn.csv"}
    proposal = propose_import(investigation, **what, person=lead, at=at)
    with pytest.raises(ImportRefused, match="nobody has agreed"):
        ask_import(investigation, **what, proposal=proposal, asked_by=lead, at=at)
    approve(proposal, person=people["senior"], digest=proposal.digest, at=at)
    with pytest.raises(ImportRefused, match="not the import that was agreed to"):
        ask_import(investigation, **what | {"collection": "other"}, proposal=proposal, asked_by=lead, at=at)
    ask_import(investigation, **what, proposal=proposal, asked_by=lead, at=at)
    (box / "drawn.csv").write_text("path,url\n1.png,https://drawn.invalid/1\n")
    failed = run()
    assert failed is not None
    assert failed.ending == JobEnd.FAILED
    assert "the manifest was changed" in failed.said
    assert not investigation.items.filter(collection="drawn again").exists()
    (box / "drawn.csv").write_text("path,url\n0.png,https://drawn.invalid/0\n")
    resume_import(failed, asked_by=lead, at=at)
    done = run()
    assert done is not None
    assert done.ending == JobEnd.FINISHED
    assert investigation.imports.get(collection="drawn again").approved_by == people["senior"]


def test_nothing_is_read_outside_the_inbox(
    people: dict[str, Person], box: Path, at: dt.datetime, home: Path, settings: Settings
) -> None:
    (home / "outside").mkdir()
    (box / "link").symlink_to(home / "outside")
    (box / ".hidden").mkdir()
    (box / "line\nbreak").mkdir()
    (box / "a.exe").write_bytes(b"")
    assert [entry.name for entry in inbox.entries() or ()] == ["drawn", "drawn.csv"]
    for name in ("link", "../outside", "..", ".hidden", "/etc", str(home / "outside"), "drawn/deeper", "drawn.csv", ""):
        with pytest.raises(InboxRefused):
            ask(people, at, source=name)
    for name in ("drawn", "../drawn.csv", "other.csv"):
        with pytest.raises(InboxRefused):
            ask(people, at, manifest=name)
    settings.INBOX = str(home / "not there")
    assert inbox.entries() is None
    with pytest.raises(InboxRefused):
        ask(people, at)
    settings.INBOX = ""
    ask(people, at)
    (box / "drawn").rename(home / "gone")
    (box / "drawn").symlink_to(home / "gone")  # between the asking and the run
    failed = run()
    assert failed is not None
    assert (failed.ending, failed.read) == (JobEnd.FAILED, 0)
    assert ImportJob.objects.count() == 1


def test_the_page_starts_stops_and_resumes_and_keeps_what_was_typed(
    people: dict[str, Person], box: Path, at: dt.datetime
) -> None:
    lead, page = make.client_of(people["lead"]), "/investigations/HL-1/import"
    shown = lead.get(page).content.decode()
    assert "drawn/" in shown
    assert "No hash list is set up for imports here" in shown
    answer = lead.post(f"{page}/start", {"source": "drawn", "collection": "x" * 201, "manifest": "", "approved_by": ""})
    assert answer.status_code == 422
    shown = answer.content.decode()
    assert "A name has up to 200 characters" in shown
    assert "Choose who approved this import." in shown
    assert f'value="{"x" * 201}"' in shown
    assert '<option value="drawn" selected>' in shown
    for field, value in (("source", "gone"), ("source", "a\x00"), ("manifest", "\x00"), ("approved_by", "lead")):
        said = {"source": "drawn", "collection": "", "manifest": "", "approved_by": "senior"} | {field: value}
        assert f'id="problem-{field}"' in lead.post(f"{page}/start", said).content.decode()
    said = {"source": "drawn", "collection": "", "manifest": "drawn.csv", "approved_by": "senior"}
    assert lead.post(f"{page}/start", said).status_code == 302
    job = ImportJob.objects.get()
    assert (job.collection, job.approved_by) == ("drawn", people["senior"])
    assert "waits for its turn" in lead.get(f"{page}/progress").content.decode()
    assert lead.post(f"{page}/stop", {"job": job.pk}).status_code == 302
    assert lead.post(f"{page}/stop", {"job": job.pk}).status_code == 422
    assert lead.post(f"{page}/stop", {"job": "x"}).status_code == 422
    run()
    assert "Resume" in lead.get(f"{page}/progress").content.decode()
    assert lead.post(f"{page}/resume", {"job": job.pk}).status_code == 302
    run()
    assert "finished" in lead.get(f"{page}/progress").content.decode()
    assert lead.get("/investigations/HL-9/import").status_code == 404


@pytest.mark.usefixtures("real_desk")
def test_the_page_proposes_where_two_must_agree_and_starts_what_they_agreed_to(
    people: dict[str, Person], box: Path, at: dt.datetime
) -> None:
    lead, page = make.client_of(people["lead"]), "/investigations/HL-1/import"
    said = {"source": "drawn", "collection": "", "manifest": "drawn.csv"}
    assert lead.post(f"{page}/start", said).status_code == 302
    assert "waits for another person" in lead.get(page).content.decode()
    from havenline_desk.models import Proposal

    proposal = Proposal.objects.get()
    assert lead.post(f"{page}/agreed", {"proposal": proposal.audit_id.hex}).status_code == 422
    approve(proposal, person=people["senior"], digest=proposal.digest, at=timezone.now())
    assert "Start the import of drawn" in lead.get(page).content.decode()
    assert lead.post(f"{page}/agreed", {"proposal": "x"}).status_code == 422
    assert lead.post(f"{page}/agreed", {"proposal": proposal.audit_id.hex}).status_code == 302
    assert ImportJob.objects.get().proposal == proposal


def test_an_empty_inbox_an_absent_one_and_an_investigation_that_is_over_say_so(
    people: dict[str, Person], home: Path
) -> None:
    lead, page = make.client_of(people["lead"]), "/investigations/HL-1/import"
    assert "There is no inbox" in lead.get(page).content.decode()
    inbox.make_ready()
    assert (home / "inbox").stat().st_mode & 0o077 == 0
    assert "The inbox is empty" in lead.get(page).content.decode()
    Investigation.objects.update(expires_on=dt.date(2020, 1, 1))
    assert "The authority to import ended on 1 Jan 2020" in lead.get(page).content.decode()


def test_a_page_that_asks_by_itself_keeps_no_session_alive(people: dict[str, Person], at: dt.datetime) -> None:
    lead = make.client_of(people["lead"])
    Session.objects.update(seen_at=at - 5 * MINUTE)
    assert lead.get("/investigations/HL-1/import/progress").status_code == 200
    assert lead.get("/escalations/waiting").status_code == 200
    assert Session.objects.get().seen_at == at - 5 * MINUTE
    lead.get("/investigations/HL-1/import")
    assert Session.objects.get().seen_at > at - MINUTE
