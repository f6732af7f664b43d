"""What of the audit log is signed, what never, and by whom."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from django.db import transaction
from pytest_django import Settings

from havenline_desk import audit
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.actions.enrol_person import enrol_person
from havenline_desk.actions.reopen_log import reopen_log
from havenline_desk.audit.key_file import KeyFileSigner
from havenline_desk.models import (
    AuditAct,
    AuditCheckpoint,
    AuditEntry,
    InstallationKind,
    Role,
)

from .test_audit_log import by_the_owner

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)


def signed_so_far() -> int:
    last = audit.sink().last_checkpoint()
    return 0 if last is None else last.size


@pytest.mark.django_db(transaction=True)
def test_an_entry_that_may_yet_be_undone_is_never_signed() -> None:
    assert audit.seal() is None, "an empty log has no checkpoint"

    @transaction.atomic
    def three(*, undone: bool) -> None:
        for _ in range(3):
            audit.append(AuditAct.POLICY_DECLARED, at=AT, actor=None)
            assert signed_so_far() == 0
        if undone:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        three(undone=True)
    assert signed_so_far() == 0
    three(undone=False)
    assert signed_so_far() == 3
    assert [row.size for row in AuditCheckpoint.objects.all()] == [3], "signed once for the transaction"


@pytest.mark.django_db(transaction=True)
def test_while_keyd_does_not_answer_no_other_key_signs(home: Path, settings: Settings) -> None:
    settings.KEYD = str(home / "nowhere")
    with pytest.raises(audit.AuditUnavailable, match="cannot be signed"):
        audit.signer()
    with pytest.raises(audit.AuditUnavailable, match="is recorded, but not sealed"):
        declare_policy(InstallationKind.DEMO, at=AT)
    assert not (home / "audit_signing_key").exists()
    for _ in range(2):
        with pytest.raises(audit.AuditUnavailable, match="cannot be signed"):
            declare_policy(InstallationKind.DEMO, at=AT)
    assert AuditEntry.objects.count() == 1, "nothing more is done until that is mended"
    settings.KEYD = ""
    declare_policy(InstallationKind.DEMO, at=AT)
    assert signed_so_far() == 2


@pytest.mark.django_db(transaction=True)
def test_a_key_that_cannot_be_read_refuses_every_act(home: Path) -> None:
    (home / "audit_signing_key").write_text("no key")
    with pytest.raises(audit.AuditUnavailable, match="cannot be read"):
        audit.signer()


def test_what_is_signed_already_is_not_signed_again(signed_log: Path) -> None:
    before = (signed_log / "checkpoints").read_bytes()
    again = audit.seal()
    assert again is not None
    assert (again, again.size) == (audit.sink().last_checkpoint(), 2)
    assert (signed_log / "checkpoints").read_bytes() == before
    assert sorted(row.size for row in AuditCheckpoint.objects.all()) == [1, 2]


def test_a_kept_tree_only_saves_work_whatever_it_says(signed_log: Path) -> None:
    AuditCheckpoint.objects.all().delete()
    AuditCheckpoint.objects.create(size=2, peaks="00" * 32)
    declare_policy(InstallationKind.DEMO, at=AT)
    assert signed_so_far() == 3


def test_a_log_that_another_key_signed_is_begun_anew_only_where_two_closed_it(signed_log: Path, home: Path) -> None:
    before = (signed_log / "checkpoints").read_bytes()
    KeyFileSigner.renew(home / "audit_signing_key")
    audit.seal()
    assert (signed_log / "checkpoints").read_bytes().startswith(before)
    assert signed_so_far() == 2
    by_the_owner("DELETE FROM desk_auditentry WHERE seq > 1")
    KeyFileSigner.renew(home / "audit_signing_key")
    with pytest.raises(audit.AuditDamaged, match="not the one that was signed"):
        audit.seal()
    assert (signed_log / "checkpoints").read_bytes().startswith(before)


def test_two_auditors_go_on_with_a_new_log_that_says_why_and_verifies(signed_log: Path, home: Path) -> None:
    one, two = (enrol_person(name, password=None, roles=(Role.AUDITOR,), at=AT) for name in ("a1", "a2"))
    audit.seal()
    by_the_owner("UPDATE desk_auditentry SET purpose = 'other' WHERE seq = 1")
    AuditCheckpoint.objects.all().delete()
    before = audit.sink().last_note()
    assert before is not None
    folder = reopen_log(by=one, second=two, at=AT)
    entry = AuditEntry.objects.get(act=AuditAct.LOG_REOPENED)
    assert (entry.actor, entry.grant, entry.object) == (one.audit_id, two.audit_id, audit.note_id(before[1]))
    assert entry.purpose == f"altered:{before[0].size}"
    assert folder == str(signed_log / f"closed-{entry.object.hex}")
    after = audit.sink().last_checkpoint()
    assert after is not None
    assert (after.size, after.origin != before[0].origin) == (entry.seq, True)
    assert (signed_log / "journal").read_bytes() == b"".join(
        f"{row.seq} {row.entry_hash}\n".encode() for row in AuditEntry.objects.order_by("seq")
    )
