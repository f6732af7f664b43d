"""Retention with a real key process: held is never destroyed, due is, destroyed never opens and its records stay."""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from pytest_django import Settings

from havenline.judgement.retention import RetentionFacts, Standing
from havenline_cli import desk as opening
from havenline_cli import retention, sealer
from havenline_cli.retention import run, scrub
from havenline_desk import evidence
from havenline_desk.actions.escalate import raise_escalation, record_stage
from havenline_desk.actions.grant_reveal import grant_reveal
from havenline_desk.actions.open_assignments import open_assignments
from havenline_desk.actions.place_hold import HoldRefused, place_hold
from havenline_desk.actions.run_sealer import run_sealer
from havenline_desk.actions.set_budget import USUAL, set_budget
from havenline_desk.actions.take_next import take_next
from havenline_desk.evidence import EvidenceError, RevealRefused
from havenline_desk.gates import Act, Denied
from havenline_desk.keys import keyd
from havenline_desk.models import (
    AlarmKind,
    Assignment,
    AuditAct,
    AuditEntry,
    Escalation,
    EscalationStage,
    File,
    FrameHash,
    Hold,
    InstallationKind,
    Outcome,
    PerceptualHash,
    Person,
    Policy,
    Reveal,
    StackRevision,
    StorageAlarm,
    StoredContent,
    Tombstone,
)
from havenline_desk.queries.retention import hold_lines, kept_facts, retention_status, stored_named
from havenline_guard.keyd_client import KeydUnreachable
from havenline_guard.keyd_wire import Bound, KeydRefused
from tests.guard.keyd_rig import Process

from . import factories as make

pytestmark = pytest.mark.django_db(transaction=True)

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
DECIDED = AT + make.DAY
TOO_LATE = 400 * make.DAY


@pytest.fixture
def people(key_process: Process) -> dict[str, Person]:
    return make.world(at=AT, stacks=3)


def settle(*, status: str = "not_criminal", at: dt.datetime = DECIDED) -> None:
    """Settle every file in its investigation, as if it had been assessed."""
    Assignment.objects.filter(done_at=None).update(done_at=at)
    for revision in StackRevision.objects.select_related("stack__investigation"):
        for member in revision.members.all():
            Outcome.objects.create(
                investigation=revision.stack.investigation,
                file=member.file,
                revision=revision,
                framework="demo.shapes",
                framework_version="1",
                facts={},
                status=status,
                rule_path=[],
                settled_by="agreement",
                viewed_by_person=True,
                settled_at=at,
            )


def as_a_desk() -> None:
    """Its classes are those of a real desk; what was kept before stays kept."""
    Policy.objects.create(kind=InstallationKind.DESK, content_legal_basis="", declared_at=AT)


def objects() -> list[StoredContent]:
    return list(StoredContent.objects.order_by("pk"))


def bytes_kept(home: Path) -> set[str]:
    return {path.name for path in (home / "content").iterdir()}


def bound(name: str) -> Bound:
    return Bound("a" * 32, "b" * 64, "1", "c" * 32, "first_assessment.2", name, "d" * 32)


def standings(at: dt.datetime) -> dict[Standing, int]:
    return {each: count for each, count in retention_status(at=at).standing.items() if count}


def test_due_is_destroyed_and_the_dry_run_changes_nothing(people: dict[str, Person], home: Path) -> None:
    settle()
    as_a_desk()
    before, names = AuditEntry.objects.count(), {each.object_name for each in objects()}
    assert run_sealer(kept_facts(), at=DECIDED + 6 * make.DAY).due == ()
    dry = run_sealer(kept_facts(), at=DECIDED + 7 * make.DAY, dry=True)
    assert (set(dry.due), dry.destroyed) == (names, ())
    assert (Tombstone.objects.count(), AuditEntry.objects.count(), bytes_kept(home)) == (0, before, names)
    done = run_sealer(kept_facts(), at=DECIDED + 7 * make.DAY)
    assert set(done.destroyed) == names
    assert bytes_kept(home) == set()
    assert {each.stored.object_name for each in Tombstone.objects.all()} == names
    assert {(each.rule, each.hashes_removed) for each in Tombstone.objects.all()} == {("cleared", True)}
    entries = AuditEntry.objects.filter(act=AuditAct.CONTENT_DESTROYED)
    assert {entry.object for entry in entries} == {each.audit_id for each in Tombstone.objects.all()}
    assert {(entry.purpose, bool(entry.record)) for entry in entries} == {("cleared", True)}
    assert kept_facts() == {}
    assert run_sealer(kept_facts(), at=DECIDED + 8 * make.DAY).destroyed == ()


def test_destroyed_never_opens_and_its_records_stay_after_a_restart(
    people: dict[str, Person], key_process: Process, home: Path
) -> None:
    set_budget(people["analyst-one"], USUAL, set_by=people["welfare"], second=people["lead"], at=AT)
    assignment = take_next(people["analyst-one"], at=AT)
    assert assignment is not None
    file = assignment.revision.members.get().file
    asked = {"session_key": "s", "file_id": file.pk, "ladder_step": 2, "at": AT + dt.timedelta(minutes=1)}
    token = grant_reveal(assignment.pk, person=people["analyst-one"], **asked)
    sealed = (home / "content" / file.stored.object_name).read_bytes()
    settle()
    run_sealer(kept_facts(), at=DECIDED + 30 * make.DAY)
    key_process.kill()
    key_process.start()
    (home / "content" / file.stored.object_name).write_bytes(sealed)
    client = keyd()
    assert client is not None
    client.close()  # of the killed process
    with pytest.raises(KeydRefused, match="destroyed"):
        client.grant(bound(file.stored.object_name))
    reveal = Reveal.objects.get()
    reveal.used_at = AT
    with pytest.raises(RevealRefused, match="not kept here"):
        evidence.rendition(reveal, token=token)
    assert Tombstone.objects.filter(stored__file=file).exists()
    assert Reveal.objects.filter(file=file).count() == 1
    assert Outcome.objects.filter(file=file).count() == 1
    assert File.objects.filter(pk=file.pk).exists()
    assert evidence.kept([file]) == frozenset()
    posted_again = next(content for content in map(make.draw, (1000, 2000, 3000)) if _sha(content) == file.sha256)
    evidence.keep({file: posted_again}, at=AT)
    assert StoredContent.objects.filter(file=file).count() == 1
    assert evidence.sweep() == 1


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_held_is_never_destroyed_until_two_release_it(people: dict[str, Person], home: Path) -> None:
    settle()
    held, other, third = objects()
    with pytest.raises(Denied):
        place_hold(held, "court-1", placed_by=people["analyst-one"], at=AT)
    with pytest.raises(HoldRefused, match="reference"):
        place_hold(held, "court 1", placed_by=people["lead"], at=AT)
    place_hold(held, "court-1", placed_by=people["lead"], at=AT)
    with pytest.raises(HoldRefused, match="already"):
        place_hold(held, "court-1", placed_by=people["senior"], at=AT)
    assert [(line.object_name, line.reference) for line in hold_lines()] == [(held.object_name, "court-1")]
    later = DECIDED + TOO_LATE
    done = run_sealer(kept_facts(), at=later)
    assert set(done.destroyed) == {other.object_name, third.object_name}
    assert standings(later) == {Standing.HELD: 1}
    release = {"object": held.object_name, "reference": "court-1"}
    client = keyd()
    assert client is not None
    proposal = make.propose(Act.RELEASE_HOLD, release, person=people["lead"], at=later)
    make.approve(proposal, person=people["senior"], digest=proposal.digest, at=later)
    assert run_sealer(kept_facts(), at=later).destroyed == ()
    make.carry_out(proposal, person=people["lead"], keys=client, at=later)
    assert Hold.objects.get().released_at == later
    assert run_sealer(kept_facts(), at=later).destroyed == (held.object_name,)
    with pytest.raises(HoldRefused, match="destroyed"):
        place_hold(held, "court-2", placed_by=people["lead"], at=later)
    assert bytes_kept(home) == set()


def test_a_hold_that_only_the_key_process_knows_holds_and_leaves_no_tombstone(people: dict[str, Person]) -> None:
    settle()
    held = objects()[0]
    client = keyd()
    assert client is not None
    client.place_hold(held.object_name, "order", by="officer")
    before = AuditEntry.objects.count()
    done = run_sealer(kept_facts(), at=DECIDED + TOO_LATE)
    assert done.refused == (held.object_name,)
    assert not Tombstone.objects.filter(stored=held).exists()
    assert AuditEntry.objects.count() == before + 2
    assert held.object_name in kept_facts()


def test_what_waits_for_a_decision_a_third_person_or_another_investigation_is_not_due(
    people: dict[str, Person],
) -> None:
    later = DECIDED + TOO_LATE
    assert standings(later) == {Standing.WAITS: 3}
    settle()
    assert standings(later) == {Standing.DUE: 3}
    revision = StackRevision.objects.order_by("pk")[0]
    open_assignments([revision], at=AT)
    Assignment.objects.filter(revision=revision).update(done_at=None)
    assert standings(later) == {Standing.WAITS: 1, Standing.DUE: 2}
    elsewhere = make.make_investigation(people["lead"], reference="HL-2", at=AT)
    file = objects()[2].file
    make.Item.objects.create(
        investigation=elsewhere.investigation,
        taken_in=elsewhere,
        collection="drawn",
        path="again.png",
        file=file,
        kind="picture",
        state="viewable",
        imported_at=AT,
    )
    assert standings(later) == {Standing.WAITS: 2, Standing.DUE: 1}


def test_a_referral_waits_for_its_receipt_and_one_that_was_not_needed_does_not(people: dict[str, Person]) -> None:
    set_budget(people["analyst-one"], USUAL, set_by=people["welfare"], second=people["lead"], at=AT)
    assignment = take_next(people["analyst-one"], at=AT)
    assert assignment is not None
    member = assignment.revision.members.get()
    make.look(assignment, people["analyst-one"], member, step=2, at=AT)
    raise_escalation(assignment.pk, person=people["analyst-one"], at=AT)
    escalation = Escalation.objects.get()
    settle()
    later = DECIDED + TOO_LATE
    name = member.file.stored.object_name
    assert standings(later) == {Standing.WAITS: 1, Standing.DUE: 2}
    record_stage(escalation, EscalationStage.ACKNOWLEDGED, person=people["lead"], at=later)
    record_stage(escalation, EscalationStage.REFERRED, person=people["lead"], reference="police 14", at=later)
    assert kept_facts()[name].receipt_at is None
    record_stage(escalation, EscalationStage.CLOSED, person=people["lead"], reference="done", at=later)
    assert kept_facts()[name].receipt_at == later
    assert standings(later) == {Standing.KEPT: 1, Standing.DUE: 2}
    escalation.events.filter(stage=EscalationStage.REFERRED).delete()
    assert standings(later) == {Standing.DUE: 3}


@pytest.mark.parametrize(("status", "rule", "hashes"), [("not_criminal", "cleared", 0), ("criminal", "decided", 2)])
def test_what_is_cleared_loses_its_hashes_and_what_is_not_keeps_them_by_the_rights_that_the_desk_has(
    people: dict[str, Person], desk_role: None, status: str, rule: str, hashes: int
) -> None:
    file = objects()[0].file
    PerceptualHash.objects.create(file=file, pipeline="pdq", pdq="0" * 64, quality=99)
    FrameHash.objects.create(file=file, second=0.5, pdq="1" * 64, quality=99)
    settle(status=status)
    as_a_desk()
    assert {each.retention_class.id for each in kept_facts().values()} == {rule}
    run_sealer(kept_facts(), at=DECIDED + 30 * make.DAY)
    assert {each.rule for each in Tombstone.objects.all()} == {rule}
    assert PerceptualHash.objects.filter(file=file).count() + FrameHash.objects.filter(file=file).count() == hashes


def test_where_too_much_is_due_nothing_goes_and_the_alarm_is_told(
    people: dict[str, Person], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_in = make.Import.objects.get()
    for number in range(4, 15):
        make.add_stack(taken_in, number, at=AT)
    settle()
    later = DECIDED + TOO_LATE
    assert retention_status(at=later).stops
    assert run_sealer(kept_facts(), at=later).stopped
    monkeypatch.setattr(sealer, "now", lambda: later)
    sealer.keep_house(1)
    assert "ALARM: 14 of 14 kept objects are due at once, so nothing was destroyed" in capfd.readouterr().err
    sealer.keep_house(2)
    assert capfd.readouterr().err == ""
    assert Tombstone.objects.count() == 0
    alarm = StorageAlarm.objects.get()
    assert (alarm.kind, alarm.counted, alarm.of, alarm.ended_at) == (AlarmKind.STOPPED, 14, 14, None)
    entry = AuditEntry.objects.get(act=AuditAct.STORAGE_ALARM_RAISED)
    assert (entry.object, entry.purpose) == (alarm.audit_id, "retention_stopped")
    for name, shown in (("lead", True), ("auditor", True), ("analyst-one", False), ("admin", False)):
        page = make.client_of(people[name]).get("/").content.decode()
        assert ("14 of 14 kept objects, since" in page) is shown, name
    assert len(run_sealer(kept_facts(), at=later, looked_at=True).destroyed) == 14
    assert AuditEntry.objects.get(act=AuditAct.STORAGE_ALARM_ENDED).object == alarm.audit_id
    assert "kept objects, since" not in make.client_of(people["lead"]).get("/").content.decode()


def test_a_duty_that_breaks_is_told_and_keeps_no_other_from_being_done(
    people: dict[str, Person], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise KeyError("a word that nobody should read")

    settle()
    monkeypatch.setattr(sealer, "now", lambda: DECIDED + TOO_LATE)
    monkeypatch.setattr(sealer, "_record_due", broken)
    sealer.keep_house(1)
    said = capfd.readouterr().err
    assert "UNEXPECTED KeyError in test_retention.py, line" in said
    assert "nobody should read" not in said
    assert Tombstone.objects.count() == 3, "the third duty of that minute"


def test_the_daily_reading_of_all_content_delays_nothing_and_raises_and_ends_an_alarm(
    people: dict[str, Person], home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, beside, scrubbed = threading.Event(), sealer.Beside(), evidence.scrub

    def slow() -> object:
        assert go_on.wait(60)
        return scrubbed()

    def read_all() -> None:
        beside.begin(sealer._scrub)
        assert beside.thread is not None
        beside.thread.join(60)

    monkeypatch.setattr(evidence, "scrub", slow)
    damaged = home / "content" / objects()[0].object_name
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    beside.begin(sealer._scrub)
    first = beside.thread
    beside.begin(sealer._scrub)
    assert beside.thread is first, "one at a time"
    sealer.keep_house(2)
    go_on.set()
    assert first is not None
    first.join(60)
    assert "ALARM: 1 kept objects are damaged or missing" in capfd.readouterr().err
    alarm = StorageAlarm.objects.get()
    assert (alarm.kind, alarm.counted, alarm.of) == (AlarmKind.DAMAGED, 1, 3)
    assert "1 of 3 kept objects, since" in make.client_of(people["senior"]).get("/").content.decode()
    read_all()
    assert AuditEntry.objects.filter(act=AuditAct.STORAGE_ALARM_RAISED).count() == 1, "one alarm, however often"
    damaged.write_bytes(whole)
    read_all()
    assert StorageAlarm.objects.get().ended_at is not None


def test_the_commands_end_with_what_they_found(
    people: dict[str, Person],
    home: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "desk", lambda *_: nullcontext())
    monkeypatch.setattr(opening, "existing_home", lambda path: path)
    monkeypatch.setattr(retention, "now", lambda: DECIDED + TOO_LATE)
    damaged, missing, whole = (home / "content" / each.object_name for each in objects())
    stray = home / "content" / ("0" * 32)
    stray.write_bytes(b"remains of a killed import")
    scrubbed = evidence.scrub()
    assert (scrubbed.whole, scrubbed.damaged, scrubbed.missing, scrubbed.unnamed) == (3, (), (), (stray.name,))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    missing.unlink()
    with pytest.raises(opening.CommandError, match="damaged or missing"):
        scrub(sweep=True)
    said = capfd.readouterr().out.splitlines()
    assert said[:3] == [f"damaged  {damaged.name}", f"missing  {missing.name}", f"unnamed  {stray.name}"]
    assert said[3].endswith("1 named by no record, 1 taken away")
    assert (stray.exists(), whole.exists()) == (False, True)
    settle()
    run(dry_run=True)
    assert "3 of 3 kept objects are due; nothing was destroyed." in capfd.readouterr().out
    run()
    assert "3 of 3 kept objects were destroyed." in capfd.readouterr().out
    assert stored_named(objects()[0].file.sha256) == objects()[0]


def test_a_sweep_waits_for_who_is_just_keeping(people: dict[str, Person], home: Path) -> None:
    """An object that is written but not yet recorded is not taken for one that nobody names."""
    swept: list[int] = []

    def sweep() -> None:
        swept.append(evidence.sweep())
        connection.close()

    content = make.draw(77_000)
    file = File.objects.create(sha256=_sha(content), sha1="0" * 40, md5="0" * 32, size=len(content))
    sweeper = threading.Thread(target=sweep)
    with transaction.atomic():
        evidence.keep({file: content}, at=AT)
        sweeper.start()
        sweeper.join(0.5)
        assert swept == []
    sweeper.join(20)
    assert swept == [0]
    assert file.stored.object_name in bytes_kept(home)


def test_an_early_destruction_by_two_leaves_a_tombstone_and_its_bytes_are_swept(
    people: dict[str, Person], home: Path
) -> None:
    stored = objects()[0]
    client = keyd()
    assert client is not None
    what = {"object": stored.object_name, "rule": "early"}
    proposal = make.propose(Act.DESTROY_EARLY, what, person=people["lead"], at=AT)
    make.approve(proposal, person=people["senior"], digest=proposal.digest, at=AT)
    make.carry_out(proposal, person=people["lead"], keys=client, at=AT)
    assert Tombstone.objects.get().stored == stored
    with pytest.raises(KeydRefused, match="destroyed"):
        client.grant(bound(stored.object_name))
    assert evidence.sweep() == 1
    assert stored.object_name not in bytes_kept(home)


def test_without_a_key_process_nothing_is_recorded_as_destroyed(
    people: dict[str, Person], key_process: Process, settings: Settings
) -> None:
    settle()
    facts: dict[str, RetentionFacts] = kept_facts()
    key_process.kill()
    with pytest.raises(KeydUnreachable):
        run_sealer(facts, at=DECIDED + TOO_LATE)
    assert Tombstone.objects.count() == 0
    key_process.start()
    assert len(run_sealer(facts, at=DECIDED + TOO_LATE).destroyed) == 3
    settings.KEYD = ""
    with pytest.raises(EvidenceError, match="not sealed"):
        evidence.scrub()
    with pytest.raises(HoldRefused, match="no key process"):
        place_hold(objects()[0], "case", placed_by=people["lead"], at=AT)
    settings.KEYD = str(key_process.socket)


def test_browser_sessions_that_ran_out_are_cleared_each_hour_by_the_rights_that_the_desk_has(
    desk_role: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, left in (("over", dt.timedelta(0)), ("in force", dt.timedelta(seconds=1))):
        Session.objects.create(session_key=name, session_data="", expire_date=AT + left)
    monkeypatch.setattr(sealer, "now", lambda: AT)
    sealer.keep_house(2)
    assert Session.objects.count() == 2
    sealer.keep_house(1)
    assert capfd.readouterr().err == ""
    assert [each.session_key for each in Session.objects.all()] == ["in force"]
