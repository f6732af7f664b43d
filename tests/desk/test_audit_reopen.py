"""How a log that can no longer be signed is closed, and what is kept of it."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from unittest import mock

import pytest
from pytest_django import Settings

from havenline_desk import audit
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.actions.enrol_person import enrol_person
from havenline_desk.actions.reopen_log import reopen_log
from havenline_desk.audit.key_file import KeyFileSigner
from havenline_desk.models import AuditAct, AuditCheckpoint, AuditEntry, InstallationKind, Role
from havenline_desk.queries.audit import export_lines, log_key
from tests.guard.keyd_rig import Process

from .test_audit_log import by_the_owner

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
NAME = re.compile(r"havenline\.invalid/[0-9a-f]{16}")


@pytest.mark.django_db
def test_where_nothing_was_signed_there_is_no_log_to_close(home: Path) -> None:
    with pytest.raises(audit.AuditDamaged, match="no checkpoint was ever signed"):
        audit.close_log()
    assert not list(home.glob("audit/closed-*"))


def test_all_that_is_left_of_a_closed_log_lies_apart_under_the_name_of_its_last_note(signed_log: Path) -> None:
    held = audit.sink().last_note()
    assert held is not None
    by_the_owner("DELETE FROM desk_auditentry WHERE seq > 1")
    closed = audit.close_log()
    assert (closed.checkpoint, closed.note, closed.why) == (*held, "older_copy")
    assert closed.folder == signed_log / f"closed-{audit.note_id(closed.note).hex}"
    assert closed.folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.read_bytes() for path in closed.folder.iterdir()} == {
        "checkpoints": (signed_log / "checkpoints").read_bytes(),
        "journal": (signed_log / "journal").read_bytes(),
        "key": log_key().encode() + b"\n",
        "export": b"".join(export_lines()),
    }


def test_a_log_of_as_many_entries_as_were_signed_was_altered(signed_log: Path) -> None:
    by_the_owner("UPDATE desk_auditentry SET purpose = 'other' WHERE seq = 1")
    assert audit.close_log().why == "altered"


def test_what_an_attempt_that_was_cut_short_kept_stays(signed_log: Path, home: Path) -> None:
    folder = audit.close_log().folder
    for path in folder.iterdir():
        path.write_bytes(b"kept before")
    (signed_log / "journal").unlink()
    KeyFileSigner.renew(home / "audit_signing_key")
    assert audit.close_log().folder == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == dict.fromkeys(
        ("checkpoints", "journal", "key", "export"), b"kept before"
    )


def test_another_key_is_not_kept_as_that_of_the_closed_log_nor_a_journal_that_is_gone(
    signed_log: Path, home: Path
) -> None:
    KeyFileSigner.renew(home / "audit_signing_key")
    (signed_log / "journal").unlink()
    assert {path.name for path in audit.close_log().folder.iterdir()} == {"checkpoints", "export"}


def test_a_log_whose_remains_cannot_be_kept_is_not_closed(signed_log: Path) -> None:
    held = audit.sink().last_note()
    assert held is not None
    (signed_log / f"closed-{audit.note_id(held[1]).hex}").write_bytes(b"a file, where a folder is expected")
    with pytest.raises(audit.AuditUnavailable, match="it was not closed"):
        audit.close_log()


def test_a_key_in_the_data_folder_is_replaced_by_one_of_another_name(home: Path, settings: Settings) -> None:
    before = audit.signer().name
    audit.sign_under_new_name(by="a", second="b")
    assert NAME.fullmatch(audit.signer().name)
    assert audit.signer().name != before
    settings.AUDIT_SIGNER, settings.HOME = audit.signer(), home / "nowhere"
    with pytest.raises(audit.AuditUnavailable, match="no new key can be written"):
        audit.sign_under_new_name(by="a", second="b")


def test_a_key_process_is_asked_for_a_new_name_by_two_and_its_refusal_is_told(
    key_process: Process, home: Path, settings: Settings
) -> None:
    before = audit.signer()
    with pytest.raises(audit.AuditUnavailable, match=r"would not sign for a new one: .*two"):
        audit.sign_under_new_name(by="a", second="a")
    assert audit.signer().name == before.name
    audit.sign_under_new_name(by="a", second="b")
    after = audit.signer()
    assert NAME.fullmatch(after.name)
    assert (after.name != before.name, after.public_key) == (True, before.public_key)
    assert not (home / "audit_signing_key").exists(), "a key that signs nothing, for which no keyd would be started"
    settings.AUDIT_SIGNER = mock.Mock(spec=["sign_checkpoint"])
    with pytest.raises(audit.AuditUnavailable, match="cannot sign for a new one"):
        audit.sign_under_new_name(by="a", second="b")


@pytest.mark.parametrize("whole", [True, False], ids=["database and folder", "database alone"])
def test_an_older_copy_of_a_log_that_keyd_signed_is_told_and_goes_on_under_a_new_name(
    key_process: Process, signed_log: Path, home: Path, whole: bool
) -> None:
    one, two = (enrol_person(name, password=None, roles=(Role.AUDITOR,), at=AT) for name in ("a1", "a2"))
    audit.seal()
    before, older = audit.sink().last_checkpoint(), {path: path.read_bytes() for path in signed_log.iterdir()}
    assert before is not None
    for _ in range(2):
        declare_policy(InstallationKind.DEMO, at=AT)
    by_the_owner(f"DELETE FROM desk_auditentry WHERE seq > {before.size}")
    AuditCheckpoint.objects.filter(size__gt=before.size).delete()
    if whole:
        for path, content in older.items():
            path.write_bytes(content)
    with pytest.raises(audit.AuditDamaged, match="restored from an older copy"):
        declare_policy(InstallationKind.DEMO, at=AT)
    folder = Path(reopen_log(by=one, second=two, at=AT))
    entry = AuditEntry.objects.get(act=AuditAct.LOG_REOPENED)
    assert entry.purpose == f"older_copy:{before.size if whole else before.size + 2}"
    after = audit.sink().last_checkpoint()
    assert after is not None
    assert (after.size, after.origin != before.origin) == (entry.seq, True)
    assert (folder / "key").read_text() != log_key() + "\n"
    declare_policy(InstallationKind.DEMO, at=AT)
    assert audit.sink().last_checkpoint() == audit.seal()
