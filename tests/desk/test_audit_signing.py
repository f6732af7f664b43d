"""What the audit log is signed with, what a row says to it, and how a log that can no longer be signed is closed."""

from __future__ import annotations

import datetime as dt
import hmac
import json
import re
from pathlib import Path
from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import transaction
from pytest_django import Settings

from havenline.formats import publication_note
from havenline.formats.audit_log import ED25519, Checkpoint, signed
from havenline_desk import audit
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.actions.enrol_person import enrol_person
from havenline_desk.actions.reopen_log import reopen_log
from havenline_desk.audit.key_file import KeyFileSigner
from havenline_desk.audit.record import record_bytes
from havenline_desk.models import (
    ApiKey,
    AuditAct,
    AuditCheckpoint,
    AuditEntry,
    InstallationKind,
    Person,
    Role,
    RoleGrant,
)
from havenline_desk.models.api_keys import KeyScope
from havenline_desk.queries.audit import export_lines, log_key

from .test_audit_log import by_the_owner

AT = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
NAME = re.compile(r"havenline\.invalid/[0-9a-f]{16}")


# -- the key -------------------------------------------------------------------------------------------------------


def test_a_key_is_made_once_in_its_form_for_its_owner_alone_and_then_read(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = KeyFileSigner.of(path)
    assert re.fullmatch(rf"{NAME.pattern}\n[0-9a-f]{{64}}\n", path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    again = KeyFileSigner.of(path)
    assert (again.name, again.public_key, again.algorithm) == (made.name, made.public_key, ED25519)
    assert repr(made) == f"KeyFileSigner(name={made.name!r}, algorithm={ED25519})", "it never shows its key"


def test_of_two_who_make_the_key_at_once_both_have_that_of_the_first(tmp_path: Path) -> None:
    first = KeyFileSigner.of(tmp_path / "key")
    with mock.patch.object(Path, "exists", return_value=False):
        second = KeyFileSigner.of(tmp_path / "key")
    assert second.name == first.name


def test_what_it_signs_is_checked_by_its_public_key_alone(tmp_path: Path) -> None:
    signer = KeyFileSigner.of(tmp_path / "key")
    note = signed(Checkpoint(signer.name, 3, bytes(32)), signer)
    assert b"\n3\n" in note
    public = Ed25519PublicKey.from_public_bytes(signer.public_key)
    public.verify(signer.sign_checkpoint(b"body"), b"body")
    public.verify(signer.sign_publication("0" * 64), publication_note.body(signer.name, "0" * 64))


def test_a_renewed_key_has_another_name_and_the_old_one_is_gone(tmp_path: Path) -> None:
    before = KeyFileSigner.of(tmp_path / "key")
    KeyFileSigner.renew(tmp_path / "key")
    after = KeyFileSigner.of(tmp_path / "key")
    assert after.name != before.name
    assert after.public_key != before.public_key
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["key"]


# -- what a row says -----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_row_says_its_table_and_its_final_columns_in_one_form() -> None:
    person = Person.objects.create(name="p1", enrolled_at=AT, is_active=True, password="x")
    row = RoleGrant.objects.create(person=person, role=Role.LEAD, granted_at=AT, effective_from=AT)
    said = record_bytes(row)
    held = {
        "audit_id": str(row.audit_id),
        "effective_from": str(AT),
        "granted_at": str(AT),
        "person_id": person.pk,
        "role": "investigation_lead",
        "table": "desk_rolegrant",
    }
    assert said == json.dumps(held, sort_keys=True, separators=(",", ":")).encode()
    RoleGrant.objects.update(revoked_at=AT)
    assert record_bytes(row) == said, "what may change is no part of it"


@pytest.mark.django_db
def test_nothing_lists_and_plain_values_are_said_as_they_are() -> None:
    admin = Person.objects.create(name="p1", enrolled_at=AT, is_active=True, password="x")
    numbers = {"per_minute": 1, "per_day": 2, "probe_limit": 3}
    row = ApiKey.objects.create(
        name="Zoë", scope=KeyScope.values[0], lists=["a", {"b": 1}], **numbers, digest="0", made_by=admin, made_at=AT
    )
    said = record_bytes(row)
    assert said.isascii()
    held = json.loads(said)
    assert held.items() >= numbers.items()
    assert (held["name"], held["lists"], held["partner_id"]) == ("Zoë", ["a", {"b": 1}], None)


@pytest.mark.django_db
def test_a_record_key_is_made_once_and_each_house_has_its_own(home: Path) -> None:
    row = Person.objects.create(name="p1", enrolled_at=AT, is_active=True, password="x")
    first = audit.record_digest(row)
    key = (home / "audit_record_key").read_text()
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert (home / "audit_record_key").stat().st_mode & 0o777 == 0o600
    assert audit.record_digest(row) == first == hmac.new(bytes.fromhex(key), record_bytes(row), "sha256").hexdigest()
    (home / "audit_record_key").unlink()
    assert audit.record_digest(row) != first


# -- signing -------------------------------------------------------------------------------------------------------


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


# -- closing a log -------------------------------------------------------------------------------------------------


@pytest.fixture
def signed_log(transactional_db: None, home: Path) -> Path:
    """A log of two entries, each signed at once; the folder outside."""
    for size in (1, 2):
        declare_policy(InstallationKind.DEMO, at=AT)
        assert signed_so_far() == size
    return home / "audit"


def signed_so_far() -> int:
    last = audit.sink().last_checkpoint()
    return 0 if last is None else last.size


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
    settings.HOME = home / "nowhere"
    with pytest.raises(audit.AuditUnavailable, match="no new key can be written"):
        audit.sign_under_new_name(by="a", second="b")


def test_what_signs_elsewhere_is_asked_for_a_new_name_by_two_and_its_refusal_is_told(settings: Settings) -> None:
    asked = mock.Mock()
    settings.AUDIT_SIGNER = asked
    audit.sign_under_new_name(by="a", second="b")
    (origin,) = asked.new_log.call_args.args
    assert NAME.fullmatch(origin)
    assert asked.new_log.call_args.kwargs == {"by": "a", "second": "b"}
    asked.new_log.side_effect = PermissionError("not you")
    with pytest.raises(audit.AuditUnavailable, match="would not sign for a new one: not you"):
        audit.sign_under_new_name(by="a", second="b")
    settings.AUDIT_SIGNER = mock.Mock(spec=["sign_checkpoint"])
    with pytest.raises(audit.AuditUnavailable, match="cannot sign for a new one"):
        audit.sign_under_new_name(by="a", second="b")
