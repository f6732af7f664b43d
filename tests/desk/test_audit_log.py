"""The desk's part of the audit log: no log, no act; gapless and chained; signed outside. Promises 7, 8 and 15."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import ProgrammingError, connection, connections, transaction
from django.db.utils import DatabaseError
from pytest_django import Settings

from havenline_desk import audit, evidence
from havenline_desk.actions.approve_framework import approve_framework
from havenline_desk.actions.create_investigation import create_investigation
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.actions.enrol_person import certify_person, enrol_person, grant_role
from havenline_desk.actions.export_log import export_log
from havenline_desk.actions.form_stacks import form_stacks
from havenline_desk.actions.grant_reveal import grant_reveal, note_failed_reveal, use_reveal
from havenline_desk.actions.skip_assignment import skip_assignment
from havenline_desk.actions.take_next import take_next
from havenline_desk.models import (
    URGENT_ACTS,
    Assessment,
    AuditAct,
    AuditCheckpoint,
    AuditEntry,
    Certificate,
    File,
    InstallationKind,
    Outcome,
    Person,
    Plan,
    Reveal,
    Role,
    RoleGrant,
    SamplingRule,
    SkipReason,
    SourceKind,
    StoredContent,
)
from havenline_desk.queries.audit import (
    Unvouched,
    export_lines,
    log_key,
    proof_of,
    rows_that_differ,
    rows_without_entry,
)
from havenline_guard import verify as checker

from . import factories as make

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def verified(folder: Path, *, journal: bool = True) -> checker.Report:
    """What an auditor's verifier says of the log as it lies in the database now."""
    export = folder / "export.ndjson"
    export.write_bytes(b"".join(export_lines()))
    sink = audit.sink()
    return checker.verify(
        export,
        checkpoints=sink.checkpoints,
        keys=[checker.Key.parse(log_key())],
        journal=sink.journal if journal else None,
    )


@pytest.mark.django_db(transaction=True)
def test_a_day_of_work_verifies_and_names_no_person_file_or_case(home: Path) -> None:
    people = make.world(at=AT, stacks=2, near=1)
    make.assess(people["analyst-one"], make.TRIANGLE, at=AT + MINUTE)
    make.assess(people["analyst-two"], make.TRIANGLE, at=AT + 3 * MINUTE)
    export_log(by=people["auditor"], at=AT + 9 * MINUTE)
    report = verified(home)
    assert (report.bad, report.notes, report.exit_code) == ([], [], checker.HOLDS)
    acts = list(AuditEntry.objects.order_by("seq").values_list("act", flat=True))
    assert acts[0] == AuditAct.POLICY_DECLARED
    assert acts.count(AuditAct.REVEAL_USED) == Reveal.objects.filter(used_at__isnull=False).count() == 4
    assert acts.count(AuditAct.ASSESSMENT_SUBMITTED) == Assessment.objects.count() == 2
    assert acts.count(AuditAct.OUTCOME_SETTLED) == Outcome.objects.count() == 2
    assert acts.count(AuditAct.ROLE_GRANTED) == RoleGrant.objects.count()
    assert list(rows_that_differ()) == []
    assert list(rows_without_entry()) == []
    written = b"".join(path.read_bytes() for path in (home / "audit").iterdir()) + b"".join(export_lines())
    secret = ["analyst-one", "analyst-two", "HL-1", "drawn", "opinion"]  # other names are those of roles
    for file in File.objects.all():
        secret += [file.sha256, file.sha1, file.md5]
    assert [word for word in secret if word.encode() in written] == []


@pytest.mark.django_db(transaction=True)
def test_a_proof_shows_one_entry_under_a_signed_checkpoint() -> None:
    people = make.world(at=AT)
    export_log(by=people["auditor"], at=AT)
    keys = [checker.Key.parse(log_key())]
    proved = checker.check_proof(proof_of(3), keys)
    assert not isinstance(proved, str)
    assert proved[0] == audit.entry_of(AuditEntry.objects.get(seq=3)).canonical()


@pytest.mark.django_db(transaction=True)
def test_entries_are_neither_changed_nor_deleted_nor_put_out_of_line() -> None:
    declare_policy(InstallationKind.DESK, at=AT)
    for refused in (
        "UPDATE desk_auditentry SET act = 'x'",
        "DELETE FROM desk_auditentry",
        "INSERT INTO desk_auditentry VALUES (9, now(), 'x', null, null, '', null, null, '', '', '', '')",
    ):
        with pytest.raises(DatabaseError, match="audit log"), connection.cursor() as cursor:
            cursor.execute(refused)


@pytest.mark.usefixtures("desk_role")
def test_the_desk_role_may_only_add_to_the_log(home: Path) -> None:
    people = make.world(at=AT)
    audit.seal()
    assert verified(home).exit_code == checker.HOLDS
    for model in (AuditEntry, AuditCheckpoint):
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            model._default_manager.all()._raw_delete(using="default")
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        AuditEntry.objects.update(actor=people["lead"].audit_id)


def by_the_owner(statement: str) -> None:
    """What somebody does who owns the tables: no trigger, no rights in the way."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE desk_auditentry DISABLE TRIGGER USER")
        cursor.execute(statement)
        cursor.execute("ALTER TABLE desk_auditentry ENABLE TRIGGER USER")


@pytest.mark.django_db(transaction=True)
def test_what_the_owner_of_the_tables_changes_is_found_and_nothing_more_is_signed(home: Path) -> None:
    make.world(at=AT)
    by_the_owner("UPDATE desk_auditentry SET purpose = 'admin' WHERE seq = 5")
    named = verified(home).first_bad
    assert named is not None
    assert (named.first, named.last) == (5, 5)
    AuditCheckpoint.objects.all().delete()
    with pytest.raises(audit.AuditDamaged, match="not the one that was signed"):
        audit.seal()
    enrol_person_refused(match="not the one that was signed")


@pytest.mark.django_db(transaction=True)
def test_an_older_copy_of_the_database_is_found_before_anything_is_signed_over_it(home: Path) -> None:
    make.world(at=AT)
    by_the_owner("DELETE FROM desk_auditentry WHERE seq > 5")
    assert "a checkpoint was signed over" in str(verified(home).first_bad)
    enrol_person_refused(match="not the one that was signed")
    assert not Person.objects.filter(name="late").exists() or AuditEntry.objects.filter(seq__gt=5).exists()


def enrol_person_refused(*, match: str) -> None:
    with pytest.raises((audit.AuditDamaged, audit.AuditUnavailable), match=match):
        enrol_person("late", password=None, roles=(), at=AT + 5 * MINUTE)
    with pytest.raises((audit.AuditDamaged, audit.AuditUnavailable), match=match):
        enrol_person("later", password=None, roles=(), at=AT + 6 * MINUTE)
    assert not Person.objects.filter(name="later").exists()


@pytest.mark.django_db(transaction=True)
def test_a_record_that_the_owner_of_the_tables_changes_or_deletes_is_found() -> None:
    people = make.world(at=AT, plan=Plan.SINGLE)
    make.assess(people["analyst-one"], make.NO_SHAPES, at=AT + MINUTE)
    assert list(rows_that_differ()) == []
    Outcome.objects.update(status="criminal")
    Certificate.objects.filter(person=people["analyst-two"]).delete()
    assert {(each.act, each.gone) for each in rows_that_differ()} == {
        ("outcome_settled", False),
        ("certificate_recorded", True),
    }
    (outcome,) = Outcome.objects.all()
    assert list(rows_without_entry()) == [Unvouched("outcome", str(outcome.pk))]


@pytest.mark.django_db(transaction=True)
def test_a_record_that_is_added_past_the_log_is_found() -> None:
    """As somebody could who writes to the database by what the desk is let in with."""
    people = make.world(at=AT)
    assert list(rows_without_entry()) == []
    forged = RoleGrant.objects.create(person=people["analyst-one"], role=Role.AUDITOR, granted_at=AT, effective_from=AT)
    late = Person.objects.create(name="late", enrolled_at=AT)
    assert list(rows_that_differ()) == [], "no entry speaks of them"
    assert set(rows_without_entry()) == {Unvouched("role grant", str(forged.pk)), Unvouched("person", str(late.pk))}


@pytest.mark.django_db(transaction=True)
def test_urgent_acts_are_signed_at_once_others_after_256_or_a_minute() -> None:
    people = make.world(at=AT)
    assert audit.sink().last_checkpoint() is not None
    assignment = take_next(people["analyst-one"], at=AT)
    assert assignment is not None
    sealed = audit.sink().last_checkpoint()
    assert sealed is not None
    assert sealed.size < AuditEntry.objects.count()
    skip_assignment(assignment.pk, person=people["analyst-one"], reason=SkipReason.UNCLEAR, at=AT + MINUTE)
    sealed = audit.sink().last_checkpoint()
    assert sealed is not None
    assert sealed.size == AuditEntry.objects.count(), "a minute has passed since the first that waits"
    before = sealed.size
    for number in range(256):
        with transaction.atomic():
            audit.append(AuditAct.MATCHES_RECORDED, at=AT + 2 * MINUTE, actor=None)
        sealed = audit.sink().last_checkpoint()
        assert sealed is not None
        assert sealed.size == (before if number < 255 else before + 256)
    declare_policy(InstallationKind.DEMO, at=AT + 2 * MINUTE)
    sealed = audit.sink().last_checkpoint()
    assert sealed is not None
    assert sealed.size == before + 257


@transaction.atomic
def append_and_fail() -> None:
    audit.append(AuditAct.STACKS_FORMED, at=AT, actor=None)
    raise RuntimeError


@pytest.mark.django_db(transaction=True)
def test_what_is_undone_leaves_no_gap_and_no_alarm(home: Path) -> None:
    make.world(at=AT)
    held = AuditEntry.objects.count()
    for _ in range(3):
        with pytest.raises(RuntimeError):
            append_and_fail()
    with transaction.atomic():
        with pytest.raises(RuntimeError):
            append_and_fail()
        audit.append(AuditAct.MATCHES_RECORDED, at=AT, actor=None)
    assert AuditEntry.objects.count() == held + 1
    audit.seal()
    report = verified(home)
    assert (report.bad, report.exit_code) == ([], checker.HOLDS)
    with pytest.raises(transaction.TransactionManagementError):
        audit.append(AuditAct.STACKS_FORMED, at=AT, actor=None)


@pytest.mark.django_db(transaction=True)
def test_many_writers_at_once_leave_one_gapless_chain(home: Path) -> None:
    people = make.world(at=AT)
    held = AuditEntry.objects.count()
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(10):
                act = AuditAct.ROLE_GRANTED if turn % 5 == 4 else AuditAct.MATCHES_RECORDED
                with transaction.atomic():
                    audit.append(act, at=AT + number * MINUTE, actor=people["lead"])
        except BaseException as error:
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    audit.seal()
    assert list(AuditEntry.objects.order_by("seq").values_list("seq", flat=True)) == list(range(1, held + 61))
    report = verified(home)
    assert (report.bad, report.exit_code) == ([], checker.HOLDS)


@pytest.mark.django_db(transaction=True)
def test_what_a_crash_left_torn_outside_is_cut_off_by_the_next_act(home: Path) -> None:
    make.world(at=AT)
    sink = audit.sink()
    with sink.journal.open("ab") as journal, sink.checkpoints.open("ab") as checkpoints:
        journal.write(b"99 0123")
        checkpoints.write(b"havenline.invalid/x\n12\n")
    declare_policy(InstallationKind.DEMO, at=AT + MINUTE)
    report = verified(home)
    assert (report.bad, report.notes, report.exit_code) == ([], [], checker.HOLDS)
    whole = sink.checkpoints.read_bytes()
    sink.checkpoints.write_bytes(whole + b"havenline.invalid/x\n12\n" + b"A" * 43 + b"=\n\n\xe2\x80\x94 torn")
    declare_policy(InstallationKind.DEMO, at=AT + 2 * MINUTE)
    sealed = sink.last_checkpoint()
    assert sealed is not None
    assert sealed.size == AuditEntry.objects.count()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("left", range(1, 250, 7))
def test_wherever_a_note_was_cut_off_the_next_one_stands_whole_behind_the_last_whole_one(home: Path, left: int) -> None:
    declare_policy(InstallationKind.DEMO, at=AT)
    whole = audit.sink().checkpoints.read_bytes()
    with audit.sink().checkpoints.open("ab") as file:
        file.write(whole[:left])
    torn = left < len(whole)
    declare_policy(InstallationKind.DEMO, at=AT + MINUTE)
    report = verified(home)
    assert (report.bad, report.exit_code) == ([], checker.HOLDS)
    assert report.checkpoints == (2 if torn else 3)


class Failing:
    """A signer that cannot sign."""

    name = "havenline.invalid/failing"
    algorithm = 1
    public_key = bytes(32)

    def sign_checkpoint(self, body: bytes) -> bytes:
        raise ConnectionRefusedError("the key process does not answer")


def _no_folder(home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AUDIT_FOLDER = str(home / "kind")
    (home / "kind").write_text("a file, where a folder is expected")


def _full_disk(home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("havenline_desk.audit.outside.os.pwrite", full)


def _no_signer(home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.AUDIT_SIGNER = Failing()


def _no_record_key(home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "audit_record_key").write_text("not hexadecimal")


FAILURES: dict[str, Callable[[Path, Settings, pytest.MonkeyPatch], None]] = {
    "no folder": _no_folder,
    "full disk": _full_disk,
    "no signer": _no_signer,
    "no record key": _no_record_key,
}


def _acts(people: dict[str, Person]) -> dict[str, Callable[[], object]]:
    """One call for each audited act that stands alone; what they need has been made before the failure."""
    assignment = take_next(people["analyst-one"], at=AT)
    assert assignment is not None
    member = assignment.revision.members.get()

    def ask() -> str:
        return grant_reveal(
            assignment.pk,
            person=people["analyst-one"],
            session_key="s",
            file_id=member.file_id,
            ladder_step=2,
            at=AT,
        )

    token, used = ask(), Reveal.objects.get(token_digest=hashlib.sha256(ask().encode()).hexdigest())

    def open_investigation() -> object:
        return create_investigation(
            "HL-9",
            source_kind=SourceKind.SITE,
            period=(None, None),
            posted_total=1,
            sampling_rule=SamplingRule.EVERYTHING,
            authorised_by=people["lead"],
            legal_basis="drawn pictures",
            expires_on=AT.date(),
            framework="demo.shapes",
            framework_version=None,
            plan=Plan.DOUBLE,
            at=AT,
        )

    return {
        "declare_policy": lambda: declare_policy(InstallationKind.DEMO, at=AT),
        "approve_framework": lambda: approve_framework(
            "gb-eaw", "2023-09", approved_by=people["lead"], counsel="opinion 14", at=AT
        ),
        "enrol_person": lambda: enrol_person("late", password=None, roles=(Role.LIAISON,), at=AT),
        "grant_role": lambda: grant_role(people["lead"], Role.LIAISON, at=AT),
        "certify_person": lambda: certify_person(
            people["analyst-two"], until=AT + make.DAY, issued_by=people["senior"], at=AT
        ),
        "create_investigation": open_investigation,
        "take_next": lambda: take_next(people["analyst-two"], at=AT),
        "grant_reveal": ask,
        "use_reveal": lambda: use_reveal(token, person=people["analyst-one"], session_key="s", at=AT),
        "note_failed_reveal": lambda: note_failed_reveal(used, at=AT),
        "export_log": lambda: export_log(by=people["auditor"], at=AT),
        "skip": lambda: skip_assignment(assignment.pk, person=people["analyst-one"], reason=SkipReason.UNCLEAR, at=AT),
    }


def _rows() -> dict[str, int]:
    from django.apps import apps

    return {
        model.__name__: model._default_manager.count()
        for model in apps.get_app_config("desk").get_models()
        if model not in {AuditEntry, AuditCheckpoint}
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("failure", FAILURES)
def test_where_the_log_cannot_be_written_every_act_is_refused_or_logged_and_never_neither(
    failure: str, home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = make.world(at=AT, stacks=2)
    acts = _acts(people)
    audit.seal()
    FAILURES[failure](home, settings, monkeypatch)
    refused = 0
    for name, act in acts.items():
        rows, entries = _rows(), AuditEntry.objects.count()
        used = Reveal.objects.filter(used_at__isnull=False).count()
        try:
            act()
        except (audit.AuditUnavailable, audit.AuditDamaged):
            refused += 1
            if AuditEntry.objects.count() == entries:
                assert _rows() == rows, f"{name} was done without an entry"
                assert Reveal.objects.filter(used_at__isnull=False).count() == used
        else:
            assert AuditEntry.objects.count() > entries, f"{name} was done without an entry"
    # Where only the keyed digest of a record fails, acts without a record are logged as ever.
    assert refused >= (7 if failure == "no record key" else len(acts) - 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("failure", ["no folder", "full disk", "no signer"])
def test_no_byte_is_shown_where_the_view_cannot_be_logged_or_sealed(
    failure: str, home: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = make.world(at=AT)
    from django.utils import timezone

    now = timezone.now()
    certify_person(people["analyst-one"], until=now + make.DAY, issued_by=None, at=now)
    assignment = take_next(people["analyst-one"], at=now)
    assert assignment is not None
    client = make.client_of(people["analyst-one"])
    member = assignment.revision.members.get()
    asked = client.post("/work/reveal", {"member": member.pk, "step": 2}, content_type="application/json")
    url = asked.json()["url"]
    opened: list[object] = []
    monkeypatch.setattr(evidence, "rendition", lambda reveal, *, token: opened.append(reveal) or b"bytes")
    FAILURES[failure](home, settings, monkeypatch)
    answer = client.get(url)
    assert (answer.status_code, answer.headers["Retry-After"], opened) == (503, "60", [])
    assert client.post("/work/skip", {"assignment": assignment.pk, "reason": "unclear"}).status_code == 503
    again = client.post("/work/reveal", {"member": member.pk, "step": 2}, content_type="application/json")
    assert again.status_code == 503


@pytest.mark.django_db(transaction=True)
def test_a_view_that_showed_nothing_is_recorded_as_failed(home: Path) -> None:
    people = make.world(at=AT)
    from django.utils import timezone

    now = timezone.now()
    certify_person(people["analyst-one"], until=now + make.DAY, issued_by=None, at=now)
    assignment = take_next(people["analyst-one"], at=now)
    assert assignment is not None
    client = make.client_of(people["analyst-one"])
    member = assignment.revision.members.get()
    asked = client.post("/work/reveal", {"member": member.pk, "step": 2}, content_type="application/json")
    stored = StoredContent.objects.get(file=member.file_id)
    (home / "content" / stored.object_name).write_bytes(b"other bytes")
    assert client.get(asked.json()["url"]).status_code == 403
    used, failed = reversed(AuditEntry.objects.order_by("-seq")[:2])
    assert (used.act, failed.act) == (AuditAct.REVEAL_USED, AuditAct.REVEAL_FAILED)
    assert used.grant == failed.grant is not None
    assert used.object is not None
    assert used.object.hex == stored.object_name


@pytest.mark.django_db
def test_forming_stacks_again_says_nothing_where_nothing_was_formed() -> None:
    make.world(at=AT)
    entries = AuditEntry.objects.count()
    assert form_stacks(make.investigation(), at=AT) == 0
    assert AuditEntry.objects.count() == entries


def test_what_may_not_wait_is_signed_at_once() -> None:
    assert {AuditAct.ROLE_GRANTED, AuditAct.REVEAL_USED, AuditAct.LOG_EXPORTED} <= URGENT_ACTS
